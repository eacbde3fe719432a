package precheck

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// RunChange checks what a VCH that is there shall get: Spec.Name, Spec.Settings, Spec.Ops, VolumeStores and
// Containers of in are looked at. The resources that it finds are only those.
func RunChange(ctx context.Context, in Input, r *vch.Record) *Output {
	c := &checker{Input: in, out: &Output{}}
	c.out.Resources.Session = in.Session
	c.checkLimits()
	c.checkContainerMemory()
	if in.Spec.Ops.User != "" {
		c.checkOpsLogin(ctx)
	}
	c.checkRegistries(ctx)
	dcs, err := in.Session.Datacenters(ctx)
	if err != nil {
		c.fail("datacenter", err, "name one in --target host/datacenter")
		return c.out
	}
	for _, dc := range dcs {
		if dc.Reference().Value == r.Datacenter {
			c.out.Resources.Datacenter = dc
			c.finder = find.NewFinder(in.Session.Client(), true).SetDatacenter(dc)
		}
	}
	if c.finder == nil {
		c.fail("datacenter", fmt.Errorf("the VCH's datacenter %s: %w", r.Datacenter, errdef.ErrNotFound), "check the account's privileges on the datacenter")
		return c.out
	}
	pool := object.NewResourcePool(in.Session.Client(), types.ManagedObjectReference{Type: config.PoolResourcePool, Value: r.ParentPool})
	if owner, err := pool.Owner(ctx); err == nil {
		if c.compute, err = c.describe(ctx, owner.Reference()); err != nil {
			c.warn(checkComputeName, "check the account's privileges on the compute resource", "could not be read: %v", vsphere.Classify(err))
		}
	}
	c.findOthers(ctx)
	c.checkVMGroup(r.VMGroup)
	c.checkVolumeStores(ctx)
	bridge := object.NewReference(in.Session.Client(), r.BridgeRef())
	network, _ := bridge.(object.NetworkReference)
	c.checkContainerNetworks(ctx, network)
	return c.out
}
