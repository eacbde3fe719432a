package vsphere

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// labVApp adds what the simulator's vApp lacks.
//
// It opts out of the lock that a call holds on its target (Lock and Unlock do nothing): creating a
// VM locks the folder and then the pool, so a call that came with the vApp locked and then waited
// for the folder would block for ever when two came at once.
type labVApp struct {
	*simulator.VirtualApp
	base
}

// Lock does nothing; see labVApp.
func (a *labVApp) Lock() {}

// Unlock does nothing; see labVApp.
func (a *labVApp) Unlock() {}

// task runs f without a lock on the vApp; f locks what it touches. Calls on one vApp run one after
// another.
func (a *labVApp) task(ctx *simulator.Context, name string, f func() types.BaseMethodFault) types.ManagedObjectReference {
	queue := types.ManagedObjectReference{Type: a.Self.Type, Value: a.Self.Value + "-tasks"}
	return simulator.CreateTask(queue, name, func(t *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		self := a.Self
		ctx.WithLock(t, func() { t.Info.Entity, t.Info.EntityName = &self, a.Name })
		return nil, f()
	}).Run(ctx)
}

// CreateChildVMTask creates a VM in the vApp.
func (a *labVApp) CreateChildVMTask(ctx *simulator.Context, req *types.CreateChildVM_Task) soap.HasFault {
	r := &methods.CreateChildVM_TaskBody{}
	folder, ok := ctx.Map.Get(*a.ParentFolder).(*simulator.Folder)
	if !ok {
		r.Fault_ = simulator.Fault("", &types.ManagedObjectNotFound{Obj: *a.ParentFolder})
		return r
	}
	f := &labFolder{Folder: folder, base: base{lab: a.lab}}
	res, ok := f.CreateVMTask(ctx, &types.CreateVM_Task{This: folder.Self, Config: req.Config, Host: req.Host, Pool: a.Self}).(*methods.CreateVM_TaskBody)
	if !ok {
		r.Fault_ = simulator.Fault("", &types.InvalidState{})
		return r
	}
	r.Res = &types.CreateChildVM_TaskResponse{Returnval: res.Res.Returnval}
	return r
}

// children lists the VMs of the vApp.
func (a *labVApp) children(ctx *simulator.Context) []*labVM {
	var refs []types.ManagedObjectReference
	ctx.WithLock(a.VirtualApp, func() { refs = append(refs, a.Vm...) })
	var l []*labVM
	for _, ref := range refs {
		if vm := a.lab.vm(ref); vm != nil {
			l = append(l, &labVM{VirtualMachine: vm, base: base{lab: a.lab}})
		}
	}
	return l
}

// each calls f for each VM with its lock held; the first fault ends it.
func (a *labVApp) each(ctx *simulator.Context, f func(*labVM) types.BaseMethodFault) types.BaseMethodFault {
	for _, vm := range a.children(ctx) {
		var flt types.BaseMethodFault
		ctx.WithLock(vm.VirtualMachine, func() { flt = f(vm) })
		if flt != nil {
			return flt
		}
	}
	return nil
}

// PowerOnVAppTask powers on the VMs that are off.
func (a *labVApp) PowerOnVAppTask(ctx *simulator.Context, _ *types.PowerOnVApp_Task) soap.HasFault {
	t := a.task(ctx, "powerOnVApp", func() types.BaseMethodFault {
		f := a.each(ctx, func(vm *labVM) types.BaseMethodFault {
			if vm.Runtime.PowerState == poweredOn {
				return nil
			}
			return vm.powerOn(ctx)
		})
		if f == nil {
			a.setState(ctx, types.VirtualAppVAppStateStarted)
		}
		return f
	})
	return &methods.PowerOnVApp_TaskBody{Res: &types.PowerOnVApp_TaskResponse{Returnval: t}}
}

// PowerOffVAppTask powers off the VMs that are on.
func (a *labVApp) PowerOffVAppTask(ctx *simulator.Context, _ *types.PowerOffVApp_Task) soap.HasFault {
	t := a.task(ctx, "powerOffVApp", func() types.BaseMethodFault {
		f := a.each(ctx, func(vm *labVM) types.BaseMethodFault {
			if vm.Runtime.PowerState == poweredOff {
				return nil
			}
			return vm.powerOff(ctx)
		})
		if f == nil {
			a.setState(ctx, types.VirtualAppVAppStateStopped)
		}
		return f
	})
	return &methods.PowerOffVApp_TaskBody{Res: &types.PowerOffVApp_TaskResponse{Returnval: t}}
}

func (a *labVApp) setState(ctx *simulator.Context, st types.VirtualAppVAppState) {
	ctx.WithLock(a.VirtualApp, func() {
		s := &types.VirtualAppSummary{}
		if old, ok := a.Summary.(*types.VirtualAppSummary); ok {
			*s = *old
		} else if a.Summary != nil {
			s.ResourcePoolSummary = *a.Summary.GetResourcePoolSummary()
		}
		s.VAppState, s.Name = st, a.Name
		ctx.Update(a.VirtualApp, []types.PropertyChange{{Name: "summary", Val: s}})
	})
}

