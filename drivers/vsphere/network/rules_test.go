package network

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/openvic/vic/sdk/network"
)

// netns is a machine of the test's own: a network namespace in which one thread lives.
type netns struct {
	fd   int
	work chan func()
}

func newNetns(t *testing.T) *netns {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to make network namespaces")
	}
	n := &netns{work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		ready <- err
		for f := range n.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Skipf("network namespaces cannot be made here: %v", err)
	}
	t.Cleanup(func() { close(n.work); unix.Close(n.fd) })
	n.must(t, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return n
}

func (n *netns) do(f func() error) error {
	done := make(chan error)
	n.work <- func() { done <- f() }
	return <-done
}

func (n *netns) must(t *testing.T, f func() error) {
	t.Helper()
	if err := n.do(f); err != nil {
		t.Fatal(err)
	}
}

// wire connects interface name of a with eth0 of b.
func wire(t *testing.T, a *netns, name string, b *netns) {
	t.Helper()
	a.must(t, func() error {
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(b.fd)}
		if err := netlink.LinkAdd(v); err != nil {
			return err
		}
		return netlink.LinkSetUp(v)
	})
	b.must(t, func() error {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(l)
	})
}

func (n *netns) address(t *testing.T, iface, prefix string) {
	t.Helper()
	n.must(t, func() error {
		l, err := netlink.LinkByName(iface)
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		if strings.Contains(prefix, ":") {
			a.Flags = unix.IFA_F_NODAD
		}
		return netlink.AddrAdd(l, a)
	})
}

func (n *netns) gateway(t *testing.T, via string) {
	t.Helper()
	n.must(t, func() error {
		return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(via)})
	})
}

// serve answers each TCP connection and UDP packet at a port with a name and the peer's address.
func (n *netns) serve(t *testing.T, port int, name string) {
	t.Helper()
	n.must(t, func() error {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%s to %s", name, c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap())
				c.Close()
			}
		}()
		u, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		t.Cleanup(func() { u.Close() })
		go func() {
			b := make([]byte, 100)
			for {
				_, from, err := u.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = u.WriteTo([]byte(name+" to "+from.(*net.UDPAddr).AddrPort().Addr().Unmap().String()), from)
			}
		}()
		return nil
	})
}

// ask returns what serves at an address says, or "nothing".
func (n *netns) ask(proto, address string) string {
	answer := "nothing"
	_ = n.do(func() error {
		c, err := net.DialTimeout(proto, address, 400*time.Millisecond)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(400 * time.Millisecond))
		if proto == "udp" {
			_, _ = c.Write([]byte("?"))
			b := make([]byte, 100)
			k, err := c.Read(b)
			if err == nil {
				answer = string(b[:k])
			}
			return err
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, c); err == nil && b.Len() > 0 {
			answer = b.String()
		}
		return nil
	})
	return answer
}

// world is an endpoint VM with a client outside and three containers on its bridge: a and b on a
// network each, and c on an internal one. The endpoint VM is on a management network as well.
type world struct{ router, outside, managers, a, b, c *netns }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{newNetns(t), newNetns(t), newNetns(t), newNetns(t), newNetns(t), newNetns(t)}
	wire(t, w.router, "public", w.outside)
	w.router.address(t, "public", "192.0.2.1/24")
	w.outside.address(t, "eth0", "192.0.2.9/24")
	wire(t, w.router, "management", w.managers)
	w.router.address(t, "management", "198.51.100.1/24")
	w.managers.address(t, "eth0", "198.51.100.9/24")
	w.managers.gateway(t, "198.51.100.1")
	w.managers.serve(t, 80, "manager")
	group := newNetns(t)
	group.must(t, func() error {
		br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "switch"}}
		if err := netlink.LinkAdd(br); err != nil {
			return err
		}
		// A switch does not look into packets.
		_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0)
		return netlink.LinkSetUp(br)
	})
	plug := func(port string) {
		group.must(t, func() error {
			l, err := netlink.LinkByName(port)
			if err != nil {
				return err
			}
			br, err := netlink.LinkByName("switch")
			if err != nil {
				return err
			}
			return netlink.LinkSetMaster(l, br)
		})
	}
	wire(t, group, "port", w.router)
	plug("port")
	w.router.must(t, func() error {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetDown(l); err != nil {
			return err
		}
		if err := netlink.LinkSetName(l, "bridge"); err != nil {
			return err
		}
		return netlink.LinkSetUp(l)
	})
	for i, c := range []struct {
		ns       *netns
		addr, gw string
	}{{w.a, "172.17.0.2/20", "172.17.0.1"}, {w.b, "172.17.16.2/20", "172.17.16.1"}, {w.c, "172.17.32.2/20", ""}} {
		port := fmt.Sprintf("port%d", i)
		wire(t, group, port, c.ns)
		plug(port)
		c.ns.address(t, "eth0", c.addr)
		if c.gw != "" {
			defer c.ns.gateway(t, c.gw)
		}
		c.ns.serve(t, 80, string(rune('a'+i)))
	}
	w.outside.serve(t, 80, "outside")
	w.router.serve(t, 99, "router")
	return w
}

func (w *world) rules(ports ...Forward) Rules {
	return Rules{Bridge: "bridge", Uplink: "public", Ports: ports, Subnets: []Subnet{
		{Prefix: netip.MustParsePrefix("172.17.0.0/20")}, {Prefix: netip.MustParsePrefix("172.17.16.0/20")},
		{Prefix: netip.MustParsePrefix("172.17.32.0/20"), Internal: true}}}
}

