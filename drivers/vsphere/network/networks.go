package network

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

const blobSuffix = ".json"

// Get implements network.Driver.
func (d *Driver) Get(_ context.Context, id string) (network.Network, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, err := d.find(id)
	if err != nil {
		return network.Network{}, err
	}
	return m.Network, nil
}

// find is called with d.mu held.
func (d *Driver) find(id string) (*member, error) {
	m, ok := d.nets[id]
	if !ok {
		return nil, fmt.Errorf("network %s: %w", id, errdef.ErrNotFound)
	}
	return m, nil
}

// List implements network.Driver; the administrator's networks come first.
func (d *Driver) List(context.Context) ([]network.Network, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]network.Network, 0, len(d.nets))
	for _, m := range d.nets {
		out = append(out, m.Network)
	}
	slices.SortFunc(out, func(a, b network.Network) int {
		if a.Given != b.Given {
			if a.Given {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name+a.ID, b.Name+b.ID)
	})
	return out, nil
}

// Create implements network.Driver.
func (d *Driver) Create(ctx context.Context, req network.CreateRequest) (network.Network, error) {
	d.change.Lock()
	defer d.change.Unlock()
	n, exists, err := d.plan(req)
	if err != nil || exists {
		return n, err
	}
	data, err := json.Marshal(n)
	if err != nil {
		return network.Network{}, fmt.Errorf("network %s: %w", n.Name, err)
	}
	if err := d.store.Put(ctx, n.ID+blobSuffix, data); err != nil {
		return network.Network{}, fmt.Errorf("network %s: %w", n.Name, err)
	}
	d.mu.Lock()
	d.add(n)
	d.mu.Unlock()
	if err := d.refresh(); err != nil {
		d.drop(context.WithoutCancel(ctx), n)
		return network.Network{}, err
	}
	return n, nil
}

// drop takes a network away again; that nothing of it stays is tried, not promised.
func (d *Driver) drop(ctx context.Context, n network.Network) {
	d.mu.Lock()
	delete(d.nets, n.ID)
	d.mu.Unlock()
	if err := d.store.Remove(ctx, n.ID+blobSuffix); err != nil {
		d.log.Warn("the record of a network stays", "network", n.Name, "err", err)
	}
	d.refreshQuietly()
}

// add is called with d.mu held.
func (d *Driver) add(n network.Network) {
	m := &member{Network: n, pool: newPool(n.Subnet, n.Gateway)}
	m.pool.subnet6, m.pool.gateway6 = n.Subnet6, n.Gateway6
	if n.IPRange.IsValid() {
		m.pool.limit(config.RangeOf(n.IPRange))
	}
	d.nets[n.ID] = m
}

// plan fills in what the request leaves open and refuses what cannot be.
func (d *Driver) plan(req network.CreateRequest) (n network.Network, exists bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if req.Driver != "" && req.Driver != network.DriverBridge {
		return n, false, fmt.Errorf("network driver %q: networks are of driver bridge; container networks are the administrator's: %w", req.Driver,
			errdef.ErrUnsupported)
	}
	if old := d.nets[req.ID]; old != nil {
		if old.Name != req.Name || req.Subnet.IsValid() && old.Subnet != req.Subnet.Masked() {
			return n, false, fmt.Errorf("network %s: %w", req.ID, errdef.ErrExists)
		}
		return old.Network, true, nil
	}
	n = network.Network{ID: req.ID, Name: req.Name, Driver: network.DriverBridge, Internal: req.Internal, Created: time.Now().UTC(),
		Labels: req.Labels, Options: req.Options}
	if n.ID == "" || n.Name == "" {
		return n, false, fmt.Errorf("a network without ID or name: %w", errdef.ErrInvalid)
	}
	if n.Subnet, err = d.chooseSubnet(req.Subnet, d.cfg.Pools, d.cfg.SubnetBits); err != nil {
		return n, false, err
	}
	if n.Gateway, err = chooseGateway(n.Subnet, req.Gateway); err != nil {
		return n, false, err
	}
	if req.IPRange.IsValid() {
		if n.IPRange = req.IPRange.Masked(); !n.Subnet.Contains(n.IPRange.Addr()) || n.IPRange.Bits() < n.Subnet.Bits() {
			return n, false, fmt.Errorf("range %s is not in %s: %w", n.IPRange, n.Subnet, errdef.ErrInvalid)
		}
	}
	if req.IPv6 {
		if n.Subnet6, err = d.chooseSubnet6(req.Subnet6, n.ID); err == nil {
			n.Gateway6, err = chooseGateway(n.Subnet6, req.Gateway6)
		}
	}
	return n, false, err
}

