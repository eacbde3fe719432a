package vch

import (
	"context"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
)

// leaving has something happen before VMs that were listed are read.
type leaving struct {
	soap.RoundTripper
	before func()
}

func (l *leaving) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	if b, ok := req.(*methods.RetrievePropertiesExBody); ok && b.Req.SpecSet[0].ObjectSet[0].Obj.Type == "VirtualMachine" && l.before != nil {
		f := l.before
		l.before = nil
		f()
	}
	return l.RoundTripper.RoundTrip(ctx, req, res)
}

func TestAVCHThatIsRemovedWhileOthersAreListedIsNoError(t *testing.T) {
	s := simtest.New(t)
	made(t, s, ready)
	record := open(t, s).record
	folders, err := open(t, s).files.Datacenter.Folders(t.Context())
	must(t, err)
	pools, err := s.Finder().ResourcePoolList(t.Context(), "*/Resources")
	must(t, err)
	task, err := folders.VmFolder.CreateVM(t.Context(), types.VirtualMachineConfigSpec{Name: "vch2", GuestId: "otherGuest",
		Files:       &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
		ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: RecordKey, Value: strings.ReplaceAll(record, "vch1", "vch2")}}}, pools[0], nil)
	must(t, err)
	info, err := task.WaitForResult(t.Context())
	must(t, err)
	other := object.NewVirtualMachine(s.Session.Client(), info.Result.(types.ManagedObjectReference))
	if all, err := endpoints(t.Context(), s.Session); err != nil || len(all) != 2 {
		t.Fatalf("%d VCHs, %v", len(all), err)
	}
	s.Session.Client().RoundTripper = &leaving{s.Session.Client().RoundTripper, func() { destroy(t, other) }}
	if all, err := endpoints(t.Context(), s.Session); err != nil || len(all) != 1 || all[0].Record.Name != "vch1" {
		t.Errorf("%d VCHs, %v", len(all), err)
	}
}

func destroy(t *testing.T, vm *object.VirtualMachine) {
	t.Helper()
	task, err := vm.Destroy(t.Context())
	must(t, err)
	must(t, task.Wait(t.Context()))
}
