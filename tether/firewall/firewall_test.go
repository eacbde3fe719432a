package firewall

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/openvic/vic/sdk/guest"
)

// machine is a network namespace in which one thread lives.
type machine struct {
	fd   int
	work chan func()
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to make network namespaces")
	}
	m := &machine{work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			m.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		ready <- err
		for f := range m.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Skipf("network namespaces cannot be made here: %v", err)
	}
	t.Cleanup(func() { close(m.work); unix.Close(m.fd) })
	return m
}

func (m *machine) do(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	m.work <- func() { done <- f() }
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func (m *machine) up(t *testing.T, addresses ...string) {
	t.Helper()
	m.do(t, func() error {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
		for _, s := range addresses {
			a, err := netlink.ParseAddr(s)
			if err != nil {
				return err
			}
			if a.IP.To4() == nil {
				a.Flags = unix.IFA_F_NODAD
			}
			if err := netlink.AddrAdd(l, a); err != nil {
				return err
			}
		}
		return nil
	})
}

// listen accepts connections at a port on every address.
func (m *machine) listen(t *testing.T, port int) {
	t.Helper()
	m.do(t, func() error {
		for _, network := range []string{"tcp4", "tcp6"} {
			l, err := net.Listen(network, fmt.Sprintf(":%d", port))
			if err != nil {
				return err
			}
			t.Cleanup(func() { l.Close() })
		}
		return nil
	})
}

// How long a connection is waited for: what is let in comes at once on a machine that has nothing else to
// do, and what is dropped never does.
const (
	patience = 30 * time.Second
	dropped  = 120 * time.Millisecond
)

func waitFor(expected bool) time.Duration {
	if expected {
		return patience
	}
	return dropped
}

// reaches dials an address that can be expected to answer or not.
func (m *machine) reaches(t *testing.T, address string, expected bool) (yes bool) {
	t.Helper()
	m.do(t, func() error {
		c, err := net.DialTimeout("tcp", address, waitFor(expected))
		if err == nil {
			yes = true
			c.Close()
		}
		return nil
	})
	return yes
}

func prefixes(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// TestPolicies has another machine on the same layer 2, with an address in the container's subnet, in
// a foreign one and outside of both, and the host's.
func TestPolicies(t *testing.T) {
	in := []string{"peer", "foreign", "outside", "peer6", "link-local", "host"}
	other := map[string]string{"peer": "10.1.0.9", "foreign": "10.2.0.9", "outside": "192.0.2.9", "peer6": "fd00::9",
		"link-local": "fe80::9%eth0", "host": "fe80::1%eth0"}
	own := map[string]string{"peer": "10.1.0.2", "foreign": "10.1.0.2", "outside": "10.1.0.2", "peer6": "fd00::2",
		"link-local": "fe80::2%eth0", "host": "fe80::2%eth0"}
	all := in
	for _, c := range []struct {
		name    string
		rules   *guest.Firewall
		in, out []string
		port    int
	}{
		{"the default bridge", nil, all, all, 80},
		{"an isolated network", &guest.Firewall{Peers: prefixes("10.1.0.0/24"), Foreign: prefixes("10.0.0.0/8")},
			[]string{"peer", "outside", "peer6", "host"}, []string{"peer", "outside", "peer6", "host"}, 80},
		{"an isolated network with IPv6", &guest.Firewall{Peers: prefixes("10.1.0.0/24", "fd00::/64"), Foreign: prefixes("10.0.0.0/8", "fd00::/16")},
			[]string{"peer", "outside", "peer6", "host"}, []string{"peer", "outside", "peer6", "host"}, 80},
		{"open", &guest.Firewall{Policy: guest.FirewallOpen}, all, all, 80},
		{"closed", &guest.Firewall{Policy: guest.FirewallClosed}, nil, nil, 80},
		{"outbound", &guest.Firewall{Policy: guest.FirewallOutbound, Ports: []guest.Port{{Protocol: "tcp", Port: 80}}}, nil, all, 80},
		{"published, at the port", &guest.Firewall{Policy: guest.FirewallPublished, Ports: []guest.Port{{Protocol: "tcp", Port: 80}}}, all, all, 80},
		{"published, at another port", &guest.Firewall{Policy: guest.FirewallPublished, Ports: []guest.Port{{Protocol: "udp", Port: 81}}}, nil, all, 81},
		{"peers", &guest.Firewall{Policy: guest.FirewallPeers, Peers: prefixes("10.1.0.0/24")}, []string{"peer"}, []string{"peer"}, 80},
		{"peers of DHCP", &guest.Firewall{Policy: guest.FirewallPeers}, []string{"peer", "peer6"}, []string{"peer", "peer6"}, 80},
	} {
		t.Run(c.name, func(t *testing.T) {
			container, outside := newMachine(t), newMachine(t)
			outside.do(t, func() error {
				return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(container.fd)})
			})
			container.up(t, "10.1.0.2/24", "fd00::2/64", "fe80::2/64")
			outside.up(t, "10.1.0.9/24", "10.2.0.9/24", "192.0.2.9/24", "fd00::9/64", "fe80::9/64", "fe80::1/64")
			route(t, container, outside)
			for _, m := range []*machine{container, outside} {
				m.listen(t, c.port)
			}
			container.do(t, func() error {
				if !Needed(c.rules) {
					return Apply(nil)
				}
				return Apply([]Interface{{Name: "eth0", Firewall: *c.rules, Own: prefixes("10.1.0.2/24", "fd00::2/64")}})
			})
			for _, who := range all {
				want := slices.Contains(c.out, who)
				if got := container.reaches(t, net.JoinHostPort(other[who], fmt.Sprint(c.port)), want); got != want {
					t.Errorf("the container reaches %s: %v", who, got)
				}
				want = slices.Contains(c.in, who)
				if got := outside.from(t, other[who], net.JoinHostPort(own[who], fmt.Sprint(c.port)), want); got != want {
					t.Errorf("%s reaches the container: %v", who, got)
				}
			}
		})
	}
}

// route has the container find every address on its one interface.
func route(t *testing.T, container, outside *machine) {
	t.Helper()
	for _, m := range []*machine{container, outside} {
		m.do(t, func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return netlink.RouteReplace(&netlink.Route{LinkIndex: l.Attrs().Index, Scope: netlink.SCOPE_LINK,
				Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}})
		})
	}
}

// from is reaches with a source address.
func (m *machine) from(t *testing.T, source, address string, expected bool) (yes bool) {
	t.Helper()
	m.do(t, func() error {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(source, "0"))
		if err != nil {
			return err
		}
		c, err := (&net.Dialer{Timeout: waitFor(expected), LocalAddr: local}).Dial("tcp", address)
		if err == nil {
			yes = true
			c.Close()
		}
		return nil
	})
	return yes
}

func TestModulesAreThoseThatAreNeeded(t *testing.T) {
	isolated := []Interface{{Firewall: guest.Firewall{Foreign: prefixes("10.0.0.0/8")}}}
	if m := Modules(isolated); !slices.Equal(m, []string{"nf_tables"}) {
		t.Error(m)
	}
	if m := Modules(append(isolated, Interface{Firewall: guest.Firewall{Policy: guest.FirewallOutbound}})); !slices.Equal(m, []string{"nf_tables", "nft_ct"}) {
		t.Error(m)
	}
	if Needed(&guest.Firewall{Peers: prefixes("10.0.0.0/8")}) || Needed(&guest.Firewall{Policy: guest.FirewallOpen}) {
		t.Error("rules where there is nothing to keep out")
	}
}
