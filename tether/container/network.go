package container

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/firewall"
	"github.com/openvic/vic/tether/netcfg"
)

// nic is a NIC of the container's with its network.
type nic struct {
	guest.Network
	name  string
	lease *netcfg.Lease
	end   context.CancelFunc // of the keeping of the lease
}

// nics are the container's, in the configuration's order. mu guards them once the container runs, and
// with them the network's part of the configuration.
type nics struct {
	mu    sync.Mutex
	list  []*nic
	rules bool // nftables hold some
}

func (n *nics) addresses() []netcfg.Address {
	var out []netcfg.Address
	for _, c := range n.list {
		for _, p := range c.prefixes() {
			out = append(out, netcfg.Address{Interface: c.name, Prefix: p})
		}
	}
	return out
}

func (n *nics) leases() []netcfg.Lease {
	var out []netcfg.Lease
	for _, c := range n.list {
		if c.lease != nil {
			out = append(out, *c.lease)
		}
	}
	return out
}

func (c *nic) prefixes() []netip.Prefix {
	out := slices.Clone(c.Addresses)
	if c.lease != nil {
		out = append(out, c.lease.Address)
	}
	return out
}

// network configures the NICs in their order.
func (m *Machine) network(ctx context.Context) error {
	if err := netcfg.Loopback(); err != nil {
		return err
	}
	names := netcfg.Names(m.config.Networks)
	for i, n := range m.config.Networks {
		if _, err := netcfg.WaitNIC(ctx, m.Events, n.MAC); err != nil {
			return err
		}
		m.nics.list = append(m.nics.list, &nic{Network: n, name: names[i]})
	}
	m.Trace.Step("NICs found")
	if err := m.protect(); err != nil {
		return err
	}
	for _, c := range m.nics.list {
		if err := m.plug(ctx, c); err != nil {
			return err
		}
	}
	m.Trace.Step("network configured")
	return nil
}

// plug brings a NIC up. The rules for it are there before.
func (m *Machine) plug(ctx context.Context, c *nic) error {
	// An earlier renaming may have given it another name.
	from, err := netcfg.WaitNIC(ctx, m.Events, c.MAC)
	if err != nil {
		return err
	}
	if err := netcfg.Rename(from, c.name); err != nil {
		return err
	}
	if err := netcfg.Up(c.name, c.Network); err != nil {
		return err
	}
	if c.DHCP {
		return m.dhcp(ctx, c)
	}
	return nil
}

// dhcp gets a lease and keeps it as long as the container has the NIC.
func (m *Machine) dhcp(ctx context.Context, c *nic) error {
	d := &netcfg.DHCP{Interface: c.name, Hostname: m.space.Hostname, NoGateway: c.NoGateway || m.otherGateway(c), Log: m.Log}
	lease, err := d.Acquire(ctx)
	if err != nil {
		return err
	}
	c.lease = &lease
	if c.Firewall != nil && c.Firewall.Policy == guest.FirewallPeers {
		if err := m.protect(); err != nil {
			return err
		}
	}
	// Preparing ends; the lease goes on.
	keep, end := context.WithCancel(context.WithoutCancel(ctx))
	c.end = end
	d.Changed = func(l netcfg.Lease) {
		m.nics.mu.Lock()
		defer m.nics.mu.Unlock()
		c.lease = &l
		if err := errors.Join(m.writeEtc(), m.announceAddresses(keep)); err != nil {
			m.Log.Warn("a new lease could not be announced", "err", err)
		}
	}
	go d.Keep(keep)
	return nil
}

// otherGateway says that another network has the default route.
func (m *Machine) otherGateway(c *nic) bool {
	return slices.ContainsFunc(m.nics.list, func(o *nic) bool { return o != c && o.Gateway.IsValid() })
}

// protect sets the firewall's rules, and how interfaces speak for their addresses.
func (m *Machine) protect() error {
	var list []firewall.Interface
	for _, c := range m.nics.list {
		if firewall.Needed(c.Firewall) {
			list = append(list, firewall.Interface{Name: c.name, Firewall: *c.Firewall, Own: c.prefixes()})
		}
	}
	if len(m.nics.list) > 1 {
		if err := netcfg.SeparateInterfaces(); err != nil {
			return fmt.Errorf("separate the interfaces: %w", err)
		}
	}
	if len(list) == 0 && !m.nics.rules {
		return nil
	}
	if err := m.Modules.LoadNames(firewall.Modules(list)); err != nil {
		return fmt.Errorf("firewall: %w", err)
	}
	m.Trace.Step("modules of the firewall loaded")
	m.nics.rules = true
	return firewall.Apply(list)
}

// Configure implements linkserver.Machine: it makes the networks be as n says. NICs that stay keep their
// names and addresses.
func (m *Machine) Configure(ctx context.Context, n guest.NetworkConfig) error {
	ctx, cancel := context.WithTimeout(ctx, deviceWait)
	defer cancel()
	m.nics.mu.Lock()
	defer m.nics.mu.Unlock()
	fresh, err := m.sortNICs(ctx, n)
	if err != nil {
		return err
	}
	if err := m.protect(); err != nil {
		return err
	}
	for _, c := range fresh {
		if err := m.plug(ctx, c); err != nil {
			return err
		}
	}
	for _, c := range m.nics.list {
		if err := netcfg.SetGateways(c.name, c.Network); err != nil {
			return err
		}
	}
	m.config.SetNetwork(n)
	if err := errors.Join(m.writeEtc(), m.announceAddresses(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	if m.host != nil {
		m.host.refresh(context.WithoutCancel(ctx))
	}
	return nil
}

// sortNICs takes the NICs down that are no more wanted, makes the list what n says and returns those
// that are new.
func (m *Machine) sortNICs(ctx context.Context, n guest.NetworkConfig) ([]*nic, error) {
	old := map[string]*nic{}
	taken := map[string]bool{}
	for _, c := range m.nics.list {
		old[c.MAC] = c
	}
	for _, w := range n.Networks {
		if c := old[w.MAC]; c != nil {
			taken[c.name] = true
		}
	}
	var list, fresh []*nic
	for _, w := range n.Networks {
		c := old[w.MAC]
		delete(old, w.MAC)
		if c == nil {
			if _, err := netcfg.WaitNIC(ctx, m.Events, w.MAC); err != nil {
				return nil, err
			}
			c = &nic{name: netcfg.FreeName(taken)}
			taken[c.name] = true
			fresh = append(fresh, c)
		}
		c.Network = w
		list = append(list, c)
	}
	for _, c := range old {
		if c.end != nil {
			c.end()
		}
		if err := netcfg.Down(c.name, m.host.uses(c.MAC)); err != nil {
			return nil, err
		}
	}
	m.nics.list = list
	return fresh, nil
}

func (m *Machine) announceAddresses(ctx context.Context) error {
	list := m.nics.addresses()
	err := m.Keys.Set(ctx, guest.KeyAddresses, netcfg.FormatAddresses(list))
	if ip := netcfg.Primary(list); ip.IsValid() {
		err = errors.Join(err, m.Keys.SetRaw(ctx, guest.IPKey, ip.String()))
	}
	return err
}
