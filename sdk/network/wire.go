package network

import (
	"errors"
	"fmt"

	"github.com/openvic/vic/sdk/internal/wire"
	networkv1 "github.com/openvic/vic/sdk/proto/network/v1"
)

func networkToWire(n Network) *networkv1.Network {
	return &networkv1.Network{
		Id: n.ID, Name: n.Name, Driver: n.Driver,
		Subnet: wire.FromPrefix(n.Subnet), Gateway: wire.FromAddr(n.Gateway),
		Internal: n.Internal, Created: wire.FromTime(n.Created), Labels: n.Labels, Options: n.Options,
	}
}

func networkFromWire(n *networkv1.Network) (Network, error) {
	subnet, serr := wire.ToPrefix(n.GetSubnet())
	gateway, gerr := wire.ToAddr(n.GetGateway())
	if err := errors.Join(serr, gerr); err != nil {
		return Network{}, fmt.Errorf("network %s: %w", n.GetId(), err)
	}
	return Network{
		ID: n.GetId(), Name: n.GetName(), Driver: n.GetDriver(), Subnet: subnet, Gateway: gateway,
		Internal: n.GetInternal(), Created: wire.ToTime(n.GetCreated()),
		Labels: n.GetLabels(), Options: n.GetOptions(),
	}, nil
}

func joinToWire(r JoinRequest) *networkv1.JoinRequest {
	return &networkv1.JoinRequest{
		Network: r.Network, Container: r.Container, Address: wire.FromAddr(r.Address), Mac: r.MAC,
	}
}

func joinFromWire(r *networkv1.JoinRequest) (JoinRequest, error) {
	address, err := wire.ToAddr(r.GetAddress())
	return JoinRequest{Network: r.GetNetwork(), Container: r.GetContainer(), Address: address, MAC: r.GetMac()}, err
}

func endpointToWire(e Endpoint) *networkv1.Endpoint {
	return &networkv1.Endpoint{
		Network: e.Network, Container: e.Container, Nic: wire.FromNIC(e.NIC),
		Addresses: wire.Map(e.Addresses, wire.FromPrefix), Gateway: wire.FromAddr(e.Gateway),
		Routes: wire.Map(e.Routes, routeToWire), Dns: wire.Map(e.DNS, wire.FromAddr), Search: e.Search,
	}
}

func endpointFromWire(e *networkv1.Endpoint) (Endpoint, error) {
	addresses, aerr := wire.MapErr(e.GetAddresses(), wire.ToPrefix)
	gateway, gerr := wire.ToAddr(e.GetGateway())
	routes, rerr := wire.MapErr(e.GetRoutes(), routeFromWire)
	dns, derr := wire.MapErr(e.GetDns(), wire.ToAddr)
	if err := errors.Join(aerr, gerr, rerr, derr); err != nil {
		return Endpoint{}, fmt.Errorf("endpoint of %s: %w", e.GetContainer(), err)
	}
	return Endpoint{
		Network: e.GetNetwork(), Container: e.GetContainer(), NIC: wire.ToNIC(e.GetNic()),
		Addresses: addresses, Gateway: gateway, Routes: routes, DNS: dns, Search: e.GetSearch(),
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
