// Package inventory keeps a cache of the VCH's VMs with one property collector: who asks for
// container VMs is answered from here, who wants to know about changes subscribes here.
package inventory

import (
	"context"
	"log/slog"
	"sort"
	"sync"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/session"
)

// settleFor is how long Settle waits for the collector before it asks for the VM itself.
const settleFor = 150 * time.Millisecond

// Inventory is the cache. All methods may be called concurrently.
type Inventory struct {
	session *session.Session
	pool    types.ManagedObjectReference
	log     *slog.Logger
	ready   chan struct{} // closed after the first snapshot

	// mu guards what follows. Run and Refresh write; readers get the *Machine of the moment, which nobody
	// changes: a VM that has changed gets a new one. Subscribers are told under mu, so that each sees the
	// changes in their order and none between its first snapshot and its first event is lost.
	mu      sync.Mutex
	vms     map[types.ManagedObjectReference]*Machine
	ids     map[string]types.ManagedObjectReference
	changed chan struct{} // closed and replaced at every change
	subs    map[*Subscription]struct{}
	health  error         // why the watch is broken
	turned  chan struct{} // closed and replaced when health may have changed
}

// New returns an empty cache of the VMs below pool; Run fills it.
func New(s *session.Session, pool types.ManagedObjectReference, log *slog.Logger) *Inventory {
	return &Inventory{
		session: s, pool: pool, log: log,
		ready:   make(chan struct{}),
		vms:     map[types.ManagedObjectReference]*Machine{},
		ids:     map[string]types.ManagedObjectReference{},
		changed: make(chan struct{}),
		subs:    map[*Subscription]struct{}{},
		turned:  make(chan struct{}),
	}
}

// WaitReady returns when the cache has been filled for the first time, or why that failed.
func (i *Inventory) WaitReady(ctx context.Context) error {
	for {
		err, turned := i.state()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-i.ready:
			return nil
		case <-turned:
		}
	}
}

// Health reports each change of whether the cache is kept up to date, until ctx ends.
func (i *Inventory) Health(ctx context.Context, report func(error)) {
	for {
		err, turned := i.state()
		report(err)
		select {
		case <-ctx.Done():
			return
		case <-turned:
		}
	}
}

func (i *Inventory) state() (error, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.health, i.turned
}

func (i *Inventory) setHealth(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.health = err
	close(i.turned)
	i.turned = make(chan struct{})
}

// Get returns the container VM with this ID.
func (i *Inventory) Get(id string) (*Machine, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	ref, ok := i.ids[id]
	if !ok {
		return nil, false
	}
	return i.vms[ref], true
}

// List returns all container VMs, ordered by ID.
func (i *Inventory) List() []*Machine {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.list()
}

// Others returns the VMs of the pool that are no container VMs: the endpoint VM.
func (i *Inventory) Others() (out []*Machine) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.vms {
		if m.ID() == "" {
			out = append(out, m)
		}
	}
	return out
}

func (i *Inventory) list() []*Machine {
	out := make([]*Machine, 0, len(i.ids))
	for _, ref := range i.ids {
		out = append(out, i.vms[ref])
	}
	sort.Slice(out, func(a, b int) bool { return out[a].ID() < out[b].ID() })
	return out
}

// Settle returns when the cache shows what a change of ours to ref has done, that is when ok is
// true for it (nil: it is gone). If the collector is late, the VM is read at once.
func (i *Inventory) Settle(ctx context.Context, ref types.ManagedObjectReference, ok func(*Machine) bool) error {
	t := time.NewTimer(settleFor)
	defer t.Stop()
	for {
		i.mu.Lock()
		m, ch := i.vms[ref], i.changed
		i.mu.Unlock()
		if ok(m) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ch:
		case <-t.C:
			return i.Refresh(ctx, ref)
		}
	}
}

// Refresh reads one VM into the cache.
func (i *Inventory) Refresh(ctx context.Context, ref types.ManagedObjectReference) error {
	return i.refresh(ref, func() (content []types.ObjectContent, err error) {
		err = property.DefaultCollector(i.session.Client()).Retrieve(ctx, []types.ManagedObjectReference{ref}, properties(), &content)
		return content, err
	})
}

