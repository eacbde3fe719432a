package network

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// Create makes a network; without a subnet it takes the first free one of 10.200.0.0/24 and so on.
func (f *Fake) Create(ctx context.Context, req CreateRequest) (Network, error) {
	err := f.enter(ctx, "Create")
	defer f.mu.Unlock()
	if err != nil {
		return Network{}, err
	}
	if req.Driver != "" && req.Driver != DriverBridge {
		return Network{}, fmt.Errorf("network driver %q: %w", req.Driver, errdef.ErrUnsupported)
	}
	n := Network{ID: req.ID, Name: req.Name, Driver: DriverBridge, Subnet: req.Subnet.Masked(), Gateway: req.Gateway, IPRange: req.IPRange,
		Subnet6: req.Subnet6, Gateway6: req.Gateway6, Internal: req.Internal, Created: time.Now().UTC(), Labels: req.Labels, Options: req.Options}
	if old, err := f.find(req.ID); err == nil {
		if old.Name != req.Name || (req.Subnet.IsValid() && old.Subnet != n.Subnet) {
			return Network{}, fmt.Errorf("network %s: %w", req.ID, errdef.ErrExists)
		}
		return old, nil
	}
	if !n.Subnet.IsValid() {
		n.Subnet = f.freeSubnet()
	}
	if f.overlaps(n.Subnet) {
		return Network{}, SubnetTaken(n.Subnet)
	}
	if !n.Gateway.IsValid() {
		n.Gateway = n.Subnet.Addr().Next()
	}
	if !n.Subnet.Contains(n.Gateway) {
		return Network{}, fmt.Errorf("gateway %s is not in %s: %w", n.Gateway, n.Subnet, errdef.ErrInvalid)
	}
	if req.IPv6 && !n.Subnet6.IsValid() {
		n.Subnet6 = netip.MustParsePrefix("fd00:" + n.Subnet.Addr().String()[len("10.200."):len(n.Subnet.Addr().String())-2] + "::/64")
	}
	if n.Subnet6.IsValid() && !n.Gateway6.IsValid() {
		n.Gateway6 = n.Subnet6.Masked().Addr().Next()
	}
	f.networks = append(f.networks, n)
	return n, nil
}

func (f *Fake) freeSubnet() netip.Prefix {
	for i := range 256 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, byte(i), 0}), 24)
		if !f.overlaps(p) {
			return p
		}
	}
	return netip.Prefix{}
}

func (f *Fake) overlaps(p netip.Prefix) bool {
	return slices.ContainsFunc(f.networks, func(n Network) bool { return n.Subnet.Overlaps(p) })
}

// Remove removes a network that nobody has joined.
func (f *Fake) Remove(ctx context.Context, id string) error {
	err := f.enter(ctx, "Remove")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	n, err := f.find(id)
	if err != nil {
		return nil
	}
	if n.Given {
		return fmt.Errorf("network %s was given: %w", n.Name, errdef.ErrDenied)
	}
	for e := range f.endpoints {
		if e.Network == id {
			return InUse(n.Name)
		}
	}
	f.networks = slices.DeleteFunc(f.networks, func(n Network) bool { return n.ID == id })
	return nil
}

// Publish takes ports; what it chooses lies from 32768 up.
func (f *Fake) Publish(ctx context.Context, req PublishRequest) ([]Port, error) {
	err := f.enter(ctx, "Publish")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if _, err := f.find(req.Network); err != nil {
		return nil, err
	}
	if _, ok := f.endpoints[LeaveRequest{Network: req.Network, Container: req.Container}]; !ok && !req.CheckOnly {
		return nil, fmt.Errorf("container %s on network %s: %w", req.Container, req.Network, errdef.ErrNotFound)
	}
	var out []Port
	for _, p := range req.Ports {
		if p.HostPort != 0 && f.portTaken(req.Container, out, p) {
			return nil, PortTaken(p)
		}
		for next := uint16(32768); p.HostPort == 0; next++ {
			try := p
			if try.HostPort = next; !f.portTaken(req.Container, append(slices.Clone(req.Ports), out...), try) {
				p = try
			}
		}
		out = append(out, p)
	}
	if !req.CheckOnly {
		f.published[req.Container] = out
	}
	return slices.Clone(out), nil
}

func (f *Fake) portTaken(container string, more []Port, p Port) bool {
	all := slices.Clone(more)
	for c, ports := range f.published {
		if c != container {
			all = append(all, ports...)
		}
	}
	return slices.ContainsFunc(all, func(o Port) bool { return o.clashes(p) })
}

// clashes says that two ports cannot both be bound.
func (p Port) clashes(o Port) bool {
	return p.Protocol == o.Protocol && p.HostPort == o.HostPort && (hostIP(p) == hostIP(o) || hostIP(p).IsUnspecified() || hostIP(o).IsUnspecified())
}

func hostIP(p Port) netip.Addr {
	if !p.HostIP.IsValid() {
		return netip.IPv4Unspecified()
	}
	return p.HostIP
}

// Unpublish ends what a container has published.
func (f *Fake) Unpublish(ctx context.Context, req UnpublishRequest) error {
	err := f.enter(ctx, "Unpublish")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	delete(f.published, req.Container)
	return nil
}

// Published is what a container has published, for tests.
func (f *Fake) Published(container string) []Port {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.published[container])
}

// Joined returns the last request of an endpoint, for tests.
func (f *Fake) Joined(network, container string) (JoinRequest, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.joined[LeaveRequest{Network: network, Container: container}]
	return r, ok && !reflect.ValueOf(r).IsZero()
}
