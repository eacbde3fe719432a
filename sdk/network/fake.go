package network

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
)

// Fake is a driver in memory for tests: networks with a simple IPAM.
type Fake struct {
	mu        sync.Mutex
	networks  []Network
	endpoints map[LeaveRequest]Endpoint
	joined    map[LeaveRequest]JoinRequest
	published map[string][]Port
	failures  map[string]error
}

var _ Driver = (*Fake)(nil)

// NewFake makes a driver with the given networks, or with "bridge" (172.16.0.0/16).
func NewFake(networks ...Network) *Fake {
	if len(networks) == 0 {
		networks = []Network{{
			ID: "bridge", Name: "bridge", Driver: "bridge", Created: time.Unix(1, 0).UTC(),
			Subnet:  netip.MustParsePrefix("172.16.0.0/16"),
			Gateway: netip.MustParseAddr("172.16.0.1"), Given: true,
		}}
	}
	return &Fake{networks: networks, endpoints: map[LeaveRequest]Endpoint{}, joined: map[LeaveRequest]JoinRequest{},
		published: map[string][]Port{}, failures: map[string]error{}}
}

// Fail makes the next call of a method ("Join") fail.
func (f *Fake) Fail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[method] = err
}

// enter locks and returns the failure that a test asked for. The caller unlocks.
func (f *Fake) enter(ctx context.Context, method string) error {
	f.mu.Lock()
	if err := f.failures[method]; err != nil {
		delete(f.failures, method)
		return err
	}
	return ctx.Err()
}

func (f *Fake) find(id string) (Network, error) {
	for _, n := range f.networks {
		if n.ID == id {
			return n, nil
		}
	}
	return Network{}, fmt.Errorf("network %s: %w", id, errdef.ErrNotFound)
}

// Get returns one network.
func (f *Fake) Get(ctx context.Context, id string) (Network, error) {
	err := f.enter(ctx, "Get")
	defer f.mu.Unlock()
	if err != nil {
		return Network{}, err
	}
	return f.find(id)
}

// List returns all networks.
func (f *Fake) List(ctx context.Context) ([]Network, error) {
	err := f.enter(ctx, "List")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return append([]Network(nil), f.networks...), nil
}

// Join gives the lowest free address, or the wanted one.
func (f *Fake) Join(ctx context.Context, req JoinRequest) (Endpoint, error) {
	err := f.enter(ctx, "Join")
	defer f.mu.Unlock()
	if err != nil {
		return Endpoint{}, err
	}
	n, err := f.find(req.Network)
	if err != nil {
		return Endpoint{}, err
	}
	key := LeaveRequest{Network: req.Network, Container: req.Container}
	if e, ok := f.endpoints[key]; ok {
		f.joined[key] = req
		return e, nil
	}
	addr, err := f.address(n, req.Address)
	if err != nil {
		return Endpoint{}, err
	}
	mac := req.MAC
	if mac == "" {
		b := addr.As4()
		mac = fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
	}
	e := Endpoint{
		Network: req.Network, Container: req.Container,
		NIC:       device.NIC{Kind: device.KindPortgroup, Locator: "dvportgroup-fake-" + n.ID, MAC: mac},
		Addresses: []netip.Prefix{netip.PrefixFrom(addr, n.Subnet.Bits())},
		Gateway:   n.Gateway, DNS: []netip.Addr{n.Gateway},
	}
	if n.Subnet6.IsValid() {
		e.Addresses = append(e.Addresses, netip.PrefixFrom(f.address6(n, req.Address6, addr), n.Subnet6.Bits()))
		e.Gateway6 = n.Gateway6
	}
	f.endpoints[key], f.joined[key] = e, req
	return e, nil
}

func (f *Fake) address(n Network, wanted netip.Addr) (netip.Addr, error) {
	if wanted.IsValid() {
		if !n.Subnet.Contains(wanted) || wanted == n.Subnet.Masked().Addr() || wanted == broadcast(n.Subnet) {
			return netip.Addr{}, fmt.Errorf("address %s is not one of %s: %w", wanted, n.Subnet, errdef.ErrInvalid)
		}
		if f.taken(n, wanted) {
			return netip.Addr{}, AddressTaken(wanted)
		}
		return wanted, nil
	}
	last := broadcast(n.Subnet)
	for a := n.Subnet.Masked().Addr().Next(); n.Subnet.Contains(a) && a != last; a = a.Next() {
		if !f.taken(n, a) {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("network %s: no address of %s is free: %w", n.Name, n.Subnet, errdef.ErrExhausted)
}

// address6 is the wanted address or one with the number of the IPv4 address in it.
func (f *Fake) address6(n Network, wanted, v4 netip.Addr) netip.Addr {
	if wanted.IsValid() {
		return wanted
	}
	a, b := n.Subnet6.Masked().Addr().As16(), v4.As4()
	copy(a[12:], b[:])
	return netip.AddrFrom16(a)
}

func (f *Fake) taken(n Network, a netip.Addr) bool {
	if a == n.Gateway {
		return true
	}
	for key, e := range f.endpoints {
		if key.Network == n.ID && e.Addresses[0].Addr() == a {
			return true
		}
	}
	return false
}

// broadcast is the last address of an IPv4 subnet.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(b)
}

// Leave gives a place back.
func (f *Fake) Leave(ctx context.Context, req LeaveRequest) error {
	err := f.enter(ctx, "Leave")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	delete(f.endpoints, req)
	delete(f.joined, req)
	delete(f.published, req.Container)
	return nil
}

// JoinedCount is the number of places on networks that containers have.
func (f *Fake) JoinedCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.endpoints)
}
