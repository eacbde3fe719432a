package vsphere

import (
	"context"
	"crypto/tls"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/qemu"
	"github.com/openvic/vic/contrib/lab/sso"
)

// fakeMachine is a VM without a process.
type fakeMachine struct {
	spec qemu.Spec
	mu   sync.Mutex
	told []string
	done chan struct{}
	once sync.Once
	// addDisk answers AddDisk.
	addDisk error
	resets  int
}

func (m *fakeMachine) AddDisk(qemu.Disk) error { return m.addDisk }
func (m *fakeMachine) RemoveDisk(int32) error  { return nil }
func (m *fakeMachine) AddNIC(qemu.NIC) error   { return nil }
func (m *fakeMachine) RemoveNIC(int32) error   { return nil }
func (m *fakeMachine) SetCDROM(string) error   { return nil }
func (m *fakeMachine) Done() <-chan struct{}   { return m.done }
func (m *fakeMachine) Cause() string           { return "guest-shutdown" }
func (m *fakeMachine) Kill()                   { m.once.Do(func() { close(m.done) }) }

func (m *fakeMachine) Reset() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resets++
	return nil
}

// Tell behaves as a guest that shuts down when it is asked to.
func (m *fakeMachine) Tell(line string) error {
	m.mu.Lock()
	m.told = append(m.told, line)
	m.mu.Unlock()
	if line == haltRequest {
		m.Kill()
	}
	return nil
}

// ssoKey is made once: it takes a while.
var ssoKey = sync.OnceValue(func() *tls.Certificate {
	key, err := sso.NewCertificate("ssoserverSign")
	if err != nil {
		panic(err)
	}
	return &key
})

// rig is a vCenter with fake machines, and a client.
type rig struct {
	*Server
	t    *testing.T
	ctx  context.Context
	dir  string
	c    *govmomi.Client
	find *find.Finder
	dc   *object.Datacenter

	mu       sync.Mutex
	machines []*fakeMachine
	startErr error
}

func newRig(t *testing.T) *rig { return newRigIn(t, t.TempDir()) }

func newRigIn(t *testing.T, dir string) *rig {
	t.Helper()
	r := &rig{t: t, ctx: t.Context(), dir: dir}
	cfg := Config{Listen: "127.0.0.1:0", Dir: dir, User: "administrator@vsphere.local", Password: "pw", Start: r.start, SSOKey: ssoKey()}
	for _, n := range []string{"datastore1", "datastore2", "tiny"} {
		ds := Datastore{Name: n, Path: filepath.Join(dir, "datastores", n)}
		if n == "tiny" {
			ds.Size = 8 << 20
		}
		cfg.Datastores = append(cfg.Datastores, ds)
	}
	s, err := New(r.ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
	t.Cleanup(s.Close)
	r.login()
	return r
}

func (r *rig) start(_ context.Context, spec qemu.Spec) (Machine, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.startErr != nil {
		return nil, r.startErr
	}
	m := &fakeMachine{spec: spec, done: make(chan struct{})}
	r.machines = append(r.machines, m)
	return m, nil
}

// last is the machine that was started last.
func (r *rig) last() *fakeMachine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machines[len(r.machines)-1]
}

