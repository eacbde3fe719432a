package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	// maxStarts is how many VMs may be on their way from their power-on to their process at a time.
	// More of them would get there later, all of them.
	maxStarts = 16
	// roomFor is how long an answer of the driver about its capacity is used.
	roomFor = 5 * time.Second
)

// room decides what may start: the memory of the VMs that are on must fit into what the driver says
// that there is.
type room struct {
	reporter compute.Reporter // nil: the driver does not tell
	slots    chan struct{}    // holds one token for each start under way

	asking sync.Mutex // one question at a time
	known  compute.Capacity
	at     time.Time // when it was asked

	deciding sync.Mutex // from the sum to the new run: two starts do not get the same room
}

func newRoom(d compute.Driver) *room {
	r, _ := d.(compute.Reporter)
	return &room{reporter: r, slots: make(chan struct{}, maxStarts)}
}

// slot waits for a turn to start; the returned function ends it.
func (r *room) slot(ctx context.Context) (func(), error) {
	select {
	case r.slots <- struct{}{}:
		return func() { <-r.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Capacity is what the containers may use together; zero where that is not known.
func (e *Engine) Capacity(ctx context.Context) compute.Capacity {
	r := e.room
	if r.reporter == nil {
		return compute.Capacity{}
	}
	r.asking.Lock()
	defer r.asking.Unlock()
	if !r.at.IsZero() && time.Since(r.at) < roomFor {
		return r.known
	}
	c, err := r.reporter.Capacity(ctx)
	switch {
	case err == nil, errors.Is(err, errdef.ErrUnsupported):
		r.known, r.at = c, time.Now()
	case ctx.Err() != nil: // who asked has gone
	default:
		e.log.Warn("the capacity of the platform is not known; what was known counts", "err", err)
	}
	return r.known
}

// admit makes a container's next run if there is room for its VM.
func (e *Engine) admit(ctx context.Context, c *container) (*run, error) {
	limit := e.Capacity(ctx).MemoryMB
	e.room.deciding.Lock()
	defer e.room.deciding.Unlock()
	if limit > 0 {
		used, need := e.memoryOn(), c.definition().MemoryMB
		if free := limit - used; need > free {
			return nil, fail(errdef.ErrExhausted, "no room for container %s: its VM needs %d MB of memory, "+
				"%d MB are free of the %d MB that the virtual container host may use",
				c.definition().Name, need, max(free, 0), limit)
		}
	}
	return e.newRun(ctx, c, startedHere)
}

// memoryOn is the memory of the VMs that are on or about to be.
func (e *Engine) memoryOn() (mb int64) {
	for _, c := range e.registry.all() {
		c.mu.Lock()
		if c.life.hasRun() {
			mb += c.def.MemoryMB
		}
		c.mu.Unlock()
	}
	return mb
}
