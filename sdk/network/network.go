// Package network is the plugin kind that connects container VMs. This file is all a driver's
// author has to read: the interface, its vocabulary and the errors.
//
// # Rules
//
//   - Network and container IDs are chosen by the host, except for the networks that the
//     administrator gave (Network.Given: the bridge, container networks): those the driver lists by
//     itself, with fixed IDs.
//   - One network that the administrator gave has the name DefaultName: containers that name no network
//     join it. Without it every "docker run" has to say --network.
//   - Networks that Create made outlive the driver and its machine: they are kept in the platform.
//   - Join is idempotent for (network, container): the second call returns the first one's place; the
//     names and links are those of the last call. The driver must not give an address twice, also
//     after its own restart: it finds the leases of existing containers again in the platform.
//   - What is published is bound by Publish alone. The host calls it when a container starts, with the
//     ports that were chosen before when it finds one running, and may repeat it: it replaces what
//     the container had published. Unpublish, Leave and the end of the VM end it.
//
// # Errors
//
// ErrNotFound, ErrExists (a network with this ID but other properties), ErrExhausted (no address,
// subnet or port is free), ErrConflict (the wanted address, subnet or port is taken; a network that
// containers have joined cannot be removed), ErrInvalid (the wanted address is not in the subnet, a
// gateway neither; a host address is not the host's), ErrDenied (a network that the administrator
// gave is not removed), ErrUnsupported (a network driver or an option that is not there),
// ErrUnavailable.
//
// Those that a user meets are made by the functions of reasons.go, so that the host can tell them in
// Docker's words; a driver's text is plain English and names no program of the user's.
package network

import (
	"context"
	"net/netip"
	"time"

	"github.com/openvic/vic/sdk/device"
)

// Driver is what a network plugin serves.
type Driver interface {
	// Create makes a network. Without a subnet the driver takes one that is free.
	Create(ctx context.Context, req CreateRequest) (Network, error)
	// Remove removes a network that nobody has joined; no error if it is gone.
	Remove(ctx context.Context, id string) error
	// Get returns one network by its ID; ErrNotFound.
	Get(ctx context.Context, id string) (Network, error)
	// List returns all networks.
	List(ctx context.Context) ([]Network, error)
	// Join reserves a place on a network for a container.
	Join(ctx context.Context, req JoinRequest) (Endpoint, error)
	// Leave gives it back; no error if there is none.
	Leave(ctx context.Context, req LeaveRequest) error
	// Publish makes ports of a container reachable from outside, all or none, and returns them with
	// the host ports that were chosen.
	Publish(ctx context.Context, req PublishRequest) ([]Port, error)
	// Unpublish ends that; no error if the container has published nothing.
	Unpublish(ctx context.Context, req UnpublishRequest) error
}

// DefaultName is the name of the network that containers join when they name none, as Docker calls it.
const DefaultName = "bridge"

// The drivers of networks, as Docker calls them.
const (
	DriverBridge   = "bridge"   // private; the host is the gateway
	DriverExternal = "external" // a network of the administrator's that containers join directly
)

// Network is one network with an IPv4 subnet, an IPv6 subnet if it was asked for, or, if DHCP gives
// the addresses, none.
type Network struct {
	ID       string
	Name     string
	Driver   string
	Subnet   netip.Prefix
	Gateway  netip.Addr
	IPRange  netip.Prefix // the part of Subnet that addresses are given from; zero: all of it
	Subnet6  netip.Prefix
	Gateway6 netip.Addr
	Internal bool // no way out
	Given    bool // by the administrator
	Firewall string
	Created  time.Time
	Labels   map[string]string
	Options  map[string]string
}

// CreateRequest describes a network to make. Fields that are zero are the driver's to choose.
type CreateRequest struct {
	ID       string
	Name     string
	Driver   string
	Subnet   netip.Prefix
	Gateway  netip.Addr
	IPRange  netip.Prefix
	IPv6     bool
	Subnet6  netip.Prefix // with IPv6 alone
	Gateway6 netip.Addr
	Internal bool
	Labels   map[string]string
	Options  map[string]string
}

// JoinRequest asks for an endpoint.
type JoinRequest struct {
	Network   string     // ID
	Container string     // ID
	Address   netip.Addr // wanted address, or zero
	Address6  netip.Addr // likewise of IPv6
	MAC       string     // wanted MAC, or empty
	// Names are what others on the network may call the container.
	Names []string
	// Links are what the container calls others: alias to name.
	Links map[string]string
	// DNS are the servers that are asked for the container where the names of others do not answer;
	// none: the host's own. It holds where the driver answers DNS itself.
	DNS []netip.Addr
}

// LeaveRequest gives an endpoint back.
type LeaveRequest struct {
	Network   string
	Container string
}

// Endpoint is a container's place on a network.
type Endpoint struct {
	Network   string
	Container string
	NIC       device.NIC     // with a MAC
	Addresses []netip.Prefix // none with DHCP
	Gateway   netip.Addr
	Gateway6  netip.Addr
	Routes    []Route
	DNS       []netip.Addr
	Search    []string
	DHCP      bool
	// Firewall, Peers and Foreign are for the guest to enforce: see guest.Firewall.
	Firewall string
	Peers    []netip.Prefix
	Foreign  []netip.Prefix
}

// Route is a static route.
type Route struct {
	Destination netip.Prefix
	Via         netip.Addr
}

// PublishRequest asks for ports of a container's endpoint on a network.
type PublishRequest struct {
	Network   string
	Container string
	Ports     []Port
	// CheckOnly changes nothing: it tells whether the ports are free. The container and its endpoint
	// need not be there.
	CheckOnly bool
}

// UnpublishRequest ends what a container has published.
type UnpublishRequest struct {
	Container string
}

// Port is a port of a container and where it is published.
type Port struct {
	Protocol      string     // "tcp", "udp"
	HostIP        netip.Addr // zero: every address of the host
	HostPort      uint16     // 0: the driver chooses
	ContainerPort uint16
}