// UpdateVAppConfig changes the annotation and the products; the lab ignores the start order.
func (a *labVApp) UpdateVAppConfig(ctx *simulator.Context, req *types.UpdateVAppConfig) soap.HasFault {
	ctx.WithLock(a.VirtualApp, func() {
		c := types.VAppConfigInfo{}
		if a.VAppConfig != nil {
			c = *a.VAppConfig
		}
		if req.Spec.Annotation != "" {
			c.Annotation = req.Spec.Annotation
		}
		ctx.Update(a.VirtualApp, []types.PropertyChange{{Name: "vAppConfig", Val: &c}})
	})
	return &methods.UpdateVAppConfigBody{Res: &types.UpdateVAppConfigResponse{}}
}

// DestroyTask removes the vApp with its VMs, all of which must be off.
func (a *labVApp) DestroyTask(ctx *simulator.Context, req *types.Destroy_Task) soap.HasFault {
	t := a.task(ctx, "destroy", func() types.BaseMethodFault {
		f := a.each(ctx, func(vm *labVM) types.BaseMethodFault {
			if vm.Runtime.PowerState != poweredOff {
				return powerFault(poweredOff, vm.Runtime.PowerState)
			}
			return nil
		})
		if f == nil {
			f = a.each(ctx, func(vm *labVM) types.BaseMethodFault { return a.lab.destroy(ctx, vm.VirtualMachine) })
		}
		if f != nil {
			return f
		}
		body, ok := a.VirtualApp.DestroyTask(ctx, req).(*methods.Destroy_TaskBody)
		if !ok {
			return &types.InvalidState{}
		}
		if _, f = await(ctx, body.Res.Returnval); f == nil {
			a.lab.outOfFolder(ctx, a.Self, a.ParentFolder)
		}
		return f
	})
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: t}}
}

// CreateVApp makes a vApp in the vApp.
func (a *labVApp) CreateVApp(ctx *simulator.Context, req *types.CreateVApp) (res soap.HasFault) {
	ctx.WithLock(a.VirtualApp, func() { res = a.VirtualApp.CreateVApp(ctx, req) })
	a.lab.intoFolder(ctx, res)
	a.lab.bound(ctx)
	return res
}

// labPool shows vApps in their VM folder, as vCenter does. It opts out of the call's lock for the
// reason that labVApp gives.
type labPool struct {
	*simulator.ResourcePool
	base
}

// Lock does nothing; see labVApp.
func (p *labPool) Lock() {}

// Unlock does nothing; see labVApp.
func (p *labPool) Unlock() {}

// CreateVApp makes a vApp.
func (p *labPool) CreateVApp(ctx *simulator.Context, req *types.CreateVApp) (res soap.HasFault) {
	if p.lab.cfg.ESX {
		return &methods.CreateVAppBody{Fault_: simulator.Fault("", &types.NotSupported{})} // vApps are vCenter's
	}
	ctx.WithLock(p.ResourcePool, func() { res = p.ResourcePool.CreateVApp(ctx, req) })
	p.lab.intoFolder(ctx, res)
	p.lab.bound(ctx)
	return res
}

// CreateResourcePool makes a pool, with the lock that the call does not have.
func (p *labPool) CreateResourcePool(ctx *simulator.Context, req *types.CreateResourcePool) (res soap.HasFault) {
	ctx.WithLock(p.ResourcePool, func() { res = p.ResourcePool.CreateResourcePool(ctx, req) })
	p.lab.bound(ctx)
	return res
}

// UpdateConfig changes the pool, with the lock that the call does not have.
func (p *labPool) UpdateConfig(ctx *simulator.Context, req *types.UpdateConfig) (res soap.HasFault) {
	ctx.WithLock(p.ResourcePool, func() { res = p.ResourcePool.UpdateConfig(ctx, req) })
	p.lab.bound(ctx)
	return res
}

// UpdateConfig is labPool's.
func (a *labVApp) UpdateConfig(ctx *simulator.Context, req *types.UpdateConfig) (res soap.HasFault) {
	pool := &simulator.ResourcePool{}
	ctx.WithLock(a.VirtualApp, func() {
		pool.ResourcePool = a.VirtualApp.VirtualApp.ResourcePool
		res = pool.UpdateConfig(ctx, req)
		a.Name, a.Config = pool.Name, pool.Config
	})
	a.lab.bound(ctx)
	return res
}

// intoFolder lists a new vApp in its folder.
func (s *Server) intoFolder(ctx *simulator.Context, res soap.HasFault) {
	b, ok := res.(*methods.CreateVAppBody)
	if !ok || b.Res == nil {
		return
	}
	a, ok := s.reg.Get(b.Res.Returnval).(*simulator.VirtualApp)
	if !ok || a.ParentFolder == nil {
		return
	}
	if f, ok := s.reg.Get(*a.ParentFolder).(*simulator.Folder); ok {
		ctx.Map.AddReference(ctx, f, &f.ChildEntity, a.Self)
	}
}

func (s *Server) outOfFolder(ctx *simulator.Context, ref types.ManagedObjectReference, folder *types.ManagedObjectReference) {
	if folder == nil {
		return
	}
	if f, ok := s.reg.Get(*folder).(*simulator.Folder); ok {
		ctx.Map.RemoveReference(ctx, f, &f.ChildEntity, ref)
	}
}
