package cli

import (
	"fmt"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

// printSettings prints what differs from the defaults.
func (a *app) printSettings(row func(k, format string, args ...any), d *vch.Details) {
	s := d.Settings
	some := func(k, v string) {
		if v != "" {
			row(k, "%s", v)
		}
	}
	for _, n := range d.NICs {
		if n.Interface != vch.RoleBridge {
			row(strings.ToUpper(n.Interface[:1])+n.Interface[1:]+" network", "%s%s", n.Name, addressWord(d, n.Interface))
		}
	}
	for _, n := range s.ContainerNetworks {
		row("Container network", "%s: %s", n.Name, containerNetworkWord(n))
	}
	for _, l := range []struct {
		name, unit string
		vch.Allocation
	}{{"Memory", "MiB", s.Memory}, {"CPU", "MHz", s.CPU}} {
		some(l.name, allocationWord(l.Allocation, l.unit))
	}
	if s.AffinityVMGroup {
		row("DRS VM group", "%s", d.Name)
	}
	if s.MaxContainers > 0 {
		row("Most containers", "%d", s.MaxContainers)
	}
	some("HTTP proxy", s.HTTPProxy)
	some("HTTPS proxy", s.HTTPSProxy)
	some("No proxy for", s.NoProxy)
	some("Syslog", s.Syslog)
	some("Operations user", d.OpsUser)
	if h := d.Hub; h != nil {
		row("Hub", "%s: number %d, projects %s", h.URL, h.ID, strings.Join(h.Projects, ", "))
	}
}

// addressWord is the endpoint's address on a network.
func addressWord(d *vch.Details, iface string) string {
	if st, ok := d.Settings.Static[iface]; ok {
		return fmt.Sprintf(": %s, static", st.Address)
	}
	if a := d.Addresses[iface]; a != "" {
		return ": " + a + ", by DHCP"
	}
	if d.State == "ready" {
		return ": no address, no DHCP server answers"
	}
	return ""
}

func containerNetworkWord(n vch.ContainerNetwork) string {
	words := []string{n.Network}
	if n.Subnet.IsValid() {
		words = append(words, n.Subnet.String())
	}
	words = append(words, n.Ranges...)
	if n.Firewall != "" {
		words = append(words, n.Firewall)
	}
	return strings.Join(words, ", ")
}

func allocationWord(a vch.Allocation, unit string) string {
	var words []string
	if a.Limit > 0 {
		words = append(words, fmt.Sprintf("at most %d %s", a.Limit, unit))
	}
	if a.Reservation > 0 {
		words = append(words, fmt.Sprintf("%d %s reserved", a.Reservation, unit))
	}
	if a.Shares != "" {
		words = append(words, "shares "+a.Shares)
	}
	return strings.Join(words, ", ")
}
