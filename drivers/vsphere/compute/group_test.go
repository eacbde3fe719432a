package compute_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
)

// grouped is a rig whose VCH has the DRS VM group g, which there is not yet.
func grouped(t *testing.T) (*rig, *object.ClusterComputeResource) {
	t.Helper()
	v := vctest.New(t)
	pool := object.NewResourcePool(v.Client.Client, types.ManagedObjectReference{Type: v.Config.VCH.PoolType, Value: v.Config.VCH.Pool})
	owner, err := pool.Owner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v.Config.Compute.Cluster, v.Config.Compute.VMGroup = owner.Reference().Value, "g"
	return newRig(t, v), object.NewClusterComputeResource(v.Client.Client, owner.Reference())
}

// members are those of the group g; there is false if it is not there.
func members(t *testing.T, c *object.ClusterComputeResource) (vms []string, there bool) {
	t.Helper()
	var m mo.ClusterComputeResource
	if err := property.DefaultCollector(c.Client()).RetrieveOne(t.Context(), c.Reference(), []string{"configurationEx"}, &m); err != nil {
		t.Fatal(err)
	}
	for _, g := range m.ConfigurationEx.(*types.ClusterConfigInfoEx).Group {
		if g, ok := g.(*types.ClusterVmGroup); ok && g.Name == "g" {
			for _, r := range g.Vm {
				vms = append(vms, r.Value)
			}
			there = true
		}
	}
	return vms, there
}

// eventually waits until the group has all VMs. The cluster's tasks tell when to look: the simulator reports no
// change of configurationEx.
func eventually(t *testing.T, c *object.ClusterComputeResource, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var vms []string
	err := property.Wait(ctx, property.DefaultCollector(c.Client()), c.Reference(), []string{"recentTask"}, func(changes []types.PropertyChange) bool {
		for _, change := range changes {
			tasks, _ := change.Val.(types.ArrayOfManagedObjectReference)
			for _, task := range tasks.ManagedObjectReference {
				_ = object.NewTask(c.Client(), task).Wait(ctx) // one that failed put nothing into the group
			}
		}
		vms, _ = members(t, c)
		return !slices.ContainsFunc(want, func(vm string) bool { return !slices.Contains(vms, vm) })
	})
	if err != nil {
		t.Fatalf("the group has %v, want %v: %v", vms, want, err)
	}
}

func TestEveryVMIsInTheGroupBeforeItIsThere(t *testing.T) {
	r, cluster := grouped(t)
	eventually(t, cluster, r.Config.VCH.EndpointVM) // in a group that the driver made
	const n = 3
	refs := make([]string, n)
	for i := range n { // one by one: the simulator's vApps lock up when several are made at a time
		vm, err := r.Create(t.Context(), r.request(vctest.ID()))
		if err != nil {
			t.Fatal(err)
		}
		refs[i] = vm.Locator
	}
	vms, _ := members(t, cluster)
	for _, ref := range refs {
		if !slices.Contains(vms, ref) {
			t.Errorf("%s is not in %v", ref, vms)
		}
	}
	if len(vms) != n+1 {
		t.Errorf("%d VMs are in the group: %v", len(vms), vms)
	}
}

// Another driver takes over: VMs that are in no group, and a group that somebody has removed.
func TestWhatIsNotInTheGroupIsPutThere(t *testing.T) {
	r, cluster := grouped(t)
	vm, err := r.Create(t.Context(), r.request(vctest.ID()))
	if err != nil {
		t.Fatal(err)
	}
	task, err := cluster.Reconfigure(t.Context(), &types.ClusterConfigSpecEx{GroupSpec: []types.ClusterGroupSpec{
		{ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: types.ArrayUpdateOperationRemove, RemoveKey: "g"}}}}, true)
	vctest.Wait(t, task, err)
	if _, there := members(t, cluster); there {
		t.Fatal("the group is still there")
	}
	newRig(t, r.VCenter)
	eventually(t, cluster, vm.Locator, r.Config.VCH.EndpointVM)
}
