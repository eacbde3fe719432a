// Package fleet keeps a live copy of what runs where: the containers of all VCHs that the hub knows, as their Docker APIs
// tell. One goroutine a VCH reads its events, and asks again about what they name; after a gap it reads the whole list
// again. A VCH that does not answer keeps what was known of it, and is marked as away since then.
//
// Readers take a Snapshot, and then ask Since for what changed after it. Nobody who reads slowly holds up anybody: what is
// older than the ring of changes is gone, and such a reader takes a snapshot again.
package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/sdk/errdef"
)

// Bounds of what is kept.
const (
	maxVCHs       = 10_000
	maxContainers = 50_000 // of one VCH
	ringSize      = 8192   // changes
)

// Registered is what is needed of package vchs.
type Registered interface {
	List(ctx context.Context, project, after int64, limit int) (list []vchs.VCH, more bool, err error)
	Dialer
}

// Options are what a Fleet needs.
type Options struct {
	VCHs Registered
	Log  *slog.Logger
	// LookEvery is how often the list of VCHs is read again, because another hub may have changed it; 0: 5 s.
	LookEvery time.Duration
	// PingEvery is how often a VCH is asked whether it is there while it tells nothing; 0: 5 s. One that does not answer
	// within that time is away.
	PingEvery time.Duration
}

// Fleet is the copy. Its methods may be called by several goroutines.
type Fleet struct {
	o    Options
	look chan struct{} // holds one request to read the list of VCHs

	mu sync.Mutex // guards all below
	// hosts are by number. Only Run adds and removes; a host's own fields are guarded by mu as well.
	hosts map[int64]*host
	// changes holds the last ringSize changes; the one of number n lies at n % ringSize, and next is the number of the next.
	changes []Change
	next    uint64
	changed chan struct{} // closed at the next change
}

// New makes an empty one; Run fills it.
func New(o Options) *Fleet {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.LookEvery == 0 {
		o.LookEvery = 5 * time.Second
	}
	if o.PingEvery == 0 {
		o.PingEvery = 5 * time.Second
	}
	return &Fleet{o: o, look: make(chan struct{}, 1), hosts: map[int64]*host{}, changes: make([]Change, ringSize), changed: make(chan struct{})}
}

// Look has the list of VCHs read soon: one was registered, connected or removed.
func (f *Fleet) Look() {
	select {
	case f.look <- struct{}{}:
	default: // it is asked for already
	}
}

// Run watches all VCHs until ctx ends.
func (f *Fleet) Run(ctx context.Context) {
	var watchers sync.WaitGroup
	defer watchers.Wait()
	ticks := time.NewTicker(f.o.LookEvery)
	defer ticks.Stop()
	for {
		if err := f.reconcile(ctx, &watchers); err != nil && ctx.Err() == nil {
			f.o.Log.Warn("the list of VCHs cannot be read", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		case <-f.look:
		}
	}
}

// reconcile begins to watch the VCHs that are new, and ends it for those that are gone or reached in another way.
func (f *Fleet) reconcile(ctx context.Context, watchers *sync.WaitGroup) error {
	list, _, err := f.o.VCHs.List(ctx, 0, 0, maxVCHs)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	there := map[int64]bool{}
	for _, v := range list {
		there[v.ID] = true
		old := f.hosts[v.ID]
		if old != nil && old.reachedAs(v) {
			old.rename(v)
			continue
		}
		h := &host{fleet: f, vch: v, containers: map[string]Container{}, away: "the hub has not reached it yet", since: time.Now()}
		if old != nil {
			old.stop()
			h.containers, h.running = old.containers, old.running // the old one changes nothing after stop
		}
		f.hosts[v.ID] = h
		h.tell(Change{Kind: KindVCH, State: h.state()})
		var hctx context.Context
		hctx, h.stop = context.WithCancel(ctx)
		watchers.Go(func() { h.run(hctx) })
	}
	for id, h := range f.hosts {
		if !there[id] {
			h.stop()
			delete(f.hosts, id)
			h.tell(Change{Kind: KindGone})
		}
	}
	return nil
}

// rename gives a VCH another name and other projects. The caller holds fleet.mu.
func (h *host) rename(v vchs.VCH) {
	moved := !slices.Equal(h.vch.Projects, v.Projects)
	if !moved && h.vch.Name == v.Name {
		return
	}
	if moved { // for those of its old projects it is gone, for those of the new ones all of it is new
		h.tell(Change{Kind: KindGone})
	}
	h.vch = v
	h.tell(Change{Kind: KindVCH, State: h.state()})
	if moved {
		for id, c := range h.containers {
			h.tell(Change{Kind: KindContainer, ID: id, Container: c})
		}
	}
}

// tell adds a change. The caller holds mu.
func (f *Fleet) tell(c Change) {
	c.Number = f.next
	f.changes[c.Number%ringSize] = c
	f.next++
	close(f.changed)
	f.changed = make(chan struct{})
}

// Snapshot is all that is known of the VCHs that see lets through, and the number of the first change after it.
func (f *Fleet) Snapshot(see func(vchs.VCH) bool) (states []State, containers []Container, next uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(f.hosts)) {
		h := f.hosts[id]
		if see(h.vch) {
			states = append(states, h.state())
			containers = slices.AppendSeq(containers, maps.Values(h.containers))
		}
	}
	return states, containers, f.next
}

// Since returns the changes from a number on, and a channel that is closed when there are more. errdef.ErrNotFound: they
// are not kept any more, or never were; take a snapshot.
func (f *Fleet) Since(from uint64) (list []Change, more <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if from > f.next || f.next-from > ringSize {
		return nil, nil, fmt.Errorf("changes from %d on are not kept: %w", from, errdef.ErrNotFound)
	}
	for n := from; n < f.next; n++ {
		list = append(list, f.changes[n%ringSize])
	}
	return list, f.changed, nil
}

// VCH is what is known of one; errdef.ErrNotFound.
func (f *Fleet) VCH(id int64) (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.hosts[id]
	if h == nil {
		return State{}, fmt.Errorf("vch %d not found: %w", id, errdef.ErrNotFound)
	}
	return h.state(), nil
}

// Conn is the client by which others than the watchers speak to a VCH; errdef.ErrNotFound, errdef.ErrConflict. It stays
// Fleet's: the caller does not close it.
func (f *Fleet) Conn(id int64) (*Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.hosts[id]
	if h == nil {
		return nil, fmt.Errorf("vch %d not found: %w", id, errdef.ErrNotFound)
	}
	if h.conn == nil {
		conn, err := Dial(f.o.VCHs, h.vch)
		if err != nil {
			return nil, err
		}
		h.conn = conn
	}
	return h.conn, nil
}
