package vsphere

import (
	"context"
	"path/filepath"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	poweredOn  = types.VirtualMachinePowerStatePoweredOn
	poweredOff = types.VirtualMachinePowerStatePoweredOff
)

// haltRequest asks the guest to shut down; sdk/guest documents it with RPCIPort.
const haltRequest = "tclo OS_Halt"

// labVM is a VM that runs.
type labVM struct {
	*simulator.VirtualMachine
	base
}

func (vm *labVM) task(ctx *simulator.Context, name string, f func() types.BaseMethodFault) types.ManagedObjectReference {
	return simulator.CreateTask(vm.VirtualMachine, name, func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, f()
	}).Run(ctx)
}

// PowerOnVMTask starts the VM.
func (vm *labVM) PowerOnVMTask(ctx *simulator.Context, _ *types.PowerOnVM_Task) soap.HasFault {
	t := vm.task(ctx, "powerOn", func() types.BaseMethodFault { return vm.powerOn(ctx) })
	return &methods.PowerOnVM_TaskBody{Res: &types.PowerOnVM_TaskResponse{Returnval: t}}
}

// powerOn runs with the VM's lock held by ctx.
func (vm *labVM) powerOn(ctx *simulator.Context) types.BaseMethodFault {
	if vm.Runtime.PowerState == poweredOn {
		return powerFault(poweredOn, vm.Runtime.PowerState)
	}
	m, err := vm.lab.run(vm.VirtualMachine)
	if err != nil {
		vm.lab.cfg.Log.Warn("power on failed", "vm", vm.Name, "err", err)
		return startFault(err)
	}
	body, ok := vm.VirtualMachine.PowerOnVMTask(ctx, &types.PowerOnVM_Task{This: vm.Self}).(*methods.PowerOnVM_TaskBody)
	if !ok || body.Fault_ != nil {
		vm.lab.kill(vm.Self)
		return &types.InvalidState{}
	}
	if _, f := await(ctx, body.Res.Returnval); f != nil {
		vm.lab.kill(vm.Self)
		return f
	}
	ctx.Update(vm.VirtualMachine, []types.PropertyChange{{Name: "runtime.bootTime", Val: time.Now()}})
	go vm.lab.watch(vm.Self, m)
	return nil
}

// run starts the VM's process.
func (s *Server) run(vm *simulator.VirtualMachine) (*running, error) {
	spec, err := s.spec(vm)
	if err != nil {
		return nil, err
	}
	m, err := s.cfg.Start(context.Background(), spec)
	if err != nil {
		return nil, err
	}
	r := newRunning(m, spec)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machines[vm.Self] = r
	return r, nil
}

// watch waits for the process to end: a guest that halts by itself becomes poweredOff.
func (s *Server) watch(ref types.ManagedObjectReference, m *running) {
	<-m.Done()
	s.mu.Lock()
	mine := s.machines[ref] == m
	if mine {
		delete(s.machines, ref)
	}
	s.mu.Unlock()
	vm := s.vm(ref)
	if vm == nil || !mine || s.stopping.Load() {
		return
	}
	s.cfg.Log.Info("machine stopped", "vm", m.name, "cause", m.Cause())
	ctx := s.context()
	ctx.WithLock(vm, func() {
		if vm.Runtime.PowerState == poweredOn && s.machine(ref) == nil {
			s.setOff(ctx, vm)
		}
	})
}

// setOff makes the VM poweredOff in the inventory, with its events; ctx holds the VM's lock.
func (s *Server) setOff(ctx *simulator.Context, vm *simulator.VirtualMachine) types.BaseMethodFault {
	body, ok := vm.PowerOffVMTask(ctx, &types.PowerOffVM_Task{This: vm.Self}).(*methods.PowerOffVM_TaskBody)
	if !ok {
		return &types.InvalidState{}
	}
	_, f := await(ctx, body.Res.Returnval)
	if f == nil {
		setTools(ctx, vm, false, "")
		ctx.Update(vm, []types.PropertyChange{{Name: "runtime.bootTime"}})
	}
	return f
}

// kill ends the VM's process, if it has one.
func (s *Server) kill(ref types.ManagedObjectReference) {
	s.mu.Lock()
	m := s.machines[ref]
	delete(s.machines, ref)
	s.mu.Unlock()
	if m != nil {
		m.Kill()
	}
}

// PowerOffVMTask pulls the plug.
func (vm *labVM) PowerOffVMTask(ctx *simulator.Context, _ *types.PowerOffVM_Task) soap.HasFault {
	t := vm.task(ctx, "powerOff", func() types.BaseMethodFault { return vm.powerOff(ctx) })
	return &methods.PowerOffVM_TaskBody{Res: &types.PowerOffVM_TaskResponse{Returnval: t}}
}

