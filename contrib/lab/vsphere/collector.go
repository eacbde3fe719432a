package vsphere

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// collector replaces simulator.PropertyCollector. The simulator's WaitForUpdatesEx re-reads every
// property of every object of every filter once per change of any object anywhere (so 50 power-ons
// take 30-45 s to be reported when 1000 VMs are watched). This one keeps, per filter, the set of
// member objects and re-reads only the changed paths of the changed members; membership is
// recomputed at most once per tick, and only after a create or a change of a traversed object.
type collector struct {
	simulator.PropertyCollector

	fmu     sync.Mutex
	dirty   map[types.ManagedObjectReference]map[string]bool // object -> changed paths
	gone    map[types.ManagedObjectReference]bool
	member  bool // membership may have changed
	kick    chan struct{}
	state   map[types.ManagedObjectReference]map[types.ManagedObjectReference]bool // filter -> members
	stop    context.CancelFunc
	backlog []types.PropertyFilterUpdate
	seq     int
}

// installCollector must run before the first login: sessions copy the type of the registry's object.
func installCollector(m *simulator.Registry, content types.ServiceContent) {
	pc := &collector{}
	pc.Self = content.PropertyCollector
	m.Put(pc)
}

func (pc *collector) CreatePropertyCollector(ctx *simulator.Context, c *types.CreatePropertyCollector) soap.HasFault {
	n := &collector{}
	n.Self.Type = "PropertyCollector" // otherwise the reference would be of type collector
	return &methods.CreatePropertyCollectorBody{Res: &types.CreatePropertyCollectorResponse{Returnval: ctx.Session.Put(n).Reference()}}
}

func (pc *collector) note(f func()) {
	pc.fmu.Lock()
	f()
	k := pc.kick
	pc.fmu.Unlock()
	if k != nil {
		select {
		case k <- struct{}{}:
		default:
		}
	}
}

func (pc *collector) PutObject(_ *simulator.Context, o mo.Reference) {
	if _, ok := o.(mo.Entity); ok { // tasks, collectors, filters never enter a view
		pc.note(func() { pc.member = true })
	}
}

func (pc *collector) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	pc.note(func() { pc.gone[ref] = true })
}

func (pc *collector) UpdateObject(_ *simulator.Context, o mo.Reference, ch []types.PropertyChange) {
	ref := o.Reference()
	pc.note(func() {
		d := pc.dirty[ref]
		if d == nil {
			d = map[string]bool{}
			pc.dirty[ref] = d
		}
		for _, c := range ch {
			d[c.Name] = true
		}
	})
}

func related(path, change string) bool {
	return path == change || strings.HasPrefix(change, path+".") || strings.HasPrefix(change, path+"[") ||
		strings.HasPrefix(path, change+".") || strings.HasPrefix(path, change+"[")
}

func (pc *collector) specOf(ctx *simulator.Context, f types.ManagedObjectReference) (types.PropertyFilterSpec, bool) {
	x, ok := ctx.Session.Get(f).(*simulator.PropertyFilter)
	if !ok {
		return types.PropertyFilterSpec{}, false
	}
	return x.Spec, true
}

func (pc *collector) read(ctx *simulator.Context, spec types.PropertyFilterSpec) []types.ObjectContent {
	spec.ReportMissingObjectsInResults = types.NewBool(true)
	b := pc.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{This: pc.Self, SpecSet: []types.PropertyFilterSpec{spec}}).(*methods.RetrievePropertiesExBody)
	if b.Res == nil || b.Res.Returnval == nil {
		return nil
	}
	return b.Res.Returnval.Objects
}

func changes(o types.ObjectContent) (cs []types.PropertyChange) {
	for _, p := range o.PropSet {
		cs = append(cs, types.PropertyChange{Op: types.PropertyChangeOpAssign, Name: p.Name, Val: p.Val})
	}
	return
}

