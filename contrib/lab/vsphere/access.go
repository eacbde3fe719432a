package vsphere

import (
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/authz"
)

// subject is who a session belongs to; free says that nothing needs to be looked up: the
// administrator, or the lab itself.
func (s *Server) subject(ctx *simulator.Context) (who authz.Subject, free bool) {
	name := ctx.Session.UserName
	if name == "" { // calls in process: the lab itself
		return who, true
	}
	a, ok := s.accounts.User(name)
	if !ok {
		return authz.Subject{Name: name}, false // the account was removed
	}
	return s.subjectOf(a), a.Admin()
}

// authorize refuses a call for which the caller lacks a privilege, as vCenter does before it makes a
// task of it.
func (s *Server) authorize(ctx *simulator.Context, m *simulator.Method) types.BaseMethodFault {
	who, free := s.subject(ctx)
	if free {
		return nil
	}
	needs, known := authz.Needs(s, m.Name, m.This, m.Body)
	if !known {
		s.cfg.Log.Warn("a method without a rule was refused", "method", m.Name, "object", m.This.String(), "user", who.Name)
		needs = []authz.Missing{{Privilege: "Global.VCServer", On: s.Root()}}
	}
	return s.missing(who, needs)
}

// mayLogIn refuses a login of someone who has no permission anywhere, as vCenter does.
func (s *Server) mayLogIn(m *simulator.Method) types.BaseMethodFault {
	l, ok := m.Body.(*types.Login)
	if !ok || !s.logsIn(l.UserName, l.Password) {
		return nil // the session manager refuses it
	}
	a, ok := s.accounts.User(l.UserName)
	if ok {
		l.UserName = principal(a.Name) // a session has its user as vCenter spells them, however it was typed
	}
	if !ok || a.Admin() || s.authz.Has(s, s.subjectOf(a), authz.View, s.Root()) {
		return nil
	}
	return authz.NoPermission([]authz.Missing{{Privilege: authz.View, On: s.Root()}})
}

// forgetPermissions removes the permissions on an object that is gone.
func (s *Server) forgetPermissions(ref authz.Ref) {
	if s.authz == nil || !s.inInventory(ref) || !s.authz.Forget(ref) {
		return
	}
	if err := s.saveAccess(); err != nil {
		s.cfg.Log.Error("permissions are not saved", "err", err)
	}
}

func (s *Server) missing(who authz.Subject, needs []authz.Missing) types.BaseMethodFault {
	var l []authz.Missing
	for _, n := range needs {
		if !s.authz.Has(s, who, n.Privilege, n.On) {
			l = append(l, n)
		}
	}
	if len(l) > 0 {
		s.cfg.Log.Info("a call was refused", "user", who.Name, "privilege", l[0].Privilege, "object", l[0].On.String())
	}
	return authz.NoPermission(l)
}

// Root implements authz.World.
func (s *Server) Root() authz.Ref { return s.content.RootFolder }

// Parents implements authz.World. A VM has its folder and its pool; one in a vApp, which is in no
// folder, the vApp alone. A vApp has its pool and its folder.
func (s *Server) Parents(ref authz.Ref) (l []authz.Ref) {
	add := func(refs ...*authz.Ref) {
		for _, r := range refs {
			if r != nil {
				l = append(l, authz.Ref{Type: r.Type, Value: r.Value})
			}
		}
	}
	switch o := s.reg.Get(ref).(type) {
	case *simulator.VirtualMachine:
		if o.ResourcePool != nil && o.ResourcePool.Type == "VirtualApp" {
			add(o.ResourcePool)
		} else {
			add(o.Parent, o.ResourcePool)
		}
	case *simulator.VirtualApp:
		add(o.Parent, o.ParentFolder)
	case mo.Entity:
		add(o.Entity().Parent)
	}
	return l
}

// DatastoreOf implements authz.World.
func (s *Server) DatastoreOf(path string) (authz.Ref, bool) {
	var p object.DatastorePath
	if !p.FromString(path) {
		return authz.Ref{}, false
	}
	return s.datastoreRef(p.Datastore)
}

func (s *Server) datastoreRef(name string) (authz.Ref, bool) {
	return s.findFixed("Datastore", func(e mo.Entity) bool {
		ds, ok := e.(*simulator.Datastore)
		return ok && ds.Name == name
	})
}

// findFixed finds an object among those that every lab has, which are few, and then among all.
func (s *Server) findFixed(kind string, is func(mo.Entity) bool) (authz.Ref, bool) {
	for ref := range s.baseRefs {
		if ref.Type != kind {
			continue
		}
		if e, ok := s.reg.Get(ref).(mo.Entity); ok && is(e) {
			return ref, true
		}
	}
	for _, e := range s.reg.All(kind) {
		if is(e) {
			return e.Reference(), true
		}
	}
	return authz.Ref{}, false
}

// Network implements authz.World.
func (s *Server) Network(name string) (authz.Ref, bool) {
	return s.findFixed("Network", func(e mo.Entity) bool { return e.Entity().Name == name })
}

// HostOf implements authz.World.
func (s *Server) HostOf(manager authz.Ref) (authz.Ref, bool) {
	return s.findFixed("HostSystem", func(e mo.Entity) bool {
		h, ok := e.(*simulator.HostSystem)
		if !ok {
			return false
		}
		m := h.ConfigManager
		for _, ref := range []*authz.Ref{m.NetworkSystem, m.DatastoreSystem, m.FirewallSystem, m.DateTimeSystem, m.AdvancedOption, m.ServiceSystem, m.StorageSystem} {
			if ref != nil && *ref == manager {
				return true
			}
		}
		return false
	})
}

// DatastoreOfBrowser implements authz.World.
func (s *Server) DatastoreOfBrowser(browser authz.Ref) (authz.Ref, bool) {
	return s.findFixed("Datastore", func(e mo.Entity) bool {
		ds, ok := e.(*simulator.Datastore)
		return ok && ds.Browser == browser
	})
}

// visible says that a user may know of an object. What is not part of the inventory (tasks, views,
// managers) is not hidden.
func (s *Server) visible(who authz.Subject, ref authz.Ref) bool {
	return !s.inInventory(ref) || s.authz.Has(s, who, authz.View, ref)
}

func (s *Server) inInventory(ref authz.Ref) bool {
	switch ref.Type {
	case "VirtualMachine", "VirtualApp", "ResourcePool", "Folder", "Datacenter", "ClusterComputeResource", "ComputeResource", "HostSystem",
		"Datastore", "StoragePod", "Network", "DistributedVirtualPortgroup", "DistributedVirtualSwitch", "VmwareDistributedVirtualSwitch":
		return true
	}
	return false
}

var _ authz.World = (*Server)(nil)
