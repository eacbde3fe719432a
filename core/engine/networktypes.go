package engine

import (
	"net/netip"
	"slices"

	"github.com/openvic/vic/sdk/network"
)

// Attachment is a container's place on a network.
type Attachment struct {
	NetworkID string         `json:"networkID"`
	Name      string         `json:"name"`
	MAC       string         `json:"mac,omitempty"`
	Addresses []netip.Prefix `json:"addresses,omitempty"` // none where DHCP gives them
	Gateway   netip.Addr     `json:"gateway,omitzero"`
	Gateway6  netip.Addr     `json:"gateway6,omitzero"`
	DNS       []netip.Addr   `json:"dns,omitempty"`
	DHCP      bool           `json:"dhcp,omitempty"`
	// Driver is the network's: network.DriverBridge or network.DriverExternal; Default is the network
	// that containers are on which ask for none, where there are no names.
	Driver  string `json:"driver,omitempty"`
	Default bool   `json:"default,omitempty"`
	// What was asked for.
	Wanted NetworkRequest `json:"wanted,omitzero"`
}

// NetworkRequest asks for a place on a network.
type NetworkRequest struct {
	Name     string            `json:"name,omitempty"`     // or ID
	Address  netip.Addr        `json:"address,omitzero"`   // wanted, or zero
	Address6 netip.Addr        `json:"address6,omitzero"`  // likewise of IPv6
	MAC      string            `json:"mac,omitempty"`      // wanted, or empty
	Aliases  []string          `json:"aliases,omitempty"`  // what others call the container
	Links    map[string]string `json:"links,omitempty"`    // what it calls others: alias to name
	Priority int               `json:"priority,omitempty"` // the highest one has the default route
}

// Port is a port to publish: on one host port, on the first free one of HostPort to HostPortEnd, or,
// with HostPort 0, on any.
type Port struct {
	network.Port
	HostPortEnd uint16 `json:"HostPortEnd,omitempty"`
}

// IPv4 is the attachment's IPv4 address, if it has one.
func (a *Attachment) IPv4() (netip.Prefix, bool) { return a.address(netip.Addr.Is4) }

// IPv6 is the attachment's IPv6 address, if it has one.
func (a *Attachment) IPv6() (netip.Prefix, bool) { return a.address(netip.Addr.Is6) }

func (a *Attachment) address(kind func(netip.Addr) bool) (netip.Prefix, bool) {
	i := slices.IndexFunc(a.Addresses, func(p netip.Prefix) bool { return kind(p.Addr()) })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return a.Addresses[i], true
}

// DNSNames are what others on the network may call the container: its name, its aliases, its short ID
// and its host name, as Docker has them. On the default network there are none.
func (d *Definition) DNSNames(a *Attachment) []string {
	if a.Default || a.Driver == network.DriverExternal {
		return nil
	}
	names := []string{d.Name}
	for _, n := range append(slices.Clone(a.Wanted.Aliases), d.ID[:12], d.Hostname) {
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}
