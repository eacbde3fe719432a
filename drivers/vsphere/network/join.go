package network

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/compute"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

// Join implements network.Driver.
func (d *Driver) Join(ctx context.Context, req network.JoinRequest) (network.Endpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return network.Endpoint{}, tooLate(err)
	}
	m, err := d.find(req.Network)
	if err != nil {
		return network.Endpoint{}, err
	}
	if req.Container == "" {
		return network.Endpoint{}, fmt.Errorf("join network %s without a container: %w", m.Name, errdef.ErrInvalid)
	}
	mac := strings.ToLower(req.MAC)
	if mac == "" {
		mac = compute.RandomMAC()
	}
	l, err := m.pool.give(req.Container, req.Address, req.Address6, mac)
	if err != nil {
		return network.Endpoint{}, err
	}
	l.names, l.links, l.dns = req.Names, req.Links, req.DNS
	d.savePending()
	return d.endpoint(m, req.Container, l), nil
}

// endpoint is called with d.mu held.
func (d *Driver) endpoint(m *member, container string, l *lease) network.Endpoint {
	e := network.Endpoint{Network: m.ID, Container: container, Gateway: m.Gateway,
		NIC: device.NIC{Kind: device.KindPortgroup, Locator: d.cfg.Bridge.Portgroup, MAC: l.mac}}
	if l.addr.IsValid() {
		e.Addresses = append(e.Addresses, netip.PrefixFrom(l.addr, m.Subnet.Bits()))
	}
	if l.addr6.IsValid() {
		e.Addresses = append(e.Addresses, netip.PrefixFrom(l.addr6, m.Subnet6.Bits()))
	}
	if c := m.external; c != nil {
		e.NIC.Locator, e.DNS, e.Firewall, e.DHCP = c.Portgroup, c.DNS, c.Firewall, !m.Subnet.IsValid()
		if m.Subnet.IsValid() {
			e.Peers = []netip.Prefix{m.Subnet}
		}
		return e
	}
	e.DNS = []netip.Addr{m.Gateway}
	if m.Internal {
		e.Gateway = netip.Addr{} // no route out
	} else {
		e.Gateway6 = m.Gateway6
	}
	if m != d.bridge {
		e.Peers, e.Foreign = m.own(), d.foreign(m)
	}
	return e
}

// own are a network's own subnets.
func (m *member) own() []netip.Prefix {
	own := []netip.Prefix{m.Subnet}
	if m.Subnet6.IsValid() {
		own = append(own, m.Subnet6)
	}
	return own
}

// foreign are the subnets that share the port group, present ones and those to come from the pools.
func (d *Driver) foreign(m *member) []netip.Prefix {
	out := append([]netip.Prefix{}, d.cfg.Pools...)
	for _, o := range d.nets {
		if o == m || o.external != nil {
			continue
		}
		for _, p := range o.own() {
			if !within(p, out) {
				out = append(out, p)
			}
		}
	}
	return sorted(out)
}

func within(p netip.Prefix, all []netip.Prefix) bool {
	for _, o := range all {
		if o.Contains(p.Addr()) && o.Bits() <= p.Bits() {
			return true
		}
	}
	return false
}

// tooLate is the error of a call whose caller has given up before its turn came. Such a call must change nothing: what
// the caller asked for next may have been done already.
func tooLate(err error) error { return fmt.Errorf("nobody waits for this call any more: %w", err) }

// Leave implements network.Driver.
func (d *Driver) Leave(ctx context.Context, req network.LeaveRequest) error {
	d.mu.Lock()
	if err := ctx.Err(); err != nil {
		d.mu.Unlock()
		return tooLate(err)
	}
	m := d.nets[req.Network]
	if m != nil {
		m.pool.release(req.Container)
	}
	p := d.published[req.Container]
	ends := p != nil && p.Network == req.Network
	if ends {
		delete(d.published, req.Container)
	}
	d.savePending()
	d.mu.Unlock()
	if ends {
		return d.refresh()
	}
	return nil
}
