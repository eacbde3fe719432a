package guest

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestSCSITargetsLeaveOutTheControllers(t *testing.T) {
	seen := map[int]bool{}
	for i := range MaxDisks {
		target := SCSITarget(i)
		if target == 7 || target < 0 || target > 15 || seen[target] {
			t.Errorf("disk %d at target %d", i, target)
		}
		seen[target] = true
	}
}

func TestConfigIsOneLineAndComesBack(t *testing.T) {
	in := Config{Version: 1, ID: "c0ffee", Process: Process{Args: []string{"sh", "-c", "echo a\necho b"}},
		Networks: []Network{{Name: "bridge", MAC: "00:50:56:00:00:01", Addresses: []netip.Prefix{netip.MustParsePrefix("172.16.0.2/16")},
			Gateway: netip.MustParseAddr("172.16.0.1")}}}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(string(b), "\r\n") {
		t.Fatalf("a guestinfo value must be one line: %s", b)
	}
	var out Config
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(in, out) {
		t.Fatalf("%+v came back as %+v", in, out)
	}
}
