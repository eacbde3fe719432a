package vsphere

import (
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// filterState is what a collector knows of one filter.
type filterState struct {
	ref       types.ManagedObjectReference
	spec      types.PropertyFilterSpec
	traversed []string                              // paths that lead to objects
	members   map[types.ManagedObjectReference]bool // nil: nothing was reported yet
}

func newFilterState(ref types.ManagedObjectReference, spec types.PropertyFilterSpec) *filterState {
	f := &filterState{ref: ref, spec: spec}
	for _, o := range spec.ObjectSet {
		f.walkSpec(o.SelectSet)
	}
	return f
}

func (f *filterState) walkSpec(set []types.BaseSelectionSpec) {
	for _, s := range set {
		if t, ok := s.(*types.TraversalSpec); ok {
			f.traversed = append(f.traversed, t.Path)
			f.walkSpec(t.SelectSet)
		}
	}
}

// compute returns what to report for the filter.
func (f *filterState) compute(ctx *simulator.Context, pc *collector, ch changes) []types.ObjectUpdate {
	if f.members == nil {
		return f.initial(ctx, pc)
	}
	var ups []types.ObjectUpdate
	for ref := range ch.gone {
		if f.members[ref] {
			ups = append(ups, f.leave(ref))
		}
	}
	entered := map[types.ManagedObjectReference]bool{}
	if f.mayHaveMoved(ch) {
		ups = append(ups, f.move(ctx, pc, entered)...)
	}
	if ch.lost {
		return append(ups, f.readAll(ctx, pc, entered)...)
	}
	for ref, paths := range ch.dirty {
		if !f.members[ref] || entered[ref] || ch.gone[ref] {
			continue
		}
		if u, ok := f.modified(ctx, pc, ref, paths); ok {
			ups = append(ups, u)
		}
	}
	return ups
}

func (f *filterState) initial(ctx *simulator.Context, pc *collector) (ups []types.ObjectUpdate) {
	f.members = map[types.ManagedObjectReference]bool{}
	for _, o := range pc.retrieve(ctx, f.spec) {
		f.members[o.Obj] = true
		ups = append(ups, types.ObjectUpdate{Kind: types.ObjectUpdateKindEnter, Obj: o.Obj, ChangeSet: assign(o), MissingSet: o.MissingSet})
	}
	return ups
}

func (f *filterState) leave(ref types.ManagedObjectReference) types.ObjectUpdate {
	delete(f.members, ref)
	return types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: ref}
}

// mayHaveMoved says whether the filter's traversals may now find other objects.
func (f *filterState) mayHaveMoved(ch changes) bool {
	if len(f.traversed) == 0 {
		return false
	}
	if ch.members || ch.lost {
		return true
	}
	for _, paths := range ch.dirty {
		for p := range paths {
			for _, t := range f.traversed {
				if related(t, p) {
					return true
				}
			}
		}
	}
	return false
}

// move finds the members again and reports those that came and went.
func (f *filterState) move(ctx *simulator.Context, pc *collector, entered map[types.ManagedObjectReference]bool) (ups []types.ObjectUpdate) {
	now := map[types.ManagedObjectReference]bool{}
	added := types.PropertyFilterSpec{PropSet: f.spec.PropSet}
	for _, ref := range f.find(ctx, pc) {
		now[ref] = true
		if !f.members[ref] {
			added.ObjectSet = append(added.ObjectSet, types.ObjectSpec{Obj: ref})
		}
	}
	for ref := range f.members {
		if !now[ref] {
			ups = append(ups, f.leave(ref))
		}
	}
	if len(added.ObjectSet) == 0 {
		return ups
	}
	for _, o := range pc.retrieve(ctx, added) {
		f.members[o.Obj], entered[o.Obj] = true, true
		ups = append(ups, types.ObjectUpdate{Kind: types.ObjectUpdateKindEnter, Obj: o.Obj, ChangeSet: assign(o), MissingSet: o.MissingSet})
	}
	return ups
}

// find follows the filter's traversals.
func (f *filterState) find(ctx *simulator.Context, pc *collector) (refs []types.ManagedObjectReference) {
	if refs, ok := f.poolVMs(ctx); ok {
		return refs
	}
	names := types.PropertyFilterSpec{ObjectSet: f.spec.ObjectSet}
	for _, p := range f.spec.PropSet { // no paths: objects without properties, which is cheap
		names.PropSet = append(names.PropSet, types.PropertySpec{Type: p.Type})
	}
	for _, o := range pc.retrieve(ctx, names) {
		refs = append(refs, o.Obj)
	}
	return refs
}

