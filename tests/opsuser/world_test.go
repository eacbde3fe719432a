// Package opsuser shows that the operations user's privileges are enough and that none is too many:
// it runs the vSphere drivers as a user who has exactly what drivers/vsphere/privileges lists, against
// the lab's vCenter, which enforces permissions; and then without each privilege.
package opsuser

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/qemu"
	lab "github.com/openvic/vic/contrib/lab/vsphere"
	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/privileges"
)

const (
	admin, adminPassword = "administrator@vsphere.local", "admin-secret"
	opsPassword          = "ops-secret"
)

// machine is a VM without a process, whose guest shuts down when it is asked to.
type machine struct {
	once sync.Once
	done chan struct{}
}

func (m *machine) AddDisk(qemu.Disk) error { return nil }
func (m *machine) RemoveDisk(int32) error  { return nil }
func (m *machine) AddNIC(qemu.NIC) error   { return nil }
func (m *machine) RemoveNIC(int32) error   { return nil }
func (m *machine) SetCDROM(string) error   { return nil }
func (m *machine) Reset() error            { return nil }
func (m *machine) Done() <-chan struct{}   { return m.done }
func (m *machine) Cause() string           { return "guest-shutdown" }
func (m *machine) Kill()                   { m.once.Do(func() { close(m.done) }) }

func (m *machine) Tell(line string) error {
	if line == "tclo OS_Halt" {
		m.Kill()
	}
	return nil
}

// world is a vCenter with an administrator.
type world struct {
	vc     *lab.Server
	client *govmomi.Client
	find   *find.Finder
	dc     *object.Datacenter
	next   int
	// started, if not nil, is told the name of each VM that is powered on, in a goroutine of its own.
	started func(name string)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{}
	vc, err := lab.New(t.Context(), lab.Config{
		Listen: "127.0.0.1:0", Dir: dir, User: admin, Password: adminPassword,
		Datastores: []lab.Datastore{{Name: "datastore1", Path: filepath.Join(dir, "datastore1")}, {Name: "datastore2", Path: filepath.Join(dir, "datastore2")}},
		Start: func(_ context.Context, s qemu.Spec) (lab.Machine, error) {
			if w.started != nil {
				go w.started(s.Name)
			}
			return &machine{done: make(chan struct{})}, nil
		},
	})
	must(t, err)
	t.Cleanup(vc.Close)
	w.vc = vc
	u := *vc.URL()
	u.User = url.UserPassword(admin, adminPassword)
	w.client, err = govmomi.NewClient(t.Context(), &u, true)
	must(t, err)
	w.find = find.NewFinder(w.client.Client)
	w.dc, err = w.find.DefaultDatacenter(t.Context())
	must(t, err)
	w.find.SetDatacenter(w.dc)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// vch is a VCH and the places where its operations user has permissions.
type vch struct {
	world  *world
	cfg    *config.Config
	base   string // a disk that containers can stand on
	user   string
	places map[privileges.Place][]types.ManagedObjectReference
}

// newVCH makes a VCH, a vApp or a pool, and a user without permissions.
func (w *world) newVCH(t *testing.T, pool bool) *vch {
	t.Helper()
	ctx := t.Context()
	w.next++
	name := fmt.Sprintf("vch%d", w.next)
	cluster, err := w.find.ResourcePool(ctx, lab.ClusterName+"/Resources")
	must(t, err)
	folders, err := w.dc.Folders(ctx)
	must(t, err)
	pg, err := w.find.Network(ctx, "bridge")
	must(t, err)
	dvs, err := w.find.Network(ctx, lab.SwitchName)
	must(t, err)
	ds, err := w.find.Datastore(ctx, "datastore1")
	must(t, err)
	volumes, err := w.find.Datastore(ctx, "datastore2")
	must(t, err)
	v := &vch{world: w, user: "ops" + name, base: ds.Path(name + "/base.vmdk")}
	v.places = map[privileges.Place][]types.ManagedObjectReference{privileges.Datacenter: {w.dc.Reference()},
		privileges.Datastore: {ds.Reference(), volumes.Reference()}, privileges.Network: {pg.Reference()}, privileges.Switch: {dvs.Reference()}}
	var home types.ManagedObjectReference
	if pool {
		p, err := cluster.Create(ctx, name, types.DefaultResourceConfigSpec())
		must(t, err)
		home = p.Reference()
		v.places[privileges.Pool], v.places[privileges.Folder] = []types.ManagedObjectReference{home}, []types.ManagedObjectReference{folders.VmFolder.Reference()}
	} else {
		a, err := cluster.CreateVApp(ctx, name, types.DefaultResourceConfigSpec(), types.VAppConfigSpec{}, folders.VmFolder)
		must(t, err)
		home = a.Reference()
		v.places[privileges.VCH] = []types.ManagedObjectReference{home}
	}
	must(t, object.NewFileManager(w.client.Client).MakeDirectory(ctx, ds.Path(name+"/VIC/1"), w.dc, true))
	must(t, ds.Upload(ctx, bytes.NewReader(make([]byte, 64<<10)), name+"/bootstrap.iso", nil))
	must(t, w.vc.AddUser(v.user, opsPassword, nil))
	u := *w.vc.URL()
	u.User = nil
	v.cfg = &config.Config{
		VCenter: config.VCenter{URL: u.String(), User: v.user + "@vsphere.local", Password: opsPassword},
		VCH: config.VCH{Name: name, Datacenter: w.dc.Reference().Value, Pool: home.Value, PoolType: home.Type,
			Folder: folders.VmFolder.Reference().Value, EndpointVM: v.endpoint(t, home, folders.VmFolder, ds)},
		Storage: config.Storage{ImageStore: ds.Path(name + "/VIC/1"), LayerSizeGB: 1,
			VolumeStores: map[string]string{"default": volumes.Path(name + "-volumes")}},
		Compute: config.Compute{BootstrapISO: ds.Path(name + "/bootstrap.iso"), Datastore: ds.Name()},
		Network: config.Network{Bridge: config.Bridge{Portgroup: pg.Reference().Value, Subnet: netip.MustParsePrefix("172.16.0.0/16")}},
	}
	v.cfg.SetDefaults()
	must(t, v.cfg.Validate())
	return v
}

// endpoint makes the endpoint VM, and beside it a base disk.
func (v *vch) endpoint(t *testing.T, home types.ManagedObjectReference, folder *object.Folder, ds *object.Datastore) string {
	t.Helper()
	name := fmt.Sprintf("vch%d", v.world.next)
	scsi := &types.ParaVirtualSCSIController{}
	scsi.Key, scsi.SharedBus = -1, types.VirtualSCSISharingNoSharing
	spec := types.VirtualMachineConfigSpec{
		Name: name, GuestId: "otherLinux64Guest", NumCPUs: 1, MemoryMB: 128,
		Files: &types.VirtualMachineFileInfo{VmPathName: ds.Path(name + "/" + name + ".vmx")},
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{
			&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: scsi},
			newDisk(ds.Path(name+"/state.vmdk"), 0), newDisk(v.base, 1),
		},
	}
	var task *object.Task
	var err error
	if home.Type == config.PoolVApp {
		task, err = object.NewVirtualApp(v.world.client.Client, home).CreateChildVM(t.Context(), spec, nil)
	} else {
		task, err = folder.CreateVM(t.Context(), spec, object.NewResourcePool(v.world.client.Client, home), nil)
	}
	must(t, err)
	info, err := task.WaitForResult(t.Context())
	must(t, err)
	vm := object.NewVirtualMachine(v.world.client.Client, info.Result.(types.ManagedObjectReference))
	devs, err := vm.Device(t.Context())
	must(t, err)
	disks := devs.SelectByType((*types.VirtualDisk)(nil))
	must(t, vm.RemoveDevice(t.Context(), true, disks[1]))
	return vm.Reference().Value
}

