package dockerapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/storage"
	"github.com/docker/go-connections/nat"

	"github.com/openvic/vic/core/engine"
)

// storageDriver is what docker info and inspect call the way layers and disks are kept.
const storageDriver = "vic"

// ContainerInspect describes a container.
func (b *containers) ContainerInspect(_ context.Context, name string, o backend.ContainerInspectOptions) (*container.InspectResponse, error) {
	if o.Size {
		return nil, unsupported("docker inspect --size")
	}
	c, err := b.opts.Engine.Get(name)
	if err != nil {
		return nil, wrap(err)
	}
	d := b.definition(&c)
	hc := *d.HostConfig
	return &container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: c.ID, Created: c.Created.Format(time.RFC3339Nano), Path: c.Process.Args[0], Args: c.Process.Args[1:],
			State: inspectState(c.State), Image: c.Image.ID, Name: "/" + c.Name, Driver: storageDriver, Platform: "linux",
			ExecIDs: c.ExecIDs, HostConfig: &hc,
			GraphDriver: storage.DriverData{Name: storageDriver, Data: map[string]string{"VM": c.Locator, "Layer": c.Image.Layer}},
		},
		Mounts:          []container.MountPoint{},
		Config:          d.Config,
		NetworkSettings: inspectNetwork(&c, d),
	}, nil
}

func inspectState(s engine.State) *container.State {
	return &container.State{Status: container.ContainerState(s.Status), Running: s.Running(), Paused: s.Status == engine.StatusPaused,
		OOMKilled: s.OOM, Pid: s.Pid, ExitCode: s.ExitCode, Error: s.Error,
		StartedAt: s.Started.Format(time.RFC3339Nano), FinishedAt: s.Finished.Format(time.RFC3339Nano)}
}

func inspectNetwork(c *engine.Container, d *definition) *container.NetworkSettings {
	ns := &container.NetworkSettings{Networks: endpoints(c, d)}
	ns.Ports = nat.PortMap{} //nolint:staticcheck // clients still read it
	if c.State.Running() {
		for p := range d.Config.ExposedPorts {
			ns.Ports[p] = nil //nolint:staticcheck // clients still read it
		}
	}
	if ep := ns.Networks[network.NetworkBridge]; ep != nil {
		ns.DefaultNetworkSettings = container.DefaultNetworkSettings{ //nolint:staticcheck // clients still read it
			EndpointID: ep.EndpointID, Gateway: ep.Gateway, IPAddress: ep.IPAddress, IPPrefixLen: ep.IPPrefixLen, MacAddress: ep.MacAddress}
	}
	return ns
}

// endpoints describes a container's networks; addresses are shown while it runs, as Docker does.
func endpoints(c *engine.Container, d *definition) map[string]*network.EndpointSettings {
	all := map[string]*network.EndpointSettings{}
	for _, n := range c.Networks {
		ep := &network.EndpointSettings{NetworkID: n.NetworkID, IPAMConfig: d.Endpoint}
		if c.State.Running() {
			ep.EndpointID, ep.MacAddress = endpointID(c.ID, n.NetworkID), n.MAC
			if n.Gateway.IsValid() {
				ep.Gateway = n.Gateway.String()
			}
			if len(n.Addresses) > 0 {
				ep.IPAddress, ep.IPPrefixLen = n.Addresses[0].Addr().String(), n.Addresses[0].Bits()
			}
		}
		all[n.Name] = ep
	}
	return all
}

// endpointID is made from what is on both its ends: it is the same each time.
func endpointID(containerID, networkID string) string {
	sum := sha256.Sum256([]byte(containerID + "/" + networkID))
	return hex.EncodeToString(sum[:])
}
