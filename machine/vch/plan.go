package vch

import (
	"encoding/json"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openvic/vic/machine/certs"
	"github.com/openvic/vic/sdk/guest"
)

// Names in the VCH's folder, and of the endpoint's interfaces.
const (
	bootstrapISO = "bootstrap.iso"
	applianceISO = "appliance.iso"
	consoleLog   = "console.log"
	ifPublic     = "public"
	ifBridge     = "bridge"
	linkAddress  = "fe80::1"
)

// Plan is a VCH that is about to be made: all names and contents, nothing done yet.
type Plan struct {
	Spec   Spec
	Res    Resources
	Certs  *certs.Set
	Record Record
}

// NewPlan decides what will be made.
func NewPlan(s Spec, r Resources, c *certs.Set, now time.Time) *Plan {
	p := &Plan{Spec: s, Res: r, Certs: c}
	id := uuid.NewString()
	store := s.Name
	if r.StorePath != "" {
		store = r.StorePath
	}
	store = path.Join(store, "VIC", id)
	p.Record = Record{
		Version: s.Version, Name: s.Name, ID: id, Created: now.UTC().Truncate(time.Second),
		Datacenter: r.Datacenter.Reference().Value, ParentPool: r.Pool.Reference().Value, PoolType: VirtualApp,
		Bridge: r.Bridge.Reference().Value, BridgeName: r.BridgeName, Public: r.Public.Reference().Value, PublicName: r.PublicName,
		Datastore: r.Files.Datastore.Name(), Folder: s.Name, ImageStore: r.Files.Path(store),
		DockerPort: s.DockerPort(), TLS: !s.NoTLS, VolumeStores: volumeStores(r.VolumeStores),
	}
	if !r.Session.IsVC() {
		p.Record.PoolType = ResourcePool
	}
	return p
}

// file is a path in the VCH's folder, relative to the datastore; path the same as vSphere writes it.
func (p *Plan) file(elem ...string) string {
	return path.Join(append([]string{p.Record.Folder}, elem...)...)
}
func (p *Plan) path(elem ...string) string { return p.Res.Files.Path(p.file(elem...)) }

// storeDirs are the folders on the way to the image store, outermost first.
func (p *Plan) storeDirs() []string {
	full := strings.TrimPrefix(p.Record.ImageStore, p.Res.Files.Path(""))
	full = strings.TrimSpace(full)
	var dirs []string
	for d := full; d != "." && d != "/" && d != ""; d = path.Dir(d) {
		dirs = append([]string{d}, dirs...)
	}
	return dirs
}

// macs are the addresses of the endpoint's NICs.
type macs struct{ public, bridge string }

// guestConfig is what the tether of the endpoint VM finds in guestinfo.
func (p *Plan) guestConfig(vm string, m macs) (string, error) {
	files, err := p.files(vm)
	if err != nil {
		return "", err
	}
	bits := p.Spec.BridgeRange.Bits()
	c := guest.Config{
		Version: 1, ID: p.Record.ID, Name: p.Spec.Name, Hostname: p.Spec.Name,
		Mounts: []guest.Mount{{Disk: 0, Target: stateDir, Format: "vic-state"}},
		Networks: []guest.Network{
			{Name: p.Res.PublicName, MAC: m.public, Interface: ifPublic, DHCP: true},
			{Name: p.Res.BridgeName, MAC: m.bridge, Interface: ifBridge, Addresses: []netip.Prefix{
				netip.PrefixFrom(p.Spec.Gateway(), bits), netip.MustParsePrefix(linkAddress + "/64"),
			}},
		},
		Appliance: &guest.Appliance{
			Files:    files,
			Services: []guest.Service{{Name: "vicd", Args: []string{"/usr/bin/vicd", "--config", vicdTOML}}},
			Sysctl:   map[string]string{"net.ipv4.ip_forward": "1"},
		},
	}
	b, err := json.Marshal(c)
	return string(b), err
}

// files are the endpoint's configuration and certificates.
func (p *Plan) files(vm string) ([]guest.File, error) {
	vicd, err := p.vicd()
	if err != nil {
		return nil, err
	}
	vsphere, err := p.vsphere(vm)
	if err != nil {
		return nil, err
	}
	const public, private = 0o644, 0o600
	files := []guest.File{
		{Path: vicdTOML, Mode: public, Data: vicd},
		{Path: vsphereTOML, Mode: private, Data: vsphere},
		{Path: fileLinkCA, Mode: public, Data: p.Certs.Link.Cert},
		{Path: fileLinkKey, Mode: private, Data: p.Certs.Link.Key},
	}
	if p.Spec.NoTLS {
		return files, nil
	}
	return append(files,
		guest.File{Path: fileCA, Mode: public, Data: p.Certs.CA.Cert},
		guest.File{Path: fileCert, Mode: public, Data: p.Certs.Server.Cert},
		guest.File{Path: fileKey, Mode: private, Data: p.Certs.Server.Key},
		guest.File{Path: fileAdminCA, Mode: public, Data: p.Certs.AdminCA.Cert},
	), nil
}
