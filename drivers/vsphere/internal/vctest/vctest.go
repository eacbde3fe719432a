// Package vctest gives the driver's tests a vCenter: govmomi's simulator with a VCH in it. Its VMs
// run nothing.
package vctest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/drivers/vsphere/session"
)

// VCenter is a simulated vCenter with a vApp, an endpoint VM and one layer disk.
type VCenter struct {
	Model   *simulator.Model
	Server  *simulator.Server
	Client  *govmomi.Client // an administrator who is not the driver
	Config  *config.Config
	Base    string // a disk that container disks can stand on
	Session *session.Session
	Inv     *inventory.Inventory
	Log     *slog.Logger
}

// New starts it; it ends with t.
func New(t *testing.T) *VCenter {
	t.Helper()
	m := simulator.VPX()
	m.Machine = 0
	if err := m.Create(); err != nil {
		t.Fatal(err)
	}
	m.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("driver", "secret")}
	m.Service.TLS = new(tls.Config)
	v := &VCenter{Model: m, Server: m.Service.NewServer(), Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() { v.Server.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(time.Second): // the poll of a session that was ended goes on for its 30 s
		}
		m.Remove()
	})
	var err error
	if v.Client, err = govmomi.NewClient(t.Context(), v.Server.URL, true); err != nil {
		t.Fatal(err)
	}
	v.configure(t, m.Service.Listen.User, "vch1", "DC0_C0/Resources", "DC0_DVPG0")
	v.Config.VCenter.Thumbprint = soap.ThumbprintSHA256(v.Server.Certificate())
	v.open(t)
	return v
}

