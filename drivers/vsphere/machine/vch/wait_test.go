package vch

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/sdk/guest"
)

func TestAnEndpointIsJudgedByWhatItReports(t *testing.T) {
	const on, off = types.VirtualMachinePowerStatePoweredOn, types.VirtualMachinePowerStatePoweredOff
	addr := netip.MustParseAddr("192.0.2.7")
	status := func(state, message string) guest.Status { return guest.Status{State: state, Message: message} }
	for _, c := range []struct {
		name    string
		s       snapshot
		failing time.Duration // since when it has reported failures
		ready   bool
		err     string
	}{
		{"nothing yet", snapshot{power: on}, 0, false, ""},
		{"starting", snapshot{power: on, address: addr, status: status("starting", "")}, 0, false, ""},
		{"ready", snapshot{power: on, address: addr, status: status("ready", "")}, 0, true, ""},
		{"ready after failures", snapshot{power: on, address: addr, status: status("ready", "")}, time.Hour, true, ""},
		{"ready without an address", snapshot{power: on, status: status("ready", "")}, 0, false, ""},
		{"fails at first", snapshot{power: on, address: addr, status: status("failed", "no vCenter")}, time.Second, false, ""},
		{"fails for long", snapshot{power: on, address: addr, status: status("failed", "no vCenter")}, time.Minute, false, "no vCenter"},
		{"vicd has ended once", snapshot{power: on, address: addr,
			status: guest.Status{State: "starting", Services: map[string]string{"vicd": "exited 1"}}}, 0, false, ""},
		{"vicd ends again and again", snapshot{power: on, address: addr,
			status: guest.Status{State: "starting", Services: map[string]string{"vicd": "running"}}}, time.Minute, false, "no vCenter"},
		{"went off", snapshot{power: off}, 0, false, "poweredOff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &waiter{vm: object.NewVirtualMachine(nil, types.ManagedObjectReference{Value: "vm-1"}), port: 2376, iface: RolePublic, look: "look here"}
			if c.failing > 0 {
				w.failing, w.why = time.Now().Add(-c.failing), "no vCenter"
			}
			ready, err := w.judge(c.s)
			if (ready != nil) != c.ready || (err != nil) != (c.err != "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("ready %v, error %v", ready, err)
			}
			if c.name == "fails for long" && !strings.Contains(advice.Of(err), "look here") {
				t.Errorf("remedy %q", advice.Of(err))
			}
		})
	}
}

func TestProgressOfTheBootIsToldOnce(t *testing.T) {
	var buf bytes.Buffer
	w := &waiter{vm: object.NewVirtualMachine(nil, types.ManagedObjectReference{Value: "vm-1"}), log: progress.New(&buf)}
	s := snapshot{power: types.VirtualMachinePowerStatePoweredOn, address: netip.MustParseAddr("192.0.2.7"),
		status: guest.Status{State: "starting", Message: "waiting for vCenter", Services: map[string]string{"vicd": "running"}}}
	for range 3 {
		if _, err := w.judge(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"192.0.2.7", "waiting for vCenter", "service vicd: running"} {
		if strings.Count(buf.String(), want) != 1 {
			t.Errorf("want %q once in\n%s", want, buf.String())
		}
	}
}

func TestANetworkWithoutAddressIsToldOf(t *testing.T) {
	var buf bytes.Buffer
	w := &waiter{vm: object.NewVirtualMachine(nil, types.ManagedObjectReference{Value: "vm-1"}), log: progress.New(&buf), port: 2376,
		iface: RolePublic, asks: []string{RolePublic, RoleManagement}}
	s := snapshot{power: types.VirtualMachinePowerStatePoweredOn, address: netip.MustParseAddr("192.0.2.7"),
		addresses: "public=192.0.2.7,management=fe80::1", status: guest.Status{State: "ready"}}
	if ready, err := w.judge(s); err != nil || ready == nil {
		t.Fatalf("%v %v", ready, err)
	}
	if out := buf.String(); strings.Count(out, "warning") != 1 || !strings.Contains(out, "no address on the management network") ||
		!strings.Contains(out, "--management-network-ip") {
		t.Errorf("%s", out)
	}
}

func TestTheAddressOfAnInterface(t *testing.T) {
	for in, want := range map[string]string{
		"public=10.0.0.5": "10.0.0.5", "bridge=172.16.0.1,public=fe80::1,public=10.0.0.5": "10.0.0.5",
		"bridge=172.16.0.1": "invalid IP", "": "invalid IP", "public=,x": "invalid IP", "public=fd00::5": "fd00::5",
	} {
		if got := addressOf(in, RolePublic).String(); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestParseRecord(t *testing.T) {
	for _, bad := range []string{"", "vch1", "{}", `{"name":"a"}`, "{"} {
		if _, err := ParseRecord(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
	r, err := ParseRecord(`{"name":"a","id":"b","folder":"c"}`)
	if err != nil || r.Name != "a" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestARestartForANewConfigurationIsNoFailure(t *testing.T) {
	for state, failing := range map[string]bool{"exited 0": false, "exited 1": true} {
		s := snapshot{power: types.VirtualMachinePowerStatePoweredOn, address: netip.MustParseAddr("192.0.2.7"),
			status: guest.Status{State: "starting", Revision: "r", Services: map[string]string{"vicd": state}}}
		for _, revision := range []string{"", "r"} {
			w := &waiter{vm: object.NewVirtualMachine(nil, types.ManagedObjectReference{Value: "vm-1"}), revision: revision}
			if _, err := w.judge(s); err != nil {
				t.Errorf("%s: %v", state, err)
			}
			if want := failing || revision == "" && state == "exited 0"; w.failing.IsZero() == want {
				t.Errorf("%s of revision %q: failing since %v", state, revision, w.failing)
			}
		}
	}
}