// refresh reads again when the collector brought a change meanwhile: what was read may be older, and
// nothing would put it right later.
func (i *Inventory) refresh(ref types.ManagedObjectReference, read func() ([]types.ObjectContent, error)) error {
	for {
		before := i.machine(ref)
		content, err := read()
		gone := session.Is(err, &types.ManagedObjectNotFound{}) || (err == nil && len(content) == 0)
		if err != nil && !gone {
			return session.Error("read "+ref.Value, err)
		}
		u := types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: ref}
		if !gone {
			u.Kind = types.ObjectUpdateKindEnter
			for _, p := range content[0].PropSet {
				u.ChangeSet = append(u.ChangeSet, types.PropertyChange{Name: p.Name, Op: types.PropertyChangeOpAssign, Val: p.Val})
			}
		}
		if i.applyTo(before, u) {
			return nil
		}
	}
}

func (i *Inventory) machine(ref types.ManagedObjectReference) *Machine {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.vms[ref]
}

// applyTo applies an update unless the VM has changed since.
func (i *Inventory) applyTo(before *Machine, u types.ObjectUpdate) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.vms[u.Obj] != before {
		return false
	}
	i.applyLocked([]types.ObjectUpdate{u})
	return true
}

// apply takes changes into the cache and tells the subscribers.
func (i *Inventory) apply(updates []types.ObjectUpdate) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.applyLocked(updates)
}

func (i *Inventory) applyLocked(updates []types.ObjectUpdate) {
	for _, u := range updates {
		old := i.vms[u.Obj]
		if u.Kind == types.ObjectUpdateKindLeave {
			i.remove(old)
			continue
		}
		base := old
		if old == nil || u.Kind == types.ObjectUpdateKindEnter {
			base = &Machine{Ref: u.Obj}
		}
		i.put(old, base.with(u.ChangeSet))
	}
	i.signal()
}

func (i *Inventory) signal() {
	close(i.changed)
	i.changed = make(chan struct{})
}

func (i *Inventory) put(old, m *Machine) {
	if old != nil && old.same(m) {
		return
	}
	if old != nil && old.ID() != m.ID() {
		i.remove(old)
	}
	i.vms[m.Ref] = m
	id := m.ID()
	if id == "" {
		return
	}
	if first, ok := i.ids[id]; ok && first != m.Ref {
		i.log.Warn("two VMs say that they are one container; the second is ignored", "container", id, "first", first.Value, "second", m.Ref.Value)
		return
	}
	i.ids[id] = m.Ref
	i.publish(Event{Kind: Put, Machine: m})
}

func (i *Inventory) remove(m *Machine) {
	if m == nil {
		return
	}
	delete(i.vms, m.Ref)
	id := m.ID()
	if id == "" || i.ids[id] != m.Ref {
		return
	}
	delete(i.ids, id)
	i.publish(Event{Kind: Remove, Machine: m})
}

// replace makes the cache what a new collector reported: all there is.
func (i *Inventory) replace(updates []types.ObjectUpdate) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.vms = map[types.ManagedObjectReference]*Machine{}
	i.ids = map[string]types.ManagedObjectReference{}
	for _, u := range updates {
		base := i.vms[u.Obj]
		if base == nil {
			base = &Machine{Ref: u.Obj}
		}
		if u.Kind == types.ObjectUpdateKindLeave {
			delete(i.vms, u.Obj)
			continue
		}
		i.vms[u.Obj] = base.with(u.ChangeSet)
	}
	for _, m := range i.vms {
		id := m.ID()
		if old, ok := i.ids[id]; id != "" && (!ok || older(m.Ref, old)) {
			i.ids[id] = m.Ref
		}
	}
	i.publish(Event{Kind: Snapshot, Machines: i.list()})
	i.signal()
	select {
	case <-i.ready:
	default:
		close(i.ready)
	}
}

// older compares "vm-9" and "vm-10": a copy of a VM has the larger number.
func older(a, b types.ManagedObjectReference) bool {
	if len(a.Value) != len(b.Value) {
		return len(a.Value) < len(b.Value)
	}
	return a.Value < b.Value
}
