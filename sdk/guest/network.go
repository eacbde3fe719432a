package guest

import "net/netip"

// NetworkConfig is the part of Config that can change while the container runs.
type NetworkConfig struct {
	Networks []Network `json:"networks,omitempty"`
	Hosts    []Host    `json:"hosts,omitempty"`
	DNS      DNS       `json:"dns,omitzero"`
}

// Network returns the part of a Config that KeyNetwork may replace.
func (c *Config) Network() NetworkConfig {
	return NetworkConfig{Networks: c.Networks, Hosts: c.Hosts, DNS: c.DNS}
}

// SetNetwork replaces that part.
func (c *Config) SetNetwork(n NetworkConfig) {
	c.Networks, c.Hosts, c.DNS = n.Networks, n.Hosts, n.DNS
}

// Firewall is what a guest lets through one of its NICs. Link-local traffic with the host is always
// let through: the link lives on it.
type Firewall struct {
	// Policy is the trust that the administrator put in a container network; empty for a bridge
	// network, where Foreign alone counts.
	Policy string `json:"policy,omitempty"`
	// Ports may be reached with policy FirewallPublished.
	Ports []Port `json:"ports,omitempty"`
	// Peers are the addresses that policy FirewallPeers speaks with.
	Peers []netip.Prefix `json:"peers,omitempty"`
	// Foreign are the addresses of other networks that share the layer 2 with this one: nothing is
	// taken from them, except from those in Peers, and nothing sent to them past the gateway.
	Foreign []netip.Prefix `json:"foreign,omitempty"`
}

// Port is a port of a protocol ("tcp", "udp", "sctp").
type Port struct {
	Protocol string `json:"protocol"`
	Port     uint16 `json:"port"`
}

// The policies of container networks.
const (
	FirewallClosed    = "closed"    // nothing in, nothing out
	FirewallOutbound  = "outbound"  // connections that the container opens
	FirewallPublished = "published" // those, and those to published ports
	FirewallPeers     = "peers"     // those with other containers of the network alone
	FirewallOpen      = "open"      // everything
)

// FirewallPolicies are all policies, the strictest first.
func FirewallPolicies() []string {
	return []string{FirewallClosed, FirewallOutbound, FirewallPeers, FirewallPublished, FirewallOpen}
}
