package vch

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/privileges"
	ops "github.com/openvic/vic/drivers/vsphere/privileges"
)

// Outline says what create would make, for --dry-run.
type Outline struct {
	Objects []Object          `json:"objects"`
	Account []privileges.Need `json:"accountPrivileges"`    // of the account that runs vic-machine
	Ops     []OpsNeed         `json:"operationsPrivileges"` // of the account that the endpoint uses
}

// Object is one thing that would be made.
type Object struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Detail string `json:"detail,omitempty"`
}

// OpsNeed is a privilege that the endpoint's account needs.
type OpsNeed struct {
	ID  string `json:"privilege"`
	On  string `json:"on"`
	For string `json:"for"`
}

// Outline lists all that Create makes, in its order.
func (p *Plan) Outline() Outline {
	o := Outline{Account: privileges.Create(p.Record.PoolType == config.PoolResourcePool, p.Spec.GrantOps, p.Record.Cluster != "")}
	add := func(kind, name, format string, args ...any) {
		o.Objects = append(o.Objects, Object{kind, name, fmt.Sprintf(format, args...)})
	}
	for _, f := range p.Certs.NewFiles() {
		add("local file", path.Join(p.Certs.Dir(), f), "")
	}
	if h := p.Spec.Hub; h != nil {
		add("entry in the hub", h.Client.URL(), "as a resource of the projects %s", strings.Join(h.Projects, ", "))
	}
	add("folder", p.path(), "with the mark of the VCH, %s", MarkerFile)
	add(poolWord(p.Record.PoolType), p.Spec.Name, "in %s; %s", p.Res.Pool.InventoryPath, p.Spec.limits())
	if p.Spec.GrantOps {
		add("permissions", p.Spec.Ops.User, "roles %q and others on the objects below", roleName(ops.Datastore))
	}
	add("folder", p.Record.ImageStore, "images")
	for _, s := range p.Res.VolumeStores {
		if s.Share == "" {
			add("folder", s.Files.Path(path.Join(s.Path, config.VolumesDir)), "volume store %s, unless it is there", s.Label)
		}
	}
	add("file", p.path(p.Record.ApplianceISO), "from %s", p.Spec.ApplianceISO)
	add("file", p.path(p.Record.BootstrapISO), "from %s", p.Spec.BootstrapISO)
	add("VM", p.Spec.Name, "%d CPU, %d MiB", p.Spec.EndpointCPU, p.Spec.EndpointMemoryMB)
	for _, n := range p.Record.NICs {
		add("NIC", n.Interface, "on %s: %s; %s", n.Name, strings.Join(n.Roles, ", "), p.addressWord(n))
	}
	add("disk", p.path(p.Spec.Name+"-state.vmdk"), "%d GiB, thin", p.Spec.StateGB)
	places := ops.Places(p.Record.PoolType == config.PoolResourcePool)
	if p.Record.Cluster != "" {
		add("DRS VM group", p.Spec.Name, "with the endpoint VM, and then the container VMs")
		places = append(places, ops.Cluster)
	}
	for _, place := range places {
		for _, n := range ops.Needs(place) {
			o.Ops = append(o.Ops, OpsNeed{n.ID, string(place), n.For})
		}
	}
	return o
}

func (p *Plan) addressWord(n NIC) string {
	if n.Interface == RoleBridge {
		return fmt.Sprintf("%s, gateway of the containers", p.Spec.Gateway())
	}
	for role, s := range p.Spec.Static {
		if slices.Contains(n.Roles, role) {
			return s.Address.String()
		}
	}
	return "DHCP"
}

// limits says what bounds the VCH's VMs.
func (s Settings) limits() string {
	var words []string
	for _, a := range []struct {
		name, unit string
		Allocation
	}{{"memory", "MiB", s.Memory}, {"CPU", "MHz", s.CPU}} {
		if a.Limit > 0 {
			words = append(words, fmt.Sprintf("%s at most %d %s", a.name, a.Limit, a.unit))
		}
		if a.Reservation > 0 {
			words = append(words, fmt.Sprintf("%s reserved %d %s", a.name, a.Reservation, a.unit))
		}
		if a.Shares != "" {
			words = append(words, fmt.Sprintf("%s shares %s", a.name, a.Shares))
		}
	}
	if len(words) == 0 {
		return "no limits"
	}
	return strings.Join(words, ", ")
}
