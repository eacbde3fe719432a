package engine

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/guest"
)

// container is one container. op serialises what is done to it; mu guards what is known of it.
type container struct {
	id     string
	op     chan struct{} // holds one token: the right to operate
	ports  sync.Mutex    // held while ports are published or freed
	driver sync.Mutex    // held during a changing call to the compute driver

	mu      sync.Mutex
	def     Definition
	state   State
	locator string
	// addresses as the guest reports them.
	addresses []netip.Addr
	run       *run // the VM's present boot; nil while it is off
	lastExit  *exitMark
	offAt     time.Time // when the last run ended
	exits     int       // counts exits, for those who wait for the next one
	lastCode  int       // of the last exit, also when the container runs again
	backoff   guest.Backoff
	again     context.CancelFunc // ends the wait for a start of the VM that the policy asks for
	removing  bool               // by us
	keep      bool               // an end is not the end: it is being restarted
	removed   bool
	changed   chan struct{} // closed and replaced at every change
	resting   int           // attached clients that read the rest from the disk of a VM that is off
	pending   []chan *run   // attached clients that wait for a start
	execs     []string
	// kept is the output of a container that has ended, if it is short.
	kept      []link.Chunk
	keptWhole bool
}

// exitMark tells one exit record from another.
type exitMark struct {
	code     int32
	finished time.Time
}

func newContainer(def Definition) *container {
	c := &container{id: def.ID, op: make(chan struct{}, 1), def: def, state: State{Status: StatusCreated}, changed: make(chan struct{})}
	c.op <- struct{}{}
	return c
}

// lock takes the right to operate; the returned function gives it back.
func (c *container) lock(ctx context.Context) (func(), error) {
	select {
	case <-c.op:
		return func() { c.op <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *container) definition() Definition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.def
}

func (c *container) view() Container {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Container{Definition: c.def, State: c.state, ExecIDs: slices.Clone(c.execs), Locator: c.locator, Addresses: c.addresses}
}

// update changes the container and wakes those who wait.
func (c *container) update(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
	c.notify()
}

func (c *container) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// await returns when cond, called under mu, is true.
func (c *container) await(ctx context.Context, cond func() bool) error {
	for {
		c.mu.Lock()
		ok, changed := cond(), c.changed
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// activeRun returns the run of a container that runs or is about to: what needs its process waits
// for it at the tether.
func (c *container) activeRun() (*run, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil && c.state.Status == StatusRestarting {
		return nil, errRestarting(c.id)
	}
	if c.run == nil || c.run.over {
		return nil, errNotRunning(c.id)
	}
	return c.run, nil
}

// setExit makes the container exited (or created again, if its process never started).
func (c *container) setExit(e guest.Exit) {
	c.state.Status = StatusExited
	if e.Error != "" {
		c.state.Status = StatusCreated
	}
	c.state.Pid, c.state.ExitCode, c.state.OOM, c.state.Error = 0, int(e.Code), e.OOM, e.Error
	if !e.Started.IsZero() {
		c.state.Started = e.Started
	}
	c.state.Finished = e.Finished
	if c.state.Finished.IsZero() {
		c.state.Finished = time.Now().UTC()
	}
	c.exits++
	c.lastCode = c.state.ExitCode
}
