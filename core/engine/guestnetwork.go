package engine

import (
	"slices"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
)

func nicsOf(eps []network.Endpoint) []device.NIC {
	nics := make([]device.NIC, 0, len(eps))
	for _, ep := range eps {
		if placed(ep) {
			nics = append(nics, ep.NIC)
		}
	}
	return nics
}

// placed says whether an endpoint is one: every place has a MAC address of its own.
func placed(ep network.Endpoint) bool { return ep.NIC.MAC != "" }

// gatewayOf is the index of the attachment that has the default route, or -1: the one of the highest
// priority, the first by name among those of one priority, as with Docker.
func gatewayOf(list []Attachment) int {
	best := -1
	for i, a := range list {
		if !a.Gateway.IsValid() && !a.DHCP {
			continue
		}
		if best < 0 || a.Wanted.Priority > list[best].Wanted.Priority ||
			(a.Wanted.Priority == list[best].Wanted.Priority && a.Name < list[best].Name) {
			best = i
		}
	}
	return best
}

// guestNetwork is what the tether is told of a container's networks.
func guestNetwork(d *Definition, eps []network.Endpoint) guest.NetworkConfig {
	n := guest.NetworkConfig{Hosts: slices.Clone(d.Hosts), DNS: d.DNS}
	gateway := gatewayOf(d.Networks)
	for i, ep := range eps {
		if !placed(ep) {
			continue
		}
		a := &d.Networks[i]
		g := guest.Network{ID: a.NetworkID, Name: a.Name, MAC: ep.NIC.MAC, DHCP: ep.DHCP, NoGateway: ep.DHCP && i != gateway,
			Addresses: ep.Addresses, Names: d.DNSNames(a), Links: a.Wanted.Links, Firewall: firewallOf(d, ep)}
		if len(g.Names) > 0 {
			g.Upstream = d.DNS.Servers
		}
		if i == gateway {
			g.Gateway, g.Gateway6 = ep.Gateway, ep.Gateway6
		}
		for _, r := range ep.Routes {
			g.Routes = append(g.Routes, guest.Route{Destination: r.Destination, Via: r.Via})
		}
		n.Networks = append(n.Networks, g)
		for _, p := range ep.Addresses {
			n.Hosts = append(n.Hosts, guest.Host{Address: p.Addr(), Names: d.hostNames()})
		}
	}
	resolver(d, eps, gateway, &n.DNS)
	return n
}

// resolver fills in what the user has left open: the servers of a network with names if there is
// one, for they know the names of all, else those of the network with the default route.
func resolver(d *Definition, eps []network.Endpoint, gateway int, dns *guest.DNS) {
	from := gateway
	for i := range eps {
		if !placed(eps[i]) || len(d.DNSNames(&d.Networks[i])) == 0 {
			continue
		}
		from = i
		if len(dns.Options) == 0 {
			dns.Options = []string{"ndots:0"}
		}
		dns.Servers = slices.Clone(eps[i].DNS)
		break
	}
	if from < 0 {
		from = slices.IndexFunc(eps, placed)
	}
	if from < 0 {
		return
	}
	if len(dns.Servers) == 0 {
		dns.Servers = eps[from].DNS
	}
	if len(dns.Search) == 0 {
		dns.Search = eps[from].Search
	}
}

func (d *Definition) hostNames() []string {
	host := d.Hostname
	if host == "" {
		host = d.ID[:12]
	}
	if d.Domainname != "" {
		return []string{host + "." + d.Domainname, host}
	}
	return []string{host}
}

func firewallOf(d *Definition, ep network.Endpoint) *guest.Firewall {
	if ep.Firewall == "" && len(ep.Foreign) == 0 {
		return nil
	}
	f := &guest.Firewall{Policy: ep.Firewall, Peers: ep.Peers, Foreign: ep.Foreign}
	if ep.Firewall == guest.FirewallPublished {
		for _, p := range d.Ports {
			f.Ports = append(f.Ports, guest.Port{Protocol: p.Protocol, Port: p.ContainerPort})
		}
	}
	return f
}
