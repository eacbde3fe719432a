package compute_test

import (
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
)

func TestCapacityIsThePoolsLimitWithoutTheEndpointVM(t *testing.T) {
	r := newRig(t, vctest.Lab(t))
	whole, err := r.Capacity(t.Context())
	if err != nil || whole.MemoryMB <= 0 || whole.CPUMHz <= 0 || whole.CPUs <= 0 {
		t.Fatalf("without a limit: %+v, %v", whole, err)
	}
	v := r.Config.VCH
	limit := int64(900)
	pool := object.NewResourcePool(r.Client.Client, types.ManagedObjectReference{Type: v.PoolType, Value: v.Pool})
	spec := types.ResourceConfigSpec{MemoryAllocation: types.ResourceAllocationInfo{Limit: &limit}, CpuAllocation: types.ResourceAllocationInfo{Limit: &limit}}
	if err := pool.UpdateConfig(t.Context(), "", &spec); err != nil {
		t.Fatal(err)
	}
	got, err := r.Capacity(t.Context())
	if err != nil || got.MemoryMB != limit || got.CPUMHz != limit || got.CPUs < 1 || got.CPUs > whole.CPUs {
		t.Errorf("with a limit of %d: %+v, %v", limit, got, err)
	}
	vm := object.NewVirtualMachine(r.Client.Client, types.ManagedObjectReference{Type: "VirtualMachine", Value: v.EndpointVM})
	task, err := vm.PowerOn(t.Context())
	if err == nil {
		err = task.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	var mb int64
	for _, m := range r.Inv.Others() {
		mb += m.MemoryMB
	}
	got, err = r.Capacity(t.Context())
	if err != nil || mb == 0 || got.MemoryMB != limit-mb {
		t.Errorf("with an endpoint VM of %d MB that is on: %+v, %v", mb, got, err)
	}
}
