package opsuser

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/platform"
	"github.com/openvic/vic/sdk/errdef"
)

func TestWhoMayAdminister(t *testing.T) {
	d, w := asOps(t)
	p := platform.New(d.session, d.v.cfg)
	vm := types.ManagedObjectReference{Type: "VirtualMachine", Value: d.v.cfg.VCH.EndpointVM}
	m := object.NewAuthorizationManager(w.client.Client)
	for name, privileges := range map[string][]string{"reader": nil, "owner": {platform.AdminPrivilege}} {
		must(t, w.vc.AddUser(name, "pw-"+name, nil))
		role, err := m.AddRole(t.Context(), name, privileges)
		must(t, err)
		must(t, m.SetEntityPermissions(t.Context(), vm, []types.Permission{{Principal: name, RoleId: role}}))
	}
	must(t, w.vc.AddUser("nobody", "pw-nobody", nil))
	for _, c := range []struct {
		user, password string
		ok             bool
	}{
		{admin, adminPassword, true},
		{"owner", "pw-owner", true},
		{`VSPHERE.LOCAL\owner`, "pw-owner", true},
		{"owner", "pw-reader", false},
		{"owner", "", false},
		{"reader", "pw-reader", false},
		{"nobody", "pw-nobody", false},
		{"who", "pw-who", false},
		{"", "", false},
	} {
		err := p.Authenticate(t.Context(), c.user, c.password)
		if c.ok && err != nil || !c.ok && !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("%s with %q: %v, want ok = %v", c.user, c.password, err, c.ok)
		}
		if err != nil && c.password != "" && strings.Contains(err.Error(), c.password) {
			t.Errorf("%s: the password is in %q", c.user, err)
		}
	}
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
