package vsphere

import (
	"errors"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	opAdd    = types.VirtualDeviceConfigSpecOperationAdd
	opRemove = types.VirtualDeviceConfigSpecOperationRemove
	opEdit   = types.VirtualDeviceConfigSpecOperationEdit
	fileNew  = types.VirtualDeviceConfigSpecFileOperationCreate
)

// ReconfigVMTask changes a VM, running or not.
func (vm *labVM) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	t := vm.task(ctx, "reconfigVm", func() types.BaseMethodFault { return vm.reconfigure(ctx, req) })
	return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: t}}
}

func (vm *labVM) reconfigure(ctx *simulator.Context, req *types.ReconfigVM_Task) types.BaseMethodFault {
	m := vm.lab.machine(vm.Self)
	if f := vm.check(m, &req.Spec); f != nil {
		return f
	}
	if f := vm.lab.prepare(&req.Spec); f != nil {
		return f
	}
	if m != nil { // first, so that the simulator may delete the file
		if err := vm.unplug(m, req.Spec.DeviceChange); err != nil {
			return startFault(err)
		}
	}
	body, ok := vm.VirtualMachine.ReconfigVMTask(ctx, req).(*methods.ReconfigVM_TaskBody)
	if !ok {
		return &types.InvalidState{}
	}
	if _, f := await(ctx, body.Res.Returnval); f != nil {
		return f
	}
	if f := vm.lab.materialize(ctx, vm.VirtualMachine, req.Spec.DeviceChange); f != nil {
		return f
	}
	if m == nil {
		return nil
	}
	return vm.plugAll(ctx, m, req.Spec.DeviceChange)
}

// check refuses what vSphere would refuse.
func (vm *labVM) check(m *running, spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	if spec.ChangeVersion != "" && spec.ChangeVersion != vm.Config.ChangeVersion {
		return &types.ConcurrentAccess{}
	}
	if m == nil {
		return nil
	}
	if spec.NumCPUs != 0 && spec.NumCPUs != vm.Config.Hardware.NumCPU {
		return &types.CpuHotPlugNotSupported{}
	}
	if spec.MemoryMB != 0 && spec.MemoryMB != int64(vm.Config.Hardware.MemoryMB) {
		return &types.MemoryHotPlugNotSupported{}
	}
	for i, c := range spec.DeviceChange {
		s := c.GetVirtualDeviceConfigSpec()
		if !pluggable(s) {
			f := &types.InvalidPowerState{RequestedState: poweredOff, ExistingState: poweredOn}
			f.FaultMessage = []types.LocalizableMessage{{Key: "lab", Message: "the device cannot be changed while the VM runs"}}
			vm.lab.cfg.Log.Info("hot plug refused", "vm", vm.Name, "device", i)
			return f
		}
	}
	return nil
}

// pluggable says whether a change can be made to a running VM.
func pluggable(s *types.VirtualDeviceConfigSpec) bool {
	switch s.Device.(type) {
	case *types.VirtualDisk:
		return s.Operation != opEdit
	case types.BaseVirtualEthernetCard:
		return true
	case *types.VirtualCdrom:
		return s.Operation == opEdit
	}
	return false
}

// device finds the VM's own copy of a device that a request names by key.
func (vm *labVM) device(key int32) types.BaseVirtualDevice {
	return object.VirtualDeviceList(vm.Config.Hardware.Device).FindByKey(key)
}

