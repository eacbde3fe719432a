package boottest

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		v.waitService(t, "running")
		for _, text := range []string{want + "host vch1 forward 1", "inet 10.0.2.15/24", "nameserver 10.0.2.3"} {
			v.console.wait(t, text)
		}
		if ip := v.rpc.wait(guest.IPKey); ip != "172.16.0.1" && ip != "10.0.2.15" {
			t.Errorf("ip %q", ip)
		}
		if a := v.rpc.get(guest.Prefix + guest.KeyAddresses); !strings.Contains(a, "public=fe80::1") {
			t.Errorf("addresses %q", a)
		}
		v.rpc.halt()
		v.waitOff()
	}
}