func newDisk(file string, unit int32) types.BaseVirtualDeviceConfigSpec {
	b := &types.VirtualDiskFlatVer2BackingInfo{DiskMode: string(types.VirtualDiskModePersistent), ThinProvisioned: types.NewBool(true)}
	b.FileName = file
	d := &types.VirtualDisk{CapacityInKB: 1 << 20}
	d.Key, d.ControllerKey, d.UnitNumber, d.Backing = -10-unit, -1, &unit, b
	return &types.VirtualDeviceConfigSpec{
		Operation: types.VirtualDeviceConfigSpecOperationAdd, FileOperation: types.VirtualDeviceConfigSpecFileOperationCreate, Device: d,
	}
}

// lacking is what a user is not given: one privilege in one place, or with no privilege the place.
type lacking struct {
	place     privileges.Place
	privilege string
}

// grant gives the user what the list says, except for what is lacking.
func (v *vch) grant(t *testing.T, not lacking) {
	t.Helper()
	m := object.NewAuthorizationManager(v.world.client.Client)
	for place, refs := range v.places {
		if place == not.place && not.privilege == "" {
			continue
		}
		ids := privileges.Role(place)
		if place == not.place {
			ids = slices.DeleteFunc(ids, func(id string) bool { return id == not.privilege })
		}
		role, err := m.AddRole(t.Context(), v.user+" "+string(place), ids)
		must(t, err)
		for _, ref := range refs {
			must(t, m.SetEntityPermissions(t.Context(), ref, []types.Permission{{Principal: v.user, RoleId: role, Propagate: place.Propagates()}}))
		}
	}
}

// revoke takes all away, so that the next user of the same datacenter starts clean.
func (v *vch) revoke() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	m := object.NewAuthorizationManager(v.world.client.Client)
	for _, refs := range v.places {
		for _, ref := range refs {
			_ = m.RemoveEntityPermission(ctx, ref, v.user, false)
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
