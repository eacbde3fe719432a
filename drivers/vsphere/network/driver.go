// Package network serves the VCH's bridge: a port group of its own on which the endpoint VM is the
// gateway. It gives addresses, translates to the public network and answers DNS. Leases live in the
// VMs' own configuration; the driver finds them there again.
package network

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"sort"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/compute"
	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
)

const bridgeName = "bridge"

// Driver implements network.Driver.
type Driver struct {
	inv *inventory.Inventory
	cfg config.Bridge
	net network.Network
	log *slog.Logger

	mu   sync.Mutex
	pool *pool
	file string // leases of VMs that are not there yet
	// seen are containers whose VMs existed: their leases end with them.
	seen map[string]bool
}

var _ network.Driver = (*Driver)(nil)

// New returns a driver that knows the leases of the VMs in the inventory, which must be filled, and
// those in file: what was given to containers whose VMs are still to be made.
func New(inv *inventory.Inventory, cfg *config.Config, file string, log *slog.Logger) *Driver {
	b := cfg.Network.Bridge
	d := &Driver{
		inv: inv, cfg: b, file: file, log: log, pool: newPool(b.Subnet, b.Gateway), seen: map[string]bool{},
		net: network.Network{ID: networkID(cfg.VCH.Name, b.Portgroup), Name: bridgeName, Driver: bridgeName, Subnet: b.Subnet.Masked(), Gateway: b.Gateway, Given: true},
	}
	d.adoptAll(inv.List())
	d.loadPending()
	return d
}

// networkID is the same for one port group of one VCH, always.
func networkID(vch, portgroup string) string {
	h := sha256.Sum256([]byte("vic network\x00" + vch + "\x00" + portgroup))
	return hex.EncodeToString(h[:])
}

// Run takes over the leases of VMs that come and ends those of VMs that go, until ctx ends.
func (d *Driver) Run(ctx context.Context) {
	sub := d.inv.Subscribe()
	defer sub.Close()
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			return
		}
		switch e.Kind {
		case inventory.Snapshot:
			d.goneExcept(e.Machines)
			d.adoptAll(e.Machines)
		case inventory.Put:
			d.adoptAll([]*inventory.Machine{e.Machine})
		case inventory.Remove:
			d.gone(e.Machine.ID())
		}
	}
}

// adoptAll reads leases out of VMs. Two VMs may say that they have one address if a stopped one gave
// it back: the one that runs is believed.
func (d *Driver) adoptAll(ms []*inventory.Machine) {
	ms = append([]*inventory.Machine(nil), ms...)
	sort.SliceStable(ms, func(i, j int) bool { return isOn(ms[i]) && !isOn(ms[j]) })
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range ms {
		id := m.ID()
		if d.seen[id] {
			continue
		}
		d.seen[id] = true
		if l, ok := leaseOf(m, d.net.Subnet); ok && !d.pool.adopt(id, l) {
			d.log.Warn("a VM has an address that another has", "container", id, "address", l.addr.String())
		}
	}
}

func isOn(m *inventory.Machine) bool { return m.State == types.VirtualMachinePowerStatePoweredOn }

// leaseOf returns the address of the subnet that the VM's guest was told to use.
func leaseOf(m *inventory.Machine, subnet netip.Prefix) (lease, bool) {
	var c guest.Config
	if err := json.Unmarshal([]byte(m.Guest(guest.KeyConfig)), &c); err != nil {
		return lease{}, false
	}
	for _, n := range c.Networks {
		for _, a := range n.Addresses {
			if subnet.Contains(a.Addr()) {
				return lease{addr: a.Addr(), mac: n.MAC}, true
			}
		}
	}
	return lease{}, false
}

func (d *Driver) gone(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen[id] {
		delete(d.seen, id)
		d.pool.release(id)
	}
}

// goneExcept ends the leases of VMs that went while nobody watched.
func (d *Driver) goneExcept(ms []*inventory.Machine) {
	d.mu.Lock()
	defer d.mu.Unlock()
	there := map[string]bool{}
	for _, m := range ms {
		there[m.ID()] = true
	}
	for id := range d.seen {
		if !there[id] {
			delete(d.seen, id)
			d.pool.release(id)
		}
	}
}

// Get implements network.Driver.
func (d *Driver) Get(_ context.Context, id string) (network.Network, error) {
	if id != d.net.ID {
		return network.Network{}, fmt.Errorf("network %s: %w", id, errdef.ErrNotFound)
	}
	return d.net, nil
}

// List implements network.Driver.
func (d *Driver) List(context.Context) ([]network.Network, error) {
	return []network.Network{d.net}, nil
}

// Join implements network.Driver.
func (d *Driver) Join(ctx context.Context, req network.JoinRequest) (network.Endpoint, error) {
	if _, err := d.Get(ctx, req.Network); err != nil {
		return network.Endpoint{}, err
	}
	if req.Container == "" {
		return network.Endpoint{}, fmt.Errorf("join network %s without a container: %w", bridgeName, errdef.ErrInvalid)
	}
	mac := strings.ToLower(req.MAC)
	if mac == "" {
		mac = compute.RandomMAC()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l, err := d.pool.give(req.Container, req.Address, mac)
	if err != nil {
		return network.Endpoint{}, err
	}
	d.savePending()
	return network.Endpoint{
		Network:   d.net.ID,
		Container: req.Container,
		NIC:       device.NIC{Kind: device.KindPortgroup, Locator: d.cfg.Portgroup, MAC: l.mac},
		Addresses: []netip.Prefix{netip.PrefixFrom(l.addr, d.net.Subnet.Bits())},
		Gateway:   d.net.Gateway,
		DNS:       []netip.Addr{d.net.Gateway},
	}, nil
}

// Leave implements network.Driver.
func (d *Driver) Leave(_ context.Context, req network.LeaveRequest) error {
	if req.Network != d.net.ID {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pool.release(req.Container)
	d.savePending()
	return nil
}

// Create implements network.Driver.
func (d *Driver) Create(context.Context, network.CreateRequest) (network.Network, error) {
	return network.Network{}, fmt.Errorf("networks beside the bridge: %w", errdef.ErrUnsupported)
}

// Remove implements network.Driver.
func (d *Driver) Remove(_ context.Context, id string) error {
	if id == d.net.ID {
		return fmt.Errorf("network %s was given by the administrator: %w", bridgeName, errdef.ErrDenied)
	}
	return nil
}

// Publish implements network.Driver.
func (d *Driver) Publish(context.Context, network.PublishRequest) ([]network.Port, error) {
	return nil, fmt.Errorf("published ports: %w", errdef.ErrUnsupported)
}

// Unpublish implements network.Driver.
func (d *Driver) Unpublish(context.Context, network.UnpublishRequest) error { return nil }
