package vch

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

func plan(t *testing.T, s *simtest.Sim, change func(*Spec, *Resources)) *Plan {
	t.Helper()
	ctx := t.Context()
	f := s.Finder()
	dc, err := f.DefaultDatacenter(ctx)
	must(t, err)
	folders, err := dc.Folders(ctx)
	must(t, err)
	pool, err := f.ResourcePoolList(ctx, "*/Resources")
	must(t, err)
	ds, err := f.DefaultDatastore(ctx)
	must(t, err)
	spec := Spec{Name: "vch1", Version: "1", StateGB: 1, ApplianceISO: simtest.ISO(t, "a.iso"), BootstrapISO: simtest.ISO(t, "b.iso"),
		Settings: Settings{BridgeRange: netip.MustParsePrefix("172.16.0.0/16"), EndpointCPU: 1, EndpointMemoryMB: 512,
			ContainerMemoryMB: 256, LayerSizeGB: 8, RegistryMirrors: []string{"http://mirror:5000"}}}
	res := Resources{Session: s.Session, Datacenter: dc, Folder: folders.VmFolder, Pool: pool[0], Files: session.Files{Datacenter: dc, Datastore: ds}}
	if s.Session.IsVC() {
		res.Bridge, err = f.Network(ctx, "bridge")
		must(t, err)
		res.Public, err = f.Network(ctx, "public")
	} else {
		res.Bridge, err = f.Network(ctx, "VM Network")
		res.Public = res.Bridge
	}
	must(t, err)
	res.BridgeName, res.PublicName = "bridge", "public"
	if change != nil {
		change(&spec, &res)
	}
	set, err := certs.Prepare(certs.Options{Dir: filepath.Join(t.TempDir(), "certs"), Name: spec.Name, Names: []string{"127.0.0.1"},
		NoTLS: spec.NoTLS, NoVerify: spec.NoVerify}, time.Now())
	must(t, err)
	return NewPlan(spec, res, set, time.Now())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func created(t *testing.T, s *simtest.Sim, change func(*Spec, *Resources)) (*Plan, *Ready) {
	t.Helper()
	p := plan(t, s, change)
	s.Guest(p.Spec.Name, "ready", "")
	ready, err := Create(t.Context(), p, nil)
	must(t, err)
	return p, ready
}

func TestCreateMakesAnEndpointAndDeleteTakesItAway(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	p, ready := created(t, s, nil)
	if ready.Address.String() != "192.0.2.7" || ready.Port != 2376 {
		t.Errorf("ready: %+v", ready)
	}
	inventory := s.Inventory()
	for _, want := range []string{p.Record.Pool + " vch1", "/vch1/bootstrap-1.iso", "/vch1/appliance-1.iso", "/vch1/vch1-state.vmdk",
		"/vch1/VIC/" + p.Record.ID, "/vch1/" + MarkerFile, "/vch1/vch1/vch1.vmx"} {
		if !strings.Contains(inventory, want) {
			t.Errorf("%s is not there:\n%s", want, inventory)
		}
	}
	checkEndpoint(t, s, p, ready)
	must(t, Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
	err := Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil)
	if !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), "vch1") {
		t.Errorf("a second delete: %v", err)
	}
}

// checkEndpoint reads back what the endpoint's tether and driver will rely on.
func checkEndpoint(t *testing.T, s *simtest.Sim, p *Plan, ready *Ready) {
	t.Helper()
	vm := object.NewVirtualMachine(s.Session.Client(), types.ManagedObjectReference{Type: "VirtualMachine", Value: ready.VM})
	var m mo.VirtualMachine
	must(t, vm.Properties(t.Context(), vm.Reference(), []string{"config"}, &m))
	s1, _ := object.OptionValueList(m.Config.ExtraConfig).GetString(keyConfig)
	var c guest.Config
	must(t, json.Unmarshal([]byte(s1), &c))
	devices := object.VirtualDeviceList(m.Config.Hardware.Device)
	disks := devices.SelectByType((*types.VirtualDisk)(nil))
	if len(disks) != 1 || *disks[0].GetVirtualDevice().UnitNumber != 0 {
		t.Errorf("disks %v", disks)
	}
	if cds := devices.SelectByType((*types.VirtualCdrom)(nil)); len(cds) != 1 ||
		cds[0].GetVirtualDevice().Backing.(*types.VirtualCdromIsoBackingInfo).FileName != "[LocalDS_0] vch1/appliance-1.iso" {
		t.Errorf("CD-ROMs %v", cds)
	}
	for _, nic := range devices.SelectByType((*types.VirtualVmxnet3)(nil)) {
		card := nic.(*types.VirtualVmxnet3)
		key := card.Backing.(*types.VirtualEthernetCardDistributedVirtualPortBackingInfo).Port.PortgroupKey
		want := map[string]string{p.Record.Bridge: c.Networks[len(c.Networks)-1].MAC, p.Record.Public: c.Networks[0].MAC}[key]
		if card.MacAddress != want || want == "" {
			t.Errorf("the NIC on %s has %s, the guest is told %s", key, card.MacAddress, want)
		}
	}
	files := map[string]string{}
	for _, f := range c.Appliance.Files {
		files[f.Path] = string(f.Data)
		if private := strings.Contains(f.Path, "key") || f.Path == vsphereTOML; private != (f.Mode == 0o600) {
			t.Errorf("%s has mode %o", f.Path, f.Mode)
		}
	}
	for _, want := range []string{`endpoint_vm = "` + ready.VM + `"`, `pool = "` + p.Record.Pool + `"`, `pool_type = "VirtualApp"`,
		`thumbprint = "` + s.Target.Thumbprint + `"`, `bootstrap_iso = "[LocalDS_0] vch1/bootstrap-1.iso"`, `gateway = "172.16.0.1"`} {
		if !strings.Contains(files[vsphereTOML], want) {
			t.Errorf("no %s in\n%s", want, files[vsphereTOML])
		}
	}
	if !strings.Contains(files[vicdTOML], `listen = ["tcp://0.0.0.0:2376"]`) || files[fileCert] == "" || files[fileLinkKey] == "" {
		t.Errorf("files %v", files)
	}
}

