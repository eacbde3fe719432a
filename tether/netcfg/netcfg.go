// Package netcfg configures the VM's NICs: names, addresses, routes, DHCP, and the files that name
// hosts and name servers.
package netcfg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/sysfs"
	"github.com/openvic/vic/tether/rpci"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Address is an address of an interface.
type Address struct {
	Interface string
	Prefix    netip.Prefix
}

// FormatAddresses makes the value of guest.KeyAddresses.
func FormatAddresses(list []Address) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.Interface + "=" + a.Prefix.Addr().String()
	}
	return strings.Join(words, ",")
}

// Primary is the address that represents the guest: the first IPv4 one, else the first that is not
// link-local.
func Primary(list []Address) netip.Addr {
	for _, a := range list {
		if a.Prefix.Addr().Is4() {
			return a.Prefix.Addr()
		}
	}
	for _, a := range list {
		if !a.Prefix.Addr().IsLinkLocalUnicast() {
			return a.Prefix.Addr()
		}
	}
	return netip.Addr{}
}

// PrepareIPv6 makes link-local addresses usable at once: duplicate address detection takes a
// second, and a VM's MAC address is vSphere's to keep unique. It has to come before the NICs.
func PrepareIPv6() error {
	var errs []error
	for _, name := range []string{"accept_dad", "dad_transmits"} {
		for _, dev := range []string{"all", "default"} {
			errs = append(errs, sysfs.Write("/proc/sys/net/ipv6/conf/"+dev+"/"+name, "0"))
		}
	}
	return errors.Join(errs...)
}

// Loopback brings lo up.
func Loopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	return netlink.LinkSetUp(lo)
}

// WaitNIC returns the name of the interface with that MAC address, once there is one.
func WaitNIC(ctx context.Context, events *sysfs.Events, mac string) (string, error) {
	if mac == "" {
		return waitAny(ctx, events)
	}
	want, err := net.ParseMAC(mac)
	if err != nil {
		return "", fmt.Errorf("MAC address %q: %w", mac, errdef.ErrInvalid)
	}
	name := ""
	err = events.Wait(ctx, "NIC "+mac, func() bool {
		name = findNIC("/sys/class/net", want.String())
		return name != ""
	})
	return name, err
}

// waitAny waits for the one NIC of a VM whose addresses nobody has told.
func waitAny(ctx context.Context, events *sysfs.Events) (name string, err error) {
	err = events.Wait(ctx, "the NIC", func() bool {
		name = anyNIC("/sys/class/net")
		return name != ""
	})
	return name, err
}

// anyNIC is the first interface with a device behind it.
func anyNIC(class string) string {
	entries, err := os.ReadDir(class)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(class, e.Name(), "device")); err == nil {
			return e.Name()
		}
	}
	return ""
}

func findNIC(class, mac string) string {
	entries, err := os.ReadDir(class)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(class, e.Name(), "address"))
		if err == nil && strings.EqualFold(strings.TrimSpace(string(b)), mac) {
			return e.Name()
		}
	}
	return ""
}

// Names returns the interface name of each network: the one that it asks for, else ethN in order.
func Names(networks []guest.Network) []string {
	names := make([]string, len(networks))
	n := 0
	for i, w := range networks {
		names[i] = w.Interface
		if w.Interface == "" {
			names[i] = "eth" + strconv.Itoa(n)
			n++
		}
	}
	return names
}

// Rename gives an interface its name. If another interface has that name, that one gets another:
// it will be renamed in its turn.
func Rename(from, to string) error {
	if from == to {
		return nil
	}
	if other, err := netlink.LinkByName(to); err == nil {
		if err := netlink.LinkSetName(other, "nic"+strconv.Itoa(other.Attrs().Index)); err != nil {
			return fmt.Errorf("rename %s: %w", to, err)
		}
	}
	link, err := netlink.LinkByName(from)
	if err != nil {
		return fmt.Errorf("rename %s: %w", from, err)
	}
	if err := netlink.LinkSetName(link, to); err != nil {
		return fmt.Errorf("rename %s to %s: %w", from, to, err)
	}
	return nil
}

// Up configures an interface as the network says, all but DHCP.
func Up(name string, n guest.Network) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := setUp(link); err != nil {
		return fmt.Errorf("%s: set up: %w", name, err)
	}
	for _, p := range n.Addresses {
		if err := addAddress(link, p); err != nil {
			return fmt.Errorf("%s: address %s: %w", name, p, err)
		}
	}
	for _, r := range n.Routes {
		if err := addRoute(link, r.Destination, r.Via); err != nil {
			return fmt.Errorf("%s: route %s via %s: %w", name, r.Destination, r.Via, err)
		}
	}
	return SetGateways(name, n)
}