func (vm *labVM) unplug(m *running, changes []types.BaseVirtualDeviceConfigSpec) error {
	for _, c := range changes {
		s := c.GetVirtualDeviceConfigSpec()
		d := vm.device(s.Device.GetVirtualDevice().Key)
		if d == nil || s.Operation == opAdd {
			continue
		}
		switch x := d.(type) {
		case *types.VirtualDisk:
			if err := m.RemoveDisk(x.Key); err != nil {
				return err
			}
		case types.BaseVirtualEthernetCard:
			if err := m.RemoveNIC(x.GetVirtualEthernetCard().Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// plugAll plugs what the request added; when one fails, all of the request's devices go again, from
// the guest and from the configuration, as vSphere makes a reconfigure all or nothing.
func (vm *labVM) plugAll(ctx *simulator.Context, m *running, changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	var done []types.BaseVirtualDevice
	for _, c := range changes {
		s := c.GetVirtualDeviceConfigSpec()
		if s.Operation == opRemove {
			continue
		}
		if err := vm.plug(m, s.Device); err != nil {
			vm.lab.cfg.Log.Warn("hot plug failed", "vm", vm.Name, "err", err)
			return vm.rollBack(ctx, m, changes, done, err)
		}
		done = append(done, s.Device)
	}
	return nil
}

func (vm *labVM) plug(m *running, d types.BaseVirtualDevice) error {
	switch x := d.(type) {
	case *types.VirtualDisk:
		disk, err := vm.lab.disk(x, vm.Config.Hardware.Device)
		if err != nil {
			return err
		}
		return m.AddDisk(disk)
	case types.BaseVirtualEthernetCard:
		if c := x.GetVirtualEthernetCard().Connectable; c != nil {
			c.Connected = c.StartConnected
		}
		return m.AddNIC(nic(d))
	case *types.VirtualCdrom:
		return m.SetCDROM(vm.lab.medium(x))
	}
	return nil
}

func (vm *labVM) rollBack(ctx *simulator.Context, m *running, changes []types.BaseVirtualDeviceConfigSpec,
	done []types.BaseVirtualDevice, cause error) types.BaseMethodFault {
	var errs []error
	for _, d := range done {
		switch x := d.(type) {
		case *types.VirtualDisk:
			errs = append(errs, m.RemoveDisk(x.Key))
		case types.BaseVirtualEthernetCard:
			errs = append(errs, m.RemoveNIC(x.GetVirtualEthernetCard().Key))
		}
	}
	var undo []types.BaseVirtualDeviceConfigSpec
	for _, c := range changes {
		s := c.GetVirtualDeviceConfigSpec()
		if s.Operation != opAdd {
			continue
		}
		u := &types.VirtualDeviceConfigSpec{Operation: opRemove, Device: s.Device}
		if s.FileOperation == fileNew {
			u.FileOperation = types.VirtualDeviceConfigSpecFileOperationDestroy
		}
		undo = append(undo, u)
	}
	body, ok := vm.VirtualMachine.ReconfigVMTask(ctx, &types.ReconfigVM_Task{This: vm.Self,
		Spec: types.VirtualMachineConfigSpec{DeviceChange: undo}}).(*methods.ReconfigVM_TaskBody)
	if ok {
		await(ctx, body.Res.Returnval) //nolint:errcheck // the first error is the one to report
	}
	if err := errors.Join(errs...); err != nil {
		vm.lab.cfg.Log.Warn("hot plug roll back failed", "vm", vm.Name, "err", err)
	}
	return startFault(cause)
}

// prepare corrects a specification before the simulator sees it.
func (s *Server) prepare(spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	spec.ExtraConfig = dropReserved(spec.ExtraConfig)
	for i, c := range spec.DeviceChange {
		dc := c.GetVirtualDeviceConfigSpec()
		if dc.Device == nil {
			return &types.InvalidDeviceSpec{DeviceIndex: int32(i)}
		}
		if dc.Operation != opAdd {
			continue
		}
		switch d := dc.Device.(type) {
		case types.BaseVirtualEthernetCard:
			if f := s.prepareNIC(d.GetVirtualEthernetCard(), i); f != nil {
				return f
			}
		case *types.VirtualDisk:
			if f := s.prepareDisk(dc, d, i); f != nil {
				return f
			}
		}
	}
	return nil
}

// prepareNIC gives a MAC address of our own (the simulator's collide after a few dozen VMs) and
// refuses a network that is not there (the simulator panics).
func (s *Server) prepareNIC(n *types.VirtualEthernetCard, index int) types.BaseMethodFault {
	if n.MacAddress == "" {
		n.MacAddress, n.AddressType = s.nextMAC(), string(types.VirtualEthernetCardMacTypeAssigned)
	}
	switch b := n.Backing.(type) {
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey}
		if s.reg.Get(ref) == nil {
			return &types.InvalidDeviceBacking{InvalidDeviceSpec: types.InvalidDeviceSpec{DeviceIndex: int32(index)}}
		}
	case *types.VirtualEthernetCardNetworkBackingInfo:
		if !s.networkExists(b.DeviceName) {
			return &types.InvalidDeviceBacking{InvalidDeviceSpec: types.InvalidDeviceSpec{DeviceIndex: int32(index)}}
		}
	}
	return nil
}

func (s *Server) networkExists(name string) bool {
	dc, ok := s.reg.Any("Datacenter").(*simulator.Datacenter)
	return ok && s.reg.FindByName(name, dc.Network) != nil
}

// prepareDisk refuses modes and places that vSphere refuses, and a disk that does not fit.
func (s *Server) prepareDisk(c *types.VirtualDeviceConfigSpec, d *types.VirtualDisk, index int) types.BaseMethodFault {
	invalid := &types.InvalidDeviceSpec{DeviceIndex: int32(index)}
	if d.UnitNumber != nil && *d.UnitNumber == 7 { // the controller's own
		return invalid
	}
	b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if !ok || !knownMode(b.DiskMode) {
		return &types.InvalidDeviceBacking{InvalidDeviceSpec: *invalid}
	}
	if c.FileOperation != fileNew || b.FileName == "" {
		return nil
	}
	need := int64(childOverhead)
	if b.Parent == nil && (b.ThinProvisioned == nil || !*b.ThinProvisioned) {
		need = d.CapacityInKB * 1024
	}
	return s.room(b.FileName, need)
}

func knownMode(mode string) bool {
	switch types.VirtualDiskMode(mode) {
	case types.VirtualDiskModePersistent, types.VirtualDiskModeNonpersistent, types.VirtualDiskModeUndoable, types.VirtualDiskModeAppend,
		types.VirtualDiskModeIndependent_persistent, types.VirtualDiskModeIndependent_nonpersistent, "":
		return true
	}
	return false
}
