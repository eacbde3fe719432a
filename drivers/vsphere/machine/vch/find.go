package vch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Query names one VCH: by name, and by what it runs on if the name is not enough; or by the managed
// object id of its endpoint VM.
type Query struct{ Name, Compute, ID string }

func (q Query) String() string {
	if q.ID != "" {
		return "with the ID " + q.ID
	}
	return q.Name
}

// found is whatever there is of a VCH; each part may be missing.
type found struct {
	record *Record
	pool   *types.ManagedObjectReference
	vms    []VM
	files  session.Files // the datastore of the folder, if folder is set
	folder string
}

// locate finds the parts of a VCH: by its endpoint VM; without one, by its folder's marker; without
// that, by its vApp. It returns nil if there is nothing.
func locate(ctx context.Context, s *session.Session, q Query) (*found, error) {
	e, err := findEndpoint(ctx, s, q)
	if err != nil {
		return nil, err
	}
	f := &found{}
	if e != nil {
		f.record = e.Record
	} else if isFolder(q.Name) {
		if err := f.byMarker(ctx, s, q.Name); err != nil {
			return nil, err
		}
	}
	if err := f.findPool(ctx, s, q.Name); err != nil {
		return nil, err
	}
	if err := f.findVMs(ctx, s, e); err != nil {
		return nil, err
	}
	if f.record != nil && f.folder == "" {
		if err := f.findFolder(ctx, s); err != nil {
			return nil, err
		}
	}
	if f.pool == nil && len(f.vms) == 0 && f.folder == "" {
		return nil, nil
	}
	return f, nil
}

