package compute_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/compute"
	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/drivers/vsphere/linkrouter"
	sdk "github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/computetest"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/guest"
)

// disks notes who was released.
type disks struct{ released []string }

func (d *disks) Release(_ context.Context, id string) error {
	d.released = append(d.released, id)
	return nil
}

// rig is a driver on a simulated vCenter.
type rig struct {
	*vctest.VCenter
	*compute.Driver
	disks *disks
	addr  string // where tethers dial
}

func newRig(t *testing.T, v *vctest.VCenter) *rig {
	t.Helper()
	r := &rig{VCenter: v, disks: &disks{}}
	router := linkrouter.NewRouter(func(id string) bool { _, ok := v.Inv.Get(id); return ok }, v.Log)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	l, err := linkrouter.Listen(ctx, "127.0.0.1:0", v.Log)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	go func() { _ = router.Serve(ctx, l) }()
	r.Driver = compute.New(v.Session, v.Inv, router, r.disks, v.Config, v.Log)
	go r.Driver.Run(ctx)
	return r
}

func (r *rig) request(id string) sdk.CreateRequest {
	return sdk.CreateRequest{
		ID: id, Name: "web", CPUs: 1, MemoryMB: 64, Metadata: []byte("{}"),
		Disks: []device.Disk{{Kind: device.KindVMDKDelta, Locator: r.Base}},
		NICs:  []device.NIC{{Kind: device.KindPortgroup, Locator: r.Config.Network.Bridge.Portgroup, MAC: "00:50:56:01:02:03"}},
		Guest: map[string]string{guest.KeyConfig: `{"version":1}`},
	}
}

func TestConformance(t *testing.T) { conformance(t, vctest.New, false) }

func TestConformanceOnTheLab(t *testing.T) { conformance(t, vctest.Lab, true) }

func conformance(t *testing.T, vcenter func(*testing.T) *vctest.VCenter, guestless bool) {
	computetest.Suite(t, func(t *testing.T) computetest.Fixture {
		r := newRig(t, vcenter(t))
		return computetest.Fixture{
			Driver: r.Driver, Guestless: guestless,
			Disks: func(_ *testing.T, id string) []device.Disk { return r.request(id).Disks },
			NICs:  func(_ *testing.T, id string) []device.NIC { return r.request(id).NICs },
			Guest: func(_ *testing.T, id string) map[string]string { return r.request(id).Guest },
			MACs:  func(t *testing.T, id string) []string { return macsOf(t, r.VM(t, id)) },
			PowerOff: func(t *testing.T, id string) {
				task, err := r.VM(t, id).PowerOff(t.Context())
				vctest.Wait(t, task, err)
			},
			Delete: func(t *testing.T, id string) {
				vm := r.VM(t, id)
				if task, err := vm.PowerOff(t.Context()); err == nil {
					_ = task.Wait(t.Context())
				}
				task, err := vm.Destroy(t.Context())
				vctest.Wait(t, task, err)
			},
			Exit: func(t *testing.T, id string, e sdk.Exit) {
				b, err := json.Marshal(guest.Exit{Code: e.Code, OOM: e.OOM, Error: e.Error, Started: e.Started, Finished: e.Finished})
				if err != nil {
					t.Fatal(err)
				}
				r.SetExtra(t, id, map[string]string{guest.Prefix + guest.KeyExit: string(b)})
				task, err := r.VM(t, id).PowerOff(t.Context())
				vctest.Wait(t, task, err)
			},
			Dial: func(t *testing.T, id string) io.ReadWriteCloser {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(c, guest.PrefacePrefix+id+"\n"); err != nil {
					t.Fatal(err)
				}
				return c
			},
			SetAddresses: func(t *testing.T, id string, addrs ...netip.Addr) {
				var s []string
				for _, a := range addrs {
					s = append(s, "eth0="+a.String())
				}
				r.SetExtra(t, id, map[string]string{guest.Prefix + guest.KeyAddresses: strings.Join(s, ",")})
			},
		}
	})
}

