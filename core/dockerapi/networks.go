package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	dockernetwork "github.com/docker/docker/daemon/network"
	"github.com/docker/docker/errdefs"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/event"
	driver "github.com/openvic/vic/sdk/network"
)

// noneID is the ID of the network that containers are on which are on none.
var noneID = engine.EndpointID("network", network.NetworkNone)

// networks is the backend of Docker's network router.
type networks struct {
	engine *engine.Engine
	hub    *event.Hub
	// started is when the API was first served by this process.
	started time.Time
}

// GetNetworks lists networks.
func (b networks) GetNetworks(f filters.Args, o backend.NetworkListConfig) ([]network.Inspect, error) {
	all, err := b.engine.Networks.List(context.Background())
	if err != nil {
		return nil, wrap(err)
	}
	out := make([]network.Inspect, 0, len(all)+1)
	for _, n := range all {
		i := inspectNet(n)
		if n.Given { // it is part of the host: Docker's bridge is as old as its daemon
			i.Created = b.started
		}
		// Which networks are in use is what the filter "dangling" asks for.
		if o.Detailed || f.Contains("dangling") {
			i.Containers = b.members(n.ID)
		}
		out = append(out, i)
	}
	none := network.Inspect{Name: network.NetworkNone, ID: noneID, Created: b.started, Scope: "local", Driver: "null", EnableIPv4: true,
		IPAM:       network.IPAM{Driver: "default", Config: []network.IPAMConfig{}},
		Containers: map[string]network.EndpointResource{}, Options: map[string]string{}, Labels: map[string]string{}}
	return dockernetwork.FilterNetworks(append(out, none), f)
}

func inspectNet(n driver.Network) network.Inspect {
	i := network.Inspect{Name: n.Name, ID: n.ID, Created: n.Created, Scope: "local", Driver: n.Driver, EnableIPv4: true,
		EnableIPv6: n.Subnet6.IsValid(), Internal: n.Internal,
		Containers: map[string]network.EndpointResource{}, Options: map[string]string{}, Labels: n.Labels,
		IPAM: network.IPAM{Driver: "default", Config: []network.IPAMConfig{}}}
	if !n.Given { // one of a user's
		i.IPAM.Options = map[string]string{}
	}
	if n.Subnet.IsValid() {
		i.IPAM.Config = append(i.IPAM.Config, network.IPAMConfig{Subnet: n.Subnet.String(), Gateway: text(n.Gateway)})
		if n.IPRange.IsValid() {
			i.IPAM.Config[0].IPRange = n.IPRange.String()
		}
	}
	if n.Subnet6.IsValid() {
		i.IPAM.Config = append(i.IPAM.Config, network.IPAMConfig{Subnet: n.Subnet6.String(), Gateway: text(n.Gateway6)})
	}
	for k, v := range n.Options {
		i.Options[k] = v
	}
	if n.Firewall != "" {
		i.Options["firewall"] = n.Firewall
	}
	if i.Labels == nil {
		i.Labels = map[string]string{}
	}
	return i
}

// text is an address, or nothing.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
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
			r := network.EndpointResource{Name: c.Name, EndpointID: engine.EndpointID(c.ID, id), MacAddress: n.MAC}
			if p, ok := n.IPv4(); ok {
				r.IPv4Address = p.String()
			}
			if p, ok := n.IPv6(); ok {
				r.IPv6Address = p.String()
			}
			m[c.ID] = r
		}
	}
	return m
}

// CreateNetwork makes a network of driver bridge.
func (b networks) CreateNetwork(ctx context.Context, r network.CreateRequest) (*network.CreateResponse, error) {
	if dockernetwork.IsPredefined(r.Name) {
		return nil, errdefs.Forbidden(fmt.Errorf("operation is not permitted on predefined %s network ", r.Name))
	}
	if r.Name == "" {
		return nil, invalid("invalid name: name is empty")
	}
	req := driver.CreateRequest{Name: r.Name, Driver: r.Driver, Internal: r.Internal, Labels: r.Labels,
		IPv6: r.EnableIPv6 != nil && *r.EnableIPv6}
	if err := checkNetwork(&r); err != nil {
		return nil, err
	}
	if err := network.ValidateIPAM(r.IPAM, req.IPv6); err != nil {
		return nil, errdefs.InvalidParameter(err)
	}
	if err := subnets(&req, r.IPAM); err != nil {
		return nil, err
	}
	n, err := b.engine.Networks.Create(ctx, req)
	if err != nil {
		return nil, wrap(err)
	}
	return &network.CreateResponse{ID: n.ID}, nil
}

