package authz

import (
	"reflect"
	"slices"
	"testing"

	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/types"
)

// world is an inventory: root > dc > (vmf > vm, hf > cl > pool > vapp > cvm, ds, net); vm is in pool too.
type world struct{}

func ref(kind, v string) Ref { return Ref{Type: kind, Value: v} }

var (
	root = ref("Folder", "root")
	dc   = ref("Datacenter", "dc")
	vmf  = ref("Folder", "vmf")
	cl   = ref("ClusterComputeResource", "cl")
	pool = ref("ResourcePool", "pool")
	vapp = ref("VirtualApp", "vapp")
	vm   = ref("VirtualMachine", "vm")
	cvm  = ref("VirtualMachine", "cvm")
	ds   = ref("Datastore", "ds")
	pg   = ref("DistributedVirtualPortgroup", "pg")
	hb   = ref("HostDatastoreBrowser", "hb")
)

func (world) Parents(r Ref) []Ref {
	switch r {
	case dc:
		return []Ref{root}
	case vmf, cl, ds, pg:
		return []Ref{dc}
	case pool:
		return []Ref{cl}
	case vapp:
		return []Ref{pool, vmf}
	case vm:
		return []Ref{vmf, pool}
	case cvm:
		return []Ref{vapp}
	}
	return nil
}
func (world) Root() Ref                        { return root }
func (world) DatastoreOf(p string) (Ref, bool) { return ds, len(p) > 4 && p[:4] == "[ds]" }
func (world) Network(n string) (Ref, bool)     { return pg, n == "pg" }
func (world) HostOf(Ref) (Ref, bool)           { return Ref{}, false }
func (world) DatastoreOfBrowser(b Ref) (Ref, bool) {
	return ds, b == hb
}

var ops = Subject{Name: `VSPHERE.LOCAL\ops`, Groups: []string{`VSPHERE.LOCAL\team`, `VSPHERE.LOCAL\night`}}

func store(t *testing.T, roles map[string][]string) (*Store, map[string]int32) {
	t.Helper()
	s := NewStore(esx.RoleList)
	ids := map[string]int32{"none": RoleNoAccess, "read": RoleReadOnly, "admin": RoleAdmin}
	for n, p := range roles {
		id, f := s.AddRole(n, p)
		if f != nil {
			t.Fatalf("%s: %T", n, f)
		}
		ids[n] = id
	}
	return s, ids
}