func (vm *labVM) powerOff(ctx *simulator.Context) types.BaseMethodFault {
	if vm.Runtime.PowerState == poweredOff {
		return powerFault(poweredOff, poweredOff)
	}
	vm.lab.kill(vm.Self)
	return vm.lab.setOff(ctx, vm.VirtualMachine)
}

// ResetVMTask presses the reset button; the guest boots again from the same process.
func (vm *labVM) ResetVMTask(ctx *simulator.Context, _ *types.ResetVM_Task) soap.HasFault {
	t := vm.task(ctx, "reset", func() types.BaseMethodFault {
		m := vm.lab.machine(vm.Self)
		if m == nil {
			return powerFault(poweredOn, vm.Runtime.PowerState)
		}
		vm.lab.post(ctx, &types.VmResettingEvent{VmEvent: vm.lab.vmEvent(ctx, vm.VirtualMachine)})
		if err := m.Reset(); err != nil {
			return systemFault(err)
		}
		setTools(ctx, vm.VirtualMachine, false, "")
		ctx.Update(vm.VirtualMachine, []types.PropertyChange{{Name: "runtime.bootTime", Val: time.Now()},
			{Name: "summary.runtime.bootTime", Val: time.Now()}})
		return nil
	})
	return &methods.ResetVM_TaskBody{Res: &types.ResetVM_TaskResponse{Returnval: t}}
}

// SuspendVMTask is refused: the lab does not save memory.
func (vm *labVM) SuspendVMTask(ctx *simulator.Context, _ *types.SuspendVM_Task) soap.HasFault {
	t := vm.task(ctx, "suspend", func() types.BaseMethodFault { return &types.NotSupported{} })
	return &methods.SuspendVM_TaskBody{Res: &types.SuspendVM_TaskResponse{Returnval: t}}
}

// ShutdownGuest asks the guest; the state changes when the guest has done it.
func (vm *labVM) ShutdownGuest(ctx *simulator.Context, _ *types.ShutdownGuest) soap.HasFault {
	r := &methods.ShutdownGuestBody{}
	if f := vm.ask(haltRequest); f != nil {
		r.Fault_ = simulator.Fault("", f)
		return r
	}
	vm.lab.post(ctx, &types.VmGuestShutdownEvent{VmEvent: vm.lab.vmEvent(ctx, vm.VirtualMachine)})
	r.Res = &types.ShutdownGuestResponse{}
	return r
}

// RebootGuest asks the guest to reboot.
func (vm *labVM) RebootGuest(ctx *simulator.Context, _ *types.RebootGuest) soap.HasFault {
	r := &methods.RebootGuestBody{}
	if f := vm.ask("tclo OS_Reboot"); f != nil {
		r.Fault_ = simulator.Fault("", f)
		return r
	}
	vm.lab.post(ctx, &types.VmGuestRebootEvent{VmEvent: vm.lab.vmEvent(ctx, vm.VirtualMachine)})
	r.Res = &types.RebootGuestResponse{}
	return r
}

// ask tells the guest something that only VMware Tools can do.
func (vm *labVM) ask(line string) types.BaseMethodFault {
	m := vm.lab.machine(vm.Self)
	if m == nil {
		return powerFault(poweredOn, vm.Runtime.PowerState)
	}
	if vm.Guest.ToolsRunningStatus != string(types.VirtualMachineToolsRunningStatusGuestToolsRunning) {
		return &types.ToolsUnavailable{}
	}
	if err := m.Tell(line); err != nil {
		return systemFault(err)
	}
	return nil
}

// vmEvent fills what the events of a VM have in common.
func (s *Server) vmEvent(ctx *simulator.Context, vm *simulator.VirtualMachine) types.VmEvent {
	e := types.VmEvent{Event: types.Event{
		Vm: &types.VmEventArgument{EntityEventArgument: types.EntityEventArgument{Name: vm.Name}, Vm: vm.Self}}}
	if h, ok := ctx.Map.Get(*vm.Runtime.Host).(*simulator.HostSystem); ok {
		e.Host = &types.HostEventArgument{EntityEventArgument: types.EntityEventArgument{Name: h.Name}, Host: h.Self}
	}
	if dc, ok := ctx.Map.Any("Datacenter").(*simulator.Datacenter); ok {
		e.Datacenter = &types.DatacenterEventArgument{EntityEventArgument: types.EntityEventArgument{Name: dc.Name}, Datacenter: dc.Self}
	}
	return e
}

func (s *Server) post(ctx *simulator.Context, e types.BaseEvent) {
	em := ctx.Map.EventManager()
	ctx.WithLock(em, func() { em.PostEvent(ctx, &types.PostEvent{EventToPost: e}) })
}

// runDir is where a VM's process keeps its log and scratch files.
func (s *Server) runDir(ref types.ManagedObjectReference) string {
	return filepath.Join(s.cfg.Dir, "run", ref.Value)
}
