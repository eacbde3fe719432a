package precheck

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

func input(t *testing.T, s *simtest.Sim) Input {
	return Input{
		Spec: vch.Spec{Name: "vch1", Settings: vch.Settings{BridgeRange: netip.MustParsePrefix("172.16.0.0/16"), EndpointCPU: 1, EndpointMemoryMB: 512,
			ContainerMemoryMB: 256}, StateGB: 40, ApplianceISO: simtest.ISO(t, "a.iso"), BootstrapISO: simtest.ISO(t, "b.iso")},
		Session: s.Session, BridgeNetwork: "bridge", PublicNetwork: "public",
		Certs: certs.Options{Dir: filepath.Join(t.TempDir(), "vch1"), Name: "vch1", Names: []string{"127.0.0.1"}},
	}
}

func text(o *Output) string {
	var b bytes.Buffer
	o.Report.Print(&b)
	return b.String()
}

func TestAllIsWellAndNothingIsLeft(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	in := input(t, s)
	out := Run(t.Context(), in)
	if !out.OK() || out.Certs == nil {
		t.Fatalf("report:\n%s", text(out))
	}
	r := out.Resources
	if r.Pool == nil || r.Bridge == nil || r.Public == nil || r.Files.Datastore == nil || r.BridgeName != "bridge" || r.Folder == nil {
		t.Errorf("resources %+v", r)
	}
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
	if _, err := os.Stat(in.Certs.Dir); err == nil {
		t.Error("a check wrote certificates")
	}
}

