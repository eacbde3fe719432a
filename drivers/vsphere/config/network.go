package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/openvic/vic/sdk/guest"
)

// ContainerNetwork is a port group that containers may join directly.
type ContainerNetwork struct {
	Name      string       `toml:"name"`
	Portgroup string       `toml:"portgroup"`
	Subnet    netip.Prefix `toml:"subnet,omitempty"` // none: DHCP
	Gateway   netip.Addr   `toml:"gateway,omitempty"`
	IPRanges  []string     `toml:"ip_ranges,omitempty"` // "10.0.5.0/25" or "10.0.5.10-10.0.5.99"; none: the whole subnet
	DNS       []netip.Addr `toml:"dns,omitempty"`
	Firewall  string       `toml:"firewall"`
}

// defaultPool and defaultSubnetBits: 240 networks of 4093 containers beside a bridge of 172.16.0.0/16.
const (
	defaultPool       = "172.16.0.0/12"
	defaultSubnetBits = 20
)

func (n *Network) setDefaults() {
	if len(n.Pools) == 0 {
		n.Pools = []netip.Prefix{netip.MustParsePrefix(defaultPool)}
	}
	if n.SubnetBits == 0 {
		n.SubnetBits = defaultSubnetBits
	}
	for i := range n.Container {
		if n.Container[i].Firewall == "" {
			n.Container[i].Firewall = guest.FirewallPublished
		}
	}
}

func (n *Network) validate(bad func(string, string, ...any)) {
	for _, p := range n.Pools {
		if !p.Addr().Is4() || p.Bits() > 28 {
			bad("network.pools", "%s is not an IPv4 range of /28 or larger", p)
		}
	}
	if n.SubnetBits < 8 || n.SubnetBits > 30 {
		bad("network.subnet_bits", "%d is not between 8 and 30", n.SubnetBits)
	}
	names := map[string]bool{"bridge": true, "host": true, "none": true, "default": true, "container": true, "": true}
	for _, c := range n.Container {
		if names[c.Name] {
			bad("network.container.name", "%q is missing, taken, or a name of Docker's", c.Name)
		}
		names[c.Name] = true
		if c.Portgroup == "" {
			bad("network.container.portgroup", "is missing for %q", c.Name)
		}
		c.validateAddresses(bad)
		policies := guest.FirewallPolicies()
		if !slices.Contains(policies, c.Firewall) {
			bad("network.container.firewall", "%q is none of %s", c.Firewall, strings.Join(policies, ", "))
		}
	}
}

func (c *ContainerNetwork) validateAddresses(bad func(string, string, ...any)) {
	if !c.Subnet.IsValid() {
		if len(c.IPRanges) > 0 || c.Gateway.IsValid() {
			bad("network.container.subnet", "is missing for %q, which has ip_ranges or a gateway", c.Name)
		}
		return
	}
	if !c.Subnet.Addr().Is4() || c.Subnet.Bits() > 30 {
		bad("network.container.subnet", "%s is not an IPv4 subnet of /30 or larger", c.Subnet)
	}
	if c.Gateway.IsValid() && !c.Subnet.Contains(c.Gateway) {
		bad("network.container.gateway", "%s is not in %s", c.Gateway, c.Subnet)
	}
	for _, s := range c.IPRanges {
		r, err := ParseRange(s)
		if err != nil || !c.Subnet.Contains(r.First) || !c.Subnet.Contains(r.Last) {
			bad("network.container.ip_ranges", "%q is no range of addresses in %s", s, c.Subnet)
		}
	}
}

// Ranges are IPRanges, parsed; what Validate refuses is left out.
func (c *ContainerNetwork) Ranges() []Range {
	var out []Range
	for _, s := range c.IPRanges {
		if r, err := ParseRange(s); err == nil {
			out = append(out, r)
		}
	}
	return out
}
