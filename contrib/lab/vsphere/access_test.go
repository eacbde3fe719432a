package vsphere

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/authz"
	"github.com/openvic/vic/contrib/lab/sso"
)

// user makes an account with a role on an object and logs in as it.
func (r *rig) user(name string, privileges []string, on ...types.ManagedObjectReference) *govmomi.Client {
	r.t.Helper()
	r.must(r.AddUser(name, "secret", nil))
	m := object.NewAuthorizationManager(r.c.Client)
	role := authz.RoleReadOnly
	if privileges != nil {
		var err error
		role, err = m.AddRole(r.ctx, "role-"+name, privileges)
		r.must(err)
	}
	for _, o := range on {
		r.must(m.SetEntityPermissions(r.ctx, o, []types.Permission{{Principal: name + "@vsphere.local", RoleId: role, Propagate: true}}))
	}
	c, err := r.loginAs(name, "secret")
	r.must(err)
	return c
}

func (r *rig) loginAs(name, password string) (*govmomi.Client, error) {
	u := *r.URL()
	u.User = url.UserPassword(name, password)
	return govmomi.NewClient(r.ctx, &u, true)
}

func noPermission(t *testing.T, err error) *types.NoPermission {
	t.Helper()
	if err == nil || !soap.IsSoapFault(err) {
		t.Fatalf("no fault: %v", err)
	}
	f, ok := soap.ToSoapFault(err).VimFault().(types.NoPermission)
	if !ok {
		t.Fatalf("another fault: %v", err)
	}
	return &f
}

// Single Sign-On is at vCenter's address, knows vCenter's accounts, and its nested groups count for permissions.
func TestSingleSignOnKnowsTheAccounts(t *testing.T) {
	r := newRig(t)
	d, err := r.Directory()
	r.must(err)
	r.must(d.AddGroup(sso.Group{Name: "inner", Groups: []string{"outer"}}))
	r.must(r.AddUser("ops", "secret", []string{"inner"}))
	c, err := sts.NewClient(r.ctx, r.c.Client)
	r.must(err)
	s, err := c.Issue(r.ctx, sts.TokenRequest{Userinfo: url.UserPassword("ops", "secret")})
	if err != nil || !strings.Contains(s.Token, `vsphere.local\outer`) {
		t.Errorf("%+v, %v", s, err)
	}
	m := object.NewAuthorizationManager(r.c.Client)
	r.must(m.SetEntityPermissions(r.ctx, r.pool().Reference(), []types.Permission{{Principal: "outer", Group: true, RoleId: authz.RoleReadOnly}}))
	_, err = r.loginAs("ops", "secret")
	r.must(err)
	r.must(d.Leave("outer", "inner"))
	if _, err = r.loginAs("ops", "secret"); err == nil {
		t.Error("a permission of a group counts for who is not in it")
	}
}

