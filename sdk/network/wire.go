package network

import (
	"errors"
	"fmt"
	"math"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/devicewire"
	"github.com/openvic/vic/sdk/internal/wire"
	networkv1 "github.com/openvic/vic/sdk/proto/network/v1"
)

func networkToWire(n Network) *networkv1.Network {
	return &networkv1.Network{
		Id: n.ID, Name: n.Name, Driver: n.Driver,
		Subnet: wire.FromPrefix(n.Subnet), Gateway: wire.FromAddr(n.Gateway), IpRange: wire.FromPrefix(n.IPRange),
		Subnet6: wire.FromPrefix(n.Subnet6), Gateway6: wire.FromAddr(n.Gateway6),
		Internal: n.Internal, Given: n.Given, Firewall: n.Firewall,
		Created: wire.FromTime(n.Created), Labels: n.Labels, Options: n.Options,
	}
}

func networkFromWire(n *networkv1.Network) (Network, error) {
	subnet, serr := wire.ToPrefix(n.GetSubnet())
	gateway, gerr := wire.ToAddr(n.GetGateway())
	ipRange, rerr := wire.ToPrefix(n.GetIpRange())
	subnet6, s6err := wire.ToPrefix(n.GetSubnet6())
	gateway6, g6err := wire.ToAddr(n.GetGateway6())
	if err := errors.Join(serr, gerr, rerr, s6err, g6err); err != nil {
		return Network{}, fmt.Errorf("network %s: %w", n.GetId(), err)
	}
	return Network{
		ID: n.GetId(), Name: n.GetName(), Driver: n.GetDriver(), Subnet: subnet, Gateway: gateway, IPRange: ipRange,
		Subnet6: subnet6, Gateway6: gateway6, Internal: n.GetInternal(), Given: n.GetGiven(), Firewall: n.GetFirewall(),
		Created: wire.ToTime(n.GetCreated()), Labels: n.GetLabels(), Options: n.GetOptions(),
	}, nil
}

func createToWire(r CreateRequest) *networkv1.CreateRequest {
	return &networkv1.CreateRequest{
		Id: r.ID, Name: r.Name, Driver: r.Driver,
		Subnet: wire.FromPrefix(r.Subnet), Gateway: wire.FromAddr(r.Gateway), IpRange: wire.FromPrefix(r.IPRange),
		Ipv6: r.IPv6, Subnet6: wire.FromPrefix(r.Subnet6), Gateway6: wire.FromAddr(r.Gateway6),
		Internal: r.Internal, Labels: r.Labels, Options: r.Options,
	}
}

func createFromWire(r *networkv1.CreateRequest) (CreateRequest, error) {
	subnet, serr := wire.ToPrefix(r.GetSubnet())
	gateway, gerr := wire.ToAddr(r.GetGateway())
	ipRange, rerr := wire.ToPrefix(r.GetIpRange())
	subnet6, s6err := wire.ToPrefix(r.GetSubnet6())
	gateway6, g6err := wire.ToAddr(r.GetGateway6())
	return CreateRequest{
		ID: r.GetId(), Name: r.GetName(), Driver: r.GetDriver(), Subnet: subnet, Gateway: gateway, IPRange: ipRange,
		IPv6: r.GetIpv6(), Subnet6: subnet6, Gateway6: gateway6,
		Internal: r.GetInternal(), Labels: r.GetLabels(), Options: r.GetOptions(),
	}, errors.Join(serr, gerr, rerr, s6err, g6err)
}

func joinToWire(r JoinRequest) *networkv1.JoinRequest {
	return &networkv1.JoinRequest{
		Network: r.Network, Container: r.Container, Address: wire.FromAddr(r.Address), Address6: wire.FromAddr(r.Address6),
		Mac: r.MAC, Names: r.Names, Links: r.Links, Dns: wire.Map(r.DNS, wire.FromAddr),
	}
}

func joinFromWire(r *networkv1.JoinRequest) (JoinRequest, error) {
	address, err := wire.ToAddr(r.GetAddress())
	address6, err6 := wire.ToAddr(r.GetAddress6())
	dns, derr := wire.MapErr(r.GetDns(), wire.ToAddr)
	return JoinRequest{Network: r.GetNetwork(), Container: r.GetContainer(), Address: address, Address6: address6,
		MAC: r.GetMac(), Names: r.GetNames(), Links: r.GetLinks(), DNS: dns}, errors.Join(err, err6, derr)
}

