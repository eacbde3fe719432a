package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/guest"
)

const (
	// drainPatience is how long an ended container waits for an attached client that takes nothing.
	drainPatience = time.Minute
	// offPatience is how long a VM may take to power itself off before it is powered off.
	offPatience = 20 * time.Second
	// offRetry and offRetryMax are how long after a power-off that failed the next one is tried.
	offRetry    = 500 * time.Millisecond
	offRetryMax = 5 * time.Second
	// noteAfter is how old a run is when the engine notes in the metadata that there was one.
	// Short runs leave their exit record soon enough.
	noteAfter = 2 * time.Second
)

// codeKilled is the exit code of a container whose VM was powered off by others.
const codeKilled = 137

// run is one boot of a container's VM: from power on to power off. It belongs to its container: the fields
// below are guarded by the container's mu, and the states of its process and its VM are the container's
// while the container has it as its run. A run that is not the container's any more is off.
//
// Three come with news of it, at the same time and in any order: follow, over the link; Watch, from the
// platform; and calls of users. Each ends in processRuns, processEnded or vmOff, which do nothing when
// another has done it.
type run struct {
	c      *container
	link   *link.Link
	stdin  *link.Stdin
	ctx    context.Context // ends when the VM is off
	cancel context.CancelFunc
	origin origin
	// released gives back what the container holds while it has a run; called once the VM is off.
	released  func()
	delivered atomic.Int64 // output chunks that attached clients took

	step sync.Mutex // held over a transition and its event, so that events come in the order of transitions

	// Under c.mu:
	contact     contact
	sighting    sighting
	powered     time.Time // when compute said that the VM is on
	hello       link.Hello
	failure     string        // why the process could not be started
	readersShut bool          // the VM is about to go off: its output is read elsewhere
	offErr      error         // why it could not be powered off yet
	readers     int           // attached clients
	base        int           // restarts before this boot
	lastTold    time.Time     // the end of the last process whose restart applyRestart has told of
	watching    chan struct{} // closed when the watch of the state has ended; nil without one
}

// off says whether the VM of the run is off; called with c.mu held.
func (r *run) off() bool { return r.c.run != r }

// ended says whether the run's process has ended for good; called with c.mu held.
func (r *run) ended() bool { return r.off() || r.c.life.ended() }

// hasEnded is ended for those who do not hold c.mu.
func (r *run) hasEnded() bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.ended()
}

// answered says whether the tether has answered, or never will; called with c.mu held.
func (r *run) answered() bool { return r.contact >= contactAnswered || r.off() }

// move applies an occurrence to the container's life, if this is its run; called with c.mu held.
func (r *run) move(o occurrence) bool { return !r.off() && r.c.move(o) }

