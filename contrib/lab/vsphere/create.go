package vsphere

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/vmdk"
)

// labFolder creates VMs with real disks.
type labFolder struct {
	*simulator.Folder
	base
}

// CreateVMTask creates a VM.
func (f *labFolder) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	t := simulator.CreateTask(f.Folder, "createVm", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return f.create(ctx, req)
	}).Run(ctx)
	return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{Returnval: t}}
}

// create runs with the folder's lock held.
func (f *labFolder) create(ctx *simulator.Context, req *types.CreateVM_Task) (types.AnyType, types.BaseMethodFault) {
	if ctx.Map.Get(req.Pool) == nil {
		return nil, &types.ManagedObjectNotFound{Obj: req.Pool}
	}
	if ref, taken := f.lab.nameTaken(f.Folder, req.Pool, req.Config.Name); taken {
		return nil, &types.DuplicateName{Name: req.Config.Name, Object: ref}
	}
	if flt := f.lab.checkHome(&req.Config); flt != nil {
		return nil, flt
	}
	if flt := f.lab.prepare(&req.Config); flt != nil {
		return nil, flt
	}
	body, ok := f.Folder.CreateVMTask(ctx, req).(*methods.CreateVM_TaskBody)
	if !ok {
		return nil, &types.InvalidState{}
	}
	res, flt := await(ctx, body.Res.Returnval)
	if flt != nil {
		return nil, flt
	}
	ref, _ := res.(types.ManagedObjectReference)
	vm := f.lab.vm(ref)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: ref}
	}
	f.lab.announce(ctx, req.Pool)
	ctx.WithLock(vm, func() {
		if req.Pool.Type == "VirtualApp" {
			ctx.Update(vm, []types.PropertyChange{{Name: "parentVApp", Val: req.Pool}})
		}
		flt = f.lab.materialize(ctx, vm, req.Config.DeviceChange)
		if flt != nil {
			f.lab.destroyBut(ctx, vm, existing(req.Config.DeviceChange))
		}
	})
	if flt != nil {
		return nil, flt
	}
	return res, nil
}

// announce tells those who follow a pool's list of VMs that it has changed. The simulator appends to the
// list without a word; whoever looked between the VM's coming and that would never see the VM.
func (s *Server) announce(ctx *simulator.Context, pool types.ManagedObjectReference) {
	obj, list := ctx.Map.Get(pool), s.poolVMs(&pool)
	if list == nil {
		return
	}
	ctx.WithLock(obj, func() {
		ctx.Update(obj, []types.PropertyChange{{Name: "vm", Val: slices.Clone(*list)}})
	})
}

// nameTaken looks for a VM of that name where vSphere wants names to be different: in a vApp, or in
// the folder among the VMs that are in no vApp.
func (s *Server) nameTaken(f *simulator.Folder, pool types.ManagedObjectReference, name string) (types.ManagedObjectReference, bool) {
	for _, ref := range f.ChildEntity {
		vm := s.vm(ref)
		if vm == nil || vm.Name != name || vm.ResourcePool == nil {
			continue
		}
		if *vm.ResourcePool == pool || (pool.Type != "VirtualApp" && vm.ResourcePool.Type != "VirtualApp") {
			return ref, true
		}
	}
	return types.ManagedObjectReference{}, false
}

// checkHome refuses a VM without a datastore that exists (the simulator panics).
func (s *Server) checkHome(c *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	if c.Files == nil {
		return &types.InvalidVmConfig{Property: "configSpec.files"}
	}
	var p object.DatastorePath
	if !p.FromString(c.Files.VmPathName) || s.datastore(p.Datastore) == nil {
		return &types.InvalidDatastorePath{DatastorePath: c.Files.VmPathName}
	}
	return s.room(c.Files.VmPathName, 64<<10)
}

// materialize replaces the simulator's stub files of newly created disks by real ones, and fills in
// what vSphere reports: capacity and identity of the disks.
func (s *Server) materialize(ctx *simulator.Context, vm *simulator.VirtualMachine, changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	changed := false
	for _, c := range changes {
		spec := c.GetVirtualDeviceConfigSpec()
		d, ok := spec.Device.(*types.VirtualDisk)
		if !ok || spec.Operation == opRemove {
			continue
		}
		b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		if !ok {
			continue
		}
		if spec.FileOperation == fileNew {
			if err := s.createDisk(d, b); err != nil {
				return fileFault(b.FileName, err)
			}
		}
		info, err := vmdk.Read(s.path(b.FileName))
		if err != nil {
			return fileFault(b.FileName, err)
		}
		d.CapacityInKB, d.CapacityInBytes, b.Uuid = info.Capacity/1024, info.Capacity, plainUUID(info.UUID)
		if b.Parent != nil {
			b.Parent = s.backing(info.Parent, b.Parent)
		}
		changed = true
	}
	if changed {
		ctx.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: vm.Config.Hardware.Device}})
	}
	s.refreshDatastores()
	return nil
}

func (s *Server) createDisk(d *types.VirtualDisk, b *types.VirtualDiskFlatVer2BackingInfo) error {
	file := s.path(b.FileName)
	if b.Parent != nil {
		return vmdk.CreateChild(file, s.path(b.Parent.FileName))
	}
	return vmdk.CreateBase(file, d.CapacityInKB*1024)
}