func chooseGateway(subnet netip.Prefix, wanted netip.Addr) (netip.Addr, error) {
	if !wanted.IsValid() {
		return subnet.Addr().Next(), nil
	}
	if !subnet.Contains(wanted) || wanted == subnet.Addr() {
		return wanted, fmt.Errorf("gateway %s is not in %s: %w", wanted, subnet, errdef.ErrInvalid)
	}
	return wanted, nil
}

// chooseSubnet returns the wanted subnet, or the first one of the pools that is free.
func (d *Driver) chooseSubnet(wanted netip.Prefix, pools []netip.Prefix, bits int) (netip.Prefix, error) {
	used := d.usedSubnets()
	overlaps := func(p netip.Prefix) bool { return slices.ContainsFunc(used, p.Overlaps) }
	if wanted.IsValid() {
		wanted = wanted.Masked()
		switch {
		case !wanted.Addr().Is4() || wanted.Bits() > 30 || wanted.Bits() < 8:
			return wanted, fmt.Errorf("subnet %s is not an IPv4 subnet of /8 to /30: %w", wanted, errdef.ErrInvalid)
		case overlaps(wanted):
			return wanted, network.SubnetTaken(wanted)
		}
		return wanted, nil
	}
	for _, pool := range pools {
		size := max(bits, pool.Bits())
		for p := netip.PrefixFrom(pool.Masked().Addr(), size); pool.Contains(p.Addr()); p = netip.PrefixFrom(config.LastAddress(p).Next(), size) {
			if !overlaps(p) {
				return p, nil
			}
		}
	}
	return netip.Prefix{}, network.NoSubnet()
}

// usedSubnets are those of all networks, and those in which the endpoint VM itself lives.
func (d *Driver) usedSubnets() []netip.Prefix {
	var used []netip.Prefix
	for _, m := range d.nets {
		for _, p := range []netip.Prefix{m.Subnet, m.Subnet6} {
			if p.IsValid() {
				used = append(used, p)
			}
		}
	}
	for _, p := range d.sys.Addresses("") {
		if !p.Addr().IsLinkLocalUnicast() {
			used = append(used, p.Masked())
		}
	}
	return used
}

// chooseSubnet6 returns the wanted subnet, or one of the unique local ones (RFC 4193) that the
// network's ID decides.
func (d *Driver) chooseSubnet6(wanted netip.Prefix, id string) (netip.Prefix, error) {
	if !wanted.IsValid() {
		sum := networkID(id, "ipv6")
		a := [16]byte{0: 0xfd}
		copy(a[1:8], sum)
		wanted = netip.PrefixFrom(netip.AddrFrom16(a), 64)
	}
	wanted = wanted.Masked()
	if !wanted.Addr().Is6() || wanted.Bits() > 112 || wanted.Bits() < 16 {
		return wanted, fmt.Errorf("subnet %s is not an IPv6 subnet of /16 to /112: %w", wanted, errdef.ErrInvalid)
	}
	if slices.ContainsFunc(d.usedSubnets(), wanted.Overlaps) {
		return wanted, network.SubnetTaken(wanted)
	}
	return wanted, nil
}

// Remove implements network.Driver.
func (d *Driver) Remove(ctx context.Context, id string) error {
	d.change.Lock()
	defer d.change.Unlock()
	d.mu.Lock()
	m := d.nets[id]
	d.mu.Unlock()
	if m == nil {
		return nil
	}
	if m.Given {
		return fmt.Errorf("network %s was given by the administrator: %w", m.Name, errdef.ErrDenied)
	}
	// Nobody may join while the record goes; if it stays, so does the network.
	d.mu.Lock()
	if len(m.pool.leases) > 0 {
		d.mu.Unlock()
		return network.InUse(m.Name)
	}
	delete(d.nets, id)
	d.mu.Unlock()
	if err := d.store.Remove(ctx, id+blobSuffix); err != nil {
		d.mu.Lock()
		d.nets[id] = m
		d.mu.Unlock()
		return fmt.Errorf("network %s: %w", m.Name, err)
	}
	return d.refresh()
}

// loadNetworks reads what Create kept.
func (d *Driver) loadNetworks(ctx context.Context) error {
	names, err := d.store.List(ctx, blobSuffix)
	if err != nil {
		return fmt.Errorf("networks: %w", err)
	}
	for _, name := range names {
		data, err := d.store.Get(ctx, name)
		if err != nil {
			return fmt.Errorf("networks: %w", err)
		}
		var n network.Network
		if err := json.Unmarshal(data, &n); err != nil || n.ID+blobSuffix != name {
			d.log.Error("the record of a network cannot be read", "file", name, "err", err)
			continue
		}
		d.add(n)
	}
	return nil
}
