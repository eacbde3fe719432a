package precheck

import (
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

// TestWhatIsAnotherVCHsIsRefused makes a VCH and then wants its bridge, its networks and its folders for a second one.
func TestWhatIsAnotherVCHsIsRefused(t *testing.T) {
	s := simtest.New(t)
	first := input(t, s)
	first.ClientNetwork, first.Containers, first.ImageStore = "client", []vch.ContainerNetwork{{Name: "b", Network: "backend"}}, "LocalDS_0/images"
	out := Run(t.Context(), first)
	s.Guest("vch1", "ready", "")
	if _, err := vch.Create(t.Context(), vch.NewPlan(first.Spec, out.Resources, out.Certs, time.Now()), nil); err != nil {
		t.Fatal(err)
	}
	var images string
	if others, err := vch.FindNeighbours(t.Context(), s.Session, "vch2"); err != nil || len(others) != 1 {
		t.Fatalf("%v %v", others, err)
	} else {
		images = strings.Replace(strings.Trim(others[0].ImageStore, "["), "] ", "/", 1)
	}
	second := func() Input {
		in := input(t, s)
		in.Spec.Name, in.BridgeNetwork = "vch2", "bridge2"
		in.Containers, in.VolumeStores, in.ImageStore = []vch.ContainerNetwork{{Name: "b",
			Network: "backend"}}, []string{"LocalDS_0/volumes:default"}, "LocalDS_0/images"
		return in
	}
	if out := Run(t.Context(), second()); !out.OK() {
		t.Fatalf("sharing networks and stores is not wrong:\n%s", text(out))
	}
	for _, c := range []struct {
		name   string
		change func(*Input)
		check  string
		want   string
	}{
		{"its bridge as container network", func(i *Input) { i.Containers[0].Network = "bridge" }, "container network", "bridge: it is the bridge of the VCH vch1"},
		{"its bridge as public network", func(i *Input) { i.PublicNetwork = "bridge" }, "public network", "bridge of the VCH vch1"},
		{"its bridge as client network", func(i *Input) { i.ClientNetwork = "bridge" }, "client network", "bridge of the VCH vch1"},
		{"its client network as bridge", func(i *Input) { i.BridgeNetwork = "client" }, "bridge network", "the VCH vch1 uses it"},
		{"its container network as bridge", func(i *Input) { i.BridgeNetwork, i.Containers = "backend", nil }, "bridge network", "the VCH vch1 uses it"},
		{"images in its folder", func(i *Input) { i.ImageStore = "LocalDS_0/vch1" }, "image store", "[LocalDS_0] vch1 is a folder of the VCH vch1"},
		{"volumes in its folder", func(i *Input) { i.VolumeStores[0] = "LocalDS_0/vch1/volumes:default" }, "volume store",
			"[LocalDS_0] vch1 is a folder of the VCH vch1"},
		{"volumes among its images", func(i *Input) { i.VolumeStores[0] = images + "/v:default" }, "volume store", "is a folder of the VCH vch1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := second()
			c.change(&in)
			out := Run(t.Context(), in)
			hit := false
			for _, r := range out.Report {
				hit = hit || r.Check == c.check && r.Level == Error && strings.Contains(r.Message, c.want) && r.Remedy != ""
			}
			if !hit || out.Report.Count(Error) != 1 {
				t.Errorf("want %q alone in:\n%s", c.want, text(out))
			}
		})
	}
}

func TestAnAccountWithoutAnyPermissionIsToldHowToGetThem(t *testing.T) {
	s := simtest.New(t)
	s.Fail("Login") // with NoPermission, as vCenter does for an account that may see nothing
	in := input(t, s)
	in.Spec.Ops = vch.Login{User: "ops@vsphere.local", Password: "right"}
	out := Run(t.Context(), in)
	if out.OK() || !strings.Contains(text(out), "-> add --ops-grant-perms") {
		t.Errorf("report:\n%s", text(out))
	}
	in.Spec.GrantOps = true
	if out := Run(t.Context(), in); !out.OK() || !strings.Contains(text(out), "has the right password") {
		t.Errorf("report:\n%s", text(out))
	}
}

func TestTheAccountThatRunsVICMachineIsNotGivenLess(t *testing.T) {
	s := simtest.New(t)
	in := input(t, s)
	in.Spec.Ops, in.Spec.GrantOps = vch.Login{User: strings.ToUpper(simtest.User), Password: simtest.Password}, true
	if out := Run(t.Context(), in); out.OK() || !strings.Contains(text(out), "would replace what it may do") {
		t.Errorf("report:\n%s", text(out))
	}
}
