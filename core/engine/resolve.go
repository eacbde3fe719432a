package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
)

// The reasons of errors about what a container asks of a network (errdef.Error, all ErrInvalid but for
// the last). FieldNetwork of sdk/network is the network's name, FieldAddress the address.
const (
	ReasonDefaultAddress = "DEFAULT_NETWORK_ADDRESS" // the default network has no addresses to ask for
	ReasonDefaultAlias   = "DEFAULT_NETWORK_ALIAS"   // nor names
	ReasonForeignAddress = "FOREIGN_ADDRESS"         // the network has no such address
	ReasonNoGateway      = "NO_GATEWAY"              // ErrUnsupported: the host is not the network's gateway
)

// resolve finds what the names in a request stand for, once for all of the create: networks, volumes of
// other containers, names of the host; and it tells whether the ports are free. It makes nothing. The
// definition that it returns is complete but for what comes with places, disks and volumes.
// What is not there is ErrInvalid: ErrNotFound of a create means the image.
func (e *Engine) resolve(ctx context.Context, id, name string, req CreateRequest) (Definition, []MountRequest, error) {
	d := Definition{Version: 1, ID: id, Name: name, Spec: req.Spec, CPUs: e.cpus(req.CPUs), MemoryMB: e.memory(req.Memory), HealthCheck: req.Guest.Health != nil}
	if d.Hostname == "" {
		d.Hostname = id[:12]
	}
	d.Process.Env = withHostname(d.Process.Env, d.Hostname)
	mounts, err := e.resolveMounts(req)
	if err == nil {
		err = e.resolveNetworks(ctx, &d, req)
	}
	if err == nil && !req.Replaces {
		err = e.checkPorts(ctx, &d)
	}
	return d, mounts, notTheImage(err)
}

// notTheImage is err, as ErrInvalid if it says that something is not there.
func notTheImage(err error) error {
	if !isNotFound(err) {
		return err
	}
	return &Error{Class: errdef.ErrInvalid, Text: err.Error(), Cause: err}
}

// resolveNetworks finds the networks that a container asks for: the default one if it names none and does
// not refuse them all.
func (e *Engine) resolveNetworks(ctx context.Context, d *Definition, req CreateRequest) error {
	wanted := req.Networks
	switch {
	case req.NoNetwork && len(req.GatewayNames) > 0:
		return fail(errdef.ErrInvalid, "the container is on no network: there is no address for %s", req.GatewayNames[0])
	case req.NoNetwork:
		return nil
	case len(wanted) == 0:
		wanted = []NetworkRequest{{}}
	}
	all, err := e.opts.Network.List(ctx)
	if err != nil {
		return fmt.Errorf("networks: %w", err)
	}
	for i, w := range wanted {
		n, err := pickNetwork(all, e.Networks.nameOf(w.Name))
		if err == nil {
			err = e.Networks.checkWanted(n, w)
		}
		if err == nil && i == 0 {
			err = d.addGatewayNames(n, req.GatewayNames)
		}
		if err != nil {
			return err
		}
		if slices.ContainsFunc(d.Networks, func(a Attachment) bool { return a.NetworkID == n.ID }) {
			return fail(errdef.ErrInvalid, "network %s is specified multiple times", n.Name)
		}
		a := e.Networks.attachment(n, w)
		a.Gateway = n.Gateway
		d.Networks = append(d.Networks, a)
	}
	return nil
}

// addGatewayNames adds names for the host, which is at the gateway of a container's first network.
func (d *Definition) addGatewayNames(n network.Network, names []string) error {
	if len(names) > 0 && n.Driver != network.DriverBridge {
		return &errdef.Error{Class: errdef.ErrUnsupported, Reason: ReasonNoGateway, Fields: map[string]string{network.FieldNetwork: n.Name},
			Text: fmt.Sprintf("the host has no address on network %s that the name %s could stand for", n.Name, names[0])}
	}
	d.Hosts = slices.Clone(d.Hosts)
	for _, name := range names {
		d.Hosts = append(d.Hosts, guest.Host{Address: n.Gateway, Names: []string{name}})
	}
	return nil
}

