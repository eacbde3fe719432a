package hubvm

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/hardware"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/hubguest"
)

// deploy makes the VM hub1 as vSphere makes one of the OVA, powered on.
func deploy(t *testing.T, s *simtest.Sim, properties map[string]string) *object.VirtualMachine {
	t.Helper()
	p := plan(t, s)
	f := p.Res.Files
	must(t, f.MakeDir(t.Context(), "hub1"))
	must(t, f.Put(t.Context(), []byte("CD001"), "hub1/_deviceImage0.iso"))
	v := hardware.VM{Name: "hub1", CPUs: 1, MemoryMB: 512, VMX: f.Path("hub1/hub1.vmx"), ISO: f.Path("hub1/_deviceImage0.iso"),
		Disk: f.Path("hub1/disk-0.vmdk"), DiskGB: 1, Console: f.Path("hub1/c.log"), Networks: []object.NetworkReference{p.Res.Public}}
	spec, err := v.Spec(t.Context())
	must(t, err)
	vapp := &types.VmConfigSpec{Product: []types.VAppProductSpec{{ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: types.ArrayUpdateOperationAdd},
		Info: &types.VAppProductInfo{Key: 1, ClassId: hubguest.Class, Name: "hub", Version: "7"}}}}
	for i, x := range hubguest.Properties() {
		vapp.Property = append(vapp.Property, types.VAppPropertySpec{ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: types.ArrayUpdateOperationAdd},
			Info: &types.VAppPropertyInfo{Key: int32(i), ClassId: hubguest.Class, Id: x.Key, Value: properties[x.Key]}})
	}
	task, err := p.Res.Folder.CreateVM(t.Context(), spec, p.Res.Pool, nil)
	must(t, session.Wait(t.Context(), task, err))
	vm, err := s.Find("hub1")
	must(t, err)
	task, err = vm.Reconfigure(t.Context(), types.VirtualMachineConfigSpec{VAppConfig: vapp})
	must(t, session.Wait(t.Context(), task, err))
	task, err = vm.PowerOn(t.Context())
	must(t, session.Wait(t.Context(), task, err))
	return vm
}

func TestAHubFromTheOVAIsAdopted(t *testing.T) {
	s := simtest.New(t)
	vm := deploy(t, s, map[string]string{"hostname": "hub.example.com", "admin_password": "correct-horse", "debug": "False"})
	q := Query{Name: "hub1"}
	err := Upgrade{Version: "8", ISO: simtest.ISO(t, "hub.iso"), Patience: time.Minute}.Run(t.Context(), s.Session, q, nil)
	for what, err := range map[string]error{"upgrade": err, "configure": second(Configure(t.Context(), s.Session, q, Change{MemoryMB: 1024}, nil)),
		"delete": second(Delete(t.Context(), s.Session, DeleteOptions{Query: q}, nil)), "inspect": second(Inspect(t.Context(), s.Session, q))} {
		if !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), "deployed from the OVA") {
			t.Errorf("%s before it is adopted: %v", what, err)
		}
	}
	if _, err := (Adoption{Patience: time.Minute}).Adopt(t.Context(), s.Session, Query{Name: "hub2"}, nil); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("another name: %v", err)
	}
	s.Follow("hub1", func(string, string) string { return "ready" })
	d, err := Adoption{Patience: time.Minute}.Adopt(t.Context(), s.Session, q, nil)
	must(t, err)
	if r := d.Record; r.Data != "disk-0.vmdk" || r.ISO != "_deviceImage0.iso" || r.Folder != "hub1" || r.Version != "7" || r.DataGB != 1 || r.Network != "public" {
		t.Errorf("%+v", r)
	}
	var m mo.VirtualMachine
	must(t, vm.Properties(t.Context(), vm.Reference(), []string{"config"}, &m))
	text, _ := object.OptionValueList(m.Config.ExtraConfig).GetString(keyConfig)
	var c guest.Config
	must(t, json.Unmarshal([]byte(text), &c))
	if c.Networks[0].MAC == "" || !c.Networks[0].DHCP || !strings.Contains(string(c.Appliance.Files[0].Data), `names = ["hub.example.com"]`) {
		t.Errorf("%+v", c)
	}
	for _, p := range m.Config.VAppConfig.GetVmConfigInfo().Property {
		if strings.Contains(p.Value, "correct-horse") {
			t.Errorf("the property %s keeps the password", p.Id)
		}
	}
	if _, err := (Adoption{Patience: time.Minute}).Adopt(t.Context(), s.Session, q, nil); !errors.Is(err, errdef.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	cert := plan(t, s).Certs.Server
	changed, err := Configure(t.Context(), s.Session, q, Change{Server: cert, Patience: time.Minute}, nil)
	if err != nil || strings.Join(changed, " ") != "tls-server-cert" {
		t.Errorf("%v %v", changed, err)
	}
	if d, err := Inspect(t.Context(), s.Session, q); err != nil || len(d.Certificate.Names) != 1 {
		t.Errorf("%+v %v", d, err)
	}
	must(t, Upgrade{Version: "8", ISO: simtest.ISO(t, "hub.iso"), Patience: time.Minute}.Run(t.Context(), s.Session, q, nil))
	must(t, second(Delete(t.Context(), s.Session, DeleteOptions{Query: q, Force: true}, nil)))
	if strings.Contains(s.Inventory(), "hub1") {
		t.Errorf("left behind:\n%s", s.Inventory())
	}
}

func TestWhatIsWrongWithAHubFromTheOVAIsTold(t *testing.T) {
	s := simtest.New(t)
	vm := deploy(t, s, map[string]string{"hostname": "hub.example.com"})
	_, err := Adoption{Patience: time.Minute}.Adopt(t.Context(), s.Session, Query{Name: "hub1"}, nil)
	if !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), "hub.admin_password") {
		t.Errorf("%v", err)
	}
	if state, err := vm.PowerState(t.Context()); err != nil || state != types.VirtualMachinePowerStatePoweredOn {
		t.Errorf("it is %s: %v", state, err)
	}
}

func second[T any](_ T, err error) error { return err }
