package compute

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
)

func TestVMNames(t *testing.T) {
	id := "0123456789abcdef0123"
	for _, tc := range []struct {
		pattern, name string
		n             int
		want          string
	}{
		{"{name}-{short}", "web", 1, "web-0123456789ab"},
		{"{name}-{short}", "/web", 2, "web-0123456789ab-2"},
		{"prod {id}", "web", 1, "prod 0123456789abcdef0123"},
		{"{name}-{short}", "a/b%c", 1, "a-b-c-0123456789ab"},
		{"{name}-{short}", strings.Repeat("x", 200), 1, strings.Repeat("x", 67) + "-0123456789ab"},
		{"{name}-{short}", "", 1, "-0123456789ab"},
	} {
		if got := vmName(tc.pattern, tc.name, id, tc.n); got != tc.want {
			t.Errorf("%q %q %d: got %q, want %q", tc.pattern, tc.name, tc.n, got, tc.want)
		}
	}
}

func TestRandomMACsAreInTheRangeForPeople(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		s := RandomMAC()
		m, err := net.ParseMAC(s)
		if err != nil || !strings.HasPrefix(s, "00:50:56:") || m[3] > 0x3f {
			t.Fatalf("%s, %v", s, err)
		}
		seen[s] = true
	}
	if len(seen) < 190 {
		t.Errorf("only %d of 200 differ", len(seen))
	}
}

func TestWhatCannotBeAttachedIsInvalid(t *testing.T) {
	good := compute.CreateRequest{ID: "a", CPUs: 1, MemoryMB: 64}
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*compute.CreateRequest){
		"no memory":   func(r *compute.CreateRequest) { r.MemoryMB = 0 },
		"no CPU":      func(r *compute.CreateRequest) { r.CPUs = 0 },
		"disk kind":   func(r *compute.CreateRequest) { r.Disks = []device.Disk{{Kind: "qcow2", Locator: "[ds] a"}} },
		"disk path":   func(r *compute.CreateRequest) { r.Disks = []device.Disk{{Kind: device.KindVMDK, Locator: "a.vmdk"}} },
		"many disks":  func(r *compute.CreateRequest) { r.Disks = make([]device.Disk, 16) },
		"network":     func(r *compute.CreateRequest) { r.NICs = []device.NIC{{Kind: "tap"}} },
		"MAC address": func(r *compute.CreateRequest) { r.NICs = []device.NIC{{Kind: device.KindPortgroup, MAC: "x"}} },
	} {
		r := good
		change(&r)
		if err := check(r); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
