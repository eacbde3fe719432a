package engine

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/guest"
)

// container is one container. What may happen at once, and which lock is for what:
//
//   - op is the right to operate: starts, restarts, renames, updates, changes of networks and writes to
//     the disk of a container that is off come one after the other. Stop, kill, pause, exec, attach and
//     the removal of a running one do not take it: they must get through to a start that hangs.
//   - run.step makes one transition of a run, and the event that tells of it, follow the other.
//   - driver is held during a changing call to the compute driver, ports while ports are published.
//   - mu guards what is known of the container, and is held for moments only: never during a call to a
//     driver or over the link, nor while another lock is taken.
//
// They are taken in this order: op, run.step, ports, driver, mu.
type container struct {
	id     string
	op     chan struct{} // holds one token: the right to operate
	ports  sync.Mutex
	driver sync.Mutex

	mu  sync.Mutex
	def Definition
	// The states, of states.go; state.Status is what they show.
	life      life
	removal   removal
	suspended bool
	state     State
	locator   string
	// addresses as the guest reports them.
	addresses []netip.Addr
	run       *run // the VM's present boot; set while life.hasRun
	lastExit  *exitMark
	offAt     time.Time // when the last run ended
	exits     int       // counts exits, for those who wait for the next one
	lastCode  int       // of the last exit, also when the container runs again
	backoff   guest.Backoff
	// cancelAwaiting ends the policy's wait for the next start of the VM, and that start as long as it has no
	// run; it is of use in lifeAwaiting alone.
	cancelAwaiting context.CancelFunc
	// userRestart: a user restarts it (docker restart), so that its end is followed by neither its
	// policy nor its removal.
	userRestart bool
	changed     chan struct{} // closed and replaced at every change
	diskReaders int           // attached clients that read the rest of the output from the disk of a VM that is off
	nextRun     []chan *run   // attached clients that wait for a start
	execs       []string
	recent      *recentOutput // of the last run, if it was short and has ended
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

// move applies an occurrence to the life; false if it does not apply. Called with mu held.
func (c *container) move(o occurrence) bool {
	to, ok := c.life.next(o)
	if ok {
		c.life = to
		c.suspended = c.suspended && to.hasRun()
		c.showStatus()
	}
	return ok
}

// moveRemoval applies a step to the removal; false if it does not apply. Called with mu held.
func (c *container) moveRemoval(s removalStep) bool {
	to, ok := c.removal.next(s)
	if ok {
		c.removal = to
		c.showStatus()
	}
	return ok
}

// showStatus brings the status up to date after a change of a state; called with mu held.
func (c *container) showStatus() { c.state.Status = status(c.life, c.removal, c.suspended) }

// going says whether the container is being removed, or has been; called with mu held.
func (c *container) going() bool { return c.removal != removalNone }

// isGoing is going for those who do not hold mu.
func (c *container) isGoing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.going()
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
	return c.active()
}

// active is activeRun for those who hold mu.
func (c *container) active() (*run, error) {
	switch {
	case c.life == lifeAwaiting:
		return nil, errRestarting(c.id)
	case !c.life.active():
		return nil, errNotRunning(c.id)
	}
	return c.run, nil
}

// noteExit takes the record of a process that has ended, or could not be started, into the state; called
// with mu held.
func (c *container) noteExit(e guest.Exit) {
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