// members lists a filter's objects without reading their properties (only a cheap one).
func (pc *collector) members(ctx *simulator.Context, spec types.PropertyFilterSpec) map[types.ManagedObjectReference]bool {
	ps := make([]types.PropertySpec, len(spec.PropSet))
	for i, p := range spec.PropSet {
		ps[i] = types.PropertySpec{Type: p.Type, PathSet: []string{"parent"}}
		if p.Type == "Task" {
			ps[i].PathSet = []string{"info.key"}
		} else if len(p.PathSet) > 0 && p.Type != "VirtualMachine" {
			ps[i].PathSet = p.PathSet[:1]
		}
	}
	r := map[types.ManagedObjectReference]bool{}
	for _, o := range pc.read(ctx, types.PropertyFilterSpec{PropSet: ps, ObjectSet: spec.ObjectSet}) {
		r[o.Obj] = true
	}
	return r
}

func (pc *collector) WaitForUpdatesEx(ctx *simulator.Context, r *types.WaitForUpdatesEx) soap.HasFault {
	body := &methods.WaitForUpdatesExBody{Res: &types.WaitForUpdatesExResponse{}}
	max := 100
	wctx, cancel := context.WithCancel(context.Background())
	once := false
	if o := r.Options; o != nil {
		if o.MaxObjectUpdates > 0 && int(o.MaxObjectUpdates) < max {
			max = int(o.MaxObjectUpdates)
		}
		if o.MaxWaitSeconds != nil {
			if once = *o.MaxWaitSeconds == 0; !once {
				cancel()
				wctx, cancel = context.WithTimeout(context.Background(), time.Duration(*o.MaxWaitSeconds)*time.Second)
			}
		}
	}
	defer cancel()
	pc.fmu.Lock()
	pc.stop = cancel
	if r.Version == "" { // start over
		pc.dirty, pc.gone = map[types.ManagedObjectReference]map[string]bool{}, map[types.ManagedObjectReference]bool{}
		pc.state = map[types.ManagedObjectReference]map[types.ManagedObjectReference]bool{}
		pc.kick, pc.backlog = make(chan struct{}, 1), nil
	}
	kick := pc.kick
	pc.fmu.Unlock()
	if r.Version == "" {
		ctx.Map.AddHandler(pc)
	}
	// A filter may be added after the first call: treat filters without state as new.
	for {
		if len(pc.backlog) == 0 {
			pc.compute(ctx)
		}
		if len(pc.backlog) > 0 {
			set := &types.UpdateSet{}
			n := 0
			for len(pc.backlog) > 0 && n < max {
				fu := pc.backlog[0]
				take := len(fu.ObjectSet)
				if take > max-n {
					take = max - n
					pc.backlog[0].ObjectSet = fu.ObjectSet[take:]
					fu.ObjectSet = fu.ObjectSet[:take]
				} else {
					pc.backlog = pc.backlog[1:]
				}
				n += take
				set.FilterSet = append(set.FilterSet, fu)
			}
			pc.seq++
			set.Version = time.Now().Format("150405.000000000")
			if len(pc.backlog) > 0 {
				set.Truncated = types.NewBool(true)
			}
			body.Res.Returnval = set
			return body
		}
		if r.Version == "" {
			body.Res.Returnval = &types.UpdateSet{Version: "0"}
			return body
		}
		if once {
			return body
		}
		select {
		case <-wctx.Done():
			if wctx.Err() == context.Canceled {
				return &methods.WaitForUpdatesExBody{Fault_: simulator.Fault("", &types.RequestCanceled{})}
			}
			return body
		case <-kick:
			time.Sleep(5 * time.Millisecond) // let updates gather
		}
	}
}

func (pc *collector) CancelWaitForUpdates(r *types.CancelWaitForUpdates) soap.HasFault {
	pc.fmu.Lock()
	if pc.stop != nil {
		pc.stop()
	}
	pc.fmu.Unlock()
	return &methods.CancelWaitForUpdatesBody{Res: &types.CancelWaitForUpdatesResponse{}}
}

