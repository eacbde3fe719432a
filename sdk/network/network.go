// Package network is the plugin kind that connects container VMs. This file is all a driver's
// author has to read: the interface, its vocabulary and the errors.
//
// # Rules
//
//   - Network and container IDs are chosen by the host, except for the networks that the
//     administrator gave (the bridge): those the driver lists by itself, with fixed IDs.
//   - Join is idempotent for (network, container): the second call returns the first one's result.
//     The driver must not give an address twice, also after its own restart: it finds the leases of
//     existing containers again in the platform.
//
// # Errors
//
// ErrNotFound, ErrExhausted (no address is free), ErrConflict (the wanted address is taken),
// ErrInvalid (the wanted address is not in the subnet), ErrUnavailable.
package network

import (
	"context"
	"net/netip"
	"time"

	"github.com/openvic/vic/sdk/device"
)

// Driver is what a network plugin serves.
type Driver interface {
	// Get returns one network by its ID; ErrNotFound.
	Get(ctx context.Context, id string) (Network, error)
	// List returns all networks.
	List(ctx context.Context) ([]Network, error)
	// Join reserves a place on a network for a container.
	Join(ctx context.Context, req JoinRequest) (Endpoint, error)
	// Leave gives it back; no error if there is none.
	Leave(ctx context.Context, req LeaveRequest) error
}

// Network is one layer-2 network with one IPv4 subnet.
type Network struct {
	ID       string
	Name     string
	Driver   string // "bridge"
	Subnet   netip.Prefix
	Gateway  netip.Addr
	Internal bool
	Created  time.Time
	Labels   map[string]string
	Options  map[string]string
}

// JoinRequest asks for an endpoint.
type JoinRequest struct {
	Network   string     // ID
	Container string     // ID
	Address   netip.Addr // wanted address, or zero
	MAC       string     // wanted MAC, or empty
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
	NIC       device.NIC
	Addresses []netip.Prefix
	Gateway   netip.Addr
	Routes    []Route
	DNS       []netip.Addr
	Search    []string
}

// Route is a static route.
type Route struct {
	Destination netip.Prefix
	Via         netip.Addr
}
