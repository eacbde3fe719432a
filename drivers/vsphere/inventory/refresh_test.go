package inventory

import (
	"log/slog"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

// TestAReadThatIsOlderThanTheCollectorsChangeIsNotTaken: the collector would never say it again.
func TestAReadThatIsOlderThanTheCollectorsChangeIsNotTaken(t *testing.T) {
	const on, off = types.VirtualMachinePowerStatePoweredOn, types.VirtualMachinePowerStatePoweredOff
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-1"}
	i := New(nil, types.ManagedObjectReference{}, slog.New(slog.DiscardHandler))
	report := func(kind types.ObjectUpdateKind, s types.VirtualMachinePowerState) {
		i.apply([]types.ObjectUpdate{{Kind: kind, Obj: ref, ChangeSet: []types.PropertyChange{{Name: "runtime.powerState",
			Op: types.PropertyChangeOpAssign, Val: s}}}})
	}
	content := func(s types.VirtualMachinePowerState) []types.ObjectContent {
		return []types.ObjectContent{{Obj: ref, PropSet: []types.DynamicProperty{{Name: "runtime.powerState", Val: s}}}}
	}
	report(types.ObjectUpdateKindEnter, on)
	reads := 0
	err := i.refresh(ref, func() ([]types.ObjectContent, error) {
		if reads++; reads == 1 {
			report(types.ObjectUpdateKindModify, off)
			return content(on), nil
		}
		return content(off), nil
	})
	if m := i.machine(ref); err != nil || m == nil || m.State != off || reads != 2 {
		t.Errorf("%d reads, %+v, %v", reads, m, err)
	}
	err = i.refresh(ref, func() ([]types.ObjectContent, error) {
		i.apply([]types.ObjectUpdate{{Kind: types.ObjectUpdateKindLeave, Obj: ref}})
		if reads++; reads == 3 {
			return content(off), nil
		}
		return nil, nil
	})
	if m := i.machine(ref); err != nil || m != nil || reads != 4 {
		t.Errorf("a VM that went: %d reads, %+v, %v", reads, m, err)
	}
}
