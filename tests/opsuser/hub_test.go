package opsuser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	lab "github.com/openvic/vic/contrib/lab/vsphere"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/hubvm"
	installer "github.com/openvic/vic/drivers/vsphere/machine/privileges"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	vchs "github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// TestThePrivilegesOfWhoMakesAHub makes a hub and deletes it as a user who has exactly what the list says, and then without each privilege.
func TestThePrivilegesOfWhoMakesAHub(t *testing.T) {
	w := newWorld(t)
	w.started = func(name string) { w.say(t, name) }
	for i, without := range append([]installer.Need{{}}, installer.Hub()...) {
		t.Run("without "+without.ID, func(t *testing.T) {
			name := fmt.Sprintf("hub%d", i)
			h := w.newHub(t, name, without)
			err := h.live(t)
			switch {
			case without.ID == "" && err != nil:
				t.Error(err)
			case without.ID != "" && err == nil:
				t.Error("nothing fails: it is not needed")
			case without.ID != "" && !errors.Is(err, errdef.ErrDenied):
				t.Errorf("it fails otherwise: %v", err)
			}
		})
	}
}

// hubRig is a user who is to make a hub.
type hubRig struct {
	world *world
	plan  hubvm.Plan
}

func (w *world) newHub(t *testing.T, name string, without installer.Need) *hubRig {
	t.Helper()
	user, password := name+"@vsphere.local", "Secret-of-"+name
	must(t, w.vc.AddUser(user, password, nil))
	w.grantHub(t, user, without)
	u := url.URL{Scheme: w.vc.URL().Scheme, Host: w.vc.URL().Host, Path: "/sdk"}
	target, err := session.ParseTarget(u.String())
	must(t, err)
	target.User, target.Password, target.Force = user, password, true
	s, err := session.Connect(t.Context(), target)
	must(t, err)
	t.Cleanup(func() { s.Close(context.Background()) })
	f := find.NewFinder(s.Client())
	dc := object.NewDatacenter(s.Client(), w.dc.Reference())
	dc.InventoryPath = w.dc.InventoryPath
	f.SetDatacenter(dc)
	folders, err := w.dc.Folders(t.Context())
	must(t, err)
	pool, err := f.ResourcePool(t.Context(), lab.ClusterName+"/Resources")
	must(t, err)
	ds, err := f.Datastore(t.Context(), "datastore1")
	must(t, err)
	public, err := f.Network(t.Context(), "public")
	must(t, err)
	set, err := certs.Prepare(certs.Options{Dir: filepath.Join(t.TempDir(), "certs"), Name: name, Names: []string{"hub.test"}, ServerOnly: true}, time.Now())
	must(t, err)
	return &hubRig{w, hubvm.Plan{Certs: set, Spec: hubvm.Spec{Name: name, Version: "1", ISO: simtest.ISO(t, "hub.iso"), CPUs: 1, MemoryMB: 512, DataGB: 1},
		Res: vchs.Resources{Session: s, Datacenter: dc, Folder: object.NewFolder(s.Client(), folders.VmFolder.Reference()), Pool: pool, Public: public,
			PublicName: "public", Files: session.Files{Datacenter: dc, Datastore: ds}}}}
}

// grantHub gives the list, each privilege on its object, but for one.
func (w *world) grantHub(t *testing.T, user string, without installer.Need) {
	t.Helper()
	ctx := t.Context()
	ds, err := w.find.Datastore(ctx, "datastore1")
	must(t, err)
	public, err := w.find.Network(ctx, "public")
	must(t, err)
	pool, err := w.find.ResourcePool(ctx, lab.ClusterName+"/Resources")
	must(t, err)
	folders, err := w.dc.Folders(ctx)
	must(t, err)
	m := object.NewAuthorizationManager(w.client.Client)
	grant := func(ref types.ManagedObjectReference, label string, ids []string, propagate bool) {
		t.Helper()
		role, err := m.AddRole(ctx, user+" "+label, ids)
		must(t, err)
		must(t, m.SetEntityPermissions(ctx, ref, []types.Permission{{Principal: user, RoleId: role, Propagate: propagate}}))
	}
	on := map[installer.Object][]string{}
	for _, n := range installer.Hub() {
		if n.ID != without.ID {
			on[n.On] = append(on[n.On], n.ID)
		}
	}
	// vCenter asks on the datacenter too about files of datastores over HTTPS; and the account reads what is in it.
	grant(w.dc.Reference(), "datacenter", slices.DeleteFunc([]string{"Datastore.Browse", "Datastore.FileManagement"},
		func(id string) bool { return id == without.ID }), true)
	for what, ref := range map[installer.Object]types.ManagedObjectReference{installer.Datastore: ds.Reference(), installer.Network: public.Reference(),
		installer.Pool: pool.Reference(), installer.Folder: folders.VmFolder.Reference()} {
		grant(ref, string(what), on[what], true)
	}
}

// live makes the hub, changes it, gives it another image and deletes it, its data too.
func (h *hubRig) live(t *testing.T) error {
	t.Helper()
	q, s := hubvm.Query{Name: h.plan.Spec.Name}, h.plan.Res.Session
	if _, err := hubvm.Create(t.Context(), h.plan, nil); err != nil {
		return err
	}
	if _, err := hubvm.Configure(t.Context(), s, q, hubvm.Change{CPUs: 2, MemoryMB: 1024, Patience: time.Minute}, nil); err != nil {
		return err
	}
	if err := (hubvm.Upgrade{Version: "2", ISO: simtest.ISO(t, "hub.iso"), Patience: time.Minute}).Run(t.Context(), s, q, nil); err != nil {
		return err
	}
	_, err := hubvm.Delete(t.Context(), s, hubvm.DeleteOptions{Query: q, Force: true, NoSSO: true}, nil)
	return err
}

// say is the guest of a hub's VM: it writes what one that serves does.
func (w *world) say(t *testing.T, name string) {
	status, err := json.Marshal(guest.Status{State: "ready", Services: map[string]string{"vic-hub": "ready"}, Time: time.Now()})
	if err != nil {
		t.Error(err)
		return
	}
	vm, err := w.find.VirtualMachine(t.Context(), name)
	if err != nil {
		t.Error(err)
		return
	}
	task, err := vm.Reconfigure(t.Context(), types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{
		&types.OptionValue{Key: guest.Prefix + guest.KeyStatus, Value: string(status)},
		&types.OptionValue{Key: guest.Prefix + guest.KeyAddresses, Value: "public=192.0.2.7"}}})
	if err == nil {
		err = task.Wait(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
}

// hubSection is what the page tells of hubs.
func hubSection() string {
	var b strings.Builder
	b.WriteString("\n## A hub\n\nThe VM of a hub (`hub.iso`) has no account in vSphere. At Single Sign-On it is a solution user that may only read. The account that runs " +
		"`vic-machine hub create`, `configure`, `upgrade` and `delete` needs these privileges, as a test found in the same way, and to read what is in the datacenter " +
		"(the two of the datastore are needed on the datacenter too). To register a hub at Single Sign-On it administers that. " +
		"`hub adopt` adds a serial port, for which it needs `VirtualMachine.Config.AddRemoveDevice` too.\n\n| privilege | on | for |\n| --- | --- | --- |\n")
	for _, n := range installer.Hub() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", n.ID, n.On, n.Calls)
	}
	return b.String()
}