// backing describes the parent chain of a disk as vSphere reports it.
func (s *Server) backing(file string, known *types.VirtualDiskFlatVer2BackingInfo) *types.VirtualDiskFlatVer2BackingInfo {
	chain, err := vmdk.Chain(file)
	if err != nil {
		return known
	}
	var b *types.VirtualDiskFlatVer2BackingInfo
	for i := len(chain) - 1; i >= 0; i-- {
		n := &types.VirtualDiskFlatVer2BackingInfo{DiskMode: string(types.VirtualDiskModePersistent), Uuid: plainUUID(chain[i].UUID), Parent: b}
		n.FileName, n.ThinProvisioned = s.datastorePath(chain[i].File), types.NewBool(true)
		b = n
	}
	return b
}

// plainUUID turns VMware's notation of a disk's identity into the common one.
func plainUUID(s string) string {
	var hex []byte
	for i := range len(s) {
		if s[i] != ' ' && s[i] != '-' {
			hex = append(hex, s[i])
		}
	}
	if len(hex) != 32 {
		return s
	}
	return fmt.Sprintf("%s-%s-%s-%s-%s", hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:])
}

// DestroyTask removes the VM, its disks and its home.
func (vm *labVM) DestroyTask(ctx *simulator.Context, _ *types.Destroy_Task) soap.HasFault {
	t := vm.task(ctx, "destroy", func() types.BaseMethodFault { return vm.lab.destroy(ctx, vm.VirtualMachine) })
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: t}}
}

// destroy runs with the VM's lock held. Only files that belong to the VM go; a home that holds
// anything else stays, as on vSphere.
func (s *Server) destroy(ctx *simulator.Context, vm *simulator.VirtualMachine) types.BaseMethodFault {
	return s.destroyBut(ctx, vm, nil)
}

// existing are the files of disks that a request did not ask to be made.
func existing(changes []types.BaseVirtualDeviceConfigSpec) map[string]bool {
	files := map[string]bool{}
	for _, c := range changes {
		spec := c.GetVirtualDeviceConfigSpec()
		if d, ok := spec.Device.(*types.VirtualDisk); ok && spec.FileOperation != fileNew {
			if b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				files[b.FileName] = true
			}
		}
	}
	return files
}

// destroyBut is destroy that leaves some disks.
func (s *Server) destroyBut(ctx *simulator.Context, vm *simulator.VirtualMachine, keep map[string]bool) types.BaseMethodFault {
	r := vm.UnregisterVM(ctx, &types.UnregisterVM{This: vm.Self})
	if f := r.Fault(); f != nil {
		if mf, ok := f.VimFault().(types.BaseMethodFault); ok {
			return mf
		}
		return &types.InvalidState{}
	}
	s.leaveGroups(ctx, vm.Self)
	home := filepath.Dir(s.path(vm.Config.Files.VmPathName))
	var errs []error
	for _, d := range vm.Config.Hardware.Device {
		switch x := d.(type) {
		case *types.VirtualDisk:
			if b, ok := x.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok && !keep[b.FileName] {
				errs = append(errs, vmdk.Delete(s.path(b.FileName)))
			}
		case *types.VirtualSerialPort:
			if b, ok := x.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
				if f := s.path(b.GetVirtualDeviceFileBackingInfo().FileName); filepath.Dir(f) == home {
					errs = append(errs, os.Remove(f))
				}
			}
		}
	}
	own := []string{s.path(vm.Config.Files.VmPathName), filepath.Join(home, "vmware.log")}
	// It has the VM's first name, also after a rename.
	nvram, _ := filepath.Glob(filepath.Join(home, "*.nvram"))
	for _, f := range append(own, nvram...) {
		errs = append(errs, os.Remove(f))
	}
	for _, err := range errs {
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.cfg.Log.Warn("file of a destroyed VM stays", "vm", vm.Name, "err", err)
		}
	}
	_ = os.Remove(home) // only when it is empty
	_ = os.RemoveAll(s.runDir(vm.Self))
	s.refreshDatastores()
	if s.cfg.Gone != nil {
		s.cfg.Gone(vm.Name)
	}
	return nil
}

// nextMAC gives out addresses of VMware's range for assigned addresses.
func (s *Server) nextMAC() string {
	n := s.macs.Add(1)
	return fmt.Sprintf("00:50:56:%02x:%02x:%02x", 0x80+(n>>16)&0x3f, n>>8&0xff, n&0xff)
}

// labDatacenter powers VMs on through our own path.
type labDatacenter struct {
	*simulator.Datacenter
	base
}

// PowerOnMultiVMTask powers several VMs on.
func (d *labDatacenter) PowerOnMultiVMTask(ctx *simulator.Context, req *types.PowerOnMultiVM_Task) soap.HasFault {
	t := simulator.CreateTask(d.Datacenter, "powerOnMultiVM", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		res := types.ClusterPowerOnVmResult{}
		for _, ref := range req.Vm {
			if t, ok := d.lab.powerOnTask(ref); ok {
				res.Attempted = append(res.Attempted, types.ClusterAttemptedVmInfo{Vm: ref, Task: &t})
			}
		}
		return res, nil
	}).Run(ctx)
	return &methods.PowerOnMultiVM_TaskBody{Res: &types.PowerOnMultiVM_TaskResponse{Returnval: t}}
}

// powerOnTask begins to power a VM on, in a context of its own.
func (s *Server) powerOnTask(ref types.ManagedObjectReference) (types.ManagedObjectReference, bool) {
	vm := s.vm(ref)
	if vm == nil {
		return ref, false
	}
	ctx := s.context()
	w := &labVM{VirtualMachine: vm, base: base{lab: s}}
	body, ok := w.PowerOnVMTask(ctx, &types.PowerOnVM_Task{This: ref}).(*methods.PowerOnVM_TaskBody)
	if !ok {
		return ref, false
	}
	return body.Res.Returnval, true
}
