package operation

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/guest"
)

// readAddresses reads the static addresses of the endpoint, and its name servers.
func readAddresses(c option.Values, s *vch.Settings) error {
	for _, v := range c.Trimmed("dns-server") {
		a, err := netip.ParseAddr(v)
		if err != nil {
			return wrongOption("dns-server", v, "not an address", "give it the address of a name server, such as 10.0.0.53")
		}
		s.DNS = append(s.DNS, a)
	}
	for _, role := range []string{vch.RolePublic, vch.RoleClient, vch.RoleManagement} {
		st, err := readStatic(c, role)
		if err != nil {
			return err
		}
		if st.Address.IsValid() {
			if s.Static == nil {
				s.Static = map[string]vch.Static{}
			}
			s.Static[role] = st
		}
	}
	_, static := s.Static[vch.RolePublic]
	if static && len(s.DNS) == 0 && s.Static[vch.RoleClient].Address.IsValid() == (c.String("client-network") != "") &&
		s.Static[vch.RoleManagement].Address.IsValid() == (c.String("management-network") != "") {
		return wrongOption("public-network-ip", c.String("public-network-ip"), "no DHCP server will tell the endpoint a name server", "give --dns-server too")
	}
	return nil
}

func readStatic(c option.Values, role string) (vch.Static, error) {
	var s vch.Static
	network, ip, gateway := role+"-network", role+"-network-ip", role+"-network-gateway"
	if c.String(ip) == "" {
		if c.String(gateway) != "" {
			return s, wrongOption(gateway, c.String(gateway), "it is of no use without --"+ip, "give --"+ip+" too, or leave it to DHCP")
		}
		return s, nil
	}
	if c.String(network) == "" {
		return s, wrongOption(ip, c.String(ip), "--"+network+" is not given", "name the port group with --"+network)
	}
	var err error
	if s.Address, err = netip.ParsePrefix(c.String(ip)); err != nil || s.Address.Addr() == s.Address.Masked().Addr() && s.Address.Bits() < 31 {
		return s, wrongOption(ip, c.String(ip), "not an address with its prefix length", "give it as 10.0.0.2/24")
	}
	if isBroadcast(s.Address) {
		return s, wrongOption(ip, c.String(ip), "the broadcast address of "+s.Address.Masked().String(), "give another address")
	}
	if role == vch.RolePublic {
		// VIC also took the gateway with a prefix length.
		g, _, _ := strings.Cut(c.String(gateway), "/")
		if s.Gateway, err = netip.ParseAddr(g); err != nil || !s.Address.Contains(s.Gateway) {
			return s, wrongOption(gateway, c.String(gateway), "not an address in "+s.Address.Masked().String(), "give the address of the network's router")
		}
		if s.Gateway == s.Address.Addr() {
			return s, wrongOption(gateway, c.String(gateway), "the endpoint's own address", "give the address of the network's router")
		}
		return s, nil
	}
	s.Routes, err = readRoutes(gateway, c.String(gateway), s.Address)
	return s, err
}

// isBroadcast says that an address with its prefix length is that of everybody in its network.
func isBroadcast(p netip.Prefix) bool {
	return p.Addr().Is4() && p.Bits() < 31 && p.Addr() == config.LastAddress(p)
}

// readRoutes reads "network[,network...]:gateway".
func readRoutes(option, value string, within netip.Prefix) ([]guest.Route, error) {
	if value == "" {
		return nil, nil
	}
	const remedy = "give the networks behind the gateway and its address: 10.1.0.0/16,10.2.0.0/16:10.0.0.1; the default route is the public network's"
	i := strings.LastIndex(value, ":")
	if i < 0 {
		return nil, wrongOption(option, value, "it does not name the networks behind the gateway", remedy)
	}
	g, _, _ := strings.Cut(value[i+1:], "/")
	gateway, err := netip.ParseAddr(g)
	if err != nil || !within.Contains(gateway) {
		return nil, wrongOption(option, value, "the gateway is not an address in "+within.Masked().String(), remedy)
	}
	var routes []guest.Route
	for _, d := range strings.Split(value[:i], ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(d))
		if err != nil {
			return nil, wrongOption(option, value, d+" is not a network", remedy)
		}
		if p.Bits() == 0 {
			return nil, wrongOption(option, value, "it would be a second default route", remedy)
		}
		routes = append(routes, guest.Route{Destination: p.Masked(), Via: gateway})
	}
	return routes, nil
}

