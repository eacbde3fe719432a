// Package compute runs each container as a VM in the VCH's vApp or resource pool. What it knows it
// reads from the inventory's cache; what must survive it writes into the VM's extraConfig.
package compute

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/drivers/vsphere/linkrouter"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
)

// Leaser is asked to let go of a container's disks before its VM needs them.
type Leaser interface {
	// Release returns when nothing uses the container's disks any more.
	Release(ctx context.Context, id string) error
}

// Driver implements compute.Driver.
type Driver struct {
	session *session.Session
	inv     *inventory.Inventory
	router  *linkrouter.Router
	disks   Leaser
	cfg     *config.Config
	log     *slog.Logger
	group   group

	mu       sync.Mutex                                    // guards backings; two calls may ask vCenter for the same one
	backings map[string]types.BaseVirtualDeviceBackingInfo // of port groups
}

var _ compute.Driver = (*Driver)(nil)

// New returns a driver; Run must run beside it.
func New(s *session.Session, inv *inventory.Inventory, r *linkrouter.Router, disks Leaser, cfg *config.Config, log *slog.Logger) *Driver {
	return &Driver{session: s, inv: inv, router: r, disks: disks, cfg: cfg, log: log, backings: map[string]types.BaseVirtualDeviceBackingInfo{}}
}

// Run closes the links of VMs that went off or away, until ctx ends.
func (d *Driver) Run(ctx context.Context) {
	sub := d.inv.Subscribe()
	defer sub.Close()
	running := map[string]bool{}
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			return
		}
		switch e.Kind {
		case inventory.Snapshot:
			now := map[string]bool{}
			for _, m := range e.Machines {
				now[m.ID()] = isOn(m)
			}
			for id, on := range running {
				if still, there := now[id]; on && !still {
					d.router.Drop(id, !there)
				}
			}
			running = now
			go d.gather(ctx, e.Machines) // not in the way of the links
		case inventory.Put:
			id := e.Machine.ID()
			if running[id] && !isOn(e.Machine) {
				d.router.Drop(id, false)
			}
			running[id] = isOn(e.Machine)
		case inventory.Remove:
			d.router.Drop(e.Machine.ID(), true)
			delete(running, e.Machine.ID())
		}
	}
}

// Get implements compute.Driver.
func (d *Driver) Get(_ context.Context, id string) (compute.VM, error) {
	m, err := d.machine(id)
	if err != nil {
		return compute.VM{}, err
	}
	return d.toVM(m), nil
}

// List implements compute.Driver.
func (d *Driver) List(context.Context) ([]compute.VM, error) {
	return d.toVMs(d.inv.List()), nil
}

func (d *Driver) toVMs(ms []*inventory.Machine) []compute.VM {
	vms := make([]compute.VM, 0, len(ms))
	for _, m := range ms {
		vms = append(vms, d.toVM(m))
	}
	return vms
}

// Watch implements compute.Driver.
func (d *Driver) Watch(ctx context.Context, fn func(compute.Event) error) error {
	sub := d.inv.Subscribe()
	defer sub.Close()
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		var out compute.Event
		switch e.Kind {
		case inventory.Snapshot:
			out = compute.Event{Kind: compute.EventSnapshot, VMs: d.toVMs(e.Machines)}
		case inventory.Put:
			out = compute.Event{Kind: compute.EventPut, VM: d.toVM(e.Machine)}
		case inventory.Remove:
			out = compute.Event{Kind: compute.EventRemove, VM: d.toVM(e.Machine)}
		}
		if err := fn(out); err != nil {
			return err
		}
	}
}

// Connect implements compute.Driver.
func (d *Driver) Connect(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	if _, err := d.machine(id); err != nil {
		return nil, err
	}
	return d.router.Connect(ctx, id)
}

func (d *Driver) machine(id string) (*inventory.Machine, error) {
	m, ok := d.inv.Get(id)
	if !ok {
		return nil, fmt.Errorf("VM of container %s: %w", id, errdef.ErrNotFound)
	}
	return m, nil
}

func (d *Driver) object(m *inventory.Machine) *object.VirtualMachine {
	return object.NewVirtualMachine(d.session.Client(), m.Ref)
}

// run runs a task on a VM.
func (d *Driver) run(ctx context.Context, what string, start func(context.Context) (*object.Task, error)) (*types.TaskInfo, error) {
	return d.session.Run(ctx, what, func(ctx context.Context) (types.ManagedObjectReference, error) {
		t, err := start(ctx)
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return t.Reference(), nil
	})
}
