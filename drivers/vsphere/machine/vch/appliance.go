package vch

import (
	"context"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
)

// Appliance is a VM that runs services under the tether, of this package's or another's: an endpoint or a hub.
type Appliance struct {
	VM    *object.VirtualMachine
	Port  int    // that clients use
	Iface string // whose address they use
	DHCP  bool   // that address comes from a DHCP server
	Look  string // where people find out more about a failure: a part of a sentence
}

// WaitServing waits until an appliance reports that it serves, and tells what happens meanwhile.
func WaitServing(ctx context.Context, s *session.Session, a Appliance, log *progress.Log) (*Ready, error) {
	w := &waiter{client: s.Client(), vm: a.VM, log: log, port: a.Port, iface: a.Iface, look: a.Look}
	if a.DHCP {
		w.asks = []string{a.Iface}
	}
	return w.wait(ctx)
}

// ApplianceState is what an appliance says of itself.
type ApplianceState struct {
	On      bool
	State   string // "ready", "starting", "failed", "powered off"
	Message string
	Address string // of the interface that was asked for; empty: none
}

// StateOf reads what an appliance says of itself.
func StateOf(ctx context.Context, s *session.Session, vm types.ManagedObjectReference, iface string) (ApplianceState, error) {
	snap, err := readSnapshot(ctx, s.Client(), vm, iface)
	if err != nil {
		return ApplianceState{}, vsphere.Classify(err)
	}
	out := ApplianceState{On: snap.power == types.VirtualMachinePowerStatePoweredOn}
	out.State, out.Message = stateOf(snap)
	if out.On && snap.address.IsValid() {
		out.Address = snap.address.String()
	}
	return out, nil
}

// Detach takes the disks out of a VM that do not lie in its home: what vSphere shall not delete with the VM.
func Detach(ctx context.Context, vm *object.VirtualMachine) error { return detach(ctx, vm) }

// FilesByName finds a datastore in a datacenter (managed object id); empty: in any of the session's. errdef.ErrNotFound.
func FilesByName(ctx context.Context, s *session.Session, datacenter, name string) (session.Files, error) {
	return filesByName(ctx, s, datacenter, name)
}

// PowerOff switches a VM off; one that is off is well.
func PowerOff(ctx context.Context, vm *object.VirtualMachine) error {
	var m mo.VirtualMachine
	if err := property.DefaultCollector(vm.Client()).RetrieveOne(ctx, vm.Reference(), []string{"runtime.powerState"}, &m); err != nil {
		return vsphere.Classify(err)
	}
	if m.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOff {
		return nil
	}
	task, err := vm.PowerOff(ctx)
	if err = session.Wait(ctx, task, err); vsphere.Is(err, &types.InvalidPowerState{}) {
		return nil
	}
	return err
}
