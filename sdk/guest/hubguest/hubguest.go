// Package hubguest says what a hub's VM is configured with: what vic-machine writes into its guestinfo, and what the VM itself makes
// of the OVF properties with which it was deployed from an OVA.
package hubguest

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/openvic/vic/sdk/guest"
)

// Port is where a hub serves; Interface the VM's one NIC.
const (
	Port      = 443
	Interface = "public"
)

// The files of the VM.
const (
	Etc          = "/etc/vic-hub/"
	FileHub      = Etc + "hub.toml"
	FileLocal    = Etc + "local.toml"
	FileCert     = Etc + "tls/server-cert.pem"
	FileKey      = Etc + "tls/server-key.pem"
	FilePassword = Etc + "first-password"
	DataDir      = "/var/lib/vic-hub"
	Program      = "/usr/bin/vic-hub"
	ModePublic   = 0o644
	ModePrivate  = 0o600
)

// diskLabel is that of the data disk's file system.
const diskLabel = "vic-hub"

// Hub is what is known of a hub when its VM boots.
type Hub struct {
	ID, Name string
	// Network is the name of what the NIC is on, MAC the NIC's address; empty: the VM has one NIC.
	Network, MAC string
	Address      netip.Prefix // the zero value: DHCP
	Gateway      netip.Addr
	DNS          []netip.Addr
	// Cert and Key are PEM; empty: the hub makes its own, for Names, with an authority of its own.
	Cert, Key []byte
	Names     []string
	// Password is that of the first user, admin@local; it counts when the data disk is empty.
	Password string
	// Sources are the identity sources beside the one that keeps users on the data disk, before it.
	Sources []string
	// Debug makes the hub log more.
	Debug bool
	// More are further files, such as configurations of Sources.
	More []guest.File
}

// Config is what the tether of the VM works with.
func (h Hub) Config() guest.Config {
	n := guest.Network{Name: h.Network, MAC: h.MAC, Interface: Interface, DHCP: true}
	if h.Address.IsValid() {
		n.DHCP, n.Addresses, n.Gateway = false, []netip.Prefix{h.Address}, h.Gateway
	}
	sources := quoted(append(append([]string(nil), h.Sources...), "local"))
	tls := fmt.Sprintf("names = [%s]\n", quoted(h.Names))
	var files []guest.File
	if len(h.Cert) > 0 {
		tls = fmt.Sprintf("cert = %q\nkey = %q\n", FileCert, FileKey)
		files = []guest.File{{Path: FileCert, Mode: ModePublic, Data: h.Cert}, {Path: FileKey, Mode: ModePrivate, Data: h.Key}}
	}
	hub := fmt.Sprintf("name = %q\nlisten = \"tcp://0.0.0.0:%d\"\ndata = %q\n[tls]\n%s[plugins]\ndir = %q\n[roles]\nauth = [%s]\n",
		h.Name, Port, DataDir, tls, Etc+"plugins.d", sources)
	local := fmt.Sprintf("file = %q\nfirst_password_file = %q\n", DataDir+"/users/users.json", FilePassword)
	args := []string{Program, "serve", "--config", FileHub}
	if h.Debug {
		args = append(args, "--debug")
	}
	return guest.Config{
		Version: 1, ID: h.ID, Name: h.Name, Hostname: h.Name,
		Mounts:   []guest.Mount{{Disk: 0, Target: DataDir, Format: diskLabel}},
		Networks: []guest.Network{n},
		DNS:      guest.DNS{Servers: h.DNS},
		Appliance: &guest.Appliance{
			Files: append(append([]guest.File{
				{Path: FileHub, Mode: ModePublic, Data: []byte(hub)},
				{Path: FileLocal, Mode: ModePublic, Data: []byte(local)},
				{Path: FilePassword, Mode: ModePrivate, Data: []byte(h.Password)},
			}, files...), h.More...),
			Services: []guest.Service{{Name: "vic-hub", Args: args}},
		},
	}
}

// ownNames is the line of hub.toml by which a hub makes its own certificate.
var ownNames = regexp.MustCompile(`(?m)^names = \[.*\]$`)

// SetCertificate gives a hub that makes its own certificate another one, and says whether it did: a hub that has one keeps it.
func SetCertificate(c *guest.Config, cert, key []byte) bool {
	for i, f := range c.Appliance.Files {
		if f.Path == FileHub && ownNames.Match(f.Data) {
			c.Appliance.Files[i].Data = ownNames.ReplaceAll(f.Data, fmt.Appendf(nil, "cert = %q\nkey = %q", FileCert, FileKey))
			c.Appliance.Files = append(c.Appliance.Files, guest.File{Path: FileCert, Mode: ModePublic, Data: cert},
				guest.File{Path: FileKey, Mode: ModePrivate, Data: key})
			return true
		}
	}
	return false
}

// quoted are the elements of an array in TOML.
func quoted(all []string) string {
	var out []string
	for _, s := range all {
		out = append(out, fmt.Sprintf("%q", s))
	}
	return strings.Join(out, ", ")
}
