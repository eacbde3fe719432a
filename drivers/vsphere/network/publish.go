package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

// The ports that are chosen from where the container does not care; Docker's, which are those that
// Linux gives to outgoing connections (net.ipv4.ip_local_port_range).
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
)

// publication is what a container has published.
type publication struct {
	Network string         `json:"network"`
	Target  netip.Addr     `json:"target"`
	Ports   []network.Port `json:"ports"`
}

// Publish implements network.Driver.
func (d *Driver) Publish(ctx context.Context, req network.PublishRequest) ([]network.Port, error) {
	d.mu.Lock()
	if err := ctx.Err(); err != nil {
		d.mu.Unlock()
		return nil, tooLate(err)
	}
	p, err := d.bind(req)
	if err != nil || req.CheckOnly {
		d.mu.Unlock()
		return p.Ports, err
	}
	old := d.published[req.Container]
	if old != nil && old.Network == p.Network && old.Target == p.Target && slices.Equal(old.Ports, p.Ports) {
		d.mu.Unlock()
		return p.Ports, nil
	}
	d.published[req.Container] = &p
	d.mu.Unlock()
	if err := d.refresh(); err != nil {
		d.mu.Lock()
		if old == nil {
			delete(d.published, req.Container)
		} else {
			d.published[req.Container] = old
		}
		d.mu.Unlock()
		return nil, err
	}
	d.forgetFlows(p.Ports)
	return slices.Clone(p.Ports), nil
}

// bind finds a place for every port of a request, with d.mu held.
func (d *Driver) bind(req network.PublishRequest) (publication, error) {
	p := publication{Network: req.Network}
	m, err := d.find(req.Network)
	if err != nil {
		return p, err
	}
	if l := m.pool.leases[req.Container]; l != nil {
		p.Target = l.addr
	} else if !req.CheckOnly {
		return p, fmt.Errorf("container %s has not joined network %s: %w", req.Container, m.Name, errdef.ErrNotFound)
	}
	if m.external != nil {
		return p, publishedDirectly(m, req.Ports, &p)
	}
	if m.Internal {
		return p, nil // as with Docker: an internal network publishes nothing
	}
	for _, port := range req.Ports {
		if port, err = d.bindPort(req.Container, p.Ports, port); err != nil {
			return publication{}, err
		}
		p.Ports = append(p.Ports, port)
	}
	return p, nil
}

// publishedDirectly passes ports of a container network: the container is reached at its own address,
// and its guest opens the port.
func publishedDirectly(m *member, ports []network.Port, p *publication) error {
	for _, port := range ports {
		if port.HostPort != 0 && port.HostPort != port.ContainerPort {
			return network.PortFixed(m.Name, port)
		}
		port.HostPort = port.ContainerPort
		p.Ports = append(p.Ports, port)
	}
	return nil
}

func (d *Driver) bindPort(container string, more []network.Port, p network.Port) (network.Port, error) {
	p.Protocol = strings.ToLower(p.Protocol)
	if p.Protocol != "tcp" && p.Protocol != "udp" {
		return p, fmt.Errorf("published port of protocol %q: tcp and udp can be published: %w", p.Protocol, errdef.ErrUnsupported)
	}
	if err := d.checkHostIP(p); err != nil {
		return p, err
	}
	if p.HostPort != 0 {
		if p.Protocol == "tcp" && config.OwnPort(p.HostPort) {
			return p, network.PortBusy(p)
		}
		if d.bound(container, more, p) {
			return p, network.PortTaken(p)
		}
		// What was bound by this container before is no conflict.
		if !d.isOwn(container, p) && !d.sys.PortFree(p) {
			return p, network.PortBusy(p)
		}
		return p, nil
	}
	for range lastEphemeral - firstEphemeral + 1 {
		if d.lastPort++; d.lastPort < firstEphemeral || d.lastPort > lastEphemeral {
			d.lastPort = firstEphemeral
		}
		p.HostPort = d.lastPort
		if !d.bound("", more, p) && d.sys.PortFree(p) {
			return p, nil
		}
	}
	return p, network.NoPort()
}

func (d *Driver) checkHostIP(p network.Port) error {
	ip := p.HostIP
	if !ip.IsValid() || ip == netip.IPv4Unspecified() {
		return nil
	}
	if !ip.Is4() {
		return fmt.Errorf("host address %s of a published port: ports are published on IPv4 addresses: %w", ip, errdef.ErrUnsupported)
	}
	var own []netip.Addr
	for _, a := range d.sys.Addresses(d.cfg.Bridge.Uplink) {
		if a.Addr() == ip {
			return nil
		}
		if a.Addr().Is4() {
			own = append(own, a.Addr())
		}
	}
	return network.NotHostAddress(p, own)
}

// bound says that another container, or another port of this one, has the host port.
func (d *Driver) bound(container string, more []network.Port, p network.Port) bool {
	clash := func(o network.Port) bool { return clashes(o, p) }
	if slices.ContainsFunc(more, clash) {
		return true
	}
	for c, pub := range d.published {
		if m := d.nets[pub.Network]; c != container && (m == nil || m.external == nil) && slices.ContainsFunc(pub.Ports, clash) {
			return true
		}
	}
	return false
}

func (d *Driver) isOwn(container string, p network.Port) bool {
	pub := d.published[container]
	return pub != nil && slices.Contains(pub.Ports, p)
}

// clashes says that two ports cannot both be bound.
func clashes(a, b network.Port) bool {
	any := func(ip netip.Addr) bool { return !ip.IsValid() || ip.IsUnspecified() }
	return a.Protocol == b.Protocol && a.HostPort == b.HostPort && (any(a.HostIP) || any(b.HostIP) || a.HostIP == b.HostIP)
}

func ipText(a netip.Addr) string {
	if !a.IsValid() {
		return "0.0.0.0"
	}
	return a.String()
}

// Unpublish implements network.Driver.
func (d *Driver) Unpublish(ctx context.Context, req network.UnpublishRequest) error {
	d.mu.Lock()
	if err := ctx.Err(); err != nil {
		d.mu.Unlock()
		return tooLate(err)
	}
	p := d.published[req.Container]
	delete(d.published, req.Container)
	d.mu.Unlock()
	if p == nil {
		return nil
	}
	err := d.refresh()
	d.forgetFlows(p.Ports)
	return err
}

// forgetFlows has the kernel look at the rules again for UDP ports: a flow that goes on would keep
// the target that it had.
func (d *Driver) forgetFlows(ports []network.Port) {
	var errs []error
	for _, p := range ports {
		if p.Protocol == "udp" {
			errs = append(errs, d.sys.ForgetFlows(p))
		}
	}
	if err := errors.Join(errs...); err != nil {
		d.log.Warn("UDP flows to a published port may go on to where they went", "err", err)
	}
}

// loadPublished takes over what an earlier process had published.
func (d *Driver) loadPublished() {
	all := map[string]*publication{}
	d.loadFile(portsFile, &all)
	d.mu.Lock()
	defer d.mu.Unlock()
	for c, p := range all {
		if m := d.nets[p.Network]; m != nil && m.pool.leases[c] != nil {
			d.published[c] = p
		}
	}
}
