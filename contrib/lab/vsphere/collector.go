package vsphere

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	maxUpdates   = 100                  // objects in one answer
	gatherTime   = 5 * time.Millisecond // changes that come close together go out together
	maxUnwatched = 100_000              // changes kept for a client that does not ask
)

// collector replaces the simulator's property collector. The simulator's WaitForUpdatesEx reads
// every property of every object of every filter again for each change of any object anywhere, so
// 50 power-ons among 1,000 watched VMs take half a minute to be reported. This one keeps for each
// filter the set of its objects and reads only what changed; which objects a filter has is
// computed again only after an object came or a traversed property changed.
//
// Its zero value works: sessions make their own copy of the type.
type collector struct {
	simulator.PropertyCollector

	mu       sync.Mutex
	filters  []*filterState
	changes  changes
	kick     chan struct{}
	cancel   context.CancelFunc
	listener *listener
	backlog  []types.PropertyFilterUpdate
	version  int
	closing  <-chan struct{} // closed when the lab stops
	lab      *Server

	waiting sync.Mutex // one WaitForUpdatesEx at a time
}

// changes is what happened since the last look.
type changes struct {
	dirty   map[types.ManagedObjectReference]map[string]bool // object: changed paths
	gone    map[types.ManagedObjectReference]bool
	members bool // an object came
	lost    bool // too much happened: read everything again
}

// installCollector must run before the first login.
func installCollector(r *simulator.Registry, content types.ServiceContent) {
	pc := &collector{}
	pc.Self = content.PropertyCollector
	r.Put(pc)
}

// listener is registered for changes instead of the collector itself: handlers are told apart by
// their reference, and the collectors of all sessions have the same one.
type listener struct {
	pc  *collector
	ref types.ManagedObjectReference
	reg *simulator.Registry
}

func (l *listener) Reference() types.ManagedObjectReference { return l.ref }

// PutObject notes an object that may be in a filter. Tasks, collectors and the like never come into
// one by traversal without a change of the traversed object.
func (l *listener) PutObject(_ *simulator.Context, o mo.Reference) {
	if _, ok := o.(mo.Entity); ok {
		l.pc.note(func(c *changes) { c.members = true })
	}
}

func (l *listener) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	if ref == l.pc.Self { // the session has ended
		l.reg.RemoveHandler(l)
		return
	}
	l.pc.note(func(c *changes) { c.gone[ref] = true })
}

func (l *listener) UpdateObject(_ *simulator.Context, o mo.Reference, ch []types.PropertyChange) {
	ref := o.Reference()
	l.pc.note(func(c *changes) {
		if len(c.dirty) > maxUnwatched {
			*c = newChanges()
			c.lost = true
		}
		d := c.dirty[ref]
		if d == nil {
			d = map[string]bool{}
			c.dirty[ref] = d
		}
		for _, p := range ch {
			d[p.Name] = true
		}
	})
}

func newChanges() changes {
	return changes{dirty: map[types.ManagedObjectReference]map[string]bool{}, gone: map[types.ManagedObjectReference]bool{}}
}

// note runs within updates of other objects: it must be quick and take no other lock.
func (pc *collector) note(f func(*changes)) {
	pc.mu.Lock()
	f(&pc.changes)
	pc.mu.Unlock()
	pc.wake()
}

func (pc *collector) wake() {
	pc.mu.Lock()
	k := pc.kick
	pc.mu.Unlock()
	select {
	case k <- struct{}{}: // a nil channel is never ready
	default:
	}
}

// CreatePropertyCollector makes another collector for the session.
func (pc *collector) CreatePropertyCollector(ctx *simulator.Context, _ *types.CreatePropertyCollector) soap.HasFault {
	n := &collector{}
	n.Self.Type = "PropertyCollector" // not this Go type's name
	return &methods.CreatePropertyCollectorBody{Res: &types.CreatePropertyCollectorResponse{Returnval: ctx.Session.Put(n).Reference()}}
}

// CreateFilter adds a filter; it may come while a client waits.
func (pc *collector) CreateFilter(ctx *simulator.Context, c *types.CreateFilter) soap.HasFault {
	pc.mu.Lock()
	res := pc.PropertyCollector.CreateFilter(ctx, c)
	if b, ok := res.(*methods.CreateFilterBody); ok && b.Res != nil {
		pc.filters = append(pc.filters, newFilterState(b.Res.Returnval, c.Spec))
	}
	pc.mu.Unlock()
	pc.wake()
	return res
}

// belongsTo tells the collector its lab. A collector is made by reflection, so it does not know it by
// itself.
func (pc *collector) belongsTo(s *Server) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	pc.closing, pc.lab = s.closing, s
}

// WaitForUpdatesEx waits for changes of the filters' objects.
func (pc *collector) WaitForUpdatesEx(ctx *simulator.Context, r *types.WaitForUpdatesEx) soap.HasFault {
	body := &methods.WaitForUpdatesExBody{}
	limit, wait, once := options(r.Options)
	wctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if wait > 0 {
		t := time.AfterFunc(wait, func() { cancel(context.DeadlineExceeded) })
		defer t.Stop()
	}
	pc.waiting.Lock()
	defer pc.waiting.Unlock()
	kick, closing := pc.begin(ctx, r.Version == "", func() { cancel(context.Canceled) })
	for {
		if len(pc.backlog) == 0 {
			pc.compute(ctx)
		}
		switch {
		case len(pc.backlog) > 0:
			body.Res = &types.WaitForUpdatesExResponse{Returnval: pc.page(limit)}
			return body
		case r.Version == "": // nothing to watch yet: an empty set, so that the client has a version
			body.Res = &types.WaitForUpdatesExResponse{Returnval: &types.UpdateSet{Version: pc.nextVersion()}}
			return body
		case once:
			body.Res = &types.WaitForUpdatesExResponse{}
			return body
		}
		select {
		case <-closing:
			body.Fault_ = simulator.Fault("", &types.RequestCanceled{})
			return body
		case <-wctx.Done():
			if errors.Is(context.Cause(wctx), context.Canceled) {
				body.Fault_ = simulator.Fault("", &types.RequestCanceled{})
			} else {
				body.Res = &types.WaitForUpdatesExResponse{}
			}
			return body
		case <-kick:
			time.Sleep(gatherTime)
		}
	}
}

