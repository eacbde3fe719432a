package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/openvic/vic/sdk/guest/sysfs"
	"github.com/openvic/vic/sdk/network"
)

// The switches that make the endpoint VM a router.
const (
	forward4 = "/proc/sys/net/ipv4/ip_forward"
	forward6 = "/proc/sys/net/ipv6/conf/all/forwarding"
)

// Kernel is the System of the machine that the driver runs on.
type Kernel struct{}

var _ System = Kernel{}

// Addresses implements System.
func (Kernel) Addresses(iface string) []netip.Prefix {
	addrs := net.InterfaceAddrs
	if iface != "" {
		i, err := net.InterfaceByName(iface)
		if err != nil {
			return nil
		}
		addrs = i.Addrs
	}
	all, err := addrs()
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// SetGateways implements System.
func (Kernel) SetGateways(iface string, want, own []netip.Prefix) error {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		if len(want) == 0 {
			return nil // it may come later
		}
		return fmt.Errorf("interface %s: %w", iface, err)
	}
	have, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", iface, err)
	}
	there := map[netip.Prefix]bool{}
	for _, a := range have {
		p, ok := prefixOf(a.IPNet)
		if !ok || p.Addr().IsLinkLocalUnicast() || slices.Contains(own, p) {
			continue
		}
		there[p] = true
		if !slices.Contains(want, p) {
			if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return fmt.Errorf("%s: take away %s: %w", iface, p, err)
			}
		}
	}
	for _, p := range want {
		if there[p] {
			continue
		}
		a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrReplace(link, a); err != nil {
			return fmt.Errorf("%s: add %s: %w", iface, p, err)
		}
	}
	return nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

// Apply implements System.
func (Kernel) Apply(r Rules) error {
	if err := sysfs.Write(forward4, "1"); err != nil {
		return fmt.Errorf("turn on IP forwarding: %w", err)
	}
	if slices.ContainsFunc(r.Subnets, func(s Subnet) bool { return s.Prefix.Addr().Is6() }) {
		if err := sysfs.Write(forward6, "1"); err != nil {
			return fmt.Errorf("turn on IPv6 forwarding: %w", err)
		}
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return applyRules(c, r)
}

// PortFree implements System.
func (Kernel) PortFree(p network.Port) bool {
	address := net.JoinHostPort(ipText(p.HostIP), strconv.Itoa(int(p.HostPort)))
	if p.Protocol == "udp" {
		c, err := net.ListenPacket("udp4", address)
		if err != nil {
			return false
		}
		return c.Close() == nil
	}
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// flowFilter finds the UDP flows that came to a port.
type flowFilter uint16

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (f flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	return flow.Forward.Protocol == unix.IPPROTO_UDP && flow.Forward.DstPort == uint16(f)
}

// ForgetFlows implements System.
func (Kernel) ForgetFlows(p network.Port) error {
	_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, flowFilter(p.HostPort))
	return err
}