func devicesOf(t *testing.T, vm *object.VirtualMachine) object.VirtualDeviceList {
	t.Helper()
	devs, err := vm.Device(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return devs
}

func macsOf(t *testing.T, vm *object.VirtualMachine) []string {
	t.Helper()
	var macs []string
	for _, dev := range devicesOf(t, vm) {
		if c, ok := dev.(types.BaseVirtualEthernetCard); ok {
			macs = append(macs, c.GetVirtualEthernetCard().MacAddress)
		}
	}
	return macs
}

func TestTheLinkKeepsANIC(t *testing.T) {
	r := newRig(t, vctest.New(t))
	req := r.request(vctest.ID())
	if _, err := r.Create(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	lnk := func() guest.Link {
		m, _ := r.Inv.Get(req.ID)
		var l guest.Link
		if err := json.Unmarshal([]byte(m.Guest(guest.KeyLink)), &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	first, second := req.NICs[0], req.NICs[0]
	second.MAC = "00:50:56:01:02:04"
	for _, step := range []struct {
		name string
		nics []device.NIC
		mac  string
		own  bool
		has  int
	}{
		{"a second NIC comes", []device.NIC{first, second}, first.MAC, false, 2},
		{"the link's goes", []device.NIC{second}, second.MAC, false, 1},
		{"the last one goes", nil, second.MAC, true, 1},
		{"one comes again", []device.NIC{first}, second.MAC, true, 2},
	} {
		if err := r.Update(t.Context(), sdk.UpdateRequest{ID: req.ID, NICs: &step.nics}); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if l := lnk(); l.MAC != step.mac || l.Isolated != step.own {
			t.Errorf("%s: the link is %+v", step.name, l)
		}
		if macs := macsOf(t, r.VM(t, req.ID)); len(macs) != step.has {
			t.Errorf("%s: the VM has %v", step.name, macs)
		}
	}
}

func TestCreateMakesTheWholeVM(t *testing.T) {
	r := newRig(t, vctest.New(t))
	id := vctest.ID()
	vm, err := r.Create(t.Context(), r.request(id))
	if err != nil {
		t.Fatal(err)
	}
	if want := "web-" + id[:12]; vm.Name != want {
		t.Errorf("name %q, want %q", vm.Name, want)
	}
	devs := devicesOf(t, r.VM(t, id))
	home := "[" + r.Config.Compute.Datastore + "] " + vm.Name + "/"
	d := devs.SelectByType((*types.VirtualDisk)(nil))[0].(*types.VirtualDisk)
	b := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if b.FileName != home+vm.Name+".vmdk" || b.Parent == nil || b.Parent.FileName != r.Base || *d.UnitNumber != 0 {
		t.Errorf("disk %+v, parent %+v", b, b.Parent)
	}
	n := devs.SelectByType((*types.VirtualVmxnet3)(nil))[0].(*types.VirtualVmxnet3)
	p := n.Backing.(*types.VirtualEthernetCardDistributedVirtualPortBackingInfo)
	if n.MacAddress != "00:50:56:01:02:03" || p.Port.PortgroupKey != r.Config.Network.Bridge.Portgroup || p.Port.SwitchUuid == "" {
		t.Errorf("NIC %+v, %+v", n.VirtualEthernetCard, p.Port)
	}
	cd := devs.SelectByType((*types.VirtualCdrom)(nil))[0].(*types.VirtualCdrom)
	if got := cd.Backing.(*types.VirtualCdromIsoBackingInfo).FileName; got != r.Config.Compute.BootstrapISO {
		t.Errorf("CD-ROM %q", got)
	}
	s := devs.SelectByType((*types.VirtualSerialPort)(nil))[0].(*types.VirtualSerialPort)
	if got := s.Backing.(*types.VirtualSerialPortFileBackingInfo).FileName; got != home+"console.log" {
		t.Errorf("serial port %q", got)
	}
	m, _ := r.Inv.Get(id)
	var l guest.Link
	if err := json.Unmarshal([]byte(m.Guest(guest.KeyLink)), &l); err != nil || l != (guest.Link{Address: "[fe80::1]:2380", MAC: "00:50:56:01:02:03"}) {
		t.Errorf("link %+v, %v", l, err)
	}
	if m.Extra["vic.vch"] != r.Config.VCH.Name || m.Guest(guest.KeyConfig) != `{"version":1}` || len(m.Layers()) != 1 || m.Layers()[0] != r.Base {
		t.Errorf("extraConfig %v", m.Extra)
	}
}

// The guest can write its own keys; what the host has told it stays where it cannot.
func TestTheHostKeepsWhatTheGuestWasToldOfItsNetworks(t *testing.T) {
	r := newRig(t, vctest.New(t))
	told := func(addr string) string {
		b, err := json.Marshal(guest.NetworkConfig{Networks: []guest.Network{{Name: "bridge", Addresses: []netip.Prefix{netip.MustParsePrefix(addr)}}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	req := r.request(vctest.ID())
	req.Guest = map[string]string{guest.KeyConfig: `{"version":1,` + told("172.16.0.9/16")[1:]}
	if _, err := r.Create(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	address := func() string {
		m, _ := r.Inv.Get(req.ID)
		if m.Extra[inventory.KeyNetwork] == "" {
			return "no copy"
		}
		return m.Network().Networks[0].Addresses[0].String()
	}
	if got := address(); got != "172.16.0.9/16" {
		t.Error(got)
	}
	if err := r.Update(t.Context(), sdk.UpdateRequest{ID: req.ID, Guest: map[string]string{guest.KeyNetwork: told("172.16.0.10/16")}}); err != nil {
		t.Fatal(err)
	}
	if got := address(); got != "172.16.0.10/16" {
		t.Errorf("after a change: %s", got)
	}
}

func TestContainerThatIsNotOnTheBridgeGetsALinkCard(t *testing.T) {
	r := newRig(t, vctest.New(t))
	req := r.request(vctest.ID())
	req.NICs = nil
	if _, err := r.Create(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	m, _ := r.Inv.Get(req.ID)
	var l guest.Link
	if err := json.Unmarshal([]byte(m.Guest(guest.KeyLink)), &l); err != nil || !l.Isolated || l.MAC == "" {
		t.Errorf("link %+v, %v", l, err)
	}
	if n := devicesOf(t, r.VM(t, req.ID)).SelectByType((*types.VirtualVmxnet3)(nil)); len(n) != 1 {
		t.Errorf("%d cards, want one", len(n))
	}
}

func TestRemoveKeepsVolumes(t *testing.T) {
	r := newRig(t, vctest.New(t))
	req := r.request(vctest.ID())
	req.Disks = append(req.Disks, device.Disk{Kind: device.KindVMDK, Locator: r.Base})
	if _, err := r.Create(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	vm := r.VM(t, req.ID)
	if units := unitsOf(devicesOf(t, vm)); len(units) != 2 || units[1] != 1 {
		t.Errorf("disks at %v", units)
	}
	if err := r.Remove(t.Context(), req.ID); err != nil {
		t.Fatal(err)
	}
	if len(r.disks.released) == 0 || r.disks.released[0] != req.ID {
		t.Error("the disks were not asked for")
	}
	again := r.request(vctest.ID())
	again.Disks = []device.Disk{{Kind: device.KindVMDK, Locator: r.Base}}
	if _, err := r.Create(t.Context(), again); err != nil {
		t.Errorf("the volume is gone: %v", err)
	}
}

func unitsOf(devs object.VirtualDeviceList) []int32 {
	var out []int32
	for _, d := range devs.SelectByType((*types.VirtualDisk)(nil)) {
		out = append(out, *d.GetVirtualDevice().UnitNumber)
	}
	return out
}

func TestUpdateRenamesWithThePattern(t *testing.T) {
	r := newRig(t, vctest.New(t))
	id := vctest.ID()
	if _, err := r.Create(t.Context(), r.request(id)); err != nil {
		t.Fatal(err)
	}
	if err := r.Update(t.Context(), sdk.UpdateRequest{ID: id, Name: "db", Guest: map[string]string{guest.KeyConfig: ""}}); err != nil {
		t.Fatal(err)
	}
	vm, err := r.Get(t.Context(), id)
	if err != nil || vm.Name != "db-"+id[:12] {
		t.Errorf("%q, %v", vm.Name, err)
	}
	if m, _ := r.Inv.Get(id); m.Guest(guest.KeyConfig) != "" {
		t.Error("the key is still there")
	}
}

func TestCopyOfAContainerVMIsNotAContainer(t *testing.T) {
	r := newRig(t, vctest.New(t))
	id := vctest.ID()
	vm, err := r.Create(t.Context(), r.request(id))
	if err != nil {
		t.Fatal(err)
	}
	pool := types.ManagedObjectReference{Type: "VirtualApp", Value: r.Config.VCH.Pool}
	app := object.NewVirtualApp(r.Client.Client, pool)
	task, err := app.CreateChildVM(t.Context(), types.VirtualMachineConfigSpec{
		Name: "copy", GuestId: "otherLinux64Guest", Files: &types.VirtualMachineFileInfo{VmPathName: "[" + r.Config.Compute.Datastore + "]"},
		ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "vic.id", Value: id}},
	}, nil)
	vctest.Wait(t, task, err)
	got, err := r.Get(t.Context(), id)
	if err != nil || got.Locator != vm.Locator {
		t.Errorf("got %+v, %v; want %s", got, err, vm.Locator)
	}
}