// checkWanted refuses what a network cannot give: addresses and names are for the networks of users and
// of the administrator.
func (ns *Networks) checkWanted(n network.Network, w NetworkRequest) error {
	refuse := func(reason string, a netip.Addr, text string) error {
		return &errdef.Error{Class: errdef.ErrInvalid, Reason: reason, Text: text,
			Fields: map[string]string{network.FieldNetwork: n.Name, network.FieldAddress: a.String()}}
	}
	own := !n.Given || n.Driver != network.DriverBridge
	switch {
	case !own && (w.Address.IsValid() || w.Address6.IsValid()):
		return refuse(ReasonDefaultAddress, w.Address, fmt.Sprintf("an address cannot be chosen on the default network %s", n.Name))
	case !own && len(w.Aliases) > 0:
		return refuse(ReasonDefaultAlias, w.Address, fmt.Sprintf("the default network %s has no aliases", n.Name))
	case w.Address.IsValid() && n.Subnet.IsValid() && !n.Subnet.Contains(w.Address):
		return refuse(ReasonForeignAddress, w.Address, fmt.Sprintf("address %s is not one of network %s, which has %s", w.Address, n.Name, n.Subnet))
	}
	return nil
}

// resolveMounts lists a container's mounts, one a target: those that it takes over from others, in whose
// place come its own, and those that its image declares where there is none.
func (e *Engine) resolveMounts(req CreateRequest) ([]MountRequest, error) {
	var all []MountRequest
	at := func(target string) func(MountRequest) bool {
		return func(m MountRequest) bool { return m.Target == target }
	}
	put := func(m MountRequest) { all = append(slices.DeleteFunc(all, at(m.Target)), m) }
	for _, from := range req.VolumesFrom {
		c, err := e.registry.lookup(from.Container)
		if err != nil {
			return nil, err
		}
		for _, p := range c.definition().Mounts {
			put(MountRequest{Volume: p.Volume, Target: p.Target, ReadOnly: p.ReadOnly || from.ReadOnly, NoCopy: true, Anonymous: p.Anonymous})
		}
	}
	for _, m := range req.Mounts {
		if !m.Declared || !slices.ContainsFunc(all, at(m.Target)) {
			put(m)
		}
	}
	return all, nil
}

// checkPorts tells, before anything is made, whether the wanted ports are free.
func (e *Engine) checkPorts(ctx context.Context, d *Definition) error {
	a, ok := publisher(d.Networks)
	if len(d.Ports) == 0 || !ok {
		return nil
	}
	if _, err := e.choosePorts(ctx, d.ID, a.NetworkID, d.Ports); err != nil {
		return publishError(d, a, err)
	}
	return nil
}

// choosePorts makes of ranges the first port in each that is free. Most have none: then it is one
// question for all ports.
func (e *Engine) choosePorts(ctx context.Context, id, networkID string, ports []Port) ([]network.Port, error) {
	ask := func(ports []network.Port) error {
		_, err := e.opts.Network.Publish(ctx, network.PublishRequest{Network: networkID, Container: id, CheckOnly: true, Ports: ports})
		return err
	}
	chosen := firstPorts(ports)
	if err := ask(chosen); !errors.Is(err, errdef.ErrConflict) || !anyRange(ports) {
		return chosen, err
	}
	chosen = nil
	for _, p := range ports {
		for {
			err := ask(append(slices.Clone(chosen), p.Port))
			if err == nil {
				break
			}
			if !errors.Is(err, errdef.ErrConflict) || p.HostPort >= p.HostPortEnd {
				return nil, err
			}
			p.HostPort++
		}
		chosen = append(chosen, p.Port)
	}
	return chosen, nil
}

// firstPorts are ports with the first of each range.
func firstPorts(ports []Port) []network.Port {
	out := make([]network.Port, 0, len(ports))
	for _, p := range ports {
		out = append(out, p.Port)
	}
	return out
}

func anyRange(ports []Port) bool {
	return slices.ContainsFunc(ports, func(p Port) bool { return p.HostPortEnd > p.HostPort })
}