// poolVMs answers the filter that follows the list of VMs of one pool without a look at each of them,
// which would make the n-th create cost n looks.
func (f *filterState) poolVMs(ctx *simulator.Context) (refs []types.ManagedObjectReference, ok bool) {
	if len(f.spec.ObjectSet) != 1 || len(f.spec.PropSet) != 1 || f.spec.PropSet[0].Type != "VirtualMachine" {
		return nil, false
	}
	o := f.spec.ObjectSet[0]
	if o.Skip == nil || !*o.Skip || len(o.SelectSet) != 1 {
		return nil, false
	}
	t, ok := o.SelectSet[0].(*types.TraversalSpec)
	if !ok || t.Path != "vm" || len(t.SelectSet) > 0 {
		return nil, false
	}
	obj := ctx.Map.Get(o.Obj)
	var list *[]types.ManagedObjectReference
	switch p := obj.(type) {
	case *simulator.ResourcePool:
		list = &p.Vm
	case *simulator.VirtualApp:
		list = &p.Vm
	default:
		return nil, false
	}
	ctx.WithLock(obj, func() { refs = append(refs, *list...) })
	return refs, true
}

func (f *filterState) readAll(ctx *simulator.Context, pc *collector, except map[types.ManagedObjectReference]bool) (ups []types.ObjectUpdate) {
	for _, o := range pc.retrieve(ctx, f.spec) {
		if f.members[o.Obj] && !except[o.Obj] {
			ups = append(ups, types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: o.Obj, ChangeSet: assign(o)})
		}
	}
	return ups
}

// modified reads the changed properties of a member that the filter asks for.
func (f *filterState) modified(ctx *simulator.Context, pc *collector, ref types.ManagedObjectReference, changed map[string]bool) (types.ObjectUpdate, bool) {
	paths := f.wanted(ref, changed)
	if len(paths) == 0 {
		return types.ObjectUpdate{}, false
	}
	objs := pc.retrieve(ctx, types.PropertyFilterSpec{PropSet: []types.PropertySpec{{Type: ref.Type, PathSet: paths}},
		ObjectSet: []types.ObjectSpec{{Obj: ref}}})
	if len(objs) == 0 {
		return types.ObjectUpdate{}, false
	}
	set := assign(objs[0])
	have := map[string]bool{}
	for _, c := range set {
		have[c.Name] = true
	}
	for _, p := range paths {
		if !have[p] { // it is unset now
			set = append(set, types.PropertyChange{Op: types.PropertyChangeOpAssign, Name: p})
		}
	}
	return types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: ref, ChangeSet: set}, true
}

// wanted lists the filter's paths that the changes touch.
func (f *filterState) wanted(ref types.ManagedObjectReference, changed map[string]bool) (paths []string) {
	seen := map[string]bool{}
	add := func(p string) {
		if !seen[p] {
			seen[p] = true
			paths = append(paths, p)
		}
	}
	for _, p := range f.spec.PropSet {
		if !isA(ref.Type, p.Type) {
			continue
		}
		for c := range changed {
			if p.All != nil && *p.All && !strings.Contains(c, "[") {
				add(c)
			}
			for _, path := range p.PathSet {
				if related(path, c) {
					add(path)
				}
			}
		}
	}
	return paths
}

// isA says whether a managed object's type is, or derives from, another.
func isA(kind, of string) bool {
	switch of {
	case kind, "ManagedEntity":
		return true
	case "ResourcePool":
		return kind == "VirtualApp"
	case "Network":
		return kind == "DistributedVirtualPortgroup" || kind == "OpaqueNetwork"
	case "ComputeResource":
		return kind == "ClusterComputeResource"
	case "DistributedVirtualSwitch":
		return kind == "VmwareDistributedVirtualSwitch"
	}
	return false
}

// related says that one path is the other, or is within it.
func related(path, change string) bool {
	return path == change || strings.HasPrefix(change, path+".") || strings.HasPrefix(change, path+"[") ||
		strings.HasPrefix(path, change+".") || strings.HasPrefix(path, change+"[")
}

func assign(o types.ObjectContent) (cs []types.PropertyChange) {
	for _, p := range o.PropSet {
		cs = append(cs, types.PropertyChange{Op: types.PropertyChangeOpAssign, Name: p.Name, Val: p.Val})
	}
	return cs
}

// retrieve reads objects; those that are gone are left out.
func (pc *collector) retrieve(ctx *simulator.Context, spec types.PropertyFilterSpec) []types.ObjectContent {
	spec.ReportMissingObjectsInResults = types.NewBool(true)
	b, ok := pc.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{This: pc.Self,
		SpecSet: []types.PropertyFilterSpec{spec}}).(*methods.RetrievePropertiesExBody)
	if !ok || b.Res == nil || b.Res.Returnval == nil {
		return nil
	}
	return b.Res.Returnval.Objects
}
