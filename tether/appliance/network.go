package appliance

import (
	"context"
	"fmt"
	"os"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/netcfg"
)

// network configures the NICs, which come within wait. Leases are kept as long as ctx.
func (m *Machine) network(ctx, wait context.Context) error {
	if err := netcfg.Loopback(); err != nil {
		return err
	}
	names := netcfg.Names(m.config.Networks)
	for i, n := range m.config.Networks {
		from, err := netcfg.WaitNIC(wait, m.Events, n.MAC)
		if err != nil {
			return err
		}
		if err := netcfg.Rename(from, names[i]); err != nil {
			return err
		}
		if err := netcfg.Up(names[i], n); err != nil {
			return err
		}
	}
	if err := m.resolv(); err != nil {
		return err
	}
	for i, n := range m.config.Networks {
		if n.DHCP {
			m.dhcp(ctx, names[i], n.NoGateway)
		}
	}
	m.Trace.Step("network configured")
	return m.announce(ctx)
}

// dhcp waits for the first lease, and goes on without it: services on other networks may work.
func (m *Machine) dhcp(ctx context.Context, name string, noGateway bool) {
	d := &netcfg.DHCP{Interface: name, Hostname: netcfg.Hostname(&m.config), NoGateway: noGateway, Log: m.Log}
	d.Changed = func(l netcfg.Lease) {
		m.mu.Lock()
		m.leases[name] = l
		m.mu.Unlock()
		if err := m.resolv(); err != nil {
			m.Log.Warn("resolv.conf is not up to date", "err", err)
		}
		if err := m.announce(ctx); err != nil {
			m.Log.Warn("the addresses could not be reported", "err", err)
		}
	}
	wait, cancel := context.WithTimeout(ctx, leaseWait)
	defer cancel()
	if _, err := d.Acquire(wait); err != nil {
		m.Log.Error("no address", "interface", name, "err", err)
		go func() {
			if _, err := d.Acquire(ctx); err == nil {
				d.Keep(ctx)
			}
		}()
		return
	}
	go d.Keep(ctx)
}

func (m *Machine) resolv() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := os.WriteFile("/etc/resolv.conf", []byte(netcfg.ResolvFile(m.config.DNS, m.inOrder())), 0o644); err != nil {
		return fmt.Errorf("write resolv.conf: %w", err)
	}
	return nil
}

// inOrder are the leases in the order of the networks: the name servers of the first, which leads out, come
// before those of networks that may know nothing of the world.
func (m *Machine) inOrder() []netcfg.Lease {
	var leases []netcfg.Lease
	for _, name := range netcfg.Names(m.config.Networks) {
		if l, ok := m.leases[name]; ok {
			leases = append(leases, l)
		}
	}
	return leases
}

// announce reports the addresses; the primary one is the first network's.
func (m *Machine) announce(ctx context.Context) error {
	list, err := netcfg.Addresses(netcfg.Names(m.config.Networks))
	if err != nil {
		return err
	}
	if err := m.Keys.Set(ctx, guest.KeyAddresses, netcfg.FormatAddresses(list)); err != nil {
		return err
	}
	if ip := netcfg.Primary(list); ip.IsValid() {
		return m.Keys.SetRaw(ctx, guest.IPKey, ip.String())
	}
	return nil
}