func endpointToWire(e Endpoint) *networkv1.Endpoint {
	return &networkv1.Endpoint{
		Network: e.Network, Container: e.Container, Nic: devicewire.FromNIC(e.NIC),
		Addresses: wire.Map(e.Addresses, wire.FromPrefix), Gateway: wire.FromAddr(e.Gateway), Gateway6: wire.FromAddr(e.Gateway6),
		Routes: wire.Map(e.Routes, routeToWire), Dns: wire.Map(e.DNS, wire.FromAddr), Search: e.Search, Dhcp: e.DHCP,
		Firewall: e.Firewall, Peers: wire.Map(e.Peers, wire.FromPrefix), Foreign: wire.Map(e.Foreign, wire.FromPrefix),
	}
}

func endpointFromWire(e *networkv1.Endpoint) (Endpoint, error) {
	addresses, aerr := wire.MapErr(e.GetAddresses(), wire.ToPrefix)
	gateway, gerr := wire.ToAddr(e.GetGateway())
	gateway6, g6err := wire.ToAddr(e.GetGateway6())
	routes, rerr := wire.MapErr(e.GetRoutes(), routeFromWire)
	dns, derr := wire.MapErr(e.GetDns(), wire.ToAddr)
	peers, perr := wire.MapErr(e.GetPeers(), wire.ToPrefix)
	foreign, ferr := wire.MapErr(e.GetForeign(), wire.ToPrefix)
	if err := errors.Join(aerr, gerr, g6err, rerr, derr, perr, ferr); err != nil {
		return Endpoint{}, fmt.Errorf("endpoint of %s: %w", e.GetContainer(), err)
	}
	return Endpoint{
		Network: e.GetNetwork(), Container: e.GetContainer(), NIC: devicewire.ToNIC(e.GetNic()),
		Addresses: addresses, Gateway: gateway, Gateway6: gateway6, Routes: routes, DNS: dns, Search: e.GetSearch(),
		DHCP: e.GetDhcp(), Firewall: e.GetFirewall(), Peers: peers, Foreign: foreign,
	}, nil
}

func routeToWire(r Route) *networkv1.Route {
	return &networkv1.Route{Destination: wire.FromPrefix(r.Destination), Via: wire.FromAddr(r.Via)}
}

func routeFromWire(r *networkv1.Route) (Route, error) {
	destination, derr := wire.ToPrefix(r.GetDestination())
	via, verr := wire.ToAddr(r.GetVia())
	return Route{Destination: destination, Via: via}, errors.Join(derr, verr)
}

func publishToWire(r PublishRequest) *networkv1.PublishRequest {
	return &networkv1.PublishRequest{Network: r.Network, Container: r.Container, CheckOnly: r.CheckOnly, Ports: wire.Map(r.Ports, portToWire)}
}

func publishFromWire(r *networkv1.PublishRequest) (PublishRequest, error) {
	ports, err := wire.MapErr(r.GetPorts(), portFromWire)
	return PublishRequest{Network: r.GetNetwork(), Container: r.GetContainer(), CheckOnly: r.GetCheckOnly(), Ports: ports}, err
}

func portToWire(p Port) *networkv1.Port {
	return &networkv1.Port{Protocol: p.Protocol, HostIp: wire.FromAddr(p.HostIP), HostPort: uint32(p.HostPort), ContainerPort: uint32(p.ContainerPort)}
}

func portFromWire(p *networkv1.Port) (Port, error) {
	ip, err := wire.ToAddr(p.GetHostIp())
	if p.GetHostPort() > math.MaxUint16 || p.GetContainerPort() > math.MaxUint16 {
		err = errors.Join(err, fmt.Errorf("port %d or %d is none: %w", p.GetHostPort(), p.GetContainerPort(), errdef.ErrInvalid))
	}
	return Port{Protocol: p.GetProtocol(), HostIP: ip, HostPort: uint16(p.GetHostPort()), ContainerPort: uint16(p.GetContainerPort())}, err
}
