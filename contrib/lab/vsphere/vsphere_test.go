package vsphere

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/qemu"
	"github.com/openvic/vic/contrib/lab/vmdk"
)

func TestLifeOfAVM(t *testing.T) {
	r := newRig(t)
	vm := r.create(r.spec("a", disk("[datastore1] a/a.vmdk", "", 0, 1<<20)))
	r.done(vm.PowerOn(r.ctx))
	m := r.last()
	if len(m.spec.Disks) != 1 || len(m.spec.NICs) != 1 || m.spec.Controllers[0].Model != "pvscsi" {
		t.Errorf("hardware: %+v", m.spec)
	}
	if key, _ := r.PortgroupKey("bridge"); m.spec.NICs[0].Segment != key {
		t.Errorf("NIC on %q, want %q", m.spec.NICs[0].Segment, key)
	}
	if _, ok := r.fault(vm.PowerOn(r.ctx)).(*types.InvalidPowerState); !ok {
		t.Error("power on twice")
	}
	if _, ok := r.fault(nil, vm.ShutdownGuest(r.ctx)).(types.ToolsUnavailable); !ok {
		t.Error("shutdown without tools")
	}
	if got := m.spec.Answer("info-set guestinfo.ip 10.0.0.5"); got != "1 " {
		t.Errorf("info-set: %q", got)
	}
	p := r.props(vm)
	if p.Guest.IpAddress != "10.0.0.5" || p.Guest.ToolsRunningStatus != "guestToolsRunning" || p.Runtime.BootTime == nil {
		t.Errorf("guest: %+v boot %v", p.Guest, p.Runtime.BootTime)
	}
	r.done(vm.Reset(r.ctx))
	if m.resets != 1 || r.props(vm).Guest.ToolsRunningStatus == "guestToolsRunning" {
		t.Error("reset")
	}
	m.spec.Answer("info-set guestinfo.ip 10.0.0.5")
	r.must(vm.ShutdownGuest(r.ctx))
	eventually(t, "poweredOff", func() bool { return r.props(vm).Runtime.PowerState == poweredOff })
	if r.props(vm).Guest.IpAddress != "" {
		t.Error("address after power off")
	}
	r.done(vm.Destroy(r.ctx))
	if left, _ := filepath.Glob(filepath.Join(r.dir, "datastores", "datastore1", "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := vm.Properties(r.ctx, vm.Reference(), []string{"name"}, nil); err == nil {
		t.Error("a destroyed VM can be read")
	}
}

func TestGuestinfo(t *testing.T) {
	r := newRig(t)
	spec := r.spec("a")
	spec.ExtraConfig = []types.BaseOptionValue{&types.OptionValue{Key: "guestinfo.x", Value: "a b"},
		&types.OptionValue{Key: "secret", Value: "s"}, &types.OptionValue{Key: "RUN.container", Value: "busybox"}}
	vm := r.create(spec)
	r.done(vm.PowerOn(r.ctx))
	for _, c := range []struct{ ask, want string }{
		{"info-get guestinfo.x", "1 a b"},
		{"info-get guestinfo.y", "0 No value found"},
		{"info-get secret", "0 No value found"},
		{"info-set guestinfo.y 1 2", "1 "},
		{"info-get guestinfo.y", "1 1 2"},
		{"info-set other 1", "0 Permission denied"},
		{"machine.id.get", "0 Unknown command"},
	} {
		if got := r.last().spec.Answer(c.ask); got != c.want {
			t.Errorf("%s: %q, want %q", c.ask, got, c.want)
		}
	}
	ec := object.OptionValueList(r.props(vm).Config.ExtraConfig).StringMap()
	if ec["guestinfo.y"] != "1 2" || ec["RUN.container"] != "" {
		t.Errorf("extraConfig: %v", ec)
	}
}

// The way in which image layers and containers are made: child disks hot-added to a running VM and
// detached, then VMs in a vApp on top of them; many at once.
func TestChildDisksAndVApp(t *testing.T) {
	r := newRig(t)
	app := r.vapp("vch1")
	inApp := func(spec types.VirtualMachineConfigSpec) *object.VirtualMachine {
		info := r.done(app.CreateChildVM(r.ctx, spec, nil))
		return object.NewVirtualMachine(r.c.Client, info.Result.(types.ManagedObjectReference))
	}
	endpoint := inApp(r.spec("vch1"))
	r.done(endpoint.PowerOn(r.ctx))
	if _, ok := r.fault(app.CreateChildVM(r.ctx, r.spec("vch1"), nil)).(*types.DuplicateName); !ok {
		t.Error("duplicate name in a vApp")
	}
	fm := object.NewFileManager(r.c.Client)
	r.must(fm.MakeDirectory(r.ctx, "[datastore1] images", r.dc, true))
	vdm := object.NewVirtualDiskManager(r.c.Client)
	r.done(vdm.CreateVirtualDisk(r.ctx, "[datastore1] images/base.vmdk", r.dc, &types.FileBackedVirtualDiskSpec{CapacityKb: 1 << 20,
		VirtualDiskSpec: types.VirtualDiskSpec{DiskType: "thin", AdapterType: "lsiLogic"}}))
	r.done(endpoint.Reconfigure(r.ctx, types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{
		disk("[datastore1] images/layer.vmdk", "[datastore1] images/base.vmdk", 1, 0)}}))
	devs, err := endpoint.Device(r.ctx)
	r.must(err)
	disks := devs.SelectByType((*types.VirtualDisk)(nil))
	if len(disks) != 1 || disks[0].(*types.VirtualDisk).CapacityInKB != 1<<20 {
		t.Fatalf("disks: %v", disks)
	}
	if _, ok := r.fault(fm.DeleteDatastoreFile(r.ctx, "[datastore1] images", r.dc)).(*types.FileLocked); !ok {
		t.Error("deleted a folder with a disk in use")
	}
	r.must(endpoint.RemoveDevice(r.ctx, true, disks...))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			n := fmt.Sprintf("c%d", i)
			info, err := wait(r.ctx, must(app.CreateChildVM(r.ctx, r.spec(n, disk("[datastore1] "+n+"/"+n+".vmdk", "[datastore1] images/layer.vmdk", 0, 0)), nil)), nil)
			if err != nil {
				t.Error(err)
				return
			}
			vm := object.NewVirtualMachine(r.c.Client, info.Result.(types.ManagedObjectReference))
			if _, err := wait(r.ctx, must(vm.PowerOn(r.ctx)), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	chain, err := vmdk.Chain(r.path("[datastore1] c3/c3.vmdk"))
	if err != nil || len(chain) != 3 {
		t.Errorf("chain %v %v", chain, err)
	}
	if _, ok := r.fault(app.Destroy(r.ctx)).(*types.InvalidPowerState); !ok {
		t.Error("destroyed a vApp with running VMs")
	}
	r.done(app.PowerOff(r.ctx, true))
	r.done(app.Destroy(r.ctx))
	if vms := r.VMs(); len(vms) != 0 {
		t.Errorf("VMs after the vApp was destroyed: %v", vms)
	}
	left, _ := filepath.Glob(filepath.Join(r.dir, "datastores", "datastore1", "*"))
	if len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	vm := r.create(r.spec("a"))
	cases := []struct {
		name string
		call func() (*object.Task, error)
		want any
	}{
		{"duplicate name", func() (*object.Task, error) { return r.folder().CreateVM(r.ctx, r.spec("a"), r.pool(), nil) }, &types.DuplicateName{}},
		{"no such datastore", func() (*object.Task, error) {
			s := r.spec("b")
			s.Files.VmPathName = "[nowhere]"
			return r.folder().CreateVM(r.ctx, s, r.pool(), nil)
		}, &types.InvalidDatastorePath{}},
		{"stale changeVersion", func() (*object.Task, error) {
			return vm.Reconfigure(r.ctx, types.VirtualMachineConfigSpec{ChangeVersion: "1970", Annotation: "x"})
		}, &types.ConcurrentAccess{}},
		{"unit 7", func() (*object.Task, error) {
			return vm.Reconfigure(r.ctx, types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{disk("[datastore1] a/x.vmdk", "", 7, 1024)}})
		}, &types.InvalidDeviceSpec{}},
		{"missing parent", func() (*object.Task, error) {
			return vm.Reconfigure(r.ctx, types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{disk("[datastore1] a/x.vmdk",
				"[datastore1] no.vmdk", 0, 0)}})
		}, &types.InvalidDeviceSpec{}},
		{"port group in use", func() (*object.Task, error) {
			n, err := r.find.Network(r.ctx, "bridge")
			r.must(err)
			return n.(*object.DistributedVirtualPortgroup).Destroy(r.ctx)
		}, &types.ResourceInUse{}},
		{"thick disk on a small datastore", func() (*object.Task, error) {
			return object.NewVirtualDiskManager(r.c.Client).CreateVirtualDisk(r.ctx, "[tiny] x.vmdk", r.dc, &types.FileBackedVirtualDiskSpec{CapacityKb: 1 << 20})
		}, &types.NoDiskSpace{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := r.fault(c.call()); fmt.Sprintf("%T", got) != fmt.Sprintf("%T", c.want) {
				t.Errorf("got %T, want %T", got, c.want)
			}
		})
	}
}

