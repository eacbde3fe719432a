package netcfg

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openvic/vic/sdk/guest"
)

// Hostname is the container's host name: what it asks for, else the beginning of its ID.
func Hostname(c *guest.Config) string {
	if c.Hostname != "" {
		return c.Hostname
	}
	return c.ID[:min(12, len(c.ID))]
}

// HostsFile is /etc/hosts as Docker writes it: the fixed names, the given ones, and our own.
func HostsFile(c *guest.Config, addresses []Address) string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n" +
		"ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	given := map[string]bool{}
	for _, h := range c.Hosts {
		fmt.Fprintf(&b, "%s\t%s\n", h.Address, strings.Join(h.Names, " "))
		given[h.Address.String()] = true
	}
	names := Hostname(c)
	if c.Domainname != "" {
		names = names + "." + c.Domainname + " " + names
	}
	own := false
	for _, a := range addresses {
		ip := a.Prefix.Addr()
		if !ip.IsLinkLocalUnicast() {
			own = true
			if !given[ip.String()] {
				fmt.Fprintf(&b, "%s\t%s\n", ip, names)
			}
		}
	}
	if !own {
		fmt.Fprintf(&b, "127.0.1.1\t%s\n", names)
	}
	return b.String()
}

// ResolvFile is /etc/resolv.conf: the given servers, else those of the leases, each once; a resolver asks
// the first one first.
func ResolvFile(dns guest.DNS, leases []Lease) string {
	servers, search := slices.Clone(dns.Servers), slices.Clone(dns.Search)
	for _, l := range leases {
		for _, s := range l.DNS {
			if len(dns.Servers) == 0 && !slices.Contains(servers, s) {
				servers = append(servers, s)
			}
		}
		for _, s := range l.Search {
			if len(dns.Search) == 0 && !slices.Contains(search, s) {
				search = append(search, s)
			}
		}
	}
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	if len(dns.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(dns.Options, " "))
	}
	return b.String()
}
