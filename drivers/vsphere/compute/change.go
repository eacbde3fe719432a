package compute

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

const (
	createTimeout = 5 * time.Minute
	maxNames      = 5 // names that are tried
)

// Create implements compute.Driver. A request that has left is seen to its end, also when ctx ends,
// so that a VM that nobody will ask for can be removed again.
func (d *Driver) Create(ctx context.Context, req compute.CreateRequest) (compute.VM, error) {
	if err := check(req); err != nil {
		return compute.VM{}, err
	}
	if m, ok := d.inv.Get(req.ID); ok {
		return d.toVM(m), nil
	}
	begun, cancel := context.WithTimeout(context.WithoutCancel(ctx), createTimeout)
	defer cancel()
	ref, err := d.create(begun, req)
	if err != nil {
		return compute.VM{}, err
	}
	if err := d.join(begun, ref); err != nil { // before it is started: DRS places it then
		return compute.VM{}, errors.Join(err, d.discard(begun, ref))
	}
	if err := ctx.Err(); err != nil {
		return compute.VM{}, errors.Join(fmt.Errorf("create VM of container %s: %w", req.ID, err), d.discard(begun, ref))
	}
	if err := d.inv.Settle(begun, ref, func(m *inventory.Machine) bool { return m != nil && m.ID() == req.ID }); err != nil {
		return compute.VM{}, err
	}
	return d.Get(ctx, req.ID)
}

// create tries names until one is free.
func (d *Driver) create(ctx context.Context, req compute.CreateRequest) (types.ManagedObjectReference, error) {
	var ref types.ManagedObjectReference
	for n := 1; ; n++ {
		spec, err := d.spec(ctx, req, vmName(d.cfg.Compute.NamePattern, req.Name, req.ID, n))
		if err != nil {
			return ref, err
		}
		info, err := d.run(ctx, "create VM "+spec.Name, func(ctx context.Context) (*object.Task, error) { return d.createTask(ctx, spec) })
		if errors.Is(err, errdef.ErrExists) && n < maxNames {
			continue
		}
		if err != nil {
			return ref, err
		}
		ref, ok := info.Result.(types.ManagedObjectReference)
		if !ok {
			return ref, fmt.Errorf("create VM %s: the task has no result: %w", spec.Name, errdef.ErrInternal)
		}
		return ref, nil
	}
}

func (d *Driver) createTask(ctx context.Context, spec types.VirtualMachineConfigSpec) (*object.Task, error) {
	c, v := d.session.Client(), d.cfg.VCH
	pool := types.ManagedObjectReference{Type: v.PoolType, Value: v.Pool}
	if v.PoolType == config.PoolVApp {
		return object.NewVirtualApp(c, pool).CreateChildVM(ctx, spec, nil)
	}
	folder := object.NewFolder(c, types.ManagedObjectReference{Type: "Folder", Value: v.Folder})
	return folder.CreateVM(ctx, spec, object.NewResourcePool(c, pool), nil)
}

// Update implements compute.Driver.
func (d *Driver) Update(ctx context.Context, req compute.UpdateRequest) error {
	m, err := d.machine(req.ID)
	if err != nil {
		return err
	}
	kv := map[string]string{}
	for k, v := range req.Guest {
		kv[guest.Prefix+k] = v
	}
	if s := inventory.NetworkOf(req.Guest); s != "" {
		kv[inventory.KeyNetwork] = s
	}
	if req.Metadata != nil {
		kv[inventory.KeyMetadata] = base64.StdEncoding.EncodeToString(req.Metadata)
	}
	spec := types.VirtualMachineConfigSpec{NumCPUs: req.CPUs, MemoryMB: req.MemoryMB}
	if req.NICs != nil {
		if spec.DeviceChange, err = d.changeNICs(ctx, m, *req.NICs, kv); err != nil {
			return err
		}
	}
	spec.ExtraConfig = options(kv, true)
	for n := 1; ; n++ {
		if req.Name != "" {
			spec.Name = vmName(d.cfg.Compute.NamePattern, req.Name, req.ID, n)
		}
		err := d.reconfigure(ctx, m, spec)
		if !errors.Is(err, errdef.ErrExists) || n >= maxNames {
			return err
		}
	}
}

