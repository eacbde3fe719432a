package vsphere

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/authz"
)

// RetrievePropertiesEx leaves out what the caller may not see.
func (pc *collector) RetrievePropertiesEx(ctx *simulator.Context, r *types.RetrievePropertiesEx) soap.HasFault {
	res := pc.PropertyCollector.RetrievePropertiesEx(ctx, r)
	if b, ok := res.(*methods.RetrievePropertiesExBody); ok && b.Res != nil && b.Res.Returnval != nil {
		b.Res.Returnval.Objects = pc.permitted(ctx, b.Res.Returnval.Objects, r.SpecSet)
	}
	return res
}

// RetrieveProperties is the old form.
func (pc *collector) RetrieveProperties(ctx *simulator.Context, r *types.RetrieveProperties) soap.HasFault {
	body := &methods.RetrievePropertiesBody{}
	ex, ok := pc.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{This: r.This, SpecSet: r.SpecSet}).(*methods.RetrievePropertiesExBody)
	if !ok || ex.Fault_ != nil {
		body.Fault_ = ex.Fault_
		return body
	}
	body.Res = &types.RetrievePropertiesResponse{}
	if ex.Res.Returnval != nil {
		body.Res.Returnval = ex.Res.Returnval.Objects
	}
	return body
}

// ContinueRetrievePropertiesEx does the same with the next page.
func (pc *collector) ContinueRetrievePropertiesEx(ctx *simulator.Context, r *types.ContinueRetrievePropertiesEx) soap.HasFault {
	res := pc.PropertyCollector.ContinueRetrievePropertiesEx(ctx, r)
	if b, ok := res.(*methods.ContinueRetrievePropertiesExBody); ok && b.Res != nil {
		b.Res.Returnval.Objects = pc.permitted(ctx, b.Res.Returnval.Objects, nil)
	}
	return res
}

// permitted applies the caller's permissions to an answer: an object that was found by traversal and
// may not be seen is left out; one that was asked for by its reference comes with NoPermission for
// each property; who may see an object but not read it gets its name and its place.
func (pc *collector) permitted(ctx *simulator.Context, all []types.ObjectContent, asked []types.PropertyFilterSpec) []types.ObjectContent {
	pc.mu.Lock()
	lab := pc.lab
	pc.mu.Unlock()
	if lab == nil || ctx.Session == nil { // without a session the simulator refuses each property
		return all
	}
	who, free := lab.subject(ctx)
	if free {
		return all
	}
	named := map[authz.Ref]bool{}
	for _, spec := range asked {
		for _, o := range spec.ObjectSet {
			named[o.Obj] = true
		}
	}
	kept := all[:0:0]
	for _, o := range all {
		if lab.inInventory(o.Obj) {
			if !lab.visible(who, o.Obj) {
				if !named[o.Obj] {
					continue
				}
				o = withhold(o, authz.View, func(string) bool { return false })
			} else if !lab.authz.Has(lab, who, authz.Read, o.Obj) {
				o = withhold(o, authz.Read, navigation)
			}
		}
		kept = append(kept, lab.visibleRefs(who, o))
	}
	return kept
}

// withhold moves properties to the missing ones.
func withhold(o types.ObjectContent, privilege string, keep func(string) bool) types.ObjectContent {
	set := o.PropSet
	o.PropSet, o.MissingSet = nil, slices.Clone(o.MissingSet)
	for _, p := range set {
		if keep(p.Name) {
			o.PropSet = append(o.PropSet, p)
			continue
		}
		f := authz.NoPermission([]authz.Missing{{Privilege: privilege, On: o.Obj}})
		o.MissingSet = append(o.MissingSet, types.MissingProperty{Path: p.Name, Fault: types.LocalizedMethodFault{
			Fault: f, LocalizedMessage: "Permission to perform this operation was denied."}})
	}
	return o
}

// navigation lists the properties that System.View is enough for: what the object is called and
// where it is.
func navigation(path string) bool {
	switch path {
	case "name", "parent", "parentVApp", "parentFolder", "childEntity", "childType", "vmFolder", "hostFolder", "datastoreFolder", "networkFolder",
		"datastore", "network", "host", "resourcePool", "vm", "effectiveRole", "disabledMethod":
		return true
	}
	return false
}

// visibleRefs takes references to objects that may not be seen out of lists.
func (s *Server) visibleRefs(who authz.Subject, o types.ObjectContent) types.ObjectContent {
	for i, p := range o.PropSet {
		a, ok := p.Val.(*types.ArrayOfManagedObjectReference)
		if v, isValue := p.Val.(types.ArrayOfManagedObjectReference); isValue {
			a, ok = &v, true
		}
		if !ok {
			continue
		}
		var l []types.ManagedObjectReference
		for _, ref := range a.ManagedObjectReference {
			if s.visible(who, ref) {
				l = append(l, ref)
			}
		}
		if len(l) < len(a.ManagedObjectReference) {
			o.PropSet = slices.Clone(o.PropSet)
			o.PropSet[i].Val = &types.ArrayOfManagedObjectReference{ManagedObjectReference: l}
		}
	}
	return o
}

// labSearch is the search index, which finds for each user only what that user may see.
type labSearch struct {
	*simulator.SearchIndex
	base
}

func (x *labSearch) one(ctx *simulator.Context, ref *types.ManagedObjectReference) *types.ManagedObjectReference {
	if who, free := x.lab.subject(ctx); ref == nil || free || x.lab.visible(who, *ref) {
		return ref
	}
	return nil
}

// FindByInventoryPath finds an object by its path.
func (x *labSearch) FindByInventoryPath(ctx *simulator.Context, req *types.FindByInventoryPath) soap.HasFault {
	res := x.SearchIndex.FindByInventoryPath(ctx, req)
	if b, ok := res.(*methods.FindByInventoryPathBody); ok && b.Res != nil {
		b.Res.Returnval = x.one(ctx, b.Res.Returnval)
	}
	return res
}

// FindChild finds a child by its name.
func (x *labSearch) FindChild(ctx *simulator.Context, req *types.FindChild) soap.HasFault {
	res := x.SearchIndex.FindChild(ctx, req)
	if b, ok := res.(*methods.FindChildBody); ok && b.Res != nil {
		b.Res.Returnval = x.one(ctx, b.Res.Returnval)
	}
	return res
}

// FindByUuid finds a VM or a host.
func (x *labSearch) FindByUuid(ctx *simulator.Context, req *types.FindByUuid) soap.HasFault {
	res := x.SearchIndex.FindByUuid(ctx, req)
	if b, ok := res.(*methods.FindByUuidBody); ok && b.Res != nil {
		b.Res.Returnval = x.one(ctx, b.Res.Returnval)
	}
	return res
}

// FindByDatastorePath finds a VM by its file.
func (x *labSearch) FindByDatastorePath(ctx *simulator.Context, req *types.FindByDatastorePath) soap.HasFault {
	res := x.SearchIndex.FindByDatastorePath(ctx, req)
	if b, ok := res.(*methods.FindByDatastorePathBody); ok && b.Res != nil {
		b.Res.Returnval = x.one(ctx, b.Res.Returnval)
	}
	return res
}

// sessionless says that a call makes a session by other means than a password, which the simulator
// believes without proof.
func sessionless(method string) bool {
	return strings.HasPrefix(method, "LoginBy") || strings.HasPrefix(method, "LoginExtension") || method == "ImpersonateUser"
}