func TestEachMistakeIsNamedWithItsRemedy(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	dir := t.TempDir()
	noISO := filepath.Join(dir, "x.iso")
	if err := os.WriteFile(noISO, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	cut := simtest.ISO(t, "cut.iso")
	b, err := os.ReadFile(cut)
	ok(t, err)
	b[isoBlocks] = 100
	ok(t, os.WriteFile(cut, b, 0o600))
	for _, c := range []struct {
		name   string
		change func(*Input)
		check  string
		want   string
		remedy string
	}{
		{"no such cluster", func(i *Input) { i.ComputeResource = "nosuch" }, "compute resource", "nosuch", "DC0_C0"},
		{"a host of a cluster", func(i *Input) { i.ComputeResource = "DC0_C0_H0" }, "compute resource", "DC0_C0", "DRS"},
		{"no such datastore", func(i *Input) { i.ImageStore = "nosuch/x" }, "image store", "nosuch", "LocalDS_0"},
		{"no such bridge", func(i *Input) { i.BridgeNetwork = "nosuch" }, "bridge network", "nosuch", "bridge2"},
		{"bridge not given", func(i *Input) { i.BridgeNetwork = "" }, "bridge network", "not given", "bridge2"},
		{"bridge not distributed", func(i *Input) { i.BridgeNetwork = "VM Network" }, "bridge network", "distributed", "switch"},
		{"bridge is public", func(i *Input) { i.PublicNetwork = "bridge" }, "public network", "bridge", "different"},
		{"no such public", func(i *Input) { i.PublicNetwork = "nosuch" }, "public network", "nosuch", "VM Network"},
		{"bad name", func(i *Input) { i.Spec.Name = "a b" }, "name", "a b", "--name"},
		{"long name", func(i *Input) { i.Spec.Name = strings.Repeat("x", 32) }, "name", "32", "--name"},
		{"bad range", func(i *Input) { i.Spec.BridgeRange = netip.MustParsePrefix("172.16.0.0/30") }, "bridge range", "/30", "172.16"},
		{"loopback as range", func(i *Input) { i.Spec.BridgeRange = netip.MustParsePrefix("127.0.0.0/8") }, "bridge range", "127", "172.16"},
		{"multicast as range", func(i *Input) { i.Spec.BridgeRange = netip.MustParsePrefix("224.0.0.0/8") }, "bridge range", "224", "172.16"},
		{"an address in the bridge", func(i *Input) {
			i.Spec.Static = map[string]vch.Static{vch.RolePublic: {Address: netip.MustParsePrefix("172.16.5.2/24")}}
		}, "public network", "overlaps", "--bridge-network-range"},
		{"no ISO", func(i *Input) { i.Spec.ApplianceISO = "" }, "appliance ISO", "appliance.iso", "--appliance-iso"},
		{"missing ISO", func(i *Input) { i.Spec.BootstrapISO = filepath.Join(dir, "nosuch.iso") }, "bootstrap ISO", "nosuch.iso", "--bootstrap-iso"},
		{"not an ISO", func(i *Input) { i.Spec.BootstrapISO = noISO }, "bootstrap ISO", "not an ISO", "--bootstrap-iso"},
		{"an ISO that is cut", func(i *Input) { i.Spec.ApplianceISO = cut }, "appliance ISO", "cut short: it has 40960 of 204800 bytes", "--appliance-iso"},
		{"no name for TLS", func(i *Input) { i.Certs.Names = nil }, "certificates", "no name", "--tls-cname"},
		{"no folder for certificates", func(i *Input) { i.Certs.Dir = "/proc/nosuch/certs" }, "certificates", "cannot be written to /proc/nosuch/certs",
			"--cert-path"},
		{"bad key size", func(i *Input) { i.Certs.KeySize = 512 }, "certificates", "512", "2048"},
		{"too little memory", func(i *Input) { i.Spec.EndpointMemoryMB = 16 }, "sizes", "--endpoint-memory", "256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input(t, s)
			c.change(&in)
			out := Run(t.Context(), in)
			hit := false
			for _, r := range out.Report {
				hit = hit || (r.Check == c.check && r.Level == Error && strings.Contains(r.Message, c.want) && strings.Contains(r.Remedy, c.remedy))
			}
			if !hit || out.OK() {
				t.Errorf("want %q and %q in:\n%s", c.want, c.remedy, text(out))
			}
		})
	}
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestTwoNetworksWithOneSubnetAreWarnedOf(t *testing.T) {
	s := simtest.New(t)
	in := input(t, s)
	in.ClientNetwork = "client"
	in.Spec.Static = map[string]vch.Static{vch.RolePublic: {Address: netip.MustParsePrefix("10.0.0.2/24")},
		vch.RoleClient: {Address: netip.MustParsePrefix("10.0.0.3/24")}}
	if out := Run(t.Context(), in); !out.OK() || !strings.Contains(text(out), "10.0.0.3/24 is in the public network's 10.0.0.0/24 too") {
		t.Errorf("report:\n%s", text(out))
	}
}

func TestABadNameIsSaidOnce(t *testing.T) {
	s := simtest.New(t)
	for _, name := range []string{"a/b", "..", ".", ""} {
		in := input(t, s)
		in.Spec.Name = name
		if out := Run(t.Context(), in); out.Report.Count(Error) != 1 {
			t.Errorf("%q:\n%s", name, text(out))
		}
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	s := simtest.New(t)
	in := input(t, s)
	in.ComputeResource, in.ImageStore, in.BridgeNetwork, in.PublicNetwork, in.Spec.Name, in.Spec.BootstrapISO = "x1", "x2", "x3", "x4", "x 5", "x6"
	out := Run(t.Context(), in)
	if n := out.Report.Count(Error); n != 6 {
		t.Errorf("%d errors:\n%s", n, text(out))
	}
}

func TestWithoutAConnectionTheRestIsStillChecked(t *testing.T) {
	s := simtest.New(t)
	in := input(t, s)
	in.Session, in.ConnectErr, in.Spec.BootstrapISO = nil, errors.New("wrong user or password"), "nosuch"
	out := Run(t.Context(), in)
	if out.OK() || out.Report.Count(Error) != 2 || out.Report.Count(Skipped) == 0 || !strings.Contains(text(out), "password") {
		t.Errorf("report:\n%s", text(out))
	}
}

func TestTheStateOfVSphereCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*testing.T, *simtest.Sim)
		check  string
		want   string
		force  bool // accepted with --force
	}{
		{"full datastore", func(t *testing.T, s *simtest.Sim) {
			store(s).Summary.FreeSpace = 100 << 20
			s.Fail("RefreshDatastore") // the simulator's would set it back
		}, "image store", "100 MiB free", false},
		{"no access to the datastore", func(t *testing.T, s *simtest.Sim) { store(s).Summary.Accessible = false }, "image store", "not accessible", false},
		{"datastore not writable", func(t *testing.T, s *simtest.Sim) { s.Fail("DeleteDatastoreFile_Task") }, "image store", "cannot be written", false},
		{"DRS off", func(t *testing.T, s *simtest.Sim) {
			cl, err := s.Finder().ClusterComputeResource(t.Context(), "DC0_C0")
			ok(t, err)
			task, err := cl.Reconfigure(t.Context(), &types.ClusterConfigSpecEx{DrsConfig: &types.ClusterDrsConfigInfo{Enabled: types.NewBool(false)}}, true)
			ok(t, session.Wait(t.Context(), task, err))
		}, "DRS", "off", true},
		{"VM of that name", func(t *testing.T, s *simtest.Sim) {
			pool, err := s.Finder().ResourcePool(t.Context(), "DC0_C0/Resources")
			ok(t, err)
			f, err := s.Finder().DefaultFolder(t.Context())
			ok(t, err)
			task, err := f.CreateVM(t.Context(), types.VirtualMachineConfigSpec{Name: "vch1",
				Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0] z/z.vmx"}}, pool, nil)
			ok(t, session.Wait(t.Context(), task, err))
		}, "name is free", "a VM", false},
		{"pool of that name", func(t *testing.T, s *simtest.Sim) {
			pool, err := s.Finder().ResourcePool(t.Context(), "DC0_C0/Resources")
			ok(t, err)
			_, err = pool.Create(t.Context(), "vch1", types.DefaultResourceConfigSpec())
			ok(t, err)
		}, "name is free", "resource pool", false},
		{"folder of that name", func(t *testing.T, s *simtest.Sim) {
			out := Run(t.Context(), input(t, s))
			ok(t, out.Resources.Files.MakeDir(t.Context(), "vch1"))
			ok(t, out.Resources.Files.Put(t.Context(), []byte("x"), "vch1/notes.txt"))
		}, "name is free", "a folder", false},
		{"bridge is an uplink", func(t *testing.T, s *simtest.Sim) {
			portgroup(t, s).Config.Uplink = types.NewBool(true)
		}, "bridge network", "uplink", false},
		{"switch without a host", func(t *testing.T, s *simtest.Sim) {
			n, err := s.Finder().Network(t.Context(), "DVS0")
			ok(t, err)
			sw := s.Model.Map().Get(n.Reference()).(*simulator.DistributedVirtualSwitch)
			gone := sw.Summary.HostMember[0]
			sw.Summary.HostMember = sw.Summary.HostMember[1:]
			simulator.RemoveReference(&portgroup(t, s).Host, gone)
		}, "bridge network", "not on the hosts", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := simtest.New(t)
			c.change(t, s)
			in := input(t, s)
			out := Run(t.Context(), in)
			hit := false
			for _, r := range out.Report {
				hit = hit || (r.Check == c.check && r.Level == Error && strings.Contains(r.Message, c.want) && r.Remedy != "")
			}
			if !hit {
				t.Errorf("want %q in:\n%s", c.want, text(out))
			}
			in.Force = true
			if forced := Run(t.Context(), in); forced.OK() != c.force {
				t.Errorf("with --force:\n%s", text(forced))
			}
		})
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func portgroup(t *testing.T, s *simtest.Sim) *simulator.DistributedVirtualPortgroup {
	t.Helper()
	b, err := s.Finder().Network(t.Context(), "bridge")
	ok(t, err)
	return s.Model.Map().Get(b.Reference()).(*simulator.DistributedVirtualPortgroup)
}

func store(s *simtest.Sim) *simulator.Datastore {
	ds, err := s.Finder().DefaultDatastore(s.T.Context())
	if err != nil {
		s.T.Fatal(err)
	}
	return s.Model.Map().Get(ds.Reference()).(*simulator.Datastore)
}

func TestASecondVCHNeedsAnotherNameAndBridge(t *testing.T) {
	s := simtest.New(t)
	in := input(t, s)
	out := Run(t.Context(), in)
	s.Guest("vch1", "ready", "")
	if _, err := vch.Create(t.Context(), vch.NewPlan(in.Spec, out.Resources, out.Certs, time.Now()), nil); err != nil {
		t.Fatal(err)
	}
	again := text(Run(t.Context(), in))
	if !strings.Contains(again, "a VCH vch1") || !strings.Contains(again, "bridge is the bridge of the VCH vch1") {
		t.Errorf("report:\n%s", again)
	}
	in.Spec.Name, in.BridgeNetwork = "vch2", "bridge2"
	if second := Run(t.Context(), in); !second.OK() {
		t.Errorf("report:\n%s", text(second))
	}
}

func TestComputeResourceNames(t *testing.T) {
	s := simtest.New(t)
	root, err := s.Finder().ResourcePool(t.Context(), "DC0_C0/Resources")
	ok(t, err)
	for _, name := range []string{"blue", "red"} {
		_, err := root.Create(t.Context(), name, types.DefaultResourceConfigSpec())
		ok(t, err)
	}
	blue, err := s.Finder().ResourcePool(t.Context(), "DC0_C0/Resources/blue")
	ok(t, err)
	_, err = blue.Create(t.Context(), "red", types.DefaultResourceConfigSpec())
	ok(t, err)
	for name, want := range map[string]string{
		"": "/DC0/host/DC0_C0/Resources", "DC0_C0": "/DC0/host/DC0_C0/Resources", "/DC0/host/DC0_C0": "/DC0/host/DC0_C0/Resources",
		"blue": "/DC0/host/DC0_C0/Resources/blue", "DC0_C0/blue": "/DC0/host/DC0_C0/Resources/blue",
		"DC0_C0/Resources/blue": "/DC0/host/DC0_C0/Resources/blue", "DC0_C0/Resources/blue/red": "/DC0/host/DC0_C0/Resources/blue/red",
	} {
		in := input(t, s)
		in.ComputeResource = name
		out := Run(t.Context(), in)
		if p := out.Resources.Pool; p == nil || p.InventoryPath != want {
			t.Errorf("%q: %v\n%s", name, p, text(out))
		}
	}
}

func TestSplitStore(t *testing.T) {
	for in, want := range map[string][2]string{
		"ds": {"ds", ""}, "ds/": {"ds", ""}, "ds/a/b/": {"ds", "a/b"}, "[ds] a/b": {"ds", "a/b"}, "ds://ds/a": {"ds", "a"}, "": {"", ""}, "ds/../../x": {"ds", "x"},
	} {
		name, dir, err := splitStore(in)
		if err != nil || name != want[0] || dir != want[1] {
			t.Errorf("%q: %q %q %v", in, name, dir, err)
		}
	}
	if _, _, err := splitStore("/a"); err == nil {
		t.Error("no datastore is an error")
	}
}

func TestESXi(t *testing.T) {
	s := simtest.NewESX(t)
	in := input(t, s)
	in.BridgeNetwork, in.PublicNetwork = "VM Network", "nosuch"
	out := Run(t.Context(), in)
	if out.Resources.Bridge == nil || out.Resources.Pool == nil || out.Report.Count(Error) != 1 {
		t.Errorf("report:\n%s", text(out))
	}
	s.Features("vsmp") // the free licence
	if out = Run(t.Context(), in); out.Report.Count(Error) != 2 || !strings.Contains(text(out), "no licence has the feature vimapi") {
		t.Errorf("with the free licence:\n%s", text(out))
	}
}