// isFolder says that a VCH of this name could have a folder of it; "." and ".." are not its own.
func isFolder(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, `/\`)
}

// findEndpoint returns nil if there is no such endpoint VM.
func findEndpoint(ctx context.Context, s *session.Session, q Query) (*endpoint, error) {
	all, err := endpoints(ctx, s)
	if err != nil {
		return nil, err
	}
	var hits []endpoint
	var ids []string
	for _, e := range all {
		if (q.ID != "" && e.VM.Self.Value == q.ID) || (q.ID == "" && e.Record.Name == q.Name && runsOn(ctx, s, e.Record, q.Compute)) {
			hits = append(hits, e)
			ids = append(ids, e.VM.Self.Value)
		}
	}
	switch len(hits) {
	case 0:
		return nil, nil
	case 1:
		return &hits[0], nil
	}
	return nil, advice.Wrap(fmt.Errorf("%d VCHs are named %s: %w", len(hits), q.Name, errdef.ErrConflict),
		"choose one with --compute-resource or --id; their IDs are: %s", strings.Join(ids, ", "))
}

// runsOn says that a part of the path of the VCH's compute resource is the one that is asked for.
func runsOn(ctx context.Context, s *session.Session, r *Record, compute string) bool {
	compute = strings.Trim(compute, "/")
	if compute == "" {
		return true
	}
	p, err := parentPath(ctx, s, r)
	return err == nil && strings.Contains(p+"/", "/"+compute+"/")
}

// parentPath is the inventory path of the pool around the VCH's own.
func parentPath(ctx context.Context, s *session.Session, r *Record) (string, error) {
	return find.InventoryPath(ctx, s.Client(), types.ManagedObjectReference{Type: config.PoolResourcePool, Value: r.ParentPool})
}

// byMarker looks for the VCH's folder on every datastore.
func (f *found) byMarker(ctx context.Context, s *session.Session, name string) error {
	dcs, err := s.Datacenters(ctx)
	if err != nil {
		return err
	}
	for _, dc := range dcs {
		stores, err := find.NewFinder(s.Client(), true).SetDatacenter(dc).DatastoreList(ctx, "*")
		var none *find.NotFoundError
		if err != nil && !errors.As(err, &none) {
			return fmt.Errorf("list datastores: %w", vsphere.Classify(err))
		}
		for _, ds := range stores {
			files := session.Files{Datacenter: dc, Datastore: ds}
			if done, err := f.lookIn(ctx, files, name); done || err != nil {
				return err
			}
		}
	}
	return nil
}

// lookIn checks one datastore. A folder of the name that is empty is what a create leaves that was
// killed before it could write the marker.
func (f *found) lookIn(ctx context.Context, files session.Files, name string) (bool, error) {
	r, err := readMarker(ctx, files, name)
	if err != nil {
		return false, fmt.Errorf("look for a VCH on datastore %s: %w", files.Datastore.Name(), err)
	}
	if r != nil {
		f.record, f.files, f.folder = r, files, name
		return true, nil
	}
	empty, err := files.IsEmpty(ctx, name)
	if err != nil || !empty {
		return false, err
	}
	f.files, f.folder = files, name
	return true, nil
}

// findPool finds the vApp or pool: by the record, or else by the mark that the vApp carries.
func (f *found) findPool(ctx context.Context, s *session.Session, name string) error {
	if f.record != nil {
		name = f.record.Name
		if ref, ok := f.record.poolRef(); ok {
			return f.checkPool(ctx, s, ref)
		}
		if f.record.PoolType == config.PoolResourcePool {
			return f.poolByParent(ctx, s)
		}
	}
	v, err := view.NewManager(s.Client()).CreateContainerView(ctx, s.Client().ServiceContent.RootFolder, []string{config.PoolVApp}, true)
	if err != nil {
		return fmt.Errorf("list vApps: %w", vsphere.Classify(err))
	}
	defer func() { _ = v.Destroy(context.WithoutCancel(ctx)) }()
	var apps []mo.VirtualApp
	if err := v.Retrieve(ctx, []string{config.PoolVApp}, []string{"name", "vAppConfig"}, &apps); err != nil {
		return fmt.Errorf("list vApps: %w", vsphere.Classify(err))
	}
	for _, a := range apps {
		if a.Name == name && a.VAppConfig != nil && f.ours(a.VAppConfig.Annotation) {
			f.pool = &a.Self
		}
	}
	return nil
}

func (f *found) ours(annotation string) bool {
	if f.record != nil {
		return annotation == f.record.annotation()
	}
	return strings.HasPrefix(annotation, annotationPrefix)
}

// checkPool keeps ref if it is still there.
func (f *found) checkPool(ctx context.Context, s *session.Session, ref types.ManagedObjectReference) error {
	var p mo.ResourcePool
	err := vsphere.Classify(property.DefaultCollector(s.Client()).RetrieveOne(ctx, ref, []string{"name"}, &p))
	if errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", ref.Value, err)
	}
	f.pool = &ref
	return nil
}

// poolByParent finds a pool of the VCH's name below its parent.
func (f *found) poolByParent(ctx context.Context, s *session.Session) error {
	parent := types.ManagedObjectReference{Type: config.PoolResourcePool, Value: f.record.ParentPool}
	children, err := poolChildren(ctx, s, parent)
	if err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return err
	}
	for _, c := range children {
		if c.Name == f.record.Name {
			f.pool = &c.Self
		}
	}
	return nil
}

// poolChildren lists the pools and vApps right below a pool, with their names.
func poolChildren(ctx context.Context, s *session.Session, parent types.ManagedObjectReference) ([]mo.ResourcePool, error) {
	pc := property.DefaultCollector(s.Client())
	var p mo.ResourcePool
	if err := pc.RetrieveOne(ctx, parent, []string{"resourcePool"}, &p); err != nil {
		return nil, fmt.Errorf("read the pool %s: %w", parent.Value, vsphere.Classify(err))
	}
	var out []mo.ResourcePool
	for _, ref := range p.ResourcePool {
		var c mo.ResourcePool
		if err := pc.RetrieveOne(ctx, ref, []string{"name"}, &c); err != nil {
			return nil, fmt.Errorf("read the pool %s: %w", ref.Value, vsphere.Classify(err))
		}
		c.Self = ref
		out = append(out, c)
	}
	return out, nil
}

// findVMs lists what is in the pool; the endpoint VM counts wherever somebody has moved it.
func (f *found) findVMs(ctx context.Context, s *session.Session, e *endpoint) error {
	var err error
	if f.pool != nil {
		if f.vms, err = poolVMs(ctx, s.Client(), *f.pool); err != nil {
			return err
		}
	}
	if e == nil || slices.ContainsFunc(f.vms, func(v VM) bool { return v.Ref == e.VM.Self }) {
		return nil
	}
	var m mo.VirtualMachine
	if err := property.DefaultCollector(s.Client()).RetrieveOne(ctx, e.VM.Self, vmProperties, &m); err != nil {
		return fmt.Errorf("read the endpoint VM: %w", vsphere.Classify(err))
	}
	f.vms = append(f.vms, vmOf(m))
	return nil
}

// findFolder looks for the folder that the record names.
func (f *found) findFolder(ctx context.Context, s *session.Session) error {
	files, err := filesByName(ctx, s, f.record.Datacenter, f.record.Datastore)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := files.List(ctx, f.record.Folder); err != nil {
		if errors.Is(err, errdef.ErrNotFound) {
			return nil
		}
		return err
	}
	f.files, f.folder = files, f.record.Folder
	return nil
}
