package vch

import (
	"fmt"
	"regexp"
	"strings"

	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/guest"
)

// pluginTrouble is what vicd reports of a plugin that does not work.
var pluginTrouble = regexp.MustCompile(`plugin (\S+) is [^:;]+: (.+)`)

// cause is why an endpoint does not serve, as far as its own report tells.
type cause struct {
	status  guest.Status
	iface   string // on which clients reach it
	address bool   // whether it has an address there
	look    string // where more is to be found: a part of a sentence
}

// advice says what to do about the cause, or "" if the report names none. It never guesses: what is
// said of vCenter, addresses or the endpoint VM itself was reported.
func (c cause) advice() string {
	switch trouble := vsphere.TroubleOf(c.pluginError()); {
	case trouble != vsphere.NoTrouble:
		return troubleAdvice(trouble)
	case c.status.State == "failed":
		return "the endpoint VM itself could not be set up; it has not come to vCenter and the networks yet: " + c.look
	case c.status.State == "ready" && !c.address:
		return fmt.Sprintf("check that a DHCP server answers on the %s network, or give a static address with --%s-network-ip", c.iface, c.iface)
	}
	for _, name := range sorted(c.status.Services) {
		if strings.HasPrefix(c.status.Services[name], "exited") {
			return fmt.Sprintf("%s ends by itself; it says why on its way out: %s", name, c.look)
		}
	}
	if m := pluginTrouble.FindStringSubmatch(c.status.Message); m != nil {
		return fmt.Sprintf("mend what plugin %s complains of; its log tells more: %s", m[1], c.look)
	}
	return ""
}

// neutral is the advice when nothing is known but that it does not serve.
func (c cause) neutral() string {
	return "the endpoint does not say why; more is to be found there: " + c.look
}

// pluginError is what a plugin complains of, or "".
func (c cause) pluginError() string {
	if m := pluginTrouble.FindStringSubmatch(c.status.Message); m != nil {
		return m[2]
	}
	return ""
}

// troubleAdvice says what to do when the endpoint cannot work with vCenter.
func troubleAdvice(t vsphere.Trouble) string {
	switch t {
	case vsphere.TroubleName:
		return "the name of --target does not resolve in the endpoint: give it a name server that knows it with --dns-server, or give --target as an address"
	case vsphere.TroubleUnreachable:
		return "the endpoint cannot reach vCenter: check port group, VLAN, gateway and firewalls of --public-network and --management-network"
	case vsphere.TroubleCertificate:
		return "the endpoint does not trust the certificate of vCenter: run again with the --thumbprint of the one that it shows now"
	case vsphere.TroubleAccount:
		return "vCenter refuses the endpoint's account: check --ops-user (with its domain) and --ops-password, or --user and --password without one"
	case vsphere.TroubleNoPermissions:
		return "give the endpoint's account what it lacks, or let --ops-grant-perms do it; docs/operations-user.md lists all privileges"
	}
	return ""
}
