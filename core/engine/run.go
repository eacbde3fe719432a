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
	// markAfter is how old a run is when the engine notes in the metadata that there was one.
	// Short runs leave their exit record soon enough.
	markAfter = 2 * time.Second
	// startPause is the longest time between two questions whether the process has started.
	startPause = 50 * time.Millisecond
)

// codeKilled is the exit code of a container whose VM was powered off by others.
const codeKilled = 137

// run is one boot of a container's VM: from power on to power off.
type run struct {
	c       *container
	link    *link.Link
	stdin   *link.Stdin
	ctx     context.Context // ends when the VM is off
	cancel  context.CancelFunc
	adopted bool         // it was running when the engine found it
	ended   func()       // called once the VM is off
	taken   atomic.Int64 // output chunks that attached clients took

	step  sync.Mutex // one transition with its event after the other
	began bool       // under step

	// Under c.mu:
	powered    time.Time // when compute said that the VM is on
	confirmed  bool      // Watch showed the VM on
	rechecking bool      // an off message is being asked again
	up         bool      // the tether has answered
	started    bool      // the process runs, or has ended
	hello      link.Hello
	over       bool          // the process has ended
	closing    bool          // the VM is about to go off: its log is read elsewhere
	gone       bool          // the VM is off
	offErr     error         // why it could not be powered off yet
	readers    int           // attached clients
	base       int           // restarts before this boot
	paused     bool          // the processes are frozen
	told       time.Time     // the end of the last process that apply has told of
	watching   chan struct{} // closed when the watch of the state has ended; nil without one
}

// newRun makes the container's next run and hands it to the clients that wait for it. A container
// that is being removed has none: either this sees the mark, or the removal sees the run. Nor has one
// whose start is no longer wanted, which is when wanted ends, or that has one: an administrator may power
// a VM on while it is being started here. ErrNotModified then.
func (e *Engine) newRun(wanted context.Context, c *container, adopted bool) (*run, error) {
	l, err := e.dialer.Dial(e.ctx, c.id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(e.ctx)
	r := &run{c: c, link: l, stdin: l.Stdin("", !adopted), ctx: ctx, cancel: cancel, adopted: adopted}
	r.ended = sync.OnceFunc(func() { e.volumes.unclaim(c); e.emitMounts(c, "unmount") })
	var refused error
	c.update(func() {
		switch {
		case c.removing || c.removed:
			refused = errMarked()
		case c.run != nil:
			refused = ErrNotModified
		default:
			refused = wanted.Err()
		}
		if refused != nil {
			return
		}
		if adopted && c.again != nil {
			c.again() // it was started by others
		}
		c.again = nil
		c.kept, c.keptWhole = nil, false
		c.run = r
		if u := c.def.Update.Restart; u != nil {
			r.base = u.Count
		}
		for _, p := range c.pending {
			r.readers++
			p <- r
		}
		c.pending = nil
	})
	if refused != nil {
		cancel()
		l.Close()
		return nil, refused
	}
	if adopted {
		e.volumes.tryClaim(c, c.exclusive())
	}
	return r, nil
}

// follow sees a run to its end over the link. If the VM goes off first, vmOff ends it.
func (e *Engine) follow(r *run) {
	h, err := r.link.Hello(r.ctx)
	if err != nil {
		return
	}
	r.c.update(func() { r.up, r.hello = true, h })
	if h, err = r.awaitStart(h); err != nil {
		return
	}
	failed := h.Exit != nil && h.Exit.Error != "" && !r.adopted
	if !failed {
		e.begin(r, h)
		if d := r.c.definition(); d.watched() {
			e.watch(r)
		}
	}
	r.c.update(func() { r.started, r.hello = true, h })
	exit := h.Exit
	if exit == nil {
		x, err := r.link.Wait(r.ctx, "")
		if err != nil {
			return
		}
		exit = &x
	}
	r.awaitWatch()
	e.finish(r, *exit)
	e.wind(r)
}

// awaitStart returns what the tether says when the process runs or could not be started. The link
// comes up beside the last steps before the start, so that it is a matter of milliseconds.
func (r *run) awaitStart(h link.Hello) (link.Hello, error) {
	for pause := 2 * time.Millisecond; !begun(h); pause = min(2*pause, startPause) {
		select {
		case <-time.After(pause):
		case <-r.ctx.Done():
			return h, r.ctx.Err()
		}
		var err error
		if h, err = r.link.Hello(r.ctx); err != nil {
			return h, err
		}
	}
	return h, nil
}

// begin marks a run's container as running, once, and tells.
func (e *Engine) begin(r *run, h link.Hello) {
	r.step.Lock()
	defer r.step.Unlock()
	r.c.update(func() {
		if r.over {
			return
		}
		s := &r.c.state
		s.Pid = h.Pid
		if !h.Started.IsZero() {
			s.Started = h.Started
		}
		if s.Started.IsZero() || (!r.began && !r.adopted && h.Started.IsZero()) {
			s.Started = time.Now().UTC()
		}
		if s.Status != StatusPaused {
			s.Status = StatusRunning
		}
		if !r.began && !r.adopted {
			s.ExitCode, s.Error, s.OOM, s.Finished, s.Restarts = 0, "", false, time.Time{}, r.base
		}
		r.adoptState(h.State)
	})
	if r.began {
		return
	}
	r.began = true
	if !r.adopted {
		e.tellConnected(r.c, "", "connect")
		e.emit(r.c, "start")
	}
	go e.mark(r)
}

// finish marks a run's container as exited, once, and tells.
func (e *Engine) finish(r *run, exit guest.Exit) {
	r.step.Lock()
	defer r.step.Unlock()
	c, known, waited, told := r.c, false, false, false
	if !r.isOver() {
		e.unpublish(c) // before anyone knows: the ports are free for who comes next
	}
	c.update(func() {
		if known = r.over; known {
			return
		}
		waited = c.state.Status == StatusRestarting
		told = waited && exit.Finished.Equal(r.told) // it was stopped before its next start
		r.over = true
		c.lastExit = &exitMark{exit.Code, exit.Finished}
		c.setExit(exit)
	})
	if known {
		return
	}
	if waited && !told {
		e.emit(c, "start") // of the last process, which was too quick to be seen
	}
	if !told {
		e.emitExit(c, exit)
	}
	if exit.Error == "" {
		e.tellConnected(c, "", "disconnect")
	}
	if c.view().State.Restarts > 0 {
		go e.saveRun(c) // the exit record does not say how often it was restarted
	}
}
