package vsphere

import (
	"net/url"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/license"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// A host that no vCenter manages has one datacenter and standard networks; VMs live in resource pools, and
// there are no vApps, clusters and VM folders.
func TestStandaloneHost(t *testing.T) {
	dir := t.TempDir()
	r := &rig{t: t, ctx: t.Context(), dir: dir}
	cfg := Config{ESX: true, Listen: "127.0.0.1:0", Dir: dir, User: "root", Password: "pw", Start: r.start,
		Datastores: []Datastore{{Name: "datastore1", Path: filepath.Join(dir, "datastores", "datastore1")}}}
	s, err := New(r.ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := govmomi.NewClient(r.ctx, &url.URL{Scheme: "http", Host: s.Addr(), Path: "/sdk", User: url.UserPassword("root", "pw")}, true)
	if err != nil {
		t.Fatal(err)
	}
	r.Server, r.c, r.find = s, c, find.NewFinder(c.Client)
	if c.IsVC() {
		t.Fatal("it calls itself a vCenter")
	}
	if r.dc, err = r.find.DefaultDatacenter(r.ctx); err != nil || r.dc.Name() != StandaloneDatacenter {
		t.Fatal(r.dc, err)
	}
	r.find.SetDatacenter(r.dc)
	if l, err := license.NewManager(c.Client).List(r.ctx); err != nil || len(l) != 1 || !license.HasFeature(l[0], "vimapi") {
		t.Errorf("licences %+v, %v", l, err)
	}
	net, err := r.find.Network(r.ctx, "bridge")
	if err != nil {
		t.Fatal(err)
	}
	var m mo.Network
	r.read(net.Reference(), &m, "host")
	host, err := r.find.DefaultHostSystem(r.ctx)
	if err != nil || !slices.Equal(m.Host, []types.ManagedObjectReference{host.Reference()}) {
		t.Errorf("hosts of the network: %v, %v", m.Host, err)
	}
	root, err := r.find.DefaultResourcePool(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	folders, err := r.dc.Folders(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, &types.NotSupported{}) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = root.CreateVApp(r.ctx, "app", types.DefaultResourceConfigSpec(), types.VAppConfigSpec{}, folders.VmFolder)
	refused("a vApp", err)
	_, err = folders.VmFolder.CreateFolder(r.ctx, "f")
	refused("a VM folder", err)
	_, err = folders.HostFolder.CreateCluster(r.ctx, "c", types.ClusterConfigSpecEx{})
	refused("a cluster", err)
	pool, err := root.Create(r.ctx, "vch", types.DefaultResourceConfigSpec())
	if err != nil {
		t.Fatal(err)
	}
	backing, err := net.EthernetCardBackingInfo(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	card := &types.VirtualVmxnet3{}
	card.Key, card.Backing = -1, backing
	spec := types.VirtualMachineConfigSpec{Name: "v", MemoryMB: 128, NumCPUs: 1, Files: &types.VirtualMachineFileInfo{VmPathName: "[datastore1] v/v.vmx"},
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{&types.VirtualDeviceConfigSpec{Operation: opAdd, Device: card}}}
	task, err := folders.VmFolder.CreateVM(r.ctx, spec, pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := task.WaitForResult(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	vm := object.NewVirtualMachine(c.Client, info.Result.(types.ManagedObjectReference))
	if task, err = vm.PowerOn(r.ctx); err == nil {
		err = task.Wait(r.ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	key, ok := s.PortgroupKey("bridge")
	if nics := r.last().spec.NICs; !ok || len(nics) != 1 || nics[0].Segment != key {
		t.Errorf("%v is not on %s", nics, key)
	}

	// Down and up again: the VM is in its pool, and comes back on.
	r.must(s.Stop(r.ctx))
	s.Close()
	again, err := New(r.ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	again.Resume()
	eventually(t, "powered on again", func() bool {
		vms := again.VMs()
		return len(vms) == 1 && vms[0].Name == "v" && vms[0].Ref == vm.Reference().Value && vms[0].Power == string(poweredOn)
	})
	if p := again.vm(vm.Reference()).ResourcePool; *p != pool.Reference() {
		t.Errorf("its pool is %s", p)
	}
}
