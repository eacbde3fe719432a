package dockerapi

import (
	"net/netip"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/openvic/vic/core/engine"
)

func inspectNetwork(c *engine.Container, d *definition) *container.NetworkSettings {
	ns := &container.NetworkSettings{Networks: endpoints(c)}
	ns.Ports = portMap(c, d) //nolint:staticcheck // clients still read it
	if ep := ns.Networks[network.NetworkBridge]; ep != nil {
		ns.DefaultNetworkSettings = container.DefaultNetworkSettings{ //nolint:staticcheck // clients still read it
			EndpointID: ep.EndpointID, Gateway: ep.Gateway, IPAddress: ep.IPAddress, IPPrefixLen: ep.IPPrefixLen, MacAddress: ep.MacAddress}
	}
	return ns
}

// endpoints describes a container's networks; addresses are shown while it runs, as Docker does.
func endpoints(c *engine.Container) map[string]*network.EndpointSettings {
	all := map[string]*network.EndpointSettings{}
	if c.NoNetwork {
		all[network.NetworkNone] = &network.EndpointSettings{NetworkID: noneID}
	}
	for _, n := range c.Networks {
		w := n.Wanted
		ep := &network.EndpointSettings{NetworkID: n.NetworkID, Aliases: w.Aliases, GwPriority: w.Priority, DNSNames: c.DNSNames(&n)}
		if w.Address.IsValid() || w.Address6.IsValid() {
			ep.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: text(w.Address), IPv6Address: text(w.Address6)}
		}
		for alias, target := range w.Links {
			ep.Links = append(ep.Links, target+":"+alias)
		}
		slices.Sort(ep.Links)
		if c.State.Running() {
			ep.EndpointID, ep.MacAddress, ep.Gateway = engine.EndpointID(c.ID, n.NetworkID), n.MAC, text(n.Gateway)
			if p := addressOf(c, &n); p.IsValid() {
				ep.IPAddress, ep.IPPrefixLen = p.Addr().String(), p.Bits()
			}
			if p, ok := n.IPv6(); ok {
				ep.GlobalIPv6Address, ep.GlobalIPv6PrefixLen, ep.IPv6Gateway = p.Addr().String(), p.Bits(), text(n.Gateway6)
			}
		}
		all[n.Name] = ep
	}
	return all
}

// dhcpBits stands in for the length of a subnet that the guest does not report.
const dhcpBits = 32

// addressOf is the IPv4 address on a network: the one that was given, or, where DHCP gave it, the one
// that the guest reports and that belongs to no other network.
func addressOf(c *engine.Container, a *engine.Attachment) netip.Prefix {
	if p, ok := a.IPv4(); ok {
		return p
	}
	for _, addr := range c.Addresses {
		given := slices.ContainsFunc(c.Networks, func(o engine.Attachment) bool {
			return slices.ContainsFunc(o.Addresses, func(p netip.Prefix) bool { return p.Addr() == addr })
		})
		if addr.Is4() && !given && a.DHCP {
			return netip.PrefixFrom(addr, dhcpBits)
		}
	}
	return netip.Prefix{}
}
