package netcfg

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/openvic/vic/sdk/guest"
)

func TestNames(t *testing.T) {
	got := Names([]guest.Network{{}, {Interface: "public"}, {}})
	if fmt.Sprint(got) != "[eth0 public eth1]" {
		t.Fatal(got)
	}
}

func TestFindNICByMAC(t *testing.T) {
	class := t.TempDir()
	for name, mac := range map[string]string{"lo": "00:00:00:00:00:00", "eth0": "00:50:56:aa:bb:cc"} {
		os.Mkdir(filepath.Join(class, name), 0o755)
		os.WriteFile(filepath.Join(class, name, "address"), []byte(mac+"\n"), 0o644)
	}
	if got := findNIC(class, "00:50:56:AA:BB:CC"); got != "eth0" {
		t.Fatal(got)
	}
	if got := findNIC(class, "00:50:56:aa:bb:00"); got != "" {
		t.Fatal(got)
	}
}

func TestHostsFile(t *testing.T) {
	addrs := []Address{{"eth0", netip.MustParsePrefix("172.16.0.2/16")}, {"eth0", netip.MustParsePrefix("fe80::1/64")}}
	tests := []struct {
		name  string
		cfg   guest.Config
		addrs []Address
		want  []string
		not   string
	}{
		{"own address", guest.Config{ID: "0123456789abcdef"}, addrs, []string{"127.0.0.1\tlocalhost\n", "172.16.0.2\t0123456789ab\n"}, "fe80"},
		{"domain", guest.Config{Hostname: "h", Domainname: "d.e"}, addrs, []string{"172.16.0.2\th.d.e h\n"}, "127.0.1.1"},
		{"given", guest.Config{Hostname: "h", Hosts: []guest.Host{{Address: netip.MustParseAddr("172.16.0.2"), Names: []string{"a", "b"}}}},
			addrs, []string{"172.16.0.2\ta b\n"}, "172.16.0.2\th"},
		{"no network", guest.Config{Hostname: "h"}, nil, []string{"127.0.1.1\th\n"}, "172"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := HostsFile(&tt.cfg, tt.addrs)
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("no %q in %q", w, got)
				}
			}
			if strings.Contains(got, tt.not) {
				t.Errorf("%q in %q", tt.not, got)
			}
		})
	}
}

func TestResolvFileTakesLeaseOnlyWithoutServers(t *testing.T) {
	a, b := netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("2.2.2.2")
	lease := []Lease{{DNS: []netip.Addr{b}, Search: []string{"lan"}}}
	if got := ResolvFile(guest.DNS{Servers: []netip.Addr{a}, Options: []string{"ndots:1"}}, lease); got != "nameserver 1.1.1.1\nsearch lan\noptions ndots:1\n" {
		t.Errorf("%q", got)
	}
	if got := ResolvFile(guest.DNS{}, lease); got != "nameserver 2.2.2.2\nsearch lan\n" {
		t.Errorf("%q", got)
	}
}

func TestResolvFileKeepsTheOrderOfTheLeasesAndNamesEachOnce(t *testing.T) {
	a, b := netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("2.2.2.2")
	leases := []Lease{{DNS: []netip.Addr{b}, Search: []string{"lan"}}, {DNS: []netip.Addr{a, b}, Search: []string{"lan", "inner"}}}
	if got := ResolvFile(guest.DNS{}, leases); got != "nameserver 2.2.2.2\nnameserver 1.1.1.1\nsearch lan inner\n" {
		t.Errorf("%q", got)
	}
}

func TestPrimaryAddress(t *testing.T) {
	p := netip.MustParsePrefix
	list := []Address{{"a", p("fe80::1/64")}, {"a", p("fd00::1/64")}, {"b", p("10.0.0.1/8")}}
	if got := Primary(list); got.String() != "10.0.0.1" {
		t.Error(got)
	}
	if got := Primary(list[:2]); got.String() != "fd00::1" {
		t.Error(got)
	}
	if got := FormatAddresses(list[1:]); got != "a=fd00::1,b=10.0.0.1" {
		t.Error(got)
	}
}

func TestLinkLocalAddress(t *testing.T) {
	mac, _ := net.ParseMAC("00:50:56:00:00:02")
	if got := linkLocal(mac).String(); got != "fe80::250:56ff:fe00:2/64" {
		t.Fatal(got)
	}
}

func TestTheMTUOfALease(t *testing.T) {
	for _, c := range []struct {
		option []byte
		want   int
	}{{nil, 0}, {[]byte{0x23, 0x28}, 9000}, {[]byte{0, 100}, 0}, {[]byte{1}, 0}} {
		ack, err := dhcpv4.New()
		if err != nil {
			t.Fatal(err)
		}
		if c.option != nil {
			ack.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, c.option))
		}
		if got := parseLease(ack).MTU; got != c.want {
			t.Errorf("%v: MTU %d, want %d", c.option, got, c.want)
		}
	}
}

func TestTheOneNICIsFound(t *testing.T) {
	class := t.TempDir()
	if got := anyNIC(class); got != "" {
		t.Errorf("found %q where there is none", got)
	}
	for _, dir := range []string{"lo", "bonding_masters", "eth7/device"} {
		if err := os.MkdirAll(filepath.Join(class, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := anyNIC(class); got != "eth7" {
		t.Errorf("found %q", got)
	}
}
