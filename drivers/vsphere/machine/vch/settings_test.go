package vch

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/privileges"
	"github.com/openvic/vic/sdk/guest"
)

func TestSettingsReachTheEndpoint(t *testing.T) {
	s := simtest.New(t)
	p, ready := created(t, s, func(spec *Spec, r *Resources) {
		var err error
		r.Client, err = s.Finder().Network(t.Context(), "client")
		must(t, err)
		r.Management = r.Client
		spec.Static = map[string]Static{RolePublic: {Address: netip.MustParsePrefix("10.0.0.2/24"), Gateway: netip.MustParseAddr("10.0.0.1")},
			RoleManagement: {Address: netip.MustParsePrefix("10.1.0.2/24"),
				Routes: []guest.Route{{Destination: netip.MustParsePrefix("10.9.0.0/16"), Via: netip.MustParseAddr("10.1.0.1")}}}}
		spec.DNS = []netip.Addr{netip.MustParseAddr("10.0.0.53")}
		spec.Syslog, spec.Debug, spec.HTTPSProxy, spec.MaxContainers, spec.NamePattern = "udp://log:514", 1, "http://proxy:3128", 5, "x-{id}"
		spec.BridgeWidth, spec.AllowRegistries, spec.RegistryCAs = 24, []string{"*.example.com"}, [][]byte{[]byte("pem")}
		spec.Memory = Allocation{Limit: 4096, Reservation: 100, Shares: "low"}
		r.Containers = []ContainerNetwork{{Name: "back", Portgroup: "dvportgroup-9", Subnet: netip.MustParsePrefix("10.5.0.0/24"), Firewall: "open"}}
	})
	e, err := findEndpoint(t.Context(), s.Session, Query{ID: ready.VM})
	must(t, err)
	text, _ := object.OptionValueList(e.VM.Config.ExtraConfig).GetString(keyConfig)
	var c guest.Config
	must(t, json.Unmarshal([]byte(text), &c))
	if len(c.Networks) != 3 || !slices.Equal(p.Record.NICs[1].Roles, []string{RoleClient, RoleManagement}) {
		t.Fatalf("networks %+v", c.Networks)
	}
	if n := c.Networks[0]; n.DHCP || n.Gateway.String() != "10.0.0.1" || n.Addresses[0].String() != "10.0.0.2/24" {
		t.Errorf("public %+v", n)
	}
	if n := c.Networks[1]; n.Interface != RoleClient || n.DHCP || !n.NoGateway || len(n.Routes) != 1 || n.MAC == c.Networks[0].MAC {
		t.Errorf("client %+v", n)
	}
	if c.DNS.Servers[0].String() != "10.0.0.53" || c.Appliance.Syslog != "udp://log:514" {
		t.Errorf("%+v", c)
	}
	if sv := c.Appliance.Services[0]; !slices.Contains(sv.Args, "--debug") || !slices.Equal(sv.Env, []string{"HTTPS_PROXY=http://proxy:3128"}) {
		t.Errorf("%+v", sv)
	}
	files := map[string]string{}
	for _, f := range c.Appliance.Files {
		files[f.Path] = string(f.Data)
	}
	for file, wants := range map[string][]string{
		vicdTOML: {`interface = "client"`, `interfaces = ["public", "client"]`, `max_containers = 5`, `allow_registries = ["*.example.com"]`,
			`registry_ca = ["/etc/vic/tls/registry-ca-1.pem"]`, `tls_crl = "/etc/vic/tls/crl.pem"`},
		vsphereTOML: {`name_pattern = "x-{id}"`, `[[network.container]]`, `subnet = "172.16.0.0/24"`, `pools = ["172.16.0.0/16"]`, `subnet_bits = 24`,
			`subnet = "10.5.0.0/24"`, `firewall = "open"`},
	} {
		for _, want := range wants {
			if !strings.Contains(files[file], want) {
				t.Errorf("no %s in\n%s", want, files[file])
			}
		}
	}
	memory, _, err := allocations(t.Context(), s.Session, types.ManagedObjectReference{Type: config.PoolVApp, Value: p.Record.Pool})
	if err != nil || memory != p.Spec.Memory {
		t.Errorf("memory %+v %v", memory, err)
	}
	if ready.Address.String() != "192.0.2.8" {
		t.Errorf("clients reach it at %s", ready.Address)
	}
}

