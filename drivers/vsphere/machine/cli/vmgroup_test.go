package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

// groups are the DRS groups of the simulator's cluster.
func groups(t *testing.T, s *simtest.Sim) []string {
	t.Helper()
	c, err := s.Finder().ClusterComputeResource(t.Context(), "*")
	if err != nil {
		t.Fatal(err)
	}
	var m mo.ClusterComputeResource
	if err := c.Properties(t.Context(), c.Reference(), []string{"configurationEx"}, &m); err != nil {
		t.Fatal(err)
	}
	return vch.Groups(m.ConfigurationEx)
}

func TestAVMGroupComesAndGoesWithTheVCH(t *testing.T) {
	s := simtest.New(t)
	s.Follow("vch1", ready)
	if r := run(t, createArgs(t, s, "--affinity-vm-group")...); r.code != 0 || !strings.Contains(r.out, "made the DRS VM group vch1") {
		t.Fatalf("create: %+v", r)
	}
	if g := groups(t, s); !slices.Equal(g, []string{"vch1"}) {
		t.Errorf("groups %v", g)
	}
	configure := func(args ...string) result {
		return run(t, append(append([]string{"configure", "--name", "vch1"}, access(s)...), args...)...)
	}
	if r := configure("--affinity-vm-group"); r.code != 0 || !strings.Contains(r.out, "nothing to change") {
		t.Errorf("%+v", r)
	}
	if r := configure("--affinity-vm-group=false"); r.code != 0 || len(groups(t, s)) != 0 {
		t.Errorf("%+v, groups %v", r, groups(t, s))
	}
	if r := configure("--affinity-vm-group"); r.code != 0 || len(groups(t, s)) != 1 {
		t.Errorf("%+v, groups %v", r, groups(t, s))
	}
	if r := run(t, append([]string{"inspect", "config", "--name", "vch1"}, access(s)...)...); !strings.Contains(r.out, "affinity-vm-group") {
		t.Errorf("%+v", r)
	}
	if r := run(t, append([]string{"delete", "--name", "vch1", "--force"}, access(s)...)...); r.code != 0 || len(groups(t, s)) != 0 {
		t.Errorf("%+v, groups %v", r, groups(t, s))
	}
}

func TestAGroupOfSomebodyElseStays(t *testing.T) {
	s := simtest.New(t)
	c, err := s.Finder().ClusterComputeResource(t.Context(), "*")
	if err != nil {
		t.Fatal(err)
	}
	task, err := object.NewClusterComputeResource(s.Session.Client(), c.Reference()).Reconfigure(t.Context(),
		&types.ClusterConfigSpecEx{GroupSpec: []types.ClusterGroupSpec{{
			ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: types.ArrayUpdateOperationAdd},
			Info:            &types.ClusterVmGroup{ClusterGroupInfo: types.ClusterGroupInfo{Name: "vch1"}}}}}, true)
	if err == nil {
		err = task.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, createArgs(t, s, "--affinity-vm-group")...); r.code != exitChecks || !strings.Contains(r.out, "has a group vch1 already") {
		t.Errorf("%+v", r)
	}
	if g := groups(t, s); !slices.Equal(g, []string{"vch1"}) {
		t.Errorf("groups %v", g)
	}
}