// newRun makes the container's next run and hands it to the clients that wait for it. A container
// that is being removed has none: either this sees the mark, or the removal sees the run. Nor has one
// whose start is no longer wanted, which is when wanted ends, or that has one: an administrator may power
// a VM on while it is being started here. ErrNotModified then.
func (e *Engine) newRun(wanted context.Context, c *container, from origin) (*run, error) {
	l, err := e.dialer.Dial(e.ctx, c.id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(e.ctx)
	r := &run{c: c, link: l, stdin: l.Stdin("", from == startedHere), ctx: ctx, cancel: cancel, origin: from}
	r.released = func() { e.Volumes.claims.release(c); e.emitMounts(c, "unmount") }
	var refused error
	c.update(func() {
		switch {
		case c.going():
			refused = errMarked()
		case wanted.Err() != nil && !c.life.hasRun():
			refused = wanted.Err()
		case !c.move(onBoot):
			refused = ErrNotModified
		}
		if refused != nil {
			return
		}
		if from != startedHere && c.life == lifeStartingAgain {
			c.cancelAwaiting() // others have started it
		}
		c.recent = nil
		c.run = r
		if u := c.def.Update.Restart; u != nil {
			r.base = u.Count
		}
		for _, p := range c.nextRun {
			r.readers++
			p <- r
		}
		c.nextRun = nil
	})
	if refused != nil {
		cancel()
		l.Close()
		return nil, refused
	}
	if from != startedHere {
		e.Volumes.claims.try(c, c.exclusive())
	}
	return r, nil
}

// leave ends the run with an occurrence after which the VM is off, and does then, if that is not nil, in the same
// moment, with c.mu held; false if the occurrence does not apply: another has ended the run, or will.
func (r *run) leave(o occurrence, then func()) bool {
	c, left := r.c, false
	c.update(func() {
		if left = r.move(o); !left {
			return
		}
		c.run, c.offAt = nil, time.Now()
		if then != nil {
			then()
		}
		r.cancel()
		r.link.Close()
	})
	if left {
		r.released()
	}
	return left
}

// bootFailed ends a run whose VM could not be powered on. If the platform has shown it on and off again
// meanwhile, that has ended the run, or will.
func (r *run) bootFailed() {
	c := r.c
	r.leave(onBootFailed, func() {
		if c.life == lifeAwaiting && !c.policyWants(int32(c.lastCode), c.state.Restarts-1) { // the present one is counted
			c.stayOff() // a user has ended it during the start
		}
	})
}

// follow sees a run to its end over the link. If the VM goes off first, vmOff ends it.
func (e *Engine) follow(r *run) {
	h, err := r.link.Hello(r.ctx)
	if err != nil {
		return
	}
	r.c.update(func() { r.contact, r.hello = contactAnswered, h })
	if h, err = r.awaitStart(h); err != nil {
		return
	}
	failed := h.Exit != nil && h.Exit.Error != "" && r.origin != foundRunning
	if !failed {
		e.processRuns(r, h)
		if d := r.c.definition(); d.watched() {
			e.watch(r)
		}
	}
	r.c.update(func() { r.contact, r.hello = contactSettled, h })
	exit := h.Exit
	if exit == nil {
		x, err := r.link.Wait(r.ctx, "")
		if err != nil {
			return
		}
		exit = &x
	}
	r.awaitWatch()
	e.processEnded(r, *exit)
	e.closeDown(r)
}

// awaitStart returns what the tether says when the process runs or could not be started. The link
// comes up beside the last steps before the start, so that it is a matter of milliseconds.
func (r *run) awaitStart(h link.Hello) (link.Hello, error) {
	if settled(h) {
		return h, nil
	}
	if err := r.link.AwaitStart(r.ctx); err != nil {
		return h, err
	}
	return r.link.Hello(r.ctx)
}

// processRuns notes that a run's process runs, and tells of it once.
func (e *Engine) processRuns(r *run, h link.Hello) {
	r.step.Lock()
	defer r.step.Unlock()
	c, begins, suspended := r.c, false, false
	news := r.origin != foundRunning
	c.update(func() {
		begins, suspended = r.move(onRuns), c.suspended
		if r.off() || c.life != lifeRunning && c.life != lifePaused {
			return
		}
		s := &c.state
		s.Pid = h.Pid
		if !h.Started.IsZero() {
			s.Started = h.Started
		}
		if s.Started.IsZero() || (begins && news && h.Started.IsZero()) {
			s.Started = time.Now().UTC()
		}
		if begins && news {
			s.ExitCode, s.Error, s.OOM, s.Finished, s.Restarts = 0, "", false, time.Time{}, r.base
		}
		r.adoptState(h.State)
	})
	if !begins {
		return
	}
	if news {
		e.tellConnected(c, "", "connect")
		e.emit(c, "start")
		if suspended {
			e.emit(c, "pause")
		}
	}
	go e.noteFirstRun(r)
}

// processEnded notes that a run's process has ended for good or could not be started, and tells of it
// once; false if another has.
func (e *Engine) processEnded(r *run, exit guest.Exit) bool {
	r.step.Lock()
	defer r.step.Unlock()
	if r.hasEnded() {
		return false
	}
	c := r.c
	e.unpublish(c) // before anyone knows: the ports are free for who comes next
	o := onEnds
	if exit.Error != "" {
		o = onCannotRun
	}
	ended, between, toldBefore := false, false, false
	c.update(func() {
		between = c.life == lifeRestarting
		if ended = r.move(o); !ended {
			return
		}
		toldBefore = between && exit.Finished.Equal(r.lastTold) // it was stopped before its next start
		r.failure = exit.Error
		c.lastExit = &exitMark{exit.Code, exit.Finished}
		c.noteExit(exit)
	})
	if !ended {
		return false
	}
	if between && !toldBefore && exit.Error == "" {
		e.emit(c, "start") // of the last process, which was too quick to be seen
	}
	if !toldBefore {
		e.emitExit(c, exit)
	}
	if exit.Error == "" {
		e.tellConnected(c, "", "disconnect")
	}
	if c.view().State.Restarts > 0 {
		go e.saveRun(c) // the exit record does not say how often it was restarted
	}
	return true
}