func TestPowerOnFailsCleanly(t *testing.T) {
	r := newRig(t)
	vm := r.create(r.spec("a"))
	r.startErr = fmt.Errorf("blockdev-add: %w: x", qemu.ErrLocked)
	if _, ok := r.fault(vm.PowerOn(r.ctx)).(*types.FileLocked); !ok {
		t.Error("want FileLocked")
	}
	if r.props(vm).Runtime.PowerState != poweredOff {
		t.Error("powered on")
	}
}

func TestHotAddFailureRollsBack(t *testing.T) {
	r := newRig(t)
	vm := r.create(r.spec("a"))
	r.done(vm.PowerOn(r.ctx))
	r.last().addDisk = errors.New("no")
	r.fault(vm.Reconfigure(r.ctx, types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{disk("[datastore1] a/x.vmdk", "", 0, 1024)}}))
	devs, err := vm.Device(r.ctx)
	r.must(err)
	if n := len(devs.SelectByType((*types.VirtualDisk)(nil))); n != 0 {
		t.Errorf("%d disks in the configuration", n)
	}
	if _, err := os.Stat(r.path("[datastore1] a/x.vmdk")); err == nil {
		t.Error("the disk file stays")
	}
}

func TestLogin(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		user, pass string
		ok         bool
	}{{"administrator@vsphere.local", "pw", true}, {"administrator", "pw", true}, {"administrator", "no", false}, {"root", "pw", false}} {
		u := *r.URL()
		u.User = nil
		cl, err := govmomi.NewClient(r.ctx, &u, true)
		r.must(err)
		err = cl.Login(r.ctx, userinfo(c.user, c.pass))
		if (err == nil) != c.ok {
			t.Errorf("%s %s: %v", c.user, c.pass, err)
		}
	}
}

func TestMACsDiffer(t *testing.T) {
	r := newRig(t)
	seen := map[string]bool{}
	for range 1000 {
		m := r.nextMAC()
		if seen[m] || !strings.HasPrefix(m, "00:50:56:8") {
			t.Fatal(m)
		}
		seen[m] = true
	}
}