func (w *world) apply(t *testing.T, r Rules) {
	t.Helper()
	w.router.must(t, func() error {
		gateways := []netip.Prefix{netip.MustParsePrefix("172.17.0.1/20"), netip.MustParsePrefix("172.17.16.1/20"), netip.MustParsePrefix("172.17.32.1/20")}
		if err := (Kernel{}).SetGateways("bridge", gateways, nil); err != nil {
			return err
		}
		return Kernel{}.Apply(r)
	})
}

func forwardTo(target string, proto, ip string, host, container uint16) Forward {
	f := Forward{Target: netip.MustParseAddr(target), Port: network.Port{Protocol: proto, HostPort: host, ContainerPort: container}}
	if ip != "" {
		f.HostIP = netip.MustParseAddr(ip)
	}
	return f
}

func TestRules(t *testing.T) {
	w := newWorld(t)
	w.apply(t, w.rules(
		forwardTo("172.17.0.2", "tcp", "", 8080, 80), forwardTo("172.17.0.2", "udp", "", 8080, 80),
		forwardTo("172.17.16.2", "tcp", "192.0.2.1", 8081, 80), forwardTo("172.17.16.2", "tcp", "192.0.2.77", 8082, 80)))
	for _, c := range []struct {
		name  string
		from  *netns
		proto string
		to    string
		want  string
	}{
		{"a published port", w.outside, "tcp", "192.0.2.1:8080", "a to 192.0.2.9"},
		{"a published UDP port", w.outside, "udp", "192.0.2.1:8080", "a to 192.0.2.9"},
		{"published on one address", w.outside, "tcp", "192.0.2.1:8081", "b to 192.0.2.9"},
		{"published on another address", w.outside, "tcp", "192.0.2.1:8082", "nothing"},
		{"what is not published", w.outside, "tcp", "192.0.2.1:80", "nothing"},
		{"the router's own", w.outside, "tcp", "192.0.2.1:99", "router to 192.0.2.9"},
		{"the container reaches itself through its published port", w.a, "tcp", "192.0.2.1:8080", "a to 172.17.0.1"},
		{"another network reaches the published port", w.b, "tcp", "192.0.2.1:8080", "a to 172.17.0.1"},
		{"the published port at the gateway", w.b, "tcp", "172.17.16.1:8080", "a to 172.17.0.1"},
		{"out", w.a, "tcp", "192.0.2.9:80", "outside to 192.0.2.1"},
		{"out over UDP", w.b, "udp", "192.0.2.9:80", "outside to 192.0.2.1"},
		{"the router's own, for managers", w.managers, "tcp", "198.51.100.1:99", "router to 198.51.100.9"},
		{"a published port, for managers", w.managers, "tcp", "198.51.100.1:8080", "nothing"},
		{"a published UDP port, for managers", w.managers, "udp", "198.51.100.1:8080", "nothing"},
		{"into the management network", w.a, "tcp", "198.51.100.9:80", "nothing"},
		{"into the management network over UDP", w.a, "udp", "198.51.100.9:80", "nothing"},
		{"from the management network", w.managers, "tcp", "172.17.0.2:80", "nothing"},
		{"from network to network", w.a, "tcp", "172.17.16.2:80", "nothing"},
		{"from network to network over UDP", w.b, "udp", "172.17.0.2:80", "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.from.ask(c.proto, c.to); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("outside cannot route in", func(t *testing.T) {
		w.outside.gateway(t, "192.0.2.1")
		if got := w.outside.ask("tcp", "172.17.0.2:80"); got != "nothing" {
			t.Error(got)
		}
	})
	t.Run("an internal network has no way out, even with a route", func(t *testing.T) {
		w.c.gateway(t, "172.17.32.1")
		for _, to := range []string{"192.0.2.9:80", "172.17.0.2:80"} {
			if got := w.c.ask("tcp", to); got != "nothing" {
				t.Errorf("%s: %s", to, got)
			}
		}
	})
	t.Run("rules that are gone are gone", func(t *testing.T) {
		w.apply(t, w.rules())
		w.router.must(t, func() error { return Kernel{}.ForgetFlows(network.Port{Protocol: "udp", HostPort: 8080}) })
		if got := w.outside.ask("tcp", "192.0.2.1:8080"); got != "nothing" {
			t.Error(got)
		}
	})
}

func TestGatewaysComeAndGo(t *testing.T) {
	n := newNetns(t)
	other := newNetns(t)
	wire(t, n, "bridge", other)
	n.address(t, "bridge", "172.16.0.1/16")
	own := []netip.Prefix{netip.MustParsePrefix("172.16.0.1/16")}
	for _, want := range [][]string{{"172.17.0.1/20", "fd00::1/64"}, {"172.17.16.1/20"}, {"172.17.16.1/20"}, {}} {
		var set []netip.Prefix
		for _, s := range want {
			set = append(set, netip.MustParsePrefix(s))
		}
		n.must(t, func() error { return Kernel{}.SetGateways("bridge", set, own) })
		var has []string
		n.must(t, func() error {
			for _, p := range (Kernel{}).Addresses("") {
				if !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() && p != own[0] {
					has = append(has, p.String())
				}
			}
			return nil
		})
		if fmt.Sprint(has) != fmt.Sprint(want) {
			t.Errorf("has %v, want %v", has, want)
		}
	}
	if err := n.do(func() error { return Kernel{}.SetGateways("nowhere", own, nil) }); err == nil {
		t.Error("an interface that is not there has an address now")
	}
}
