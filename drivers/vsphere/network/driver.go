// Package network serves the VCH's networks. The bridge and the networks that users make share one
// port group on which the endpoint VM is the gateway of each: it translates to the outside, publishes
// ports and answers DNS. Container networks are port groups that containers join directly. Networks
// that users make are kept in the image store; leases live in the VMs' own configuration, where the
// driver finds them again.
package network

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"sort"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
)

const bridgeName = network.DefaultName

// Store keeps small files where they outlive the endpoint VM.
type Store interface {
	List(ctx context.Context, suffix string) ([]string, error)
	Get(ctx context.Context, name string) ([]byte, error)
	Put(ctx context.Context, name string, data []byte) error
	Remove(ctx context.Context, name string) error
}

// Options are what a driver is made of.
type Options struct {
	Inventory *inventory.Inventory // filled
	Config    *config.Config
	Store     Store
	System    System
	// Dir holds what has to outlive this process, not the endpoint VM: leases of containers whose
	// VMs are still to be made, and published ports. Empty: nothing is kept.
	Dir string
	Log *slog.Logger
}

// Driver implements network.Driver.
type Driver struct {
	inv   *inventory.Inventory
	cfg   config.Network
	store Store
	sys   System
	dir   string
	log   *slog.Logger

	// The locks are taken in this order: change, apply, mu.
	change sync.Mutex // one Create or Remove after the other, with the file of the network in the store
	// apply is held while the rules are made and put into the kernel, so that what the kernel has last is
	// made of what the driver knew last.
	apply sync.Mutex

	// mu guards what follows, the pools of the networks among it. The kernel is asked for addresses and free
	// ports under it; it is not held during calls of the store, nor while rules are put into the kernel.
	mu        sync.Mutex
	nets      map[string]*member
	bridge    *member
	seen      map[string]bool         // containers whose VMs existed: their leases end with them
	published map[string]*publication // by container
	lastPort  uint16
}

// member is one network with its leases.
type member struct {
	network.Network
	pool     *pool
	external *config.ContainerNetwork
}

var _ network.Driver = (*Driver)(nil)

// New returns a driver that knows the networks that were made, the leases of the VMs in the inventory
// and what was published, and puts the rules for them into effect.
func New(ctx context.Context, o Options) (*Driver, error) {
	d := &Driver{inv: o.Inventory, cfg: o.Config.Network, store: o.Store, sys: o.System, dir: o.Dir, log: o.Log,
		nets: map[string]*member{}, seen: map[string]bool{}, published: map[string]*publication{}, lastPort: lastEphemeral}
	d.addGiven(o.Config.VCH.Name)
	if err := d.loadNetworks(ctx); err != nil {
		return nil, err
	}
	d.adoptAll(d.inv.List())
	d.loadPending()
	d.loadPublished()
	return d, d.refresh()
}

// addGiven adds the administrator's networks.
func (d *Driver) addGiven(vch string) {
	b := d.cfg.Bridge
	n := network.Network{ID: networkID(vch, b.Portgroup), Name: bridgeName, Driver: network.DriverBridge, Subnet: b.Subnet.Masked(), Gateway: b.Gateway,
		Given: true}
	d.bridge = &member{Network: n, pool: newPool(n.Subnet, n.Gateway)}
	d.nets[n.ID] = d.bridge
	for i := range d.cfg.Container {
		c := &d.cfg.Container[i]
		n := network.Network{ID: networkID(vch, "container "+c.Name+"\x00"+c.Portgroup), Name: c.Name, Driver: network.DriverExternal, Subnet: c.Subnet.Masked(),
			Gateway: c.Gateway, Given: true, Firewall: c.Firewall}
		m := &member{Network: n, pool: newPool(n.Subnet, n.Gateway), external: c}
		if ranges := c.Ranges(); len(ranges) > 0 {
			m.pool.limit(ranges...)
			m.pool.fixed = true
		}
		d.nets[n.ID] = m
	}
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
		d.follow(e)
	}
}

// follow brings the leases in step with one event of the inventory.
func (d *Driver) follow(e inventory.Event) {
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
		for _, n := range m.Network().Networks {
			d.adopt(id, n)
		}
	}
}

func isOn(m *inventory.Machine) bool { return m.State == types.VirtualMachinePowerStatePoweredOn }

// adopt is called with d.mu held.
func (d *Driver) adopt(id string, n guest.Network) {
	m := d.nets[n.ID]
	if m == nil && n.ID == "" && n.Name == bridgeName {
		m = d.bridge // of a VM that was made before there were others
	}
	if m == nil {
		return
	}
	l := &lease{mac: n.MAC, names: n.Names, links: n.Links, dns: n.Upstream}
	for _, a := range n.Addresses {
		if a.Addr().Is4() {
			l.addr = a.Addr()
		} else {
			l.addr6 = a.Addr()
		}
	}
	if !m.pool.adopt(id, l) {
		d.log.Warn("a VM has an address that another has or that is none of its network", "container", id, "address", l.addr.String())
	}
}

func (d *Driver) gone(id string) {
	d.mu.Lock()
	was := d.seen[id]
	if was {
		d.forget(id)
	}
	d.mu.Unlock()
	if was {
		d.refreshQuietly()
	}
}

// forget is called with d.mu held.
func (d *Driver) forget(id string) {
	delete(d.seen, id)
	delete(d.published, id)
	for _, m := range d.nets {
		m.pool.release(id)
	}
}

// goneExcept ends the leases of VMs that went while nobody watched.
func (d *Driver) goneExcept(ms []*inventory.Machine) {
	d.mu.Lock()
	there := map[string]bool{}
	for _, m := range ms {
		there[m.ID()] = true
	}
	changed := false
	for id := range d.seen {
		if !there[id] {
			d.forget(id)
			changed = true
		}
	}
	d.mu.Unlock()
	if changed {
		d.refreshQuietly()
	}
}
