package vsphere

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func TestInventorySurvives(t *testing.T) {
	r := newRig(t)
	app := r.vapp("vch1")
	sub, err := r.folder().CreateFolder(r.ctx, "sub")
	r.must(err)
	dvs, err := r.find.Network(r.ctx, SwitchName)
	r.must(err)
	r.done(dvs.(*object.DistributedVirtualSwitch).AddPortgroup(r.ctx, []types.DVPortgroupConfigSpec{{Name: "mine", NumPorts: 8, Type: "earlyBinding"}}))
	gone := r.create(r.spec("gone"))
	spec := r.spec("a", disk("[datastore1] a/a.vmdk", "", 0, 1<<20))
	spec.ExtraConfig = []types.BaseOptionValue{&types.OptionValue{Key: "guestinfo.x", Value: "1"}}
	nic, err := object.EthernetCardTypes().CreateEthernetCard("vmxnet3", r.network("mine"))
	r.must(err)
	nic.GetVirtualDevice().Key = -77
	spec.DeviceChange = append(spec.DeviceChange, add(nic))
	serial := &types.VirtualSerialPort{YieldOnPoll: true}
	serial.Backing = &types.VirtualSerialPortFileBackingInfo{VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: "[datastore1] a/console.log"}}
	spec.DeviceChange = append(spec.DeviceChange, add(serial))
	info := r.done(app.CreateChildVM(r.ctx, spec, nil))
	vm := object.NewVirtualMachine(r.c.Client, info.Result.(types.ManagedObjectReference))
	inSub := object.NewVirtualMachine(r.c.Client, r.done(sub.CreateVM(r.ctx, r.spec("b"), r.pool(), nil)).Result.(types.ManagedObjectReference))
	r.done(vm.PowerOn(r.ctx))
	r.last().spec.Answer("info-set guestinfo.y 2")
	r.last().spec.Answer("info-set guestinfo.ip 10.0.0.9")
	r.done(gone.Destroy(r.ctx))
	before, last := r.props(vm), r.counter()
	r.must(r.Stop(r.ctx))
	r.Close()

	n := newRigIn(t, r.dir)
	vm, inSub = object.NewVirtualMachine(n.c.Client, vm.Reference()), object.NewVirtualMachine(n.c.Client, inSub.Reference())
	after := n.props(vm)
	if after.Runtime.PowerState != poweredOff || after.Guest.IpAddress != "" {
		t.Errorf("before resume: %s %q", after.Runtime.PowerState, after.Guest.IpAddress)
	}
	// Power off makes devices disconnected; all else is the same.
	for _, d := range before.Config.Hardware.Device {
		if c := d.GetVirtualDevice().Connectable; c != nil {
			c.Connected = false
		}
	}
	for _, d := range after.Config.Hardware.Device {
		if c := d.GetVirtualDevice().Connectable; c != nil {
			c.Connected = false
		}
	}
	if !reflect.DeepEqual(before.Config.Hardware, after.Config.Hardware) {
		t.Errorf("hardware\n%+v\n%+v", before.Config.Hardware, after.Config.Hardware)
	}
	if a, b := object.OptionValueList(before.Config.ExtraConfig).StringMap(),
		object.OptionValueList(after.Config.ExtraConfig).StringMap(); !reflect.DeepEqual(a, b) || b["guestinfo.y"] != "2" {
		t.Errorf("extraConfig %v, was %v", b, a)
	}
	if *after.ResourcePool != *before.ResourcePool || *after.Parent != *before.Parent || after.Config.ChangeVersion != before.Config.ChangeVersion {
		t.Error("placement or changeVersion differs")
	}
	n.Resume()
	eventually(t, "powered on again", func() bool { return n.props(vm).Runtime.PowerState == poweredOn })
	if n.props(inSub).Runtime.PowerState != poweredOff {
		t.Error("a VM that was off is on")
	}
	found, err := n.find.VirtualMachine(n.ctx, "/dc1/vm/sub/b")
	if err != nil || found.Reference() != inSub.Reference() {
		t.Errorf("in its folder: %v %v", found, err)
	}
	if _, err := n.find.Network(n.ctx, "mine"); err != nil {
		t.Error(err)
	}
	if n.counter() <= last {
		t.Error("references are reused")
	}
	if devs := object.VirtualDeviceList(after.Config.Hardware.Device); len(devs.SelectByType((*types.VirtualSerialPort)(nil))) != 1 {
		t.Error("no serial port")
	}
	for _, d := range after.Config.Hardware.Device {
		if c, ok := d.(types.BaseVirtualEthernetCard); ok && n.nextMAC() == c.GetVirtualEthernetCard().MacAddress {
			t.Error("a MAC address is given out again")
		}
	}
	vapp, err := n.find.VirtualApp(n.ctx, "vch1")
	n.must(err)
	var ma mo.VirtualApp
	n.must(vapp.Properties(n.ctx, vapp.Reference(), []string{"vm"}, &ma))
	if len(ma.Vm) != 1 || ma.Vm[0] != vm.Reference() {
		t.Errorf("VMs of the vApp: %v", ma.Vm)
	}
	// Everything goes on working.
	n.done(vapp.PowerOff(n.ctx, true))
	n.done(vapp.Destroy(n.ctx))
	n.done(inSub.Destroy(n.ctx))
	if left, _ := filepath.Glob(filepath.Join(r.dir, "datastores", "datastore1", "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A lab that is killed comes back from what was saved last.
func TestStateIsSavedOnTheWay(t *testing.T) {
	r := newRig(t)
	vm := r.create(r.spec("a"))
	r.done(vm.PowerOn(r.ctx))
	eventually(t, "saved", func() bool {
		b, err := os.ReadFile(filepath.Join(r.dir, "state", "inventory.json"))
		return err == nil && len(b) > 1000
	})
	r.must(r.store.save()) // what came within the delay
	copied := t.TempDir()
	r.must(os.CopyFS(copied, os.DirFS(r.dir)))
	n := newRigIn(t, copied)
	n.Resume()
	eventually(t, "powered on again", func() bool {
		return n.props(object.NewVirtualMachine(n.c.Client, vm.Reference())).Runtime.PowerState == poweredOn
	})
}

func TestForeignStateIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state", "inventory.json"), []byte(`{"version":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := New(t.Context(), Config{Listen: "127.0.0.1:0", Dir: dir, User: "u"}); err == nil {
		s.Close()
		t.Error("accepted")
	}
}
