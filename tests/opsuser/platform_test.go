package opsuser

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/people"
	"github.com/openvic/vic/drivers/vsphere/platform"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/authtest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

func TestWhoMayAdminister(t *testing.T) {
	d, w := asOps(t)
	p := people.New(d.session, d.v.cfg)
	vm := types.ManagedObjectReference{Type: "VirtualMachine", Value: d.v.cfg.VCH.EndpointVM}
	m := object.NewAuthorizationManager(w.client.Client)
	for name, privileges := range map[string][]string{"reader": nil, "owner": {people.AdminPrivilege}} {
		must(t, w.vc.AddUser(name, "pw-"+name, nil))
		role, err := m.AddRole(t.Context(), name, privileges)
		must(t, err)
		must(t, m.SetEntityPermissions(t.Context(), vm, []types.Permission{{Principal: name, RoleId: role}}))
	}
	must(t, w.vc.AddUser("nobody", "pw-nobody", nil))
	for _, c := range []struct {
		user, password string
		class          error
		groups         []string
	}{
		{admin, adminPassword, nil, []string{people.Administrators}},
		{"owner", "pw-owner", nil, []string{people.Administrators}},
		{`VSPHERE.LOCAL\owner`, "pw-owner", nil, []string{people.Administrators}},
		{"reader", "pw-reader", nil, nil},
		{"owner", "pw-reader", errdef.ErrDenied, nil},
		{"owner", "", errdef.ErrDenied, nil},
		{"nobody", "pw-nobody", errdef.ErrDenied, nil},
		{"who", "pw-who", errdef.ErrDenied, nil},
		{"", "", errdef.ErrDenied, nil},
	} {
		i, err := p.Password(t.Context(), auth.PasswordRequest{Name: c.user, Password: secret.Text(c.password)})
		if !errors.Is(err, c.class) || !slices.Equal(i.Groups, c.groups) {
			t.Errorf("%s with %q: %+v, %v, want %v %v", c.user, c.password, i, err, c.class, c.groups)
		}
		if err != nil && c.password != "" && strings.Contains(err.Error(), c.password) {
			t.Errorf("%s: the password is in %q", c.user, err)
		}
	}
}

func TestAuthConformanceAsTheOperationsUser(t *testing.T) {
	authtest.Suite(t, func(t *testing.T) authtest.Fixture {
		d, w := asOps(t)
		vm := types.ManagedObjectReference{Type: "VirtualMachine", Value: d.v.cfg.VCH.EndpointVM}
		m := object.NewAuthorizationManager(w.client.Client)
		must(t, w.vc.AddUser("owner", "pw-owner", nil))
		give := func(t *testing.T, role string, privileges ...string) {
			id, err := m.AddRole(t.Context(), role, privileges)
			must(t, err)
			must(t, m.SetEntityPermissions(t.Context(), vm, []types.Permission{{Principal: "owner", RoleId: id}}))
		}
		give(t, "owner", people.AdminPrivilege)
		return authtest.Fixture{
			Driver: people.New(d.session, d.v.cfg), Capabilities: []string{auth.CapPassword},
			Again: func(*testing.T) auth.Driver { return people.New(d.session, d.v.cfg) },
			User:  auth.Principal{ID: people.Domain + "/owner@vsphere.local", Kind: auth.User, Name: "owner@vsphere.local", FullName: `VSPHERE.LOCAL\owner`},
			Names: []string{"owner", "owner@vsphere.local", `VSPHERE.LOCAL\owner`}, Password: "pw-owner",
			Direct: people.Administrators, Outer: people.Administrators, Other: "who",
			Leave:   func(t *testing.T) { give(t, "watcher") },
			Disable: func(t *testing.T) { must(t, m.RemoveEntityPermission(t.Context(), vm, "owner", false)) },
		}
	})
}

func TestTheOperationsUserSeesStoresAndEvents(t *testing.T) {
	d, _ := asOps(t)
	for _, s := range steps(t.TempDir())[1:6] {
		must(t, s.run(context.WithoutCancel(t.Context()), d))
	}
	r, err := platform.New(d.session, d.v.cfg).Report(t.Context(), 20)
	must(t, err)
	if !strings.Contains(r.About, "vCenter") || len(r.Stores) != 2 || r.Stores[0].Name != "datastore1" || r.Stores[0].Capacity == 0 || r.Stores[0].Free == 0 ||
		!slices.Equal(r.Stores[0].Uses, []string{"images", "containers"}) || !slices.Equal(r.Stores[1].Uses, []string{"volumes default"}) {
		t.Errorf("%q %+v", r.About, r.Stores)
	}
	found := false
	for i, e := range r.Events {
		found = found || strings.HasPrefix(e.Subject, "web-") && e.User != "" && e.Text != ""
		if i > 0 && e.Time.After(r.Events[i-1].Time) {
			t.Errorf("event %d is newer than the one before", i)
		}
	}
	if !found || len(r.Events) > 20 {
		t.Errorf("events: %+v", r.Events)
	}
}
