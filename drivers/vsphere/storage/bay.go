package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// undoTimeout bounds what is done after a caller has gone.
const undoTimeout = 2 * time.Minute

// bay is where disks are put into the endpoint VM: the free targets of its first pvscsi controller.
type bay struct {
	session    *session.Session
	vm         types.ManagedObjectReference
	controller int32
	// free holds the targets without a disk, the longest unused first. Whoever takes one out owns it until
	// its disk is detached; who finds none waits.
	free chan int
	turn chan struct{} // one reconfiguration at a time; vSphere would refuse the second
}

// disk is what bay attaches.
type disk struct {
	file     string // datastore path
	parent   string // with create: the disk below
	create   bool
	sizeKB   int64
	readOnly bool // writes go to a log that is thrown away
}

func newBay(s *session.Session, vm string) *bay {
	return &bay{
		session: s, vm: types.ManagedObjectReference{Type: "VirtualMachine", Value: vm},
		free: make(chan int, guest.MaxDisks), turn: make(chan struct{}, 1),
	}
}

// open finds the controller, detaches the disks that leftover picks, and learns which targets are
// free.
func (b *bay) open(ctx context.Context, leftover func(file string) bool) error {
	devs, err := b.devices(ctx)
	if err != nil {
		return err
	}
	c, err := firstController(devs)
	if err != nil {
		return err
	}
	b.controller = c
	var old []types.BaseVirtualDevice
	used := map[int]bool{}
	for _, d := range devs.SelectByType((*types.VirtualDisk)(nil)) {
		v := d.GetVirtualDevice()
		if leftover(fileOf(d)) {
			old = append(old, d)
		} else if v.ControllerKey == c && v.UnitNumber != nil {
			used[int(*v.UnitNumber)] = true
		}
	}
	if len(old) > 0 {
		if err := b.reconfigure(ctx, "detach left-over disks from the endpoint VM", removal(old)); err != nil {
			return err
		}
	}
	for i := range guest.MaxDisks {
		if t := guest.SCSITarget(i); !used[t] {
			b.free <- t
		}
	}
	return nil
}

func firstController(devs object.VirtualDeviceList) (int32, error) {
	var first *types.ParaVirtualSCSIController
	for _, d := range devs.SelectByType((*types.ParaVirtualSCSIController)(nil)) {
		if c := d.(*types.ParaVirtualSCSIController); first == nil || c.BusNumber < first.BusNumber {
			first = c
		}
	}
	if first == nil {
		return 0, fmt.Errorf("the endpoint VM has no pvscsi controller: %w", errdef.ErrInvalid)
	}
	return first.Key, nil
}

func fileOf(d types.BaseVirtualDevice) string {
	if b, ok := d.GetVirtualDevice().Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		return b.GetVirtualDeviceFileBackingInfo().FileName
	}
	return ""
}

func removal(devs []types.BaseVirtualDevice) []types.BaseVirtualDeviceConfigSpec {
	var out []types.BaseVirtualDeviceConfigSpec
	for _, d := range devs {
		out = append(out, &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationRemove, Device: d})
	}
	return out
}

func (b *bay) devices(ctx context.Context) (object.VirtualDeviceList, error) {
	return devicesOf(ctx, b.session, b.vm)
}

func devicesOf(ctx context.Context, s *session.Session, vm types.ManagedObjectReference) (object.VirtualDeviceList, error) {
	var m mo.VirtualMachine
	err := property.DefaultCollector(s.Client()).RetrieveOne(ctx, vm, []string{"config.hardware.device"}, &m)
	if err != nil {
		return nil, session.Error("read the devices of "+vm.Value, err)
	}
	if m.Config == nil {
		return nil, fmt.Errorf("VM %s has no configuration now: %w", vm.Value, errdef.ErrUnavailable)
	}
	return m.Config.Hardware.Device, nil
}

func (b *bay) reconfigure(ctx context.Context, what string, changes []types.BaseVirtualDeviceConfigSpec) error {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.turn }()
	_, err := b.session.Run(ctx, what, func(ctx context.Context) (types.ManagedObjectReference, error) {
		t, err := object.NewVirtualMachine(b.session.Client(), b.vm).Reconfigure(ctx, types.VirtualMachineConfigSpec{DeviceChange: changes})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return t.Reference(), nil
	})
	return err
}

// attach puts a disk into the endpoint VM and returns its SCSI target. It waits for a free one.
func (b *bay) attach(ctx context.Context, d disk) (int, error) {
	var target int
	select {
	case target = <-b.free:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	backing := &types.VirtualDiskFlatVer2BackingInfo{DiskMode: string(types.VirtualDiskModePersistent)}
	backing.FileName = d.file
	unit := int32(target)
	change := &types.VirtualDeviceConfigSpec{
		Operation: types.VirtualDeviceConfigSpecOperationAdd,
		Device: &types.VirtualDisk{
			VirtualDevice: types.VirtualDevice{Key: -1, ControllerKey: b.controller, UnitNumber: &unit, Backing: backing},
			CapacityInKB:  d.sizeKB,
		},
	}
	if d.readOnly {
		backing.DiskMode = string(types.VirtualDiskModeIndependent_nonpersistent)
	}
	if d.create {
		backing.ThinProvisioned = types.NewBool(true)
		change.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
	}
	if d.parent != "" {
		backing.Parent = &types.VirtualDiskFlatVer2BackingInfo{}
		backing.Parent.FileName = d.parent
	}
	err := b.reconfigure(ctx, "attach "+d.file+" to the endpoint VM", []types.BaseVirtualDeviceConfigSpec{change})
	if err == nil {
		return target, nil
	}
	if ctx.Err() != nil { // it may have been done all the same
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		return 0, errors.Join(err, b.detach(undo, target))
	}
	b.free <- target
	return 0, err
}

// detach takes the disk at a target out of the endpoint VM; the file stays. A target whose disk could
// not be detached is not used again.
func (b *bay) detach(ctx context.Context, target int) error {
	devs, err := b.devices(ctx)
	if err != nil {
		return err
	}
	var at []types.BaseVirtualDevice
	for _, d := range devs.SelectByType((*types.VirtualDisk)(nil)) {
		v := d.GetVirtualDevice()
		if v.ControllerKey == b.controller && v.UnitNumber != nil && int(*v.UnitNumber) == target {
			at = append(at, d)
		}
	}
	if len(at) > 0 {
		if err := b.reconfigure(ctx, "detach "+fileOf(at[0])+" from the endpoint VM", removal(at)); err != nil {
			return err
		}
	}
	b.free <- target
	return nil
}

// under says that a datastore path lies in a folder.
func under(file, folder string) bool {
	return folder != "" && strings.HasPrefix(file, strings.TrimSuffix(folder, "/")+"/")
}
