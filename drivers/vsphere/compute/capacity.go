package compute

import (
	"context"
	"errors"
	"math"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
)

var _ compute.Reporter = (*Driver)(nil)

// Capacity implements compute.Reporter. runtime.*.maxUsage is what vSphere lets the pool use at most:
// its own limit, those of the pools above it and what the hosts have. The endpoint VM, which is in
// the pool too, is taken off.
func (d *Driver) Capacity(ctx context.Context) (compute.Capacity, error) {
	pool, err := d.pool(ctx)
	if err != nil {
		return compute.Capacity{}, err
	}
	c := compute.Capacity{
		CPUMHz:   least(pool.Runtime.Cpu.MaxUsage, pool.Config.CpuAllocation.Limit),
		MemoryMB: least(pool.Runtime.Memory.MaxUsage>>20, pool.Config.MemoryAllocation.Limit),
	}
	for _, m := range d.inv.Others() {
		if isOn(m) && c.MemoryMB > 0 {
			c.MemoryMB = max(c.MemoryMB-m.MemoryMB, 1)
		}
	}
	c.CPUs, err = d.processors(ctx, pool.Owner, c.CPUMHz)
	return c, err
}

// least is usage, or the limit if that is less. Below zero is no limit.
func least(usage int64, limit *int64) int64 {
	if limit != nil && *limit >= 0 && (usage <= 0 || *limit < usage) {
		return *limit
	}
	return max(usage, 0)
}

func (d *Driver) pool(ctx context.Context) (mo.ResourcePool, error) {
	v := d.cfg.VCH
	ref := types.ManagedObjectReference{Type: v.PoolType, Value: v.Pool}
	pc, props := property.DefaultCollector(d.session.Client()), []string{"runtime", "config", "owner"}
	var app mo.VirtualApp
	var err error
	if v.PoolType == config.PoolVApp {
		err = pc.RetrieveOne(ctx, ref, props, &app)
	} else {
		err = pc.RetrieveOne(ctx, ref, props, &app.ResourcePool)
	}
	return app.ResourcePool, session.Error("read the VCH's "+v.PoolType, err)
}

// processors is how many of the cluster's processors mhz are; 0 if the account may not read the
// cluster, which it need not.
func (d *Driver) processors(ctx context.Context, owner types.ManagedObjectReference, mhz int64) (int32, error) {
	var cluster mo.ComputeResource
	err := session.Error("read the cluster", property.DefaultCollector(d.session.Client()).RetrieveOne(ctx, owner, []string{"summary"}, &cluster))
	if errors.Is(err, errdef.ErrDenied) {
		return 0, nil
	}
	if err != nil || cluster.Summary == nil {
		return 0, err
	}
	s := cluster.Summary.GetComputeResourceSummary()
	if s.TotalCpu <= 0 || mhz <= 0 {
		return int32(s.NumCpuThreads), nil
	}
	share := math.Ceil(float64(mhz) * float64(s.NumCpuThreads) / float64(s.TotalCpu))
	return min(int32(s.NumCpuThreads), max(int32(share), 1)), nil
}
