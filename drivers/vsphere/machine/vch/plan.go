package vch

import (
	"path"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/sdk/guest"
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
		Datacenter: r.Datacenter.Reference().Value, ParentPool: r.Pool.Reference().Value, PoolType: config.PoolVApp,
		Bridge: r.Bridge.Reference().Value, BridgeName: r.BridgeName, Public: r.Public.Reference().Value, PublicName: r.PublicName,
		Datastore: r.Files.Datastore.Name(), Folder: s.Name, ImageStore: r.Files.Path(store),
		DockerPort: s.DockerPort(), TLS: !s.NoTLS, VolumeStores: volumeStores(r.VolumeStores),
		VMFolder: r.Folder.Reference().Value, NICs: r.nics(),
		ApplianceISO: isoName("appliance", s.Version), BootstrapISO: isoName("bootstrap", s.Version),
		Settings: s.Settings, Options: s.Options,
	}
	if s.AffinityVMGroup {
		p.Record.Cluster = r.Cluster
	}
	p.Record.Settings.ContainerNetworks = r.Containers
	if !r.Session.IsVC() {
		p.Record.PoolType = config.PoolResourcePool
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

// isoName has the version in it: after an upgrade the containers of before still boot from the old one.
func isoName(kind, version string) string {
	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune("/\\:*?\"<>|[]% ", r) {
			return '_'
		}
		return r
	}, version)
	return kind + "-" + clean + ".iso"
}

// nics are the NICs of the endpoint: public first, the bridge last, and one for each other network.
func (r Resources) nics() []NIC {
	nics := []NIC{{Interface: RolePublic, Roles: []string{RolePublic}, Network: r.Public.Reference().Value, Name: r.PublicName}}
	add := func(role string, n object.NetworkReference) {
		if n == nil {
			n = r.Public
		}
		for i := range nics {
			if nics[i].Network == n.Reference().Value {
				nics[i].Roles = append(nics[i].Roles, role)
				return
			}
		}
		nics = append(nics, NIC{Interface: role, Roles: []string{role}, Network: n.Reference().Value, Name: path.Base(n.GetInventoryPath())})
	}
	add(RoleClient, r.Client)
	add(RoleManagement, r.Management)
	return append(nics, NIC{Interface: RoleBridge, Roles: []string{RoleBridge}, Network: r.Bridge.Reference().Value, Name: r.BridgeName})
}

// network is the one that a NIC is on.
func (r Resources) network(n NIC) object.NetworkReference {
	for _, have := range []object.NetworkReference{r.Public, r.Client, r.Management, r.Bridge} {
		if have != nil && have.Reference().Value == n.Network && (n.Interface != RoleBridge || have == r.Bridge) {
			return have
		}
	}
	return nil
}

// endpoint is the configuration of the new endpoint VM.
func (p *Plan) endpoint(vm string, macs map[string]string) *endpointConfig {
	t := p.Res.Session.Target
	login := p.Spec.Ops
	if login.User == "" {
		login = Login{User: t.User, Password: t.Password}
	}
	return &endpointConfig{Record: &p.Record, vm: vm, macs: macs, url: t.URL.String(), thumbprint: t.Thumbprint, login: login, keep: p.files()}
}

// files are the endpoint's certificates.
func (p *Plan) files() []guest.File {
	files := []guest.File{
		{Path: fileLinkCA, Mode: modePublic, Data: p.Certs.Link.Cert},
		{Path: fileLinkKey, Mode: modePrivate, Data: p.Certs.Link.Key},
	}
	files = append(files, registryCAs(p.Spec.RegistryCAs)...)
	if p.Spec.NoTLS {
		return files
	}
	return append(files,
		guest.File{Path: fileCA, Mode: modePublic, Data: p.Certs.ClientCA},
		guest.File{Path: fileCert, Mode: modePublic, Data: p.Certs.Server.Cert},
		guest.File{Path: fileKey, Mode: modePrivate, Data: p.Certs.Server.Key},
		guest.File{Path: fileAdminCA, Mode: modePublic, Data: p.Certs.AdminCA.Cert},
	)
}
