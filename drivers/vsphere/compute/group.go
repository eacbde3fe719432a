package compute

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/sdk/errdef"
)

// group puts the VCH's VMs into its DRS VM group. A change of a group replaces the list of its members,
// so one change is made at a time; VMs that come meanwhile wait, and go into the next one together.
// vSphere takes VMs that are destroyed out of their groups by itself.
type group struct {
	changing sync.Mutex // held for a whole change; taken before mu

	mu      sync.Mutex // guards waiting
	waiting map[types.ManagedObjectReference]bool
}

// join returns when VMs are in the VCH's group; at once if it has none.
func (d *Driver) join(ctx context.Context, vms ...types.ManagedObjectReference) error {
	if d.cfg.Compute.VMGroup == "" || len(vms) == 0 {
		return nil
	}
	d.group.add(vms)
	d.group.changing.Lock()
	defer d.group.changing.Unlock()
	all := d.group.take(vms)
	if len(all) == 0 {
		return nil // another call took them along
	}
	err := d.extendGroup(ctx, all)
	if err != nil { // the others try for themselves
		d.group.add(slices.DeleteFunc(all, func(r types.ManagedObjectReference) bool { return slices.Contains(vms, r) }))
	}
	return err
}

func (g *group) add(vms []types.ManagedObjectReference) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting == nil {
		g.waiting = map[types.ManagedObjectReference]bool{}
	}
	for _, r := range vms {
		g.waiting[r] = true
	}
}

// take returns all that wait; none if none of vms does any more.
func (g *group) take(vms []types.ManagedObjectReference) []types.ManagedObjectReference {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.ContainsFunc(vms, func(r types.ManagedObjectReference) bool { return g.waiting[r] }) {
		return nil
	}
	var all []types.ManagedObjectReference
	for r := range g.waiting {
		all = append(all, r)
	}
	g.waiting = nil
	return all
}

// extendGroup makes vms members of the group, which it makes if somebody has removed it.
func (d *Driver) extendGroup(ctx context.Context, vms []types.ManagedObjectReference) error {
	name := d.cfg.Compute.VMGroup
	cluster := object.NewClusterComputeResource(d.session.Client(), types.ManagedObjectReference{Type: "ClusterComputeResource", Value: d.cfg.Compute.Cluster})
	_, err := d.run(ctx, "put VMs into the DRS group "+name, func(ctx context.Context) (*object.Task, error) {
		spec, err := d.groupSpec(ctx, cluster.Reference(), vms)
		if err != nil {
			return nil, err
		}
		return cluster.Reconfigure(ctx, &types.ClusterConfigSpecEx{GroupSpec: []types.ClusterGroupSpec{spec}}, true)
	})
	return err
}

// groupSpec is the group as it is now, with vms in it.
func (d *Driver) groupSpec(ctx context.Context, cluster types.ManagedObjectReference, vms []types.ManagedObjectReference) (types.ClusterGroupSpec, error) {
	name := d.cfg.Compute.VMGroup
	var c mo.ClusterComputeResource
	if err := property.DefaultCollector(d.session.Client()).RetrieveOne(ctx, cluster, []string{"configurationEx"}, &c); err != nil {
		return types.ClusterGroupSpec{}, fmt.Errorf("read the groups of the cluster %s: %w", cluster.Value, err)
	}
	spec := types.ClusterGroupSpec{ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: types.ArrayUpdateOperationAdd}}
	info := &types.ClusterVmGroup{ClusterGroupInfo: types.ClusterGroupInfo{Name: name, UserCreated: types.NewBool(true)}}
	if cfg, ok := c.ConfigurationEx.(*types.ClusterConfigInfoEx); ok {
		for _, g := range cfg.Group {
			if g.GetClusterGroupInfo().Name != name {
				continue
			}
			have, ok := g.(*types.ClusterVmGroup)
			if !ok {
				return spec, fmt.Errorf("the cluster has a group %s that is none of VMs: %w", name, errdef.ErrConflict)
			}
			spec.Operation, info.Vm = types.ArrayUpdateOperationEdit, slices.Clone(have.Vm)
		}
	}
	for _, r := range vms {
		if !slices.Contains(info.Vm, r) {
			info.Vm = append(info.Vm, r)
		}
	}
	spec.Info = info
	return spec, nil
}

// gather puts into the group what is not in it: VMs that were made before the VCH had one, and all of
// them if somebody has removed it.
func (d *Driver) gather(ctx context.Context, machines []*inventory.Machine) {
	if d.cfg.Compute.VMGroup == "" {
		return
	}
	vms := []types.ManagedObjectReference{{Type: "VirtualMachine", Value: d.cfg.VCH.EndpointVM}}
	for _, m := range machines {
		if m.ID() != "" {
			vms = append(vms, m.Ref)
		}
	}
	if err := d.join(ctx, vms...); err != nil && ctx.Err() == nil {
		d.log.Warn("VMs are not in their DRS group", "group", d.cfg.Compute.VMGroup, "err", err)
	}
}
