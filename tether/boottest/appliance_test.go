package boottest

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest"
)

const script = `#!/bin/sh
n=$(cat /data/boots 2>/dev/null); echo $((n+1)) > /data/boots
echo "boots $(cat /data/boots) host $(hostname) forward $(cat /proc/sys/net/ipv4/ip_forward)"
ip addr show public
cat /etc/resolv.conf
[ $((n+1)) -lt 2 ] && exit 9
trap 'echo stopping; exit 0' TERM
while :; do sleep 0.1; done
`

func TestApplianceLife(t *testing.T) {
	needs(t)
	disk := filepath.Join(t.TempDir(), "blank")
	if err := os.Truncate(createFile(t, disk), 64<<20); err != nil {
		t.Fatal(err)
	}
	c := guest.Config{Version: 1, ID: "vch", Hostname: "vch1",
		Networks: []guest.Network{{Name: "public", MAC: mac, Interface: "public", DHCP: true,
			Addresses: []netip.Prefix{netip.MustParsePrefix("172.16.0.1/16"), netip.MustParsePrefix("fe80::1/64")}}},
		Mounts: []guest.Mount{{Disk: 0, Target: "/data", Format: "state"}},
		Appliance: &guest.Appliance{
			Files:    []guest.File{{Path: "/etc/vic/run", Mode: 0o755, Data: []byte(script)}},
			Services: []guest.Service{{Name: "vicd", Args: []string{"/bin/sh", "/etc/vic/run"}, Env: []string{"X=1"}}},
			Sysctl:   map[string]string{"net.ipv4.ip_forward": "1"},
			Modules:  []string{"overlay"},
		}}
	for _, want := range []string{"boots 2 ", "boots 3 "} {
		v := boot(t, vmOptions{config: c, disks: []string{disk}, tools: true})
		st := v.waitService(t, "running", time.Minute)
		t.Logf("%+v", st)
		v.waitConsole(t, want+"host vch1 forward 1", time.Minute)
		v.waitConsole(t, "inet 10.0.2.15/24", time.Second)
		v.waitConsole(t, "nameserver 10.0.2.3", time.Second)
		if ip := v.rpc.wait(guest.IPKey, time.Minute); ip != "172.16.0.1" && ip != "10.0.2.15" {
			t.Errorf("ip %q", ip)
		}
		if a := v.rpc.get(guest.Prefix + guest.KeyAddresses); !strings.Contains(a, "public=fe80::1") {
			t.Errorf("addresses %q", a)
		}
		v.rpc.halt()
		v.waitOff(20 * time.Second)
	}
}

func createFile(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// waitService waits until the service has the state.
func (v *vm) waitService(t *testing.T, state string, limit time.Duration) guest.Status {
	t.Helper()
	var s guest.Status
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		json.Unmarshal([]byte(v.rpc.get(guest.Prefix+guest.KeyStatus)), &s)
		if s.Services["vicd"] == state {
			return s
		}
	}
	t.Fatalf("status %+v", s)
	return s
}

// waitConsole waits until a text is on the console.
func (v *vm) waitConsole(t *testing.T, text string, limit time.Duration) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		b, _ := os.ReadFile(v.console)
		if strings.Contains(string(b), text) {
			return
		}
	}
	t.Fatalf("no %q on the console", text)
}