// networkName is what Docker takes as the name of a network.
var networkName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// containerNetworks reads the options of containerNetworkFlags; Portgroup is looked up later.
func containerNetworks(c option.Values) ([]vch.ContainerNetwork, error) {
	var all []vch.ContainerNetwork
	for _, v := range c.Trimmed("container-network") {
		network, name, ok := strings.Cut(v, ":")
		if !ok {
			name = network
		}
		if network == "" || !networkName.MatchString(name) || slices.Contains([]string{"bridge", "host", "none", "default"}, name) {
			return nil, wrongOption("container-network", v, "not a port group and a name for docker",
				"give it as portgroup:name; a name has letters, digits, and after the first character - _ . and is none of bridge, host, none and default")
		}
		if slices.ContainsFunc(all, func(n vch.ContainerNetwork) bool { return n.Name == name || n.Network == network }) {
			return nil, wrongOption("container-network", v, "the port group or the name is there twice", "give each once")
		}
		all = append(all, vch.ContainerNetwork{Name: name, Network: network})
	}
	for _, o := range []struct {
		option string
		read   func(*vch.ContainerNetwork, string) error
	}{
		{"container-network-gateway", readContainerGateway}, {"container-network-ip-range", readContainerRange},
		{"container-network-dns", readContainerDNS}, {"container-network-firewall", readContainerFirewall},
	} {
		for _, v := range c.Trimmed(o.option) {
			network, value, _ := strings.Cut(v, ":")
			i := slices.IndexFunc(all, func(n vch.ContainerNetwork) bool { return n.Network == network })
			if i < 0 {
				return nil, wrongOption(o.option, v, "there is no --container-network "+network, "give --container-network "+network+" too")
			}
			if err := o.read(&all[i], value); err != nil {
				return nil, wrongOption(o.option, v, err.Error(), "give it as --help shows")
			}
		}
	}
	for _, n := range all {
		if len(n.Ranges) > 0 && !n.Subnet.IsValid() {
			return nil, wrongOption("container-network-ip-range", n.Network+":"+n.Ranges[0], "the subnet is not known",
				"give --container-network-gateway "+n.Network+":address/bits too")
		}
	}
	return all, nil
}

func readContainerGateway(n *vch.ContainerNetwork, v string) error {
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return fmt.Errorf("%q is not an address with its prefix length", v)
	}
	if n.Subnet.IsValid() {
		return fmt.Errorf("the port group has the gateway %s already", n.Gateway)
	}
	if !p.Addr().Is4() || p.Bits() > 30 {
		return fmt.Errorf("%s is not in an IPv4 network of /30 or larger", v)
	}
	if p.Addr() == p.Masked().Addr() || isBroadcast(p) {
		return fmt.Errorf("%s is the address of a network, not of a gateway", v)
	}
	n.Subnet, n.Gateway = p.Masked(), p.Addr()
	return nil
}

// readContainerRange takes what config.ParseRange takes; a range is kept as the driver writes it.
func readContainerRange(n *vch.ContainerNetwork, v string) error {
	r, err := config.ParseRange(v)
	if err != nil {
		return fmt.Errorf("%q is neither a network nor a first and a last address", v)
	}
	if n.Subnet.IsValid() && !(n.Subnet.Contains(r.First) && n.Subnet.Contains(r.Last)) {
		return fmt.Errorf("%s is not in %s", r, n.Subnet)
	}
	kept := r.String()
	if p, err := netip.ParsePrefix(v); err == nil {
		kept = p.Masked().String()
	}
	n.Ranges = append(n.Ranges, kept)
	return nil
}

func readContainerDNS(n *vch.ContainerNetwork, v string) error {
	a, err := netip.ParseAddr(v)
	if err != nil {
		return fmt.Errorf("%q is not an address", v)
	}
	n.DNS = append(n.DNS, a)
	return nil
}

func readContainerFirewall(n *vch.ContainerNetwork, v string) error {
	if n.Firewall = strings.ToLower(v); !slices.Contains(guest.FirewallPolicies(), n.Firewall) {
		return fmt.Errorf("%q is none of %s", v, strings.Join(guest.FirewallPolicies(), ", "))
	}
	return nil
}