func (pc *collector) DestroyPropertyCollector(ctx *simulator.Context, c *types.DestroyPropertyCollector) soap.HasFault {
	pc.CancelWaitForUpdates(&types.CancelWaitForUpdates{This: c.This})
	return pc.PropertyCollector.DestroyPropertyCollector(ctx, c)
}

func (pc *collector) compute(ctx *simulator.Context) {
	pc.fmu.Lock()
	dirty, gone, member := pc.dirty, pc.gone, pc.member
	pc.dirty, pc.gone, pc.member = map[types.ManagedObjectReference]map[string]bool{}, map[types.ManagedObjectReference]bool{}, false
	pc.fmu.Unlock()
	for _, f := range pc.Filter {
		spec, ok := pc.specOf(ctx, f)
		if !ok {
			continue
		}
		var ups []types.ObjectUpdate
		known, have := pc.state[f]
		if !have {
			known = map[types.ManagedObjectReference]bool{}
			pc.state[f] = known
			for _, o := range pc.read(ctx, spec) {
				known[o.Obj] = true
				ups = append(ups, types.ObjectUpdate{Kind: types.ObjectUpdateKindEnter, Obj: o.Obj, ChangeSet: changes(o)})
			}
		} else {
			walk := false
			for _, os := range spec.ObjectSet {
				if len(os.SelectSet) > 0 && (member || dirty[os.Obj] != nil) {
					walk = true
				}
			}
			for ref := range gone {
				if known[ref] {
					delete(known, ref)
					ups = append(ups, types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: ref})
				}
			}
			var entered []types.ObjectSpec
			if walk {
				now := pc.members(ctx, spec)
				for ref := range now {
					if !known[ref] {
						known[ref] = true
						entered = append(entered, types.ObjectSpec{Obj: ref})
						delete(dirty, ref)
					}
				}
				for ref := range known {
					if !now[ref] {
						delete(known, ref)
						ups = append(ups, types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: ref})
					}
				}
			}
			if len(entered) > 0 {
				for _, o := range pc.read(ctx, types.PropertyFilterSpec{PropSet: spec.PropSet, ObjectSet: entered}) {
					ups = append(ups, types.ObjectUpdate{Kind: types.ObjectUpdateKindEnter, Obj: o.Obj, ChangeSet: changes(o)})
				}
			}
			for ref, ch := range dirty {
				if !known[ref] {
					continue
				}
				var paths []string
				all := false
				for _, p := range spec.PropSet {
					if p.Type != ref.Type && p.Type != "ManagedEntity" {
						continue
					}
					if p.All != nil && *p.All {
						all = true
					}
					for _, path := range p.PathSet {
						for c := range ch {
							if related(path, c) {
								paths = append(paths, path)
								break
							}
						}
					}
				}
				if all {
					for c := range ch {
						if !strings.Contains(c, "[") {
							paths = append(paths, c)
						}
					}
				}
				if len(paths) == 0 {
					continue
				}
				for _, o := range pc.read(ctx, types.PropertyFilterSpec{PropSet: []types.PropertySpec{{Type: ref.Type, PathSet: paths}}, ObjectSet: []types.ObjectSpec{{Obj: ref}}}) {
					cs := changes(o)
					got := map[string]bool{}
					for _, c := range cs {
						got[c.Name] = true
					}
					for _, p := range paths { // unset now
						if !got[p] {
							cs = append(cs, types.PropertyChange{Op: types.PropertyChangeOpAssign, Name: p})
						}
					}
					ups = append(ups, types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: ref, ChangeSet: cs})
				}
			}
		}
		if len(ups) > 0 {
			pc.backlog = append(pc.backlog, types.PropertyFilterUpdate{Filter: f, ObjectSet: ups})
		}
	}
}
