package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	ours "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

func TestFaultsBecomeClassesWithTheirText(t *testing.T) {
	soapFault := func(f types.AnyType, text string) error {
		x := &soap.Fault{Code: "ServerFaultCode", String: text}
		x.Detail.Fault = f
		return soap.WrapSoapFault(x)
	}
	taskFault := func(f types.BaseMethodFault, text string) error {
		return task.Error{LocalizedMethodFault: &types.LocalizedMethodFault{Fault: f, LocalizedMessage: text}}
	}
	for _, tc := range []struct {
		name  string
		err   error
		class error
		text  string
	}{
		{"not there", soapFault(types.ManagedObjectNotFound{}, "gone"), errdef.ErrNotFound, "gone"},
		{"taken", taskFault(&types.DuplicateName{Name: "web"}, ""), errdef.ErrExists, "web"},
		{"full", taskFault(&types.NoDiskSpace{Datastore: "ds1"}, "no space"), errdef.ErrExhausted, "ds1"},
		{"state", taskFault(&types.InvalidPowerState{ExistingState: "poweredOn"}, ""), errdef.ErrConflict, "poweredOn"},
		{"privilege", soapFault(types.NoPermission{PrivilegeId: "VirtualMachine.Config"}, ""), errdef.ErrDenied, "VirtualMachine.Config"},
		{"privileges", soapFault(types.NoPermission{PrivilegeId: "Network.Assign", MissingPrivileges: []types.NoPermissionEntityPrivileges{{
			Entity: types.ManagedObjectReference{Type: "Network", Value: "network-7"}, PrivilegeIds: []string{"Network.Assign"}}}}, "Permission denied"),
			errdef.ErrDenied, "lacks Network.Assign on Network network-7; "},
		{"tools", soapFault(types.ToolsUnavailable{}, ""), errdef.ErrUnsupported, "ToolsUnavailable"},
		{"unknown", taskFault(&types.CannotMoveVmWithDeltaDisk{}, "no"), errdef.ErrInternal, "CannotMoveVmWithDeltaDisk"},
		{"context", context.Canceled, context.Canceled, "canceled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := ours.Error("do it", tc.err)
			if !errors.Is(err, tc.class) || !strings.Contains(err.Error(), tc.text) || !strings.HasPrefix(err.Error(), "do it: ") {
				t.Errorf("got %q, want %v and %q in it", err, tc.class, tc.text)
			}
			if classified := ours.Classify(tc.err); tc.class != errdef.ErrInternal && !errors.Is(classified, tc.class) {
				t.Errorf("classified it is %v", classified)
			}
			if again := ours.Error("outer", err); !errors.Is(again, tc.class) {
				t.Errorf("wrapped again it is %v", again)
			}
		})
	}
	if ours.Error("x", nil) != nil || ours.Classify(nil) != nil {
		t.Error("nil became an error")
	}
	unknown := taskFault(&types.CannotMoveVmWithDeltaDisk{}, "no")
	if err := ours.Classify(unknown); err.Error() != unknown.Error() {
		t.Errorf("a fault without a class became %v", err)
	}
	off := fmt.Errorf("power off: %w", ours.Classify(taskFault(&types.InvalidPowerState{}, "")))
	if !ours.Is(off, &types.InvalidPowerState{}) || ours.Is(off, &types.TaskInProgress{}) {
		t.Errorf("the fault is not found in %v any more", off)
	}
}

func TestWrongPasswordAndThumbprintAreDenied(t *testing.T) {
	v := vctest.New(t)
	c := v.Config.VCenter
	c.Password = "wrong"
	if _, err := ours.Open(t.Context(), c, v.Log); !errors.Is(err, errdef.ErrDenied) || !strings.Contains(err.Error(), "configure --ops-user") {
		t.Errorf("wrong password: %v", err)
	}
	c = v.Config.VCenter
	if c.Thumbprint == "" {
		t.Fatal("the simulator has no TLS")
	}
	c.Thumbprint = "SHA-1 " + strings.Repeat("00:11:22:33:", 5)
	if _, err := ours.Open(t.Context(), c, v.Log); !errors.Is(err, errdef.ErrDenied) || !strings.Contains(err.Error(), "00:11:22") {
		t.Errorf("wrong thumbprint: %v", err)
	}
	c.Thumbprint = "SHA-1 00:11:22"
	if _, err := ours.Open(t.Context(), c, v.Log); !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), "vcenter.thumbprint") {
		t.Errorf("no thumbprint at all: %v", err)
	}
	c.Thumbprint = ""
	if _, err := ours.Open(t.Context(), c, v.Log); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("unknown authority: %v", err)
	}
	c.URL = "https://127.0.0.1:1/sdk"
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ours.Open(ctx, c, v.Log); err == nil {
		t.Error("opened without a server")
	}
}

// logout ends the driver's session behind its back.
func logout(t *testing.T, v *vctest.VCenter) {
	t.Helper()
	s, err := session.NewManager(v.Session.Client()).UserSession(t.Context())
	if err != nil || s == nil {
		t.Fatal(err)
	}
	if err := session.NewManager(v.Client.Client).TerminateSession(t.Context(), []string{s.Key}); err != nil {
		t.Fatal(err)
	}
}

func TestExpiredSessionIsLoggedInAgain(t *testing.T) {
	v := vctest.New(t)
	before := v.Session.Generation()
	logout(t, v)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			vm := object.NewVirtualMachine(v.Session.Client(), types.ManagedObjectReference{Type: "VirtualMachine", Value: v.Config.VCH.EndpointVM})
			if _, err := vm.PowerState(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := v.Session.Generation(); got != before+1 {
		t.Errorf("logged in %d times, want once", got-before)
	}
}

func TestTaskThatFindsTheObjectBusyIsTriedAgain(t *testing.T) {
	v := vctest.New(t)
	tries := 0
	_, err := v.Session.Run(t.Context(), "power on", func(ctx context.Context) (types.ManagedObjectReference, error) {
		if tries++; tries < 3 {
			return types.ManagedObjectReference{}, task.Error{LocalizedMethodFault: &types.LocalizedMethodFault{Fault: &types.TaskInProgress{}}}
		}
		res, err := methods.PowerOnVM_Task(ctx, v.Session.Client(), &types.PowerOnVM_Task{
			This: types.ManagedObjectReference{Type: "VirtualMachine", Value: v.Config.VCH.EndpointVM}})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
}
