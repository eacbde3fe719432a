package vsphere

import (
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// wrapper overrides methods of a simulator object.
type wrapper interface {
	mo.Reference
	owner() *Server
}

// hideEntity has a field named Entity: it hides the promoted method Entity(), so that Registry.Put
// does not take the wrapper for an entity and write to its status fields.
type hideEntity struct{ Entity struct{} }

// base is the second field of each wrapper.
type base struct {
	hideEntity
	lab *Server
}

func (b base) owner() *Server { return b.lab }

// dispatch implements simulator.Registry.Handler. It runs before every method.
func (s *Server) dispatch(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if sessionless(m.Name) {
		return nil, &types.InvalidLogin{}
	}
	if ctx.Session == nil {
		return nil, s.mayLogIn(m)
	}
	if f := s.authorize(ctx, m); f != nil {
		return nil, f
	}
	r := ctx.Session.Registry
	if m.Name == "Logout" {
		s.sessions.Delete(r)
		return nil, nil
	}
	if pc, ok := ctx.Session.Get(m.This).(*collector); ok {
		pc.belongsTo(s)
		return nil, nil
	}
	if w, ok := r.Get(m.This).(wrapper); ok && w.owner() == s {
		return nil, nil
	}
	if w := s.wrap(ctx.Map.Get(m.This)); w != nil {
		r.Put(w)
		s.sessions.Store(r, true)
	}
	return nil, nil
}

func (s *Server) wrap(o mo.Reference) wrapper {
	b := base{lab: s}
	switch o := o.(type) {
	case *simulator.VirtualMachine:
		return &labVM{VirtualMachine: o, base: b}
	case *simulator.Folder:
		return &labFolder{Folder: o, base: b}
	case *simulator.Datacenter:
		return &labDatacenter{Datacenter: o, base: b}
	case *simulator.ResourcePool:
		return &labPool{ResourcePool: o, base: b}
	case *simulator.VirtualApp:
		return &labVApp{VirtualApp: o, base: b}
	case *simulator.DistributedVirtualPortgroup:
		return &labPortgroup{DistributedVirtualPortgroup: o, base: b}
	case *simulator.Datastore:
		return &labDatastore{Datastore: o, base: b}
	case *simulator.FileManager:
		return &labFiles{FileManager: o, base: b}
	case *simulator.OvfManager:
		return &labOVF{OvfManager: o, base: b}
	case *simulator.AuthorizationManager:
		return &labAuthz{AuthorizationManager: o, base: b}
	case *simulator.SearchIndex:
		return &labSearch{SearchIndex: o, base: b}
	}
	return nil
}

// wrapped says whether wrap makes wrappers for objects of a kind that come and go.
func wrapped(kind string) bool {
	switch kind {
	case "VirtualMachine", "Folder", "ResourcePool", "VirtualApp", "DistributedVirtualPortgroup", "Datastore", "Datacenter":
		return true
	}
	return false
}

// observer sees objects come, change and go, whoever does it.
type observer struct{ server *Server }

func (o *observer) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "LabObserver", Value: "lab"}
}

func (o *observer) PutObject(_ *simulator.Context, obj mo.Reference) {
	if n, ok := obj.(*mo.Network); ok && o.server.cfg.ESX {
		o.server.onAll(n)
	}
	o.server.store.touch(obj.Reference())
}

func (o *observer) UpdateObject(_ *simulator.Context, obj mo.Reference, _ []types.PropertyChange) {
	o.server.store.touch(obj.Reference())
}

// RemoveObject takes the wrappers out of all sessions, else destroyed objects would stay readable,
// and ends the process of a VM that is gone.
func (o *observer) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	o.server.store.touch(ref)
	o.server.forgetPermissions(ref)
	// Only for what is wrapped: a logout removes the session's collectors and views with the lock of
	// its registry held, so looking into that registry then would block for ever.
	if !wrapped(ref.Type) {
		return
	}
	o.server.sessions.Range(func(k, _ any) bool {
		r, ok := k.(*simulator.Registry)
		if _, isWrapper := r.Get(ref).(wrapper); ok && isWrapper {
			r.Remove(o.server.context(), ref)
		}
		return true
	})
	if ref.Type == "VirtualMachine" {
		o.server.kill(ref)
	}
}

// await waits for a task of the simulator. The simulator's own Task.Wait polls every 10 ms, which
// would be most of the time that a create takes.
func await(ctx *simulator.Context, ref types.ManagedObjectReference) (types.AnyType, types.BaseMethodFault) {
	t, ok := ctx.Map.Get(ref).(*simulator.Task)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: ref}
	}
	probe := &simulator.Context{} // must not share locks with the task's context
	for pause := 100 * time.Microsecond; ; pause = min(pause*2, 5*time.Millisecond) {
		var info types.TaskInfo
		ctx.Map.WithLock(probe, t, func() { info = t.Info })
		switch info.State {
		case types.TaskInfoStateSuccess:
			return info.Result, nil
		case types.TaskInfoStateError:
			return nil, info.Error.Fault
		}
		time.Sleep(pause)
	}
}

// reserved says that an extraConfig key would make the simulator start docker containers.
func reserved(key string) bool { return strings.HasPrefix(key, "RUN.") }

func dropReserved(ec []types.BaseOptionValue) []types.BaseOptionValue {
	kept := ec[:0]
	for _, o := range ec {
		if !reserved(o.GetOptionValue().Key) {
			kept = append(kept, o)
		}
	}
	return kept
}