func TestLogins(t *testing.T) {
	r := newRig(t)
	r.must(r.AddUser("ops", "secret", nil))
	_, err := r.loginAs("ops", "secret")
	if f := noPermission(t, err); f.PrivilegeId != authz.View {
		t.Errorf("without a permission: %+v", f)
	}
	m := object.NewAuthorizationManager(r.c.Client)
	r.must(m.SetEntityPermissions(r.ctx, r.pool().Reference(), []types.Permission{{Principal: "ops", RoleId: authz.RoleReadOnly}}))
	for _, name := range []string{"ops", "ops@vsphere.local", `VSPHERE.LOCAL\OPS`} {
		if _, err := r.loginAs(name, "secret"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.loginAs(name, "Secret"); err == nil {
			t.Errorf("%s: a wrong password is accepted", name)
		}
	}
	ps, err := m.RetrieveEntityPermissions(r.ctx, r.pool().Reference(), false)
	if err != nil || len(ps) != 1 || ps[0].Principal != `VSPHERE.LOCAL\ops` {
		t.Errorf("%+v, %v", ps, err)
	}
	err = m.SetEntityPermissions(r.ctx, r.pool().Reference(), []types.Permission{{Principal: "nobody", RoleId: authz.RoleReadOnly}})
	if err == nil || !strings.Contains(err.Error(), "UserNotFound") && !soap.IsSoapFault(err) {
		t.Errorf("a permission for nobody: %v", err)
	}
}

func TestCallsOutsideThePrivilegesAreRefused(t *testing.T) {
	r := newRig(t)
	vm := r.create(r.spec("web"))
	c := r.user("ops", []string{"VirtualMachine.Interact.PowerOn"}, r.folder().Reference())
	mine := object.NewVirtualMachine(c.Client, vm.Reference())
	task, err := mine.PowerOn(r.ctx)
	r.done(task, err)
	_, err = mine.PowerOff(r.ctx)
	if f := noPermission(t, err); f.PrivilegeId != "VirtualMachine.Interact.PowerOff" || f.Object == nil || f.Object.Value != vm.Reference().Value {
		t.Errorf("%+v", f)
	}
	_, err = object.NewFolder(c.Client, r.folder().Reference()).CreateVM(r.ctx, r.spec("other"), r.pool(), nil)
	if f := noPermission(t, err); len(f.MissingPrivileges) < 3 {
		t.Errorf("not all that is missing: %+v", f)
	}
	_, err = object.NewAuthorizationManager(c.Client).AddRole(r.ctx, "mine", nil)
	noPermission(t, err)
}

func TestWhatMayNotBeSeenIsNotThere(t *testing.T) {
	r := newRig(t)
	hidden := r.create(r.spec("hidden"))
	app := r.vapp("vch")
	task, err := app.CreateChildVM(r.ctx, r.spec("shown"), nil)
	r.done(task, err)
	c := r.user("ops", nil, app.Reference())
	f := find.NewFinder(c.Client)
	dc, err := f.DefaultDatacenter(r.ctx)
	r.must(err)
	f.SetDatacenter(dc)
	vms, err := f.VirtualMachineList(r.ctx, "*")
	if err != nil || len(vms) == 0 {
		t.Errorf("%v, %v", vms, err)
	}
	for _, vm := range vms {
		if vm.Name() != "shown" {
			t.Errorf("%s is seen", vm)
		}
	}
	if ds, err := f.DatastoreList(r.ctx, "*"); err == nil {
		t.Errorf("datastores are seen: %v", ds)
	}
	var m mo.VirtualMachine
	err = property.DefaultCollector(c.Client).RetrieveOne(r.ctx, hidden.Reference(), []string{"name"}, &m)
	if err == nil || m.Name != "" {
		t.Errorf("the other VM is called %q, %v", m.Name, err)
	}
	ref, err := object.NewSearchIndex(c.Client).FindByInventoryPath(r.ctx, "/dc1/vm/hidden")
	if err != nil || ref != nil {
		t.Errorf("found: %v, %v", ref, err)
	}
}

func TestDatastoreFilesNeedPrivileges(t *testing.T) {
	r := newRig(t)
	all, err := r.find.DatastoreList(r.ctx, "datastore*")
	r.must(err)
	c := r.user("ops", []string{"Datastore.Browse", "Datastore.FileManagement"}, all[0].Reference())
	put := func(ds *object.Datastore) error {
		d := object.NewDatastore(c.Client, ds.Reference())
		d.InventoryPath = ds.InventoryPath // no datacenter in the URL: the datastore alone decides
		return d.Upload(r.ctx, bytes.NewReader([]byte("x")), "file", nil)
	}
	if err := put(all[0]); err != nil {
		t.Errorf("with the privileges: %v", err)
	}
	if err := put(all[1]); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("without: %v", err)
	}
	err = object.NewFileManager(c.Client).MakeDirectory(r.ctx, all[0].Path("dir"), r.dc, false)
	if f := noPermission(t, err); f.Object.Type != "Datacenter" {
		t.Errorf("the datacenter is not asked: %+v", f)
	}
}

func TestUsersAndPermissionsSurvive(t *testing.T) {
	r := newRig(t)
	r.user("ops", []string{"Network.Assign"}, r.folder().Reference())
	r.Close()
	again := newRigIn(t, r.dir)
	c, err := again.loginAs("ops", "secret")
	again.must(err)
	b, err := object.NewAuthorizationManager(c.Client).HasUserPrivilegeOnEntities(again.ctx, []types.ManagedObjectReference{again.folder().Reference()}, "ops",
		[]string{"Network.Assign", "Network.Config"})
	if err != nil || len(b) != 1 || !b[0].PrivAvailability[0].IsGranted || b[0].PrivAvailability[1].IsGranted {
		t.Errorf("%+v, %v", b, err)
	}
}