func (r *rig) login() {
	r.t.Helper()
	c, err := govmomi.NewClient(r.ctx, r.URL(), true)
	if err != nil {
		r.t.Fatal(err)
	}
	r.c, r.find = c, find.NewFinder(c.Client)
	r.dc, err = r.find.Datacenter(r.ctx, DatacenterName)
	if err != nil {
		r.t.Fatal(err)
	}
	r.find.SetDatacenter(r.dc)
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// done waits for a task and returns what it gave.
func (r *rig) done(t *object.Task, err error) *types.TaskInfo {
	r.t.Helper()
	info, err := wait(r.ctx, t, err)
	r.must(err)
	return info
}

func wait(ctx context.Context, t *object.Task, err error) (*types.TaskInfo, error) {
	if err != nil {
		return nil, err
	}
	return t.WaitForResult(ctx)
}

// fault returns the fault of a call or of its task.
func (r *rig) fault(t *object.Task, err error) types.AnyType {
	r.t.Helper()
	_, err = wait(r.ctx, t, err)
	if err == nil {
		r.t.Fatal("no fault")
	}
	if soap.IsSoapFault(err) {
		return soap.ToSoapFault(err).VimFault()
	}
	var te interface {
		Fault() types.BaseMethodFault
	}
	if errors.As(err, &te) {
		return te.Fault()
	}
	r.t.Fatalf("%T %v", err, err)
	return nil
}

func (r *rig) pool() *object.ResourcePool {
	r.t.Helper()
	p, err := r.find.ResourcePool(r.ctx, ClusterName+"/Resources")
	r.must(err)
	return p
}

func (r *rig) folder() *object.Folder {
	r.t.Helper()
	f, err := r.dc.Folders(r.ctx)
	r.must(err)
	return f.VmFolder
}

func (r *rig) vapp(name string) *object.VirtualApp {
	r.t.Helper()
	a, err := r.pool().CreateVApp(r.ctx, name, types.DefaultResourceConfigSpec(), types.VAppConfigSpec{}, nil)
	r.must(err)
	return a
}

func (r *rig) network(name string) types.BaseVirtualDeviceBackingInfo {
	r.t.Helper()
	n, err := r.find.Network(r.ctx, name)
	r.must(err)
	b, err := n.EthernetCardBackingInfo(r.ctx)
	r.must(err)
	return b
}

// spec is a VM with a controller and a NIC.
func (r *rig) spec(name string, more ...types.BaseVirtualDeviceConfigSpec) types.VirtualMachineConfigSpec {
	r.t.Helper()
	scsi := &types.ParaVirtualSCSIController{}
	scsi.Key, scsi.SharedBus = 1000, types.VirtualSCSISharingNoSharing
	nic, err := object.EthernetCardTypes().CreateEthernetCard("vmxnet3", r.network("bridge"))
	r.must(err)
	return types.VirtualMachineConfigSpec{Name: name, GuestId: "otherLinux64Guest", NumCPUs: 1, MemoryMB: 64,
		Files:        &types.VirtualMachineFileInfo{VmPathName: "[datastore1]"},
		DeviceChange: append([]types.BaseVirtualDeviceConfigSpec{add(scsi), add(nic)}, more...)}
}

func add(d types.BaseVirtualDevice) *types.VirtualDeviceConfigSpec {
	return &types.VirtualDeviceConfigSpec{Operation: opAdd, Device: d}
}

// disk is a new disk; with a parent it is a child.
func disk(file, parent string, unit int32, kb int64) *types.VirtualDeviceConfigSpec {
	b := &types.VirtualDiskFlatVer2BackingInfo{DiskMode: "persistent", ThinProvisioned: types.NewBool(true)}
	b.FileName = file
	if parent != "" {
		b.Parent = &types.VirtualDiskFlatVer2BackingInfo{}
		b.Parent.FileName = parent
	}
	d := &types.VirtualDisk{CapacityInKB: kb}
	d.Key, d.ControllerKey, d.UnitNumber, d.Backing = -200-unit, 1000, &unit, b
	s := add(d)
	s.FileOperation = fileNew
	return s
}

func (r *rig) create(spec types.VirtualMachineConfigSpec) *object.VirtualMachine {
	r.t.Helper()
	info := r.done(r.folder().CreateVM(r.ctx, spec, r.pool(), nil))
	return object.NewVirtualMachine(r.c.Client, info.Result.(types.ManagedObjectReference))
}

func (r *rig) props(vm *object.VirtualMachine) mo.VirtualMachine {
	r.t.Helper()
	var m mo.VirtualMachine
	r.must(vm.Properties(r.ctx, vm.Reference(), []string{"name", "config", "guest", "runtime", "summary", "resourcePool", "parent"}, &m))
	return m
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	look, end := time.NewTicker(5*time.Millisecond), time.After(time.Minute)
	defer look.Stop()
	for !f() {
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
