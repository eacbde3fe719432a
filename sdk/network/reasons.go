package network

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// The reasons of this kind's errors (errdef.Error). A driver makes them with the functions below, so that
// the host can tell a user in the words of Docker what is wrong.
const (
	ReasonAddressTaken   = "ADDRESS_TAKEN"    // ErrConflict; FieldAddress
	ReasonSubnetTaken    = "SUBNET_TAKEN"     // ErrConflict; FieldSubnet
	ReasonNoSubnet       = "NO_SUBNET"        // ErrExhausted
	ReasonNetworkInUse   = "NETWORK_IN_USE"   // ErrConflict; FieldNetwork
	ReasonPortTaken      = "PORT_TAKEN"       // ErrConflict: another container has published it; FieldProtocol, FieldHostIP, FieldHostPort
	ReasonPortBusy       = "PORT_BUSY"        // ErrConflict: a program of the host has it; likewise
	ReasonNoPort         = "NO_PORT"          // ErrExhausted
	ReasonNotHostAddress = "NOT_HOST_ADDRESS" // ErrInvalid; as with a port, and FieldHostAddresses
	ReasonPortFixed      = "PORT_FIXED"       // ErrInvalid: where a container has an address of its own; FieldNetwork, FieldContainerPort, FieldHostPort
)

// The fields of those errors.
const (
	FieldAddress       = "address"
	FieldSubnet        = "subnet"
	FieldNetwork       = "network" // its name
	FieldProtocol      = "protocol"
	FieldHostIP        = "host_ip" // 0.0.0.0 for every address
	FieldHostPort      = "host_port"
	FieldContainerPort = "container_port"
	FieldHostAddresses = "host_addresses" // separated by ", "
)

// AddressTaken says that a wanted address is another container's.
func AddressTaken(a netip.Addr) error {
	return &errdef.Error{Class: errdef.ErrConflict, Reason: ReasonAddressTaken, Fields: map[string]string{FieldAddress: a.String()},
		Text: fmt.Sprintf("address %s is another container's", a)}
}

// SubnetTaken says that a wanted subnet overlaps with one in use.
func SubnetTaken(p netip.Prefix) error {
	return &errdef.Error{Class: errdef.ErrConflict, Reason: ReasonSubnetTaken, Fields: map[string]string{FieldSubnet: p.String()},
		Text: fmt.Sprintf("subnet %s overlaps with one that is in use", p)}
}

// NoSubnet says that no subnet is left for a network that names none.
func NoSubnet() error {
	return &errdef.Error{Class: errdef.ErrExhausted, Reason: ReasonNoSubnet, Text: "no subnet of the address pools is free"}
}

// InUse says that a network cannot be removed since containers have joined it.
func InUse(name string) error {
	return &errdef.Error{Class: errdef.ErrConflict, Reason: ReasonNetworkInUse, Fields: map[string]string{FieldNetwork: name},
		Text: fmt.Sprintf("containers have joined network %s", name)}
}

// PortTaken says that another container has published a host port.
func PortTaken(p Port) error {
	return &errdef.Error{Class: errdef.ErrConflict, Reason: ReasonPortTaken, Fields: p.fields(),
		Text: fmt.Sprintf("host port %s is published by another container", p.host())}
}

// PortBusy says that a program of the host has a host port.
func PortBusy(p Port) error {
	return &errdef.Error{Class: errdef.ErrConflict, Reason: ReasonPortBusy, Fields: p.fields(),
		Text: fmt.Sprintf("host port %s is in use by a program of the host", p.host())}
}

// NoPort says that no host port is left for a port that names none.
func NoPort() error {
	return &errdef.Error{Class: errdef.ErrExhausted, Reason: ReasonNoPort, Text: "no host port is free"}
}

// NotHostAddress says that a port cannot be published at an address that is not one of the host's.
func NotHostAddress(p Port, own []netip.Addr) error {
	var list []string
	for _, a := range own {
		list = append(list, a.String())
	}
	f := p.fields()
	f[FieldHostAddresses] = strings.Join(list, ", ")
	return &errdef.Error{Class: errdef.ErrInvalid, Reason: ReasonNotHostAddress, Fields: f,
		Text: fmt.Sprintf("host port %s: the host has no such address, but %s", p.host(), f[FieldHostAddresses])}
}

// PortFixed says that a port cannot be published as another one on a network where each container is
// reached at its own address.
func PortFixed(network string, p Port) error {
	f := p.fields()
	f[FieldNetwork] = network
	return &errdef.Error{Class: errdef.ErrInvalid, Reason: ReasonPortFixed, Fields: f,
		Text: fmt.Sprintf("port %d cannot be published as %d: on network %s the container is reached at its own address", p.ContainerPort, p.HostPort, network)}
}

func (p Port) fields() map[string]string {
	return map[string]string{FieldProtocol: p.Protocol, FieldHostIP: hostIP(p).String(),
		FieldHostPort: strconv.Itoa(int(p.HostPort)), FieldContainerPort: strconv.Itoa(int(p.ContainerPort))}
}

// host is a port's place on the host, as "0.0.0.0:80/tcp".
func (p Port) host() string {
	return netip.AddrPortFrom(hostIP(p), p.HostPort).String() + "/" + p.Protocol
}
