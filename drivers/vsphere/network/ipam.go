package network

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// lease is a container's place on the bridge.
type lease struct {
	addr  netip.Addr
	mac   string
	given time.Time
}

// pool hands out the addresses of one subnet. An address that was given back rests as long as others
// are free: the next one is the one after the last given.
type pool struct {
	subnet  netip.Prefix
	gateway netip.Addr
	last    netip.Addr
	leases  map[string]lease      // by container
	taken   map[netip.Addr]string // container by address
}

func newPool(subnet netip.Prefix, gateway netip.Addr) *pool {
	subnet = subnet.Masked()
	return &pool{subnet: subnet, gateway: gateway, last: subnet.Addr(), leases: map[string]lease{}, taken: map[netip.Addr]string{}}
}

// broadcast is the subnet's last address.
func (p *pool) broadcast() netip.Addr {
	b := p.subnet.Addr().As4()
	for bit := p.subnet.Bits(); bit < 32; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(b)
}

// usable says that containers may have an address.
func (p *pool) usable(a netip.Addr) bool {
	return p.subnet.Contains(a) && a != p.subnet.Addr() && a != p.gateway && a != p.broadcast()
}

// give reserves an address, the wanted one if it is valid.
func (p *pool) give(container string, wanted netip.Addr, mac string) (lease, error) {
	if l, ok := p.leases[container]; ok {
		return l, nil
	}
	a := wanted
	if wanted.IsValid() {
		if !p.usable(wanted) {
			return lease{}, fmt.Errorf("address %s is not one for containers of %s: %w", wanted, p.subnet, errdef.ErrInvalid)
		}
		if by, ok := p.taken[wanted]; ok {
			return lease{}, fmt.Errorf("address %s belongs to container %s: %w", wanted, by, errdef.ErrConflict)
		}
	} else {
		var ok bool
		if a, ok = p.next(); !ok {
			return lease{}, fmt.Errorf("no address of %s is free: %w", p.subnet, errdef.ErrExhausted)
		}
		p.last = a
	}
	return p.hold(container, lease{addr: a, mac: mac, given: time.Now()}), nil
}

// next finds a free address after the last one given.
func (p *pool) next() (netip.Addr, bool) {
	a := p.last
	for range 1 << (32 - p.subnet.Bits()) {
		if a = a.Next(); !p.subnet.Contains(a) {
			a = p.subnet.Addr()
		}
		if _, ok := p.taken[a]; !ok && p.usable(a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func (p *pool) hold(container string, l lease) lease {
	p.leases[container] = l
	p.taken[l.addr] = container
	return l
}

// adopt takes over what a VM says that it has. An address that another has is not taken twice.
func (p *pool) adopt(container string, l lease) bool {
	if _, ok := p.leases[container]; ok || !p.usable(l.addr) {
		return ok
	}
	if _, ok := p.taken[l.addr]; ok {
		return false
	}
	p.hold(container, l)
	if p.last.Less(l.addr) {
		p.last = l.addr
	}
	return true
}

func (p *pool) release(container string) {
	if l, ok := p.leases[container]; ok {
		delete(p.taken, l.addr)
		delete(p.leases, container)
	}
}