// checkNetwork refuses what would have to be ignored.
func checkNetwork(r *network.CreateRequest) error {
	switch {
	case r.Driver != "" && r.Driver != driver.DriverBridge:
		return errdefs.NotFound(fmt.Errorf("plugin %q not found: networks of users are of driver bridge", r.Driver))
	case r.Scope != "" && r.Scope != "local":
		return unsupported("option --scope " + r.Scope)
	case r.Ingress, r.Attachable:
		return unsupported("option --ingress, --attachable (for swarms)")
	case r.ConfigOnly, r.ConfigFrom != nil:
		return unsupported("option --config-only, --config-from")
	case r.EnableIPv4 != nil && !*r.EnableIPv4:
		return unsupported("option --ipv4=false")
	}
	for k := range r.Options {
		return unsupported("option --opt " + k)
	}
	return nil
}

// subnets reads --subnet, --ip-range and --gateway.
func subnets(req *driver.CreateRequest, ipam *network.IPAM) error {
	if ipam == nil {
		return nil
	}
	if (ipam.Driver != "" && ipam.Driver != "default") || len(ipam.Options) > 0 {
		return unsupported("option --ipam-driver, --ipam-opt")
	}
	for _, c := range ipam.Config {
		if len(c.AuxAddress) > 0 {
			return unsupported("option --aux-address")
		}
		subnet, err := optional(netip.ParsePrefix, c.Subnet)
		gateway, gerr := optional(netip.ParseAddr, c.Gateway)
		ipRange, rerr := optional(netip.ParsePrefix, c.IPRange)
		if err := errors.Join(err, gerr, rerr); err != nil {
			return invalid("invalid network config: %v", err)
		}
		six := subnet.Addr().Is6() || gateway.Is6()
		switch {
		case (six && req.Subnet6.IsValid()) || (!six && req.Subnet.IsValid()):
			return errdefs.Forbidden(errors.New("bridge driver doesn't support multiple subnets"))
		case six && ipRange.IsValid():
			return unsupported("option --ip-range of an IPv6 subnet")
		case six:
			req.Subnet6, req.Gateway6 = subnet, gateway
		default:
			req.Subnet, req.Gateway, req.IPRange = subnet, gateway, ipRange
		}
	}
	return nil
}

// optional parses what is given.
func optional[T any](parse func(string) (T, error), s string) (v T, err error) {
	if s == "" {
		return v, nil
	}
	return parse(s)
}

// ConnectContainerToNetwork puts a container on one more network.
func (b networks) ConnectContainerToNetwork(ctx context.Context, name, networkName string, ep *network.EndpointSettings) error {
	switch networkName {
	case network.NetworkHost:
		return invalid("cannot connect container to host network - container must be created in host network mode")
	case network.NetworkNone, noneID:
		return invalid("container cannot be connected to multiple networks with one of the networks in private (none) mode")
	}
	if ep == nil {
		ep = &network.EndpointSettings{}
	}
	w, err := networkRequest(networkName, ep)
	if err != nil {
		return err
	}
	return wrap(b.engine.Connect(ctx, networkName, name, w))
}

// DisconnectContainerFromNetwork takes a container off a network.
func (b networks) DisconnectContainerFromNetwork(name, networkName string, force bool) error {
	return wrap(b.engine.Disconnect(context.Background(), networkName, name, force))
}

// DeleteNetwork removes a network.
func (b networks) DeleteNetwork(ref string) error {
	if ref == network.NetworkNone || ref == noneID {
		return errdefs.Forbidden(errors.New("none is a pre-defined network and cannot be removed"))
	}
	return wrap(b.engine.Networks.Remove(context.Background(), ref))
}

// NetworksPrune removes the networks that no container is on.
func (b networks) NetworksPrune(ctx context.Context, f filters.Args) (*network.PruneReport, error) {
	if err := f.Validate(map[string]bool{"label": true, "label!": true, "until": true}); err != nil {
		return nil, err
	}
	until, err := pruneUntil(f)
	if err != nil {
		return nil, err
	}
	all, err := b.engine.Networks.List(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	report := &network.PruneReport{}
	for _, n := range all {
		if n.Given || (!until.IsZero() && n.Created.After(until)) || !labelsMatch(f, n.Labels) || b.engine.Networks.InUse(n.ID) {
			continue
		}
		if ctx.Err() != nil {
			return report, nil
		}
		if err := b.engine.Networks.Remove(ctx, n.ID); err == nil {
			report.NetworksDeleted = append(report.NetworksDeleted, n.Name)
		}
	}
	b.hub.Publish(event.Event{Type: event.Network, Action: "prune", Attributes: map[string]string{"reclaimed": "0"}})
	return report, nil
}