func TestAFailureAtAnyStepLeavesNothing(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	names := newCreator(plan(t, s, nil), nil).steps()
	for _, st := range names {
		t.Run(st.name, func(t *testing.T) {
			p := plan(t, s, func(spec *Spec, r *Resources) {
				r.StorePath = "deep/store"
				r.VolumeStores = []VolumeStore{{Label: "default", Files: r.Files, Path: "deep/vols"}}
			})
			c := newCreator(p, nil)
			c.hook = func(step string) error {
				if step == st.name {
					return errors.New("boom")
				}
				return nil
			}
			s.T = t
			s.Guest("vch1", "ready", "")
			if _, err := c.run(t.Context()); err == nil || !strings.Contains(err.Error(), "boom") {
				t.Fatalf("error %v", err)
			}
			if after := s.Inventory(); after != before {
				t.Errorf("left behind:\n%s", after)
			}
			for _, f := range p.Certs.NewFiles() {
				if _, err := os.Stat(filepath.Join(t.TempDir(), "certs", f)); err == nil {
					t.Errorf("left behind: %s", f)
				}
			}
		})
	}
}

func TestARefusedCallLeavesNothing(t *testing.T) {
	for _, method := range []string{"MakeDirectory", "CreateVApp", "CreateChildVM_Task", "ReconfigVM_Task", "PowerOnVM_Task"} {
		t.Run(method, func(t *testing.T) {
			s := simtest.New(t)
			before := s.Inventory()
			p := plan(t, s, nil)
			s.Fail(method)
			_, err := Create(t.Context(), p, nil)
			if err == nil {
				t.Fatal("it went through")
			}
			if after := s.Inventory(); after != before {
				t.Errorf("left behind:\n%s", after)
			}
		})
	}
}

