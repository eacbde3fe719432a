package vch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/privileges"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// kindCluster is the managed object that has DRS groups.
const kindCluster = "ClusterComputeResource"

// clusterRef is the VCH's cluster; ok is false if it is on a single host.
func (r *Record) clusterRef() (types.ManagedObjectReference, bool) {
	return types.ManagedObjectReference{Type: kindCluster, Value: r.Cluster}, r.Cluster != ""
}

// Groups are the names of the DRS groups of a cluster's configuration.
func Groups(c types.BaseComputeResourceConfigInfo) []string {
	var names []string
	if cfg, ok := c.(*types.ClusterConfigInfoEx); ok {
		for _, g := range cfg.Group {
			names = append(names, g.GetClusterGroupInfo().Name)
		}
	}
	return names
}

func groupsOf(ctx context.Context, s *session.Session, cluster types.ManagedObjectReference) ([]string, error) {
	var c mo.ClusterComputeResource
	if err := property.DefaultCollector(s.Client()).RetrieveOne(ctx, cluster, []string{"configurationEx"}, &c); err != nil {
		return nil, fmt.Errorf("read the groups of the cluster: %w", vsphere.Classify(err))
	}
	return Groups(c.ConfigurationEx), nil
}

// changeGroup adds a DRS VM group with members, or removes it.
func changeGroup(ctx context.Context, s *session.Session, cluster types.ManagedObjectReference, name string, op types.ArrayUpdateOperation,
	vms []types.ManagedObjectReference) error {
	spec := types.ClusterGroupSpec{ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: op}}
	info := types.ClusterGroupInfo{Name: name, UserCreated: types.NewBool(true)}
	if spec.Info = (&types.ClusterVmGroup{ClusterGroupInfo: info, Vm: vms}); op == types.ArrayUpdateOperationRemove {
		spec.Info, spec.RemoveKey = nil, name
	}
	task, err := object.NewClusterComputeResource(s.Client(), cluster).Reconfigure(ctx,
		&types.ClusterConfigSpecEx{GroupSpec: []types.ClusterGroupSpec{spec}}, true)
	if err := session.Wait(ctx, task, err); err != nil {
		return fmt.Errorf("%s the DRS VM group %s: %w", op, name, err)
	}
	return nil
}

// makeGroup makes the VCH's DRS VM group, with its endpoint VM. The driver puts the others into it.
func (c *creator) makeGroup(ctx context.Context) error {
	cluster, ok := c.Record.clusterRef()
	if !c.Spec.AffinityVMGroup || !ok {
		return nil
	}
	if err := newGroup(ctx, c.Res.Session, c.Res.Files, &c.Record, cluster, []types.ManagedObjectReference{c.vm.Reference()}); err != nil {
		return err
	}
	c.log.Printf("made the DRS VM group %s", c.Record.VMGroup)
	return nil
}

// newGroup remembers the group first, so that a delete finds it.
func newGroup(ctx context.Context, s *session.Session, f session.Files, r *Record, cluster types.ManagedObjectReference,
	vms []types.ManagedObjectReference) error {
	names, err := groupsOf(ctx, s, cluster)
	if err != nil {
		return err
	}
	if slices.Contains(names, r.Name) {
		return fmt.Errorf("the cluster has a group %s already: %w", r.Name, errdef.ErrExists)
	}
	r.VMGroup = r.Name
	if err := r.writeMarker(ctx, f); err != nil {
		return err
	}
	return changeGroup(ctx, s, cluster, r.VMGroup, types.ArrayUpdateOperationAdd, vms)
}

// group removes the VCH's DRS VM group.
func (r *remover) group(ctx context.Context, record *Record) {
	cluster, ok := record.clusterRef()
	if record.VMGroup == "" || !ok {
		return
	}
	names, err := groupsOf(ctx, r.sess, cluster)
	if err != nil || !slices.Contains(names, record.VMGroup) {
		r.keep(err)
		return
	}
	if err := changeGroup(ctx, r.sess, cluster, record.VMGroup, types.ArrayUpdateOperationRemove, nil); err != nil {
		r.keep(advice.Wrap(err, "remove the cluster's VM/Host rules that name the group"))
		return
	}
	r.log.Printf("removed the DRS VM group %s", record.VMGroup)
}

// groupOn makes the group of a VCH that is there, with all its VMs.
func (e *Editor) groupOn(ctx context.Context) error {
	r := e.ep.Record
	parent := object.NewResourcePool(e.sess.Client(), types.ManagedObjectReference{Type: config.PoolResourcePool, Value: r.ParentPool})
	owner, err := parent.Owner(ctx)
	if err != nil {
		return fmt.Errorf("find the cluster: %w", vsphere.Classify(err))
	}
	if owner.Reference().Type != kindCluster {
		return fmt.Errorf("the VCH is on a single host: %w", errdef.ErrUnsupported)
	}
	r.Cluster = owner.Reference().Value
	all, err := e.VMs(ctx)
	if err != nil {
		return err
	}
	var vms []types.ManagedObjectReference
	for _, v := range all {
		if !v.Foreign {
			vms = append(vms, v.Ref)
		}
	}
	if err := newGroup(ctx, e.sess, e.files, r, owner.Reference(), vms); err != nil {
		return err
	}
	e.log.Printf("made the DRS VM group %s, with %d VMs", r.VMGroup, len(vms))
	return nil
}

// groupOff is for after the endpoint knows nothing of the group any more. The operations user loses what
// it had for it.
func (e *Editor) groupOff(ctx context.Context, name string) error {
	record := *e.ep.Record
	record.VMGroup = name
	record.Grants = nil
	own := func(g Grant) bool { return g.Type == kindCluster && g.Role == roleName(privileges.Cluster) }
	for _, g := range e.ep.Grants {
		if own(g) {
			record.Grants = append(record.Grants, g)
		}
	}
	r := &remover{sess: e.sess, log: e.log, datacenter: record.Datacenter}
	r.group(ctx, &record)
	e.ep.Grants, e.ep.Cluster = slices.DeleteFunc(e.ep.Grants, own), ""
	r.grants(ctx, &record)
	_, err := e.Apply(ctx)
	return errors.Join(r.err(), err)
}