func TestWhatWasWrittenCanBeReadAndWrittenAgain(t *testing.T) {
	s := simtest.New(t)
	p := plan(t, s, func(spec *Spec, _ *Resources) { spec.Ops = Login{"ops@x", "pw"} })
	macs := map[string]string{RolePublic: "00:50:56:00:00:01", RoleBridge: "00:50:56:00:00:02"}
	text, err := p.endpoint("vm-9", macs).json()
	must(t, err)
	e, err := readEndpoint(&p.Record, "vm-9", text)
	must(t, err)
	again, err := e.json()
	must(t, err)
	if again != text || e.login != (Login{"ops@x", "pw"}) {
		t.Errorf("was\n%s\nis\n%s", text, again)
	}
	if _, err := readEndpoint(&Record{Name: "old"}, "vm-9", text); err == nil {
		t.Error("a VCH without recorded settings")
	}
}

func TestTheOperationsUserGetsItsPrivilegesAndLosesThem(t *testing.T) {
	s := simtest.New(t)
	ctx := t.Context()
	m := object.NewAuthorizationManager(s.Session.Client())
	state := func() string {
		all, err := m.RetrieveAllPermissions(ctx)
		must(t, err)
		roles, err := m.RoleList(ctx)
		must(t, err)
		var names []string
		for _, r := range roles {
			names = append(names, r.Name)
		}
		for _, p := range all {
			names = append(names, toJSON(t, p))
		}
		slices.Sort(names)
		return strings.Join(names, "\n")
	}
	before, inventory := state(), s.Inventory()
	grant := func(spec *Spec, _ *Resources) {
		spec.Ops, spec.GrantOps = Login{"ops@vsphere.local", "pw"}, true
	}
	p, _ := created(t, s, grant)
	perms, err := m.RetrieveEntityPermissions(ctx, types.ManagedObjectReference{Type: config.PoolVApp, Value: p.Record.Pool}, false)
	if err != nil || len(perms) != 1 || perms[0].Principal != `VSPHERE.LOCAL\ops` || !perms[0].Propagate {
		t.Errorf("%+v %v", perms, err)
	}
	if len(p.Record.Grants) != 5 { // datacenter, datastore, port group, switch, vApp
		t.Errorf("%+v", p.Record.Grants)
	}
	e := open(t, s)
	set := e.Record().Settings
	backend, err := s.Finder().Network(ctx, "backend")
	must(t, err)
	set.ContainerNetworks = []ContainerNetwork{{Name: "back", Kind: backend.Reference().Type, Portgroup: backend.Reference().Value}}
	e.Record().Settings = set
	must(t, e.grant(ctx, e.Login().User))
	if perms, err := m.RetrieveEntityPermissions(ctx, backend.Reference(), false); err != nil || len(perms) != 1 {
		t.Errorf("a new container network: %+v %v", perms, err)
	}
	must(t, e.give(ctx, e.config, toJSON(t, e.Record()), e.asRead))
	mended := state()
	roles, err := m.RoleList(ctx)
	must(t, err)
	role := roles.ByName(roleName(privileges.VCH))
	must(t, m.UpdateRole(ctx, role.RoleId, role.Name, []string{"VirtualMachine.Interact.PowerOn"}))
	must(t, m.RemoveEntityPermission(ctx, backend.Reference(), `VSPHERE.LOCAL\ops`, false))
	s.Follow("vch1", ready)
	e = open(t, s)
	_, err = e.Configure(ctx, Change{Settings: e.Record().Settings, Options: e.Record().Options, GrantOps: true})
	must(t, err)
	if now := state(); now != mended {
		t.Errorf("what was taken away is not back: %s\nbefore: %s", now, mended)
	}
	if roles, err = m.RoleList(ctx); err != nil || !slices.Contains(roles.ByName(role.Name).Privilege, "VirtualMachine.Config.AddNewDisk") {
		t.Errorf("the role is not mended: %v", err)
	}
	must(t, Delete(ctx, s.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
	if after := state(); after != before {
		t.Errorf("left behind: %s\nbefore: %s", after, before)
	}
	if after := s.Inventory(); after != inventory {
		t.Errorf("left behind:\n%s", after)
	}
}
