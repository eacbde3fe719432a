package netcfg

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ownNetwork moves this test into a network namespace of its own, with a pair of interfaces.
func ownNetwork(t *testing.T, here, there string) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("needs the right to make a network namespace:", err)
	}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: here}, PeerName: there}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Skip("needs veth interfaces:", err)
	}
	for _, name := range []string{here, there} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
	}
}

// serveDHCP gives 10.9.8.7 to whoever asks on an interface.
func serveDHCP(t *testing.T, name string) {
	t.Helper()
	server := net.IPv4(10, 9, 8, 1)
	answer := func(conn net.PacketConn, _ net.Addr, m *dhcpv4.DHCPv4) {
		kind := dhcpv4.MessageTypeOffer
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
		}
		r, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.IPv4(10, 9, 8, 7)),
			dhcpv4.WithServerIP(server), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)),
			dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(600), dhcpv4.WithRouter(server))
		if err == nil {
			_, err = conn.WriteTo(r.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort})
		}
		if err != nil {
			t.Error(err)
		}
	}
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := addAddress(l, netip.MustParsePrefix("10.9.8.1/24")); err != nil {
		t.Fatal(err)
	}
	s, err := server4.NewServer(name, &net.UDPAddr{Port: dhcpv4.ServerPort}, answer)
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve()
	t.Cleanup(func() { s.Close() })
}

// TestNobodyListensBetweenLeases: a DHCP client's packet socket would get a copy of all that comes.
func TestNobodyListensBetweenLeases(t *testing.T) {
	ownNetwork(t, "here0", "there0")
	serveDHCP(t, "there0")
	d := &DHCP{Interface: "here0", Hostname: "x", Log: slog.New(slog.DiscardHandler)}
	listeners := func() int {
		b, err := os.ReadFile("/proc/thread-self/net/packet")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), "\n") - 1 // a heading
	}
	lease, err := d.Acquire(t.Context())
	if err != nil || lease.Address != netip.MustParsePrefix("10.9.8.7/24") || lease.Duration != 10*time.Minute {
		t.Fatalf("%+v %v", lease, err)
	}
	if n := listeners(); n != 0 {
		t.Errorf("%d packet sockets after the first lease", n)
	}
	if err := d.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := listeners(); n != 0 {
		t.Errorf("%d packet sockets after the renewal", n)
	}
}
