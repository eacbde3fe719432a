package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/openvic/vic/sdk/network"
)

// System is the endpoint VM's kernel, or a test's.
type System interface {
	// Addresses are those of an interface; "" means all of them.
	Addresses(iface string) []netip.Prefix
	// SetGateways gives an interface these addresses beside the ones that are not in own.
	SetGateways(iface string, want []netip.Prefix, own []netip.Prefix) error
	// Apply replaces the rules.
	Apply(Rules) error
	// PortFree says that no program listens on a port.
	PortFree(network.Port) bool
	// ForgetFlows drops the kernel's memory of flows to a port.
	ForgetFlows(network.Port) error
}

// Rules is all that the kernel does for the networks.
type Rules struct {
	Bridge  string // interface
	Uplink  string // the one interface through which containers reach others and are reached
	Subnets []Subnet
	Ports   []Forward
}

// Subnet is one that lives on the bridge interface.
type Subnet struct {
	Prefix   netip.Prefix
	Internal bool
}

// Forward is a published port.
type Forward struct {
	network.Port
	Target netip.Addr
}

// refresh brings the system in step with what the driver knows.
func (d *Driver) refresh() error {
	d.apply.Lock()
	defer d.apply.Unlock()
	d.mu.Lock()
	r, gateways := d.rules()
	d.saveFile(portsFile, d.published)
	d.mu.Unlock()
	own := []netip.Prefix{netip.PrefixFrom(d.cfg.Bridge.Gateway, d.cfg.Bridge.Subnet.Bits())}
	if err := d.sys.SetGateways(d.cfg.Bridge.Interface, gateways, own); err != nil {
		return fmt.Errorf("gateway addresses: %w", err)
	}
	return d.sys.Apply(r)
}

func (d *Driver) refreshQuietly() {
	if err := d.refresh(); err != nil {
		d.log.Error("the rules of the networks are not up to date", "err", err)
	}
}

// rules is called with d.mu held.
func (d *Driver) rules() (Rules, []netip.Prefix) {
	r := Rules{Bridge: d.cfg.Bridge.Interface, Uplink: d.cfg.Bridge.Uplink}
	var gateways []netip.Prefix
	for _, m := range d.nets {
		if m.external != nil {
			continue
		}
		for _, p := range m.own() {
			r.Subnets = append(r.Subnets, Subnet{Prefix: p, Internal: m.Internal})
		}
		if m == d.bridge {
			continue
		}
		gateways = append(gateways, netip.PrefixFrom(m.Gateway, m.Subnet.Bits()))
		if m.Gateway6.IsValid() {
			gateways = append(gateways, netip.PrefixFrom(m.Gateway6, m.Subnet6.Bits()))
		}
	}
	for _, p := range d.published {
		if m := d.nets[p.Network]; m == nil || m.external != nil {
			continue
		}
		for _, port := range p.Ports {
			r.Ports = append(r.Ports, Forward{Port: port, Target: p.Target})
		}
	}
	slices.SortFunc(r.Subnets, func(a, b Subnet) int { return comparePrefixes(a.Prefix, b.Prefix) })
	slices.SortFunc(r.Ports, func(a, b Forward) int {
		return strings.Compare(fmt.Sprintf("%s %05d %s", a.Protocol, a.HostPort, a.HostIP), fmt.Sprintf("%s %05d %s", b.Protocol, b.HostPort, b.HostIP))
	})
	return r, sorted(gateways)
}

func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

func sorted(p []netip.Prefix) []netip.Prefix {
	slices.SortFunc(p, comparePrefixes)
	return p
}
