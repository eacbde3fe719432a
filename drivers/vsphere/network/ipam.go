package network

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

// lease is a container's place on a network.
type lease struct {
	addr  netip.Addr // not valid where DHCP gives addresses
	addr6 netip.Addr
	mac   string
	names []string
	links map[string]string
	dns   []netip.Addr // asked for the container
	given time.Time
}

// pool hands out the addresses of one subnet. An address that was given back rests as long as others
// are free: the next one is the one after the last given. Driver.mu guards it.
type pool struct {
	subnet   netip.Prefix
	gateway  netip.Addr
	subnet6  netip.Prefix
	gateway6 netip.Addr
	ranges   []config.Range // what is given without being asked for by address
	fixed    bool           // nothing else is given
	last     netip.Addr
	leases   map[string]*lease     // by container
	taken    map[netip.Addr]string // container by address
}

// newPool makes a pool that gives any address of its subnet.
func newPool(subnet netip.Prefix, gateway netip.Addr) *pool {
	subnet = subnet.Masked()
	p := &pool{subnet: subnet, gateway: gateway, leases: map[string]*lease{}, taken: map[netip.Addr]string{}}
	if subnet.IsValid() {
		p.limit(config.RangeOf(subnet))
	}
	return p
}

// limit sets the ranges that addresses are given from.
func (p *pool) limit(ranges ...config.Range) {
	p.ranges, p.last = ranges, ranges[0].First.Prev()
}

// usable says that containers may have an address.
func (p *pool) usable(a netip.Addr) bool {
	if !p.subnet.Contains(a) || a == p.subnet.Addr() || a == p.gateway || a == config.LastAddress(p.subnet) {
		return false
	}
	return !p.fixed || p.inRanges(a)
}

func (p *pool) inRanges(a netip.Addr) bool {
	for _, r := range p.ranges {
		if r.Contains(a) {
			return true
		}
	}
	return false
}

// give reserves a place, with the wanted addresses if they are valid.
func (p *pool) give(container string, wanted, wanted6 netip.Addr, mac string) (*lease, error) {
	if l, ok := p.leases[container]; ok {
		return l, nil
	}
	l := &lease{mac: mac, given: time.Now()}
	if p.subnet.IsValid() {
		a, err := p.choose(wanted)
		if err != nil {
			return nil, err
		}
		l.addr = a
	} else if wanted.IsValid() {
		return nil, fmt.Errorf("address %s: the addresses of this network come from DHCP: %w", wanted, errdef.ErrInvalid)
	}
	if err := p.give6(l, wanted6); err != nil {
		return nil, err
	}
	return p.hold(container, l), nil
}

func (p *pool) choose(wanted netip.Addr) (netip.Addr, error) {
	if !wanted.IsValid() {
		a, ok := p.next()
		if !ok {
			return a, fmt.Errorf("no address of %s is free: %w", p.subnet, errdef.ErrExhausted)
		}
		p.last = a
		return a, nil
	}
	if !p.usable(wanted) {
		return wanted, fmt.Errorf("address %s is not one for containers of %s: %w", wanted, p.subnet, errdef.ErrInvalid)
	}
	if _, ok := p.taken[wanted]; ok {
		return wanted, network.AddressTaken(wanted)
	}
	return wanted, nil
}

// next finds a free address after the last one given.
func (p *pool) next() (netip.Addr, bool) {
	begin := 0
	for i, r := range p.ranges {
		if r.Contains(p.last) {
			begin = i
		}
	}
	a := p.last.Next()
	for i := range len(p.ranges) + 1 {
		r := p.ranges[(begin+i)%len(p.ranges)]
		if i > 0 || !r.Contains(a) {
			a = r.First
		}
		for ; r.Contains(a); a = a.Next() {
			if _, ok := p.taken[a]; !ok && p.usable(a) {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}

// give6 adds an IPv6 address on a network that has them: the wanted one, or the one that has the
// same number in its subnet as the IPv4 address, or the next one that is free.
func (p *pool) give6(l *lease, wanted netip.Addr) error {
	if !p.subnet6.IsValid() {
		if wanted.IsValid() {
			return fmt.Errorf("address %s: the network has no IPv6 subnet: %w", wanted, errdef.ErrInvalid)
		}
		return nil
	}
	free := func(a netip.Addr) bool {
		_, ok := p.taken[a]
		return !ok && p.subnet6.Contains(a) && a != p.gateway6 && a != p.subnet6.Addr()
	}
	if wanted.IsValid() {
		if !p.subnet6.Contains(wanted) || wanted == p.gateway6 {
			return fmt.Errorf("address %s is not one for containers of %s: %w", wanted, p.subnet6, errdef.ErrInvalid)
		}
		if !free(wanted) {
			return network.AddressTaken(wanted)
		}
		l.addr6 = wanted
		return nil
	}
	a := p.sameNumber(l.addr)
	for range 1 << 16 {
		if free(a) {
			l.addr6 = a
			return nil
		}
		if a = a.Next(); !p.subnet6.Contains(a) {
			a = p.subnet6.Addr()
		}
	}
	return fmt.Errorf("no address of %s is free: %w", p.subnet6, errdef.ErrExhausted)
}

// sameNumber is the IPv6 address with the number that an IPv4 address has in its subnet.
func (p *pool) sameNumber(v4 netip.Addr) netip.Addr {
	a := p.subnet6.Addr().As16()
	if !v4.IsValid() {
		return p.subnet6.Addr().Next()
	}
	b, base := v4.As4(), p.subnet.Addr().As4()
	for i := range b {
		a[12+i] |= b[i] &^ base[i]
	}
	return netip.AddrFrom16(a)
}

func (p *pool) hold(container string, l *lease) *lease {
	p.leases[container] = l
	for _, a := range []netip.Addr{l.addr, l.addr6} {
		if a.IsValid() {
			p.taken[a] = container
		}
	}
	return l
}

// adopt takes over what a VM says that it has. An address that another has is not taken twice.
func (p *pool) adopt(container string, l *lease) bool {
	if old, ok := p.leases[container]; ok {
		old.names, old.links, old.dns = l.names, l.links, l.dns
		return true
	}
	if p.subnet.IsValid() {
		if !l.addr.IsValid() || !p.subnet.Contains(l.addr) {
			return false
		}
		if _, ok := p.taken[l.addr]; ok {
			return false
		}
		if p.inRanges(l.addr) && p.last.Less(l.addr) {
			p.last = l.addr
		}
	}
	if _, ok := p.taken[l.addr6]; ok || !p.subnet6.Contains(l.addr6) {
		l.addr6 = netip.Addr{}
	}
	p.hold(container, l)
	return true
}

func (p *pool) release(container string) {
	if l, ok := p.leases[container]; ok {
		delete(p.taken, l.addr)
		delete(p.taken, l.addr6)
		delete(p.leases, container)
	}
}