func TestWhichPermissionDecides(t *testing.T) {
	const on, off = "VirtualMachine.Interact.PowerOn", "VirtualMachine.Interact.PowerOff"
	type perm struct {
		on        Ref
		who       string
		group     bool
		role      string
		propagate bool
	}
	user, team, night := ops.Name, ops.Groups[0], ops.Groups[1]
	for _, c := range []struct {
		name  string
		perms []perm
		at    Ref
		want  []string // of on, off
	}{
		{"nothing", nil, vm, nil},
		{"of someone else", []perm{{vm, "other", false, "on", true}}, vm, nil},
		{"on the object", []perm{{vm, user, false, "on", false}}, vm, []string{on}},
		{"in another case", []perm{{vm, `vsphere.local\OPS`, false, "on", false}}, vm, []string{on}},
		{"from above", []perm{{dc, user, false, "on", true}}, vm, []string{on}},
		{"from above, not propagated", []perm{{dc, user, false, "on", false}}, vm, nil},
		{"the nearest decides", []perm{{dc, user, false, "on", true}, {vmf, user, false, "off", true}, {cl, user, false, "off", true}}, vm, []string{off}},
		{"nearer and not propagated does not count", []perm{{dc, user, false, "on", true}, {vmf, user, false, "off", false}}, vm, []string{on}},
		{"no access below", []perm{{root, user, false, "on", true}, {vapp, user, false, "none", true}}, cvm, nil},
		{"two parents add up", []perm{{vmf, user, false, "on", true}, {pool, user, false, "off", true}}, vm, []string{on, off}},
		{"closing one way leaves the other", []perm{{dc, user, false, "on", true}, {vmf, user, false, "none", true}}, vm, []string{on}},
		{"a vApp's VM does not inherit from a folder of its own", []perm{{pool, user, false, "off", true}}, cvm, []string{off}},
		{"groups add up", []perm{{vm, team, true, "on", false}, {vm, night, true, "off", false}}, vm, []string{on, off}},
		{"the user before the group", []perm{{vm, team, true, "on", false}, {vm, user, false, "off", false}}, vm, []string{off}},
		{"a nearer group before the user", []perm{{vmf, user, false, "on", true}, {pool, user, false, "on", true}, {vm, team, true, "off", false}}, vm,
			[]string{off}},
		{"a group's name is no user's", []perm{{vm, team, false, "on", false}}, vm, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, ids := store(t, map[string][]string{"on": {on}, "off": {off}})
			for _, p := range c.perms {
				if f := s.SetPermissions(p.on, []types.Permission{{Principal: p.who, Group: p.group, RoleId: ids[p.role], Propagate: p.propagate}}); f != nil {
					t.Fatalf("%T", f)
				}
			}
			var got []string
			for _, p := range []string{on, off} {
				if s.Has(world{}, ops, p, c.at) {
					got = append(got, p)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheWayToAnObjectIsVisibleAndNotReadable(t *testing.T) {
	s, ids := store(t, nil)
	if f := s.SetPermissions(vapp, []types.Permission{{Principal: ops.Name, RoleId: ids["read"], Propagate: true}}); f != nil {
		t.Fatalf("%T", f)
	}
	for _, c := range []struct {
		at         Ref
		view, read bool
	}{{root, true, false}, {dc, true, false}, {cl, true, false}, {vapp, true, true}, {cvm, true, true}, {vm, false, false}, {ds, false, false}} {
		if v, r := s.Has(world{}, ops, View, c.at), s.Has(world{}, ops, Read, c.at); v != c.view || r != c.read {
			t.Errorf("%s: view %v, read %v", c.at, v, r)
		}
	}
}

func TestRoles(t *testing.T) {
	s, ids := store(t, map[string][]string{"a": {"Network.Assign"}})
	if _, f := s.AddRole("a", nil); !is[*types.AlreadyExists](f) {
		t.Errorf("a second role of that name: %T", f)
	}
	if _, f := s.AddRole("b", []string{"Network.NoSuchThing"}); !is[*types.InvalidArgument](f) {
		t.Errorf("a privilege that is not there: %T", f)
	}
	if f := s.UpdateRole(RoleAdmin, "x", nil); !is[*types.InvalidArgument](f) {
		t.Errorf("a role of the system: %T", f)
	}
	if f := s.SetPermissions(dc, []types.Permission{{Principal: ops.Name, RoleId: ids["a"]}}); f != nil {
		t.Fatalf("%T", f)
	}
	if f := s.RemoveRole(ids["a"], true); !is[*types.ResourceInUse](f) {
		t.Errorf("a role in use: %T", f)
	}
	st := s.State()
	again := NewStore(esx.RoleList)
	again.Restore(st, func(Ref) bool { return true })
	if !again.Has(world{}, ops, "Network.Assign", dc) || !reflect.DeepEqual(again.State(), st) {
		t.Errorf("not as saved: %+v", again.State())
	}
	if f := s.RemoveRole(ids["a"], false); f != nil || len(s.On(dc)) != 0 {
		t.Errorf("%T, %v", f, s.On(dc))
	}
}

func is[T types.BaseMethodFault](f types.BaseMethodFault) bool {
	_, ok := f.(T)
	return ok
}

func TestNoPermissionNamesAll(t *testing.T) {
	f, ok := NoPermission([]Missing{{"Network.Assign", pg}, {"Datastore.AllocateSpace", ds}, {"Datastore.Browse", ds}}).(*types.NoPermission)
	if !ok || f.PrivilegeId != "Network.Assign" || *f.Object != pg || len(f.MissingPrivileges) != 2 || len(f.MissingPrivileges[1].PrivilegeIds) != 2 {
		t.Errorf("%+v", f)
	}
	if NoPermission(nil) != nil {
		t.Error("a fault for nothing")
	}
}
