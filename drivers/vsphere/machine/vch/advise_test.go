package vch

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/sdk/guest"
)

// Each row is what an endpoint reported when it did not serve, and words of the advice that fits, and only that.
func TestAdviceFollowsTheCauseThatWasReported(t *testing.T) {
	plugin := func(text string) guest.Status {
		return guest.Status{State: "starting", Services: map[string]string{"vicd": "running"}, Message: "vicd: plugin vsphere is failed: configure: " + text}
	}
	words := map[string]string{"dns": "--dns-server", "reach": "cannot reach vCenter", "thumbprint": "--thumbprint", "account": "--ops-password",
		"grant": "--ops-grant-perms", "dhcp": "DHCP", "vm": "the endpoint VM itself",
		"service": "ends by itself", "plugin": "what plugin", "neutral": "does not say why"}
	for _, c := range []struct {
		name      string
		status    guest.Status
		noAddress bool
		want      string
	}{
		{"a disk was not found", guest.Status{State: "failed", Message: "state disk: scan SCSI target 0: open /sys/class/scsi_host/host0/scan: permission " +
			"denied"}, false, "vm"},
		{"a disk was not found, and no address yet", guest.Status{State: "failed", Message: "state disk: no disk"}, true, "vm"},
		{"vCenter's name is unknown", plugin("connect to vc: unavailable: Post \"https://vc/sdk\": dial tcp: lookup vc on 10.0.0.53:53: no such host"), false, "dns"},
		{"vCenter is not reached", plugin("connect to vc: unavailable: Post \"https://vc/sdk\": dial tcp 10.0.0.9:443: i/o timeout"), false, "reach"},
		{"vCenter went silent", plugin("vCenter vc:443 does not answer, since 2026-01-01 00:00:00 UTC"), false, "reach"},
		{"vCenter's certificate is another", plugin("connect to vc: permission denied: the server's certificate has the thumbprint AA, not BB: permission " +
			"denied"), false, "thumbprint"},
		{"wrong password", plugin("log in to vc as ops@x: Cannot complete login (InvalidLogin)"), false, "account"},
		{"a privilege is missing", plugin("find the pool: the vSphere account of this VCH lacks System.View on ResourcePool resgroup-1; an administrator " +
			"(NoPermission)"), false, "grant"},
		{"a plugin complains of its configuration", plugin("vsphere configuration: network.bridge.subnet: is missing: invalid argument"), false, "plugin"},
		{"vicd ends at once", guest.Status{State: "starting", Services: map[string]string{"vicd": "exited 1"}}, false, "service"},
		{"vicd ends, and an address is missing", guest.Status{State: "starting", Services: map[string]string{"vicd": "exited 1"}}, true, "service"},
		{"no DHCP server", guest.Status{State: "ready"}, true, "dhcp"},
		{"it starts and starts", guest.Status{State: "starting", Services: map[string]string{"vicd": "running"},
			Message: "vicd: the containers are being found"}, false, "neutral"},
		{"a name server of somebody else's", guest.Status{State: "starting", Message: "vicd: mirror: dial tcp: lookup mirror: no such host"}, false, "neutral"},
		{"nothing was reported", guest.Status{}, true, "neutral"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshot{power: types.VirtualMachinePowerStatePoweredOn, status: c.status}
			if !c.noAddress {
				s.address = netip.MustParseAddr("192.0.2.7")
			}
			w := &waiter{vm: object.NewVirtualMachine(nil, types.ManagedObjectReference{Value: "vm-1"}), iface: RolePublic, look: "look at console.log",
				failed: s, last: s}
			got := w.failureAdvice()
			for key, word := range words {
				if strings.Contains(got, word) != (key == c.want) {
					t.Errorf("advice %q, want that of %s", got, c.want)
				}
			}
			if c.want == "neutral" && !strings.Contains(got, "look at console.log") {
				t.Errorf("%q does not say where to look", got)
			}
		})
	}
}

func TestTheFirstFailureIsAdvisedAboutNotWhatFollowed(t *testing.T) {
	w := &waiter{vm: object.NewVirtualMachine(nil, types.ManagedObjectReference{Value: "vm-1"}), iface: RolePublic, look: "look"}
	on := snapshot{power: types.VirtualMachinePowerStatePoweredOn, address: netip.MustParseAddr("192.0.2.7")}
	broken, later := on, on
	broken.status = guest.Status{State: "failed", Message: "no disk"}
	later.status = guest.Status{State: "starting", Message: "vicd: plugin vsphere is failed: connect to vc: dial tcp: connection refused"}
	if _, err := w.judge(broken); err != nil {
		t.Fatal(err)
	}
	w.failing = time.Now().Add(-2 * patience)
	_, err := w.judge(later)
	if err == nil || !strings.Contains(err.Error(), "no disk") || !strings.Contains(advice.Of(err), "the endpoint VM itself") {
		t.Errorf("%v; advice %q", err, advice.Of(err))
	}
}

func TestATimeoutIsAdvisedAboutIfTheCauseIsKnown(t *testing.T) {
	known := snapshot{status: guest.Status{Message: "vicd: plugin vsphere is failed: log in to vc as ops: no (InvalidLogin)"}}
	for name, c := range map[string]struct {
		last snapshot
		want string
	}{"known": {known, "--ops-password"}, "unknown": {snapshot{}, ""}} {
		w := &waiter{last: c.last, look: "look"}
		got := w.cause(w.last).advice()
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