func options(o *types.WaitOptions) (limit int, wait time.Duration, once bool) {
	limit = maxUpdates
	if o == nil {
		return limit, 0, false
	}
	if o.MaxObjectUpdates > 0 && int(o.MaxObjectUpdates) < limit {
		limit = int(o.MaxObjectUpdates)
	}
	if o.MaxWaitSeconds != nil {
		once, wait = *o.MaxWaitSeconds == 0, time.Duration(*o.MaxWaitSeconds)*time.Second
	}
	return limit, wait, once
}

// begin prepares a wait; the first one, and one that starts over, forgets what was reported.
func (pc *collector) begin(ctx *simulator.Context, restart bool, cancel func()) (kick, closing <-chan struct{}) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	pc.cancel = cancel
	if !restart && pc.kick != nil {
		return pc.kick, pc.closing
	}
	pc.changes, pc.backlog = newChanges(), nil
	pc.kick = make(chan struct{}, 1)
	for _, f := range pc.filters {
		f.members = nil
	}
	if pc.listener == nil {
		pc.listener = &listener{pc: pc, reg: ctx.Map, ref: types.ManagedObjectReference{Type: "LabListener", Value: fmt.Sprintf("%p", pc)}}
		ctx.Map.AddHandler(pc.listener)
	}
	return pc.kick, pc.closing
}

func (pc *collector) nextVersion() string {
	pc.version++
	return fmt.Sprint(pc.version)
}

// page takes up to limit objects out of the backlog.
func (pc *collector) page(limit int) *types.UpdateSet {
	set := &types.UpdateSet{Version: pc.nextVersion()}
	for n := 0; len(pc.backlog) > 0 && n < limit; {
		u := pc.backlog[0]
		take := min(len(u.ObjectSet), limit-n)
		n += take
		if take < len(u.ObjectSet) {
			pc.backlog[0].ObjectSet = u.ObjectSet[take:]
			u.ObjectSet = u.ObjectSet[:take]
		} else {
			pc.backlog = pc.backlog[1:]
		}
		set.FilterSet = append(set.FilterSet, u)
	}
	if len(pc.backlog) > 0 {
		set.Truncated = types.NewBool(true)
	}
	return set
}

// compute turns what happened into updates.
func (pc *collector) compute(ctx *simulator.Context) {
	pc.mu.Lock()
	ch := pc.changes
	pc.changes = newChanges()
	live := pc.filters[:0:0]
	for _, f := range pc.filters {
		if ctx.Session.Registry.Get(f.ref) != nil { // else it was destroyed
			live = append(live, f)
		}
	}
	pc.filters = live
	pc.mu.Unlock()
	for _, f := range live {
		if ups := f.compute(ctx, pc, ch); len(ups) > 0 {
			pc.backlog = append(pc.backlog, types.PropertyFilterUpdate{Filter: f.ref, ObjectSet: ups})
		}
	}
}

// CancelWaitForUpdates ends a wait.
func (pc *collector) CancelWaitForUpdates(_ *types.CancelWaitForUpdates) soap.HasFault {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.cancel != nil {
		pc.cancel()
	}
	return &methods.CancelWaitForUpdatesBody{Res: &types.CancelWaitForUpdatesResponse{}}
}

// DestroyPropertyCollector ends the collector.
func (pc *collector) DestroyPropertyCollector(ctx *simulator.Context, c *types.DestroyPropertyCollector) soap.HasFault {
	pc.CancelWaitForUpdates(nil)
	pc.mu.Lock()
	l := pc.listener
	pc.listener = nil
	pc.mu.Unlock()
	if l != nil {
		ctx.Map.RemoveHandler(l)
	}
	for _, f := range pc.Filter { // as the simulator does, but a filter may be gone already
		if pf, ok := ctx.Session.Registry.Get(f).(*simulator.PropertyFilter); ok {
			ctx.Map.RemoveHandler(pf)
			ctx.Session.Remove(ctx, f)
		}
	}
	ctx.Session.Remove(ctx, c.This)
	return &methods.DestroyPropertyCollectorBody{Res: &types.DestroyPropertyCollectorResponse{}}
}

// WaitForUpdates is the old form, without options.
func (pc *collector) WaitForUpdates(ctx *simulator.Context, r *types.WaitForUpdates) soap.HasFault {
	body := &methods.WaitForUpdatesBody{}
	ex, ok := pc.WaitForUpdatesEx(ctx, &types.WaitForUpdatesEx{This: r.This, Version: r.Version}).(*methods.WaitForUpdatesExBody)
	if !ok || ex.Fault_ != nil {
		body.Fault_ = ex.Fault_
		return body
	}
	body.Res = &types.WaitForUpdatesResponse{Returnval: *ex.Res.Returnval}
	return body
}