// reconfigure changes a VM and returns when the cache shows it.
func (d *Driver) reconfigure(ctx context.Context, m *inventory.Machine, spec types.VirtualMachineConfigSpec) error {
	_, err := d.run(ctx, "reconfigure VM "+m.Name, func(ctx context.Context) (*object.Task, error) {
		return d.object(m).Reconfigure(ctx, spec)
	})
	if err != nil {
		return err
	}
	return d.inv.Settle(ctx, m.Ref, func(now *inventory.Machine) bool { return now == nil || shows(now, spec) })
}

// shows says that a cached VM is as spec wants it.
func shows(m *inventory.Machine, spec types.VirtualMachineConfigSpec) bool {
	if spec.Name != "" && m.Name != spec.Name || spec.NumCPUs != 0 && m.CPUs != spec.NumCPUs || spec.MemoryMB != 0 && m.MemoryMB != spec.MemoryMB {
		return false
	}
	for _, o := range spec.ExtraConfig {
		v := o.GetOptionValue()
		if m.Extra[v.Key] != v.Value.(string) {
			return false
		}
	}
	return true
}

// Remove implements compute.Driver.
func (d *Driver) Remove(ctx context.Context, id string) error {
	m, ok := d.inv.Get(id)
	if !ok {
		d.router.Drop(id, true)
		return nil
	}
	if isOn(m) {
		return fmt.Errorf("VM %s runs: %w", m.Name, errdef.ErrConflict)
	}
	if err := d.disks.Release(ctx, id); err != nil {
		return err
	}
	if err := d.detachForeign(ctx, m.Ref); err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return err
	}
	if err := d.destroy(ctx, m.Ref); err != nil {
		return err
	}
	d.router.Drop(id, true)
	return d.inv.Settle(ctx, m.Ref, func(m *inventory.Machine) bool { return m == nil })
}

// discard removes a VM that was only just made.
func (d *Driver) discard(ctx context.Context, ref types.ManagedObjectReference) error {
	if err := d.detachForeign(ctx, ref); err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return err
	}
	return d.destroy(ctx, ref)
}

// detachForeign takes away the disks that are not in the VM's folder: volumes, and what an
// administrator attached. Destroying the VM would delete them.
func (d *Driver) detachForeign(ctx context.Context, ref types.ManagedObjectReference) error {
	var vm mo.VirtualMachine
	pc := property.DefaultCollector(d.session.Client())
	if err := pc.RetrieveOne(ctx, ref, []string{"config.hardware.device", "config.files.vmPathName"}, &vm); err != nil {
		return session.Error("read the devices of VM "+ref.Value, err)
	}
	if vm.Config == nil {
		return nil
	}
	home := path.Dir(vm.Config.Files.VmPathName) + "/"
	var spec types.VirtualMachineConfigSpec
	for _, dev := range object.VirtualDeviceList(vm.Config.Hardware.Device).SelectByType((*types.VirtualDisk)(nil)) {
		b, ok := dev.GetVirtualDevice().Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if !ok || strings.HasPrefix(b.GetVirtualDeviceFileBackingInfo().FileName, home) {
			continue
		}
		spec.DeviceChange = append(spec.DeviceChange, &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationRemove, Device: dev})
	}
	if len(spec.DeviceChange) == 0 {
		return nil
	}
	_, err := d.run(ctx, "detach the other disks of VM "+ref.Value, func(ctx context.Context) (*object.Task, error) {
		return object.NewVirtualMachine(d.session.Client(), ref).Reconfigure(ctx, spec)
	})
	return err
}

// destroy destroys a VM; that it is gone already is no error.
func (d *Driver) destroy(ctx context.Context, ref types.ManagedObjectReference) error {
	_, err := d.run(ctx, "destroy VM "+ref.Value, object.NewVirtualMachine(d.session.Client(), ref).Destroy)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	return err
}