// SetGateways gives an interface the default routes of its network, and takes away those that it has
// and should not have.
func SetGateways(name string, n guest.Network) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, g := range []struct {
		family int
		via    netip.Addr
	}{{unix.AF_INET, n.Gateway}, {unix.AF_INET6, n.Gateway6}} {
		if g.via.IsValid() {
			if err := addRoute(link, netip.Prefix{}, g.via); err != nil {
				return fmt.Errorf("%s: gateway %s: %w", name, g.via, err)
			}
			continue
		}
		if n.DHCP && g.family == unix.AF_INET {
			continue // the lease's
		}
		if err := removeDefault(link, g.family); err != nil {
			return fmt.Errorf("%s: take the default route away: %w", name, err)
		}
	}
	return nil
}

func removeDefault(link netlink.Link, family int) error {
	all, err := netlink.RouteList(link, family)
	if err != nil {
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil // no IPv6 here
		}
		return err
	}
	for _, r := range all {
		if ones := 0; r.Dst != nil {
			if ones, _ = r.Dst.Mask.Size(); ones > 0 {
				continue
			}
		}
		if r.Gw == nil {
			continue
		}
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// Down takes all but the link-local addresses from an interface, and the interface down unless it is
// kept. That it is gone is no error.
func Down(name string, keep bool) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("%s: list addresses: %w", name, err)
	}
	for _, a := range addrs {
		if a.IP.IsLinkLocalUnicast() {
			continue
		}
		if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("%s: take away %s: %w", name, a.IPNet, err)
		}
	}
	if keep {
		return nil
	}
	if err := netlink.LinkSetDown(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%s: set down: %w", name, err)
	}
	return nil
}

// SeparateInterfaces has each interface speak for its own addresses alone: two of them may be on one
// layer 2, and Linux answers for any address on any interface.
func SeparateInterfaces() error {
	const conf = "/proc/sys/net/ipv4/conf/all/"
	return errors.Join(sysfs.Write(conf+"arp_ignore", "1"), sysfs.Write(conf+"arp_announce", "2"))
}

// FreeName is the first of eth0, eth1, ... that is not taken.
func FreeName(taken map[string]bool) string {
	for i := 0; ; i++ {
		if name := "eth" + strconv.Itoa(i); !taken[name] {
			return name
		}
	}
}

// AwaitGone returns when there is no NIC of that MAC address any more, or ctx ends.
func AwaitGone(ctx context.Context, events *sysfs.Events, mac string) error {
	want, err := net.ParseMAC(mac)
	if err != nil {
		return fmt.Errorf("MAC address %q: %w", mac, errdef.ErrInvalid)
	}
	return events.Wait(ctx, "the end of NIC "+mac, func() bool { return findNIC("/sys/class/net", want.String()) == "" })
}

// setUp brings an interface up with its link-local address. The kernel would give it the same one,
// but only once it has noticed that the NIC has a carrier, which can take a second.
func setUp(link netlink.Link) error {
	if !rpci.OnVMware() {
		_ = noSegmentation(link.Attrs().Name) // slower without, but not wrong
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	mac := link.Attrs().HardwareAddr
	if len(mac) != 6 {
		return nil
	}
	err := addAddress(link, linkLocal(mac))
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES) {
		return nil // no IPv6 here
	}
	return err
}

// linkLocal is the address that RFC 4291 derives from a MAC address.
func linkLocal(mac net.HardwareAddr) netip.Prefix {
	a := [16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

func addAddress(link netlink.Link, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return netlink.AddrReplace(link, a)
}

// addRoute adds a route; a destination that is not valid is the default route. A gateway outside
// the interface's subnets is taken to be on the link, as with /32 addresses.
func addRoute(link netlink.Link, dst netip.Prefix, via netip.Addr) error {
	r := &netlink.Route{LinkIndex: link.Attrs().Index}
	if via.IsValid() {
		r.Gw = via.AsSlice()
	} else {
		r.Scope = netlink.SCOPE_LINK
	}
	if dst.IsValid() && dst.Bits() > 0 {
		r.Dst = ipNet(dst)
	}
	err := netlink.RouteReplace(r)
	if errors.Is(err, unix.ENETUNREACH) && via.IsValid() {
		r.Flags = int(netlink.FLAG_ONLINK)
		err = netlink.RouteReplace(r)
	}
	return err
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Addresses lists the addresses of interfaces, those of each in the kernel's order.
func Addresses(names []string) ([]Address, error) {
	var list []Address
	for _, name := range names {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("%s: list addresses: %w", name, err)
		}
		for _, a := range addrs {
			ip, ok := netip.AddrFromSlice(a.IP)
			if !ok {
				continue
			}
			bits, _ := a.Mask.Size()
			list = append(list, Address{Interface: name, Prefix: netip.PrefixFrom(ip.Unmap(), bits)})
		}
	}
	return list, nil
}