func TestTimeoutAndFailureOfTheEndpoint(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 700*time.Millisecond, errors.New("--timeout is over"))
	defer cancel()
	s.Guest("vch1", "starting", "waiting for vCenter")
	_, err := Create(ctx, plan(t, s, nil), nil)
	if err == nil || !strings.Contains(err.Error(), "--timeout is over") {
		t.Errorf("error %v", err)
	}
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestDebugKeepsWhatWasMade(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	s.Fail("PowerOnVM_Task")
	_, err := Create(t.Context(), plan(t, s, func(spec *Spec, _ *Resources) { spec.Debug = 1 }), nil)
	if err == nil || !strings.Contains(s.Inventory(), "vch1") {
		t.Errorf("error %v, and nothing kept", err)
	}
	must(t, Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestCreateTouchesNothingOfAVCHOfTheSameName(t *testing.T) {
	s := simtest.New(t)
	created(t, s, nil)
	before := s.Inventory()
	if _, err := Create(t.Context(), plan(t, s, nil), nil); !errors.Is(err, errdef.ErrExists) {
		t.Errorf("error %v", err)
	}
	if after := s.Inventory(); after != before {
		t.Errorf("changed:\n%s", after)
	}
}

func TestCreateTakesAwayWhatAnInterruptedOneLeft(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	store := func(_ *Spec, r *Resources) {
		r.StorePath, r.VolumeStores = "deep/store", []VolumeStore{{Label: "default", Files: r.Files, Path: "deep/vols"}}
	}
	c := newCreator(plan(t, s, store), nil)
	for _, st := range c.steps() {
		must(t, st.do(t.Context()))
		p := plan(t, s, store)
		left, err := FindUnfinished(t.Context(), "vch1", p.Res)
		must(t, err)
		if (left != nil) != c.folder {
			t.Fatalf("after %s: %v", st.name, left)
		}
		if st.name == "power on" {
			break
		}
	}
	again := plan(t, s, store)
	var err error
	again.Res.Unfinished, err = FindUnfinished(t.Context(), "vch1", again.Res)
	must(t, err)
	names, bridge, err := Conflicts(t.Context(), s.Session, "vch1", again.Res)
	if err != nil || len(names)+len(bridge) > 0 {
		t.Errorf("%v %v %v", names, bridge, err)
	}
	s.Guest("vch1", "ready", "")
	_, err = Create(t.Context(), again, nil)
	must(t, err)
	if left, err := FindUnfinished(t.Context(), "vch1", again.Res); err != nil || left != nil {
		t.Errorf("a VCH that serves is unfinished: %v", err)
	}
	must(t, Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestDeleteFindsWhatIsLeft(t *testing.T) {
	half := func(upTo string) func(*testing.T, *simtest.Sim) {
		return func(t *testing.T, s *simtest.Sim) {
			c := newCreator(plan(t, s, func(spec *Spec, r *Resources) { r.StorePath = "deep/store" }), nil)
			for _, st := range c.steps() {
				must(t, st.do(t.Context()))
				if st.name == upTo {
					return
				}
			}
		}
	}
	remove := func(what string) func(*testing.T, *simtest.Sim) {
		return func(t *testing.T, s *simtest.Sim) {
			p, ready := created(t, s, nil)
			r := &remover{sess: s.Session}
			vms, err := poolVMs(t.Context(), s.Session.Client(), types.ManagedObjectReference{Type: config.PoolVApp, Value: p.Record.Pool})
			must(t, err)
			switch what {
			case "endpoint VM", "vApp":
				r.vms(t.Context(), vms, "vch1")
			case "folder":
				must(t, p.Res.Files.Delete(t.Context(), "vch1/"+MarkerFile))
			}
			if what == "vApp" {
				r.pool(t.Context(), types.ManagedObjectReference{Type: config.PoolVApp, Value: p.Record.Pool})
			}
			must(t, r.err())
			_ = ready
		}
	}
	s := simtest.New(t)
	before := s.Inventory()
	for name, prepare := range map[string]func(*testing.T, *simtest.Sim){
		"made up to the folder": half("datastore folder"), "made up to the vApp": half("vApp"), "made up to the store": half("image store"),
		"made up to the ISOs": half("ISO images"), "made up to the VM": half("endpoint VM"), "made up to power on": half("power on"),
		"without endpoint VM": remove("endpoint VM"), "without vApp": remove("vApp"), "without marker": remove("folder"),
		"store gone, folders around it not": func(t *testing.T, s *simtest.Sim) {
			half("power on")(t, s)
			ds, err := s.Finder().DefaultDatastore(t.Context())
			must(t, err)
			r, err := readMarker(t.Context(), session.Files{Datacenter: plan(t, s, nil).Res.Datacenter, Datastore: ds}, "vch1")
			must(t, err)
			must(t, plan(t, s, nil).Res.Files.Delete(t.Context(), r.StoreDirs[len(r.StoreDirs)-1]))
			must(t, plan(t, s, nil).Res.Files.Delete(t.Context(), r.StoreDirs[len(r.StoreDirs)-2]))
		},
		"empty folder": func(t *testing.T, s *simtest.Sim) { must(t, plan(t, s, nil).Res.Files.MakeDir(t.Context(), "vch1")) },
		"vApp alone": func(t *testing.T, s *simtest.Sim) {
			c := newCreator(plan(t, s, nil), nil)
			must(t, c.makeFolder(t.Context()))
			must(t, c.makePool(t.Context()))
			must(t, c.Res.Files.Delete(t.Context(), "vch1"))
		},
		"vApp unknown to the marker": func(t *testing.T, s *simtest.Sim) {
			c := newCreator(plan(t, s, nil), nil)
			must(t, c.makeFolder(t.Context()))
			must(t, c.makePool(t.Context()))
			c.Record.Pool = ""
			must(t, c.Record.writeMarker(t.Context(), c.Res.Files))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.T = t
			prepare(t, s)
			if s.Inventory() == before {
				t.Fatal("nothing was prepared")
			}
			must(t, Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
			if after := s.Inventory(); after != before {
				t.Errorf("left behind:\n%s", after)
			}
		})
	}
}

// TestDeleteOfANameThatNoVCHCanHaveFindsNothing: these would be the root of a datastore, or somebody's folder.
func TestDeleteOfANameThatNoVCHCanHaveFindsNothing(t *testing.T) {
	s := simtest.New(t)
	created(t, s, nil)
	before := s.Inventory()
	for _, name := range []string{"", ".", "..", "/", "vch1/", "vch1/..", `\`} {
		err := Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: name}, Force: true}, nil)
		if !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if after := s.Inventory(); after != before {
		t.Errorf("something was taken away:\n%s", after)
	}
}

// container makes a container VM in the VCH's vApp.
func container(t *testing.T, s *simtest.Sim, p *Plan, name string, on bool, extra ...types.BaseOptionValue) {
	t.Helper()
	app := object.NewVirtualApp(s.Session.Client(), types.ManagedObjectReference{Type: config.PoolVApp, Value: p.Record.Pool})
	task, err := app.CreateChildVM(t.Context(), types.VirtualMachineConfigSpec{Name: name, ExtraConfig: extra,
		Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0] " + name + "/" + name + ".vmx"}}, nil)
	res, err := session.Await(t.Context(), task, err)
	must(t, err)
	must(t, p.Res.Files.Put(t.Context(), []byte("x"), name+"/console.log"))
	if on {
		task, err := object.NewVirtualMachine(s.Session.Client(), res.(types.ManagedObjectReference)).PowerOn(t.Context())
		must(t, session.Wait(t.Context(), task, err))
	}
}

func TestDeleteMindsContainers(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	p, _ := created(t, s, nil)
	id := []types.BaseOptionValue{&types.OptionValue{Key: "vic.id", Value: "abc"}, &types.OptionValue{Key: RecordKey, Value: "vch1"}}
	container(t, s, p, "web", true, id...)
	container(t, s, p, "old", false, id...)
	d, err := Inspect(t.Context(), s.Session, Query{Name: "vch1"})
	if err != nil || d.Containers != 2 || d.Running != 1 {
		t.Errorf("inspect: %+v %v", d, err)
	}
	o := DeleteOptions{Query: Query{Name: "vch1"}}
	if err := Delete(t.Context(), s.Session, o, nil); !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), "web") {
		t.Errorf("with a running container: %v", err)
	}
	o.Force = true
	must(t, Delete(t.Context(), s.Session, o, nil))
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestDeleteRefusesToTakeStrangersAlong(t *testing.T) {
	s := simtest.New(t)
	p, _ := created(t, s, nil)
	container(t, s, p, "payroll", false)
	err := Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "vch1"}, Force: true}, nil)
	if !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), "payroll") {
		t.Errorf("error %v", err)
	}
}

func TestListAndInspect(t *testing.T) {
	s := simtest.New(t)
	if all, err := List(t.Context(), s.Session); err != nil || len(all) != 0 {
		t.Fatal(all, err)
	}
	p, ready := created(t, s, nil)
	all, err := List(t.Context(), s.Session)
	if err != nil || len(all) != 1 || all[0].State != "ready" || all[0].ID != ready.VM || all[0].Path != "/DC0/host/DC0_C0/Resources" {
		t.Errorf("%+v %v", all, err)
	}
	d, err := Inspect(t.Context(), s.Session, Query{ID: ready.VM})
	must(t, err)
	if d.Endpoint != "192.0.2.7:2376" || !d.TLSVerify || d.UUID != p.Record.ID || !slices.Contains(d.Certificates["server-cert.pem"].Names, "127.0.0.1") {
		t.Errorf("%+v", d)
	}
	b, err := json.Marshal(d)
	if err != nil || strings.Contains(string(b), simtest.Password) || strings.Contains(string(b), "PRIVATE") {
		t.Errorf("secrets in %s", b)
	}
	for compute, want := range map[string]bool{"DC0_C0": true, "/DC0/host/DC0_C0": true, "DC0_C0/Resources/": true, "DC0": true, "C0": false} {
		if _, err := Inspect(t.Context(), s.Session, Query{Name: "vch1", Compute: compute}); (err == nil) != want {
			t.Errorf("on %s: %v", compute, err)
		}
	}
	if _, err := Inspect(t.Context(), s.Session, Query{Name: "vhc1"}); !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), "vch1") {
		t.Errorf("a mistyped name: %v", err)
	}
}

func TestOnESXiAResourcePoolHoldsTheVCH(t *testing.T) {
	s := simtest.NewESX(t)
	before := s.Inventory()
	p := plan(t, s, nil)
	c := newCreator(p, nil)
	for _, st := range c.steps() {
		must(t, st.do(t.Context()))
		if st.name == "endpoint VM" {
			break
		}
	}
	if c.Record.PoolType != config.PoolResourcePool || c.vm == nil {
		t.Fatalf("%+v", c.Record)
	}
	must(t, Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s\nbefore\n%s", after, before)
	}
}
