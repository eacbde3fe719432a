package vsphere

import (
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func (r *rig) read(ref types.ManagedObjectReference, into any, name string) {
	r.t.Helper()
	r.must(property.DefaultCollector(r.c.Client).RetrieveOne(r.ctx, ref, []string{name}, into))
}

func TestPoolsMayUseWhatTheHostsHaveUpToTheirLimits(t *testing.T) {
	r := newRig(t)
	var cluster mo.ClusterComputeResource
	owner, err := r.pool().Owner(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	r.read(owner.Reference(), &cluster, "summary")
	all := cluster.Summary.GetComputeResourceSummary()
	if all.TotalMemory < 1<<30 || all.TotalCpu <= 0 || all.NumCpuThreads <= 0 {
		t.Fatalf("cluster: %+v", all)
	}
	usage := func(ref types.ManagedObjectReference) (memory, cpu int64) {
		var p mo.VirtualApp
		if ref.Type == "VirtualApp" {
			r.read(ref, &p, "runtime")
		} else {
			r.read(ref, &p.ResourcePool, "runtime")
		}
		return p.Runtime.Memory.MaxUsage, p.Runtime.Cpu.MaxUsage
	}
	if m, c := usage(r.pool().Reference()); m != all.TotalMemory || c != int64(all.TotalCpu) {
		t.Errorf("root pool: %d bytes, %d MHz of %+v", m, c, all)
	}
	app := r.vapp("vch1")
	if m, c := usage(app.Reference()); m != all.TotalMemory || c != int64(all.TotalCpu) {
		t.Errorf("vApp without a limit: %d bytes, %d MHz of %+v", m, c, all)
	}
	limit := int64(900)
	spec := types.ResourceConfigSpec{MemoryAllocation: types.ResourceAllocationInfo{Limit: &limit}, CpuAllocation: types.ResourceAllocationInfo{Limit: &limit}}
	if err := object.NewResourcePool(r.c.Client, app.Reference()).UpdateConfig(r.ctx, "", &spec); err != nil {
		t.Fatal(err)
	}
	if m, c := usage(app.Reference()); m != limit<<20 || c != limit {
		t.Errorf("vApp with a limit: %d bytes, %d MHz", m, c)
	}
}
