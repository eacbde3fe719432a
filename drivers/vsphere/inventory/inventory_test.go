package inventory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/sdk/errdef"
)

// next returns the next event that ok accepts.
func next(t *testing.T, s *inventory.Subscription, ok func(inventory.Event) bool) inventory.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		e, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ok(e) {
			return e
		}
	}
}

func kind(k inventory.Kind) func(inventory.Event) bool {
	return func(e inventory.Event) bool { return e.Kind == k }
}

func TestOthersChangesAreSeenWithinASecond(t *testing.T) {
	v := vctest.New(t)
	id := vctest.ID()
	sub := v.Inv.Subscribe()
	defer sub.Close()
	if e := next(t, sub, func(inventory.Event) bool { return true }); e.Kind != inventory.Snapshot || len(e.Machines) != 0 {
		t.Errorf("first event %+v", e)
	}
	v.Container(t, id, v.Base, nil)
	if e := next(t, sub, kind(inventory.Put)); e.Machine.ID() != id || e.Machine.Dir() == "" || e.Machine.Layers()[0] != v.Base {
		t.Errorf("%+v", e.Machine)
	}
	task, err := v.VM(t, id).PowerOn(t.Context())
	vctest.Wait(t, task, err)
	begun := time.Now()
	next(t, sub, func(e inventory.Event) bool {
		return e.Kind == inventory.Put && e.Machine.State == types.VirtualMachinePowerStatePoweredOn
	})
	if d := time.Since(begun); d > time.Second {
		t.Errorf("seen after %s", d)
	}
	task, err = v.VM(t, id).PowerOff(t.Context())
	vctest.Wait(t, task, err)
	task, err = v.VM(t, id).Destroy(t.Context())
	vctest.Wait(t, task, err)
	if e := next(t, sub, kind(inventory.Remove)); e.Machine.ID() != id {
		t.Errorf("%+v", e.Machine)
	}
}

func TestAnotherLoginGivesANewSnapshot(t *testing.T) {
	v := vctest.New(t)
	id := vctest.ID()
	v.Container(t, id, v.Base, nil)
	sub := v.Inv.Subscribe()
	defer sub.Close()
	next(t, sub, kind(inventory.Snapshot))
	s, err := session.NewManager(v.Session.Client()).UserSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := session.NewManager(v.Client.Client).TerminateSession(t.Context(), []string{s.Key}); err != nil {
		t.Fatal(err)
	}
	m, _ := v.Inv.Get(id)
	if err := v.Inv.Refresh(t.Context(), m.Ref); err != nil { // any call logs in again
		t.Fatal(err)
	}
	if e := next(t, sub, kind(inventory.Snapshot)); len(e.Machines) != 1 || e.Machines[0].ID() != id {
		t.Errorf("%+v", e.Machines)
	}
}

func TestPoolThatIsNotThereIsAnErrorAtOnce(t *testing.T) {
	v := vctest.New(t)
	inv := inventory.New(v.Session, types.ManagedObjectReference{Type: "VirtualApp", Value: "resgroup-v999"}, v.Log)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	go inv.Run(ctx)
	if err := inv.WaitReady(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	} else if !errors.Is(err, errdef.ErrNotFound) && !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("class of %v", err)
	}
}

func TestSettleReadsTheVMWhenTheCollectorIsLate(t *testing.T) {
	v := vctest.New(t)
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-999"}
	begun := time.Now()
	if err := v.Inv.Settle(t.Context(), ref, func(m *inventory.Machine) bool { return m != nil }); err != nil {
		t.Error(err)
	}
	if d := time.Since(begun); d > 2*time.Second {
		t.Errorf("waited %s", d)
	}
}
