package netcfg

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Lease is what DHCP gave.
type Lease struct {
	Address  netip.Prefix
	Gateways []netip.Addr
	DNS      []netip.Addr
	Search   []string
	MTU      int // 0: the server says nothing of it
	Duration time.Duration
}

// DHCP keeps an interface's lease.
type DHCP struct {
	Interface string
	Hostname  string
	// NoGateway leaves the default route to another interface.
	NoGateway bool
	// Changed is called with each lease that differs from the one before, after it is in effect.
	Changed func(Lease)
	Log     *slog.Logger

	lease *nclient4.Lease
	now   Lease
}

// Acquire gets the first lease; it tries until ctx ends.
func (d *DHCP) Acquire(ctx context.Context) (Lease, error) {
	for {
		err := d.request(ctx)
		if err == nil {
			return d.now, nil
		}
		if ctx.Err() != nil {
			return Lease{}, fmt.Errorf("DHCP on %s: %w", d.Interface, err)
		}
		d.Log.Warn("no DHCP lease yet", "interface", d.Interface, "err", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// Keep renews the lease until ctx ends. Acquire comes first.
func (d *DHCP) Keep(ctx context.Context) {
	expires := time.Now().Add(d.now.Duration)
	wait := d.now.Duration / 2
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		err := d.renew(ctx)
		if err != nil && time.Now().After(expires) {
			err = d.request(ctx)
		}
		if err != nil {
			d.Log.Warn("DHCP lease not renewed", "interface", d.Interface, "err", err)
			wait = min(max(time.Until(expires)/2, 5*time.Second), time.Minute)
			continue
		}
		expires = time.Now().Add(d.now.Duration)
		wait = d.now.Duration / 2
	}
}

func (d *DHCP) options() []dhcpv4.Modifier {
	m := []dhcpv4.Modifier{dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter,
		dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionInterfaceMTU)}
	if d.Hostname != "" {
		m = append(m, dhcpv4.WithOption(dhcpv4.OptHostName(d.Hostname)))
	}
	return m
}

func (d *DHCP) request(ctx context.Context) error {
	return d.exchange(func(c *nclient4.Client) (*nclient4.Lease, error) { return c.Request(ctx, d.options()...) })
}

func (d *DHCP) renew(ctx context.Context) error {
	return d.exchange(func(c *nclient4.Client) (*nclient4.Lease, error) { return c.Renew(ctx, d.lease, d.options()...) })
}

// exchange has a client for one lease only: its packet socket takes a copy of every frame that the
// interface receives, and the client looks at each.
func (d *DHCP) exchange(ask func(*nclient4.Client) (*nclient4.Lease, error)) error {
	// The client asks for random numbers without waiting, again and again, which on a machine
	// without an instruction for them never ends. Waiting makes the kernel find some.
	if _, err := unix.Getrandom(make([]byte, 1), 0); err != nil {
		return err
	}
	c, err := nclient4.New(d.Interface, nclient4.WithTimeout(time.Second), nclient4.WithRetry(5))
	if err != nil {
		return err
	}
	lease, err := ask(c)
	if e := c.Close(); e != nil {
		d.Log.Warn("DHCP client not closed", "interface", d.Interface, "err", e)
	}
	if err != nil {
		return err
	}
	return d.apply(lease)
}

// apply puts a lease into effect.
func (d *DHCP) apply(lease *nclient4.Lease) error {
	next := parseLease(lease.ACK)
	link, err := netlink.LinkByName(d.Interface)
	if err != nil {
		return err
	}
	if d.now.Address.IsValid() && d.now.Address != next.Address {
		netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(d.now.Address)})
	}
	if next.MTU != 0 && next.MTU != link.Attrs().MTU {
		if err := netlink.LinkSetMTU(link, next.MTU); err != nil {
			d.Log.Warn("the MTU that DHCP gives cannot be set", "interface", d.Interface, "mtu", next.MTU, "err", err)
		}
	}
	if err := addAddress(link, next.Address); err != nil {
		return err
	}
	if d.NoGateway {
		next.Gateways = nil
	}
	for _, gw := range next.Gateways[:min(1, len(next.Gateways))] {
		if err := addRoute(link, netip.Prefix{}, gw); err != nil {
			return err
		}
	}
	changed := d.lease == nil || next.Address != d.now.Address || fmt.Sprint(next.DNS, next.Search) != fmt.Sprint(d.now.DNS, d.now.Search)
	d.lease, d.now = lease, next
	if changed && d.Changed != nil {
		d.Changed(next)
	}
	return nil
}

func parseLease(ack *dhcpv4.DHCPv4) Lease {
	bits, _ := ack.SubnetMask().Size()
	if bits == 0 {
		bits = 24
	}
	ip, _ := netip.AddrFromSlice(ack.YourIPAddr)
	l := Lease{Address: netip.PrefixFrom(ip.Unmap(), bits), Duration: ack.IPAddressLeaseTime(time.Hour)}
	for _, r := range ack.Router() {
		if a, ok := netip.AddrFromSlice(r); ok {
			l.Gateways = append(l.Gateways, a.Unmap())
		}
	}
	for _, r := range ack.DNS() {
		if a, ok := netip.AddrFromSlice(r); ok {
			l.DNS = append(l.DNS, a.Unmap())
		}
	}
	// RFC 2132 allows 68 and more; less than 576 no host of today can live with.
	if b := ack.Options.Get(dhcpv4.OptionInterfaceMTU); len(b) == 2 {
		if mtu := int(binary.BigEndian.Uint16(b)); mtu >= 576 {
			l.MTU = mtu
		}
	}
	if s := ack.DomainSearch(); s != nil {
		l.Search = s.Labels
	} else if n := ack.DomainName(); n != "" {
		l.Search = []string{n}
	}
	return l
}
