package dockerapi

import (
	"context"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	dockernetwork "github.com/docker/docker/daemon/network"

	"github.com/openvic/vic/core/engine"
	driver "github.com/openvic/vic/sdk/network"
)

// networks is the backend of Docker's network router.
type networks struct{ engine *engine.Engine }

// GetNetworks lists networks.
func (b networks) GetNetworks(f filters.Args, o backend.NetworkListConfig) ([]network.Inspect, error) {
	all, err := b.engine.Networks(context.Background())
	if err != nil {
		return nil, wrap(err)
	}
	out := make([]network.Inspect, 0, len(all))
	for _, n := range all {
		i := inspectNet(n)
		if o.Detailed {
			i.Containers = b.members(n.ID)
		}
		out = append(out, i)
	}
	return dockernetwork.FilterNetworks(out, f)
}

func inspectNet(n driver.Network) network.Inspect {
	i := network.Inspect{Name: n.Name, ID: n.ID, Created: n.Created, Scope: "local", Driver: n.Driver, EnableIPv4: true, Internal: n.Internal,
		Containers: map[string]network.EndpointResource{}, Options: n.Options, Labels: n.Labels,
		IPAM: network.IPAM{Driver: "default", Config: []network.IPAMConfig{}}}
	if n.Subnet.IsValid() {
		c := network.IPAMConfig{Subnet: n.Subnet.String()}
		if n.Gateway.IsValid() {
			c.Gateway = n.Gateway.String()
		}
		i.IPAM.Config = append(i.IPAM.Config, c)
	}
	if i.Options == nil {
		i.Options = map[string]string{}
	}
	if i.Labels == nil {
		i.Labels = map[string]string{}
	}
	return i
}

// members are the running containers on a network.
func (b networks) members(id string) map[string]network.EndpointResource {
	m := map[string]network.EndpointResource{}
	for _, c := range b.engine.List() {
		if !c.State.Running() {
			continue
		}
		for _, n := range c.Networks {
			if n.NetworkID != id {
				continue
			}
			r := network.EndpointResource{Name: c.Name, EndpointID: endpointID(c.ID, id), MacAddress: n.MAC}
			if len(n.Addresses) > 0 {
				r.IPv4Address = n.Addresses[0].String()
			}
			m[c.ID] = r
		}
	}
	return m
}

// CreateNetwork is not there yet.
func (networks) CreateNetwork(context.Context, network.CreateRequest) (*network.CreateResponse, error) {
	return nil, unsupported("docker network create")
}

// ConnectContainerToNetwork is not there yet.
func (networks) ConnectContainerToNetwork(context.Context, string, string, *network.EndpointSettings) error {
	return unsupported("docker network connect")
}

// DisconnectContainerFromNetwork is not there yet.
func (networks) DisconnectContainerFromNetwork(string, string, bool) error {
	return unsupported("docker network disconnect")
}

// DeleteNetwork is not there yet.
func (networks) DeleteNetwork(string) error { return unsupported("docker network rm") }

// NetworksPrune has nothing to remove: no network of a user's can exist.
func (networks) NetworksPrune(context.Context, filters.Args) (*network.PruneReport, error) {
	return &network.PruneReport{}, nil
}