// Lab connects to the lab that VIC_LAB_URL names, such as https://127.0.0.1:8989/sdk, and makes a VCH
// there, which goes when t ends. Without the variable the test is skipped.
func Lab(t *testing.T) *VCenter {
	t.Helper()
	env := func(key, def string) string {
		if v := os.Getenv(key); v != "" {
			return v
		}
		return def
	}
	target := os.Getenv("VIC_LAB_URL")
	if target == "" {
		t.Skip("VIC_LAB_URL does not name a lab")
	}
	u, err := soap.ParseURL(target)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(env("VIC_LAB_USER", "administrator@vsphere.local"), env("VIC_LAB_PASSWORD", "VMware1!"))
	v := &VCenter{Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if v.Client, err = govmomi.NewClient(t.Context(), u, true); err != nil {
		t.Fatal(err)
	}
	v.configure(t, u.User, "driver-test-"+ID()[:6], "cluster1/Resources", "bridge")
	var info object.HostCertificateInfo
	if err := info.FromURL(u, &tls.Config{}); err != nil {
		t.Fatal(err)
	}
	v.Config.VCenter.Thumbprint = info.ThumbprintSHA256
	v.open(t)
	return v
}

func (v *VCenter) open(t *testing.T) {
	t.Helper()
	var err error
	if v.Session, err = session.Open(t.Context(), v.Config.VCenter, v.Log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	v.Inv = inventory.New(v.Session, types.ManagedObjectReference{Type: v.Config.VCH.PoolType, Value: v.Config.VCH.Pool}, v.Log)
	go func() { v.Inv.Run(ctx); close(done) }()
	t.Cleanup(func() {
		cancel()
		<-done
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = v.Session.Close(end)
	})
	if err := v.Inv.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// configure makes the VCH's objects and its configuration.
func (v *VCenter) configure(t *testing.T, user *url.Userinfo, name, pool, portgroup string) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f := find.NewFinder(v.Client.Client, true)
	dc, err := f.DefaultDatacenter(ctx)
	must(err)
	f.SetDatacenter(dc)
	cluster, err := f.ResourcePool(ctx, pool)
	must(err)
	pg, err := f.Network(ctx, portgroup)
	must(err)
	folders, err := dc.Folders(ctx)
	must(err)
	app, err := cluster.CreateVApp(ctx, name, types.DefaultResourceConfigSpec(), types.VAppConfigSpec{}, folders.VmFolder)
	must(err)
	all, err := f.DatastoreList(ctx, "*")
	must(err)
	ds := all[0]
	fm := object.NewFileManager(v.Client.Client)
	must(fm.MakeDirectory(ctx, ds.Path(name+"/VIC/1"), dc, true))
	must(ds.Upload(ctx, bytes.NewReader(make([]byte, 64<<10)), name+"/bootstrap.iso", nil))
	t.Cleanup(func() { v.remove(app, fm, dc, ds.Path(name)) })
	v.Base = ds.Path(name + "/base.vmdk")
	u := *v.Client.URL()
	u.User = nil
	password, _ := user.Password()
	v.Config = &config.Config{
		VCenter: config.VCenter{URL: u.String(), User: user.Username(), Password: password},
		VCH: config.VCH{
			Name: name, Datacenter: dc.Reference().Value, Pool: app.Reference().Value, PoolType: config.PoolVApp,
			Folder: folders.VmFolder.Reference().Value, EndpointVM: v.endpoint(t, app, ds, name),
		},
		Storage: config.Storage{ImageStore: ds.Path(name + "/VIC/1"), LayerSizeGB: 1,
			VolumeStores: map[string]string{config.DefaultVolumeStore: ds.Path(name + "/volumes"), "shared": "nfs://filer/export?vers=3"}},
		Compute: config.Compute{BootstrapISO: ds.Path(name + "/bootstrap.iso"), Datastore: ds.Name()},
		Network: config.Network{Bridge: config.Bridge{Portgroup: pg.Reference().Value, Subnet: netip.MustParsePrefix("172.16.0.0/16")}},
	}
	v.Config.SetDefaults()
	must(v.Config.Validate())
}

// remove takes the VCH away again.
func (v *VCenter) remove(app *object.VirtualApp, fm *object.FileManager, dc *object.Datacenter, folder string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if task, err := app.Destroy(ctx); err == nil {
		_ = task.Wait(ctx)
	}
	if task, err := fm.DeleteDatastoreFile(ctx, folder, dc); err == nil {
		_ = task.Wait(ctx)
	}
}

// endpoint makes the endpoint VM with its state disk, and the base disk beside it.
func (v *VCenter) endpoint(t *testing.T, app *object.VirtualApp, ds *object.Datastore, name string) string {
	t.Helper()
	scsi := &types.ParaVirtualSCSIController{}
	scsi.Key, scsi.SharedBus = -1, types.VirtualSCSISharingNoSharing
	spec := types.VirtualMachineConfigSpec{
		Name: name, GuestId: "otherLinux64Guest", NumCPUs: 1, MemoryMB: 128,
		Files: &types.VirtualMachineFileInfo{VmPathName: ds.Path(name + "/" + name + ".vmx")},
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{
			&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: scsi},
			newDisk(ds.Path(name+"/state.vmdk"), 0), newDisk(v.Base, 1),
		},
	}
	task, err := app.CreateChildVM(t.Context(), spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := task.WaitForResult(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ref := info.Result.(types.ManagedObjectReference)
	vm := object.NewVirtualMachine(v.Client.Client, ref)
	devs, err := vm.Device(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.RemoveDevice(t.Context(), true, devs.SelectByType((*types.VirtualDisk)(nil))[1]); err != nil {
		t.Fatal(err)
	}
	return ref.Value
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

// VM returns an administrator's handle of the container's VM.
func (v *VCenter) VM(t *testing.T, id string) *object.VirtualMachine {
	t.Helper()
	m, ok := v.Inv.Get(id)
	if !ok {
		t.Fatalf("no VM of container %s", id)
	}
	return object.NewVirtualMachine(v.Client.Client, m.Ref)
}

// Wait waits for an administrator's task.
func Wait(t *testing.T, task *object.Task, err error) {
	t.Helper()
	if err == nil {
		err = task.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// SetExtra does what a guest does with info-set.
func (v *VCenter) SetExtra(t *testing.T, id string, kv map[string]string) {
	t.Helper()
	var spec types.VirtualMachineConfigSpec
	for k, val := range kv {
		spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: k, Value: val})
	}
	task, err := v.VM(t, id).Reconfigure(t.Context(), spec)
	Wait(t, task, err)
}

// ID returns a new container ID.
func ID() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Container makes a container VM whose disk stands on a layer's, as the compute driver does. It goes
// when t ends.
func (v *VCenter) Container(t *testing.T, id, layer string, extra map[string]string) types.ManagedObjectReference {
	t.Helper()
	ds, name := v.Config.Compute.Datastore, "c-"+id[:12]
	home := "[" + ds + "] " + name + "/" + name
	scsi := &types.ParaVirtualSCSIController{}
	scsi.Key, scsi.SharedBus = -1, types.VirtualSCSISharingNoSharing
	d := newDisk(home+".vmdk", 0)
	d.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice().Backing.(*types.VirtualDiskFlatVer2BackingInfo).Parent = parent(layer)
	spec := types.VirtualMachineConfigSpec{
		Name: name, GuestId: "otherLinux64Guest", NumCPUs: 1, MemoryMB: 64, Files: &types.VirtualMachineFileInfo{VmPathName: home + ".vmx"},
		ExtraConfig:  []types.BaseOptionValue{&types.OptionValue{Key: inventory.KeyID, Value: id}, &types.OptionValue{Key: inventory.KeyLayers, Value: layer}},
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: scsi}, d},
	}
	for k, val := range extra {
		spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: k, Value: val})
	}
	app := object.NewVirtualApp(v.Client.Client, types.ManagedObjectReference{Type: v.Config.VCH.PoolType, Value: v.Config.VCH.Pool})
	task, err := app.CreateChildVM(t.Context(), spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := task.WaitForResult(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ref := info.Result.(types.ManagedObjectReference)
	t.Cleanup(func() {
		ctx := context.Background()
		if task, err := object.NewVirtualMachine(v.Client.Client, ref).Destroy(ctx); err == nil {
			_ = task.Wait(ctx)
		}
		_ = v.Inv.Settle(ctx, ref, func(m *inventory.Machine) bool { return m == nil })
	})
	if err := v.Inv.Settle(t.Context(), ref, func(m *inventory.Machine) bool { return m != nil && m.ID() == id }); err != nil {
		t.Fatal(err)
	}
	return ref
}

func parent(file string) *types.VirtualDiskFlatVer2BackingInfo {
	b := &types.VirtualDiskFlatVer2BackingInfo{}
	b.FileName = file
	return b
}

// EndpointDisks returns the disks in the endpoint VM by target.
func (v *VCenter) EndpointDisks(ctx context.Context) (map[int]*types.VirtualDisk, error) {
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: v.Config.VCH.EndpointVM}
	devs, err := object.NewVirtualMachine(v.Client.Client, ref).Device(ctx)
	if err != nil {
		return nil, err
	}
	out := map[int]*types.VirtualDisk{}
	for _, d := range devs.SelectByType((*types.VirtualDisk)(nil)) {
		out[int(*d.GetVirtualDevice().UnitNumber)] = d.(*types.VirtualDisk)
	}
	return out, nil
}

// Until waits until f is true, which is asked again after each event of the inventory.
func (v *VCenter) Until(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events := v.Inv.Subscribe()
	defer events.Close()
	for !f() {
		if _, err := events.Next(ctx); err != nil {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
