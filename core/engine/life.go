package engine

import (
	"context"
	"errors"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// watched says whether a container's life has more to tell than its start and its end.
func (d *Definition) watched() bool { return !d.Restart.None() || d.HealthCheck }

// watch begins to follow what the tether tells of restarts and health; once for each run.
func (e *Engine) watch(r *run) {
	var done chan struct{}
	r.c.update(func() {
		if r.watching == nil && !r.over {
			done = make(chan struct{})
			r.watching = done
		}
	})
	if done == nil {
		return
	}
	go func() {
		defer close(done)
		err := r.link.WatchState(r.ctx, func(s link.State) { e.apply(r, s) })
		if err != nil && r.ctx.Err() == nil {
			e.log.Warn("restarts and health of a container are not seen", "container", r.c.id, "err", err)
		}
	}()
}

// awaitWatch returns when all that came before the end has been told.
func (r *run) awaitWatch() {
	r.c.mu.Lock()
	watching := r.watching
	r.c.mu.Unlock()
	if watching == nil {
		return
	}
	select {
	case <-watching:
	case <-r.ctx.Done():
	}
}

// apply takes what the tether says of the container's life and tells what is new in it.
func (e *Engine) apply(r *run, s link.State) {
	r.step.Lock()
	defer r.step.Unlock()
	if r.isOver() {
		return
	}
	e.applyRestart(r, s)
	c := r.c
	var health string
	c.update(func() {
		before := c.state.Health
		if s.Health == nil {
			return
		}
		c.state.Health = s.Health
		if before == nil || before.Status != s.Health.Status {
			health = s.Health.Status
		}
	})
	// The beginning is no change: Docker does not tell of it.
	if health != "" && health != guest.HealthStarting {
		e.emit(c, "health_status: "+health)
	}
}

// applyRestart tells of processes that have ended and of those that followed. States come one at a
// time: of processes that came and went between two of them only the last one's end is known, and the
// ends before it are told in its words.
func (e *Engine) applyRestart(r *run, s link.State) {
	c := r.c
	var deaths int
	var started, waiting bool
	var exit guest.Exit
	c.update(func() {
		st := &c.state
		if total := r.base + s.Restarts; total > st.Restarts && s.Exit != nil {
			deaths, exit, waiting = total-st.Restarts, *s.Exit, st.Status == StatusRestarting
			if s.Phase != link.PhaseEnded { // else this is the end after the last restart, which finish tells
				r.told = exit.Finished
			}
			c.setExit(exit)
			st.Restarts, st.Status, r.paused = total, StatusRestarting, false
		}
		if s.Phase == link.PhaseRunning && st.Status == StatusRestarting {
			started = true
			st.Status, st.Pid, st.Started, st.ExitCode, st.OOM = StatusRunning, s.Pid, s.Started, 0, false
			r.stdin = r.link.Stdin("", false)
		}
	})
	for range deaths {
		if waiting {
			e.emit(c, "start")
		}
		e.emitExit(c, exit)
		waiting = true
	}
	if started {
		e.emit(c, "start")
	}
}

// emitExit tells of the end of a process.
func (e *Engine) emitExit(c *container, exit guest.Exit) {
	if exit.OOM {
		e.emit(c, "oom")
	}
	if exit.Error == "" {
		ran := max(exit.Finished.Sub(exit.Started), 0)
		if exit.Started.IsZero() {
			ran = 0
		}
		e.emit(c, "die", "exitCode", itoa(int(exit.Code)), "execDuration", itoa(int(ran.Seconds())))
	}
}

// Pause freezes a container's processes.
func (e *Engine) Pause(ctx context.Context, ref string) error {
	c, err := e.lookup(ref)
	if err != nil {
		return err
	}
	r, err := c.activeRun()
	if err != nil {
		return err
	}
	switch c.view().State.Status {
	case StatusPaused:
		return fail(errdef.ErrConflict, "Container %s is already paused", c.id)
	case StatusRestarting:
		return errRestarting(c.id)
	}
	if err := r.tell(ctx, r.link.Pause); err != nil {
		return fail(class(err), "cannot pause container %s: %v", c.id, err)
	}
	e.paused(r, true)
	return nil
}

// Unpause lets them go on.
func (e *Engine) Unpause(ctx context.Context, ref string) error {
	c, err := e.lookup(ref)
	if err != nil {
		return err
	}
	r, err := c.activeRun()
	if err != nil || c.view().State.Status != StatusPaused {
		return fail(errdef.ErrConflict, "Container %s is not paused", c.id)
	}
	c.mu.Lock()
	frozen := r.paused
	c.mu.Unlock()
	if !frozen {
		return fail(errdef.ErrConflict, "cannot unpause container %s: its VM is suspended; resume it in vSphere", c.id)
	}
	if err := r.tell(ctx, r.link.Resume); err != nil {
		return fail(class(err), "cannot unpause container %s: %v", c.id, err)
	}
	e.paused(r, false)
	return nil
}

// tell makes a call to the tether that it answers soon, or not at all.
func (r *run) tell(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, signalPatience)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	err := call(ctx)
	switch {
	case err != nil && (r.ctx.Err() != nil || r.isOver()):
		return errNotRunning(r.c.id) // it ended meanwhile
	case errors.Is(err, context.DeadlineExceeded):
		return fail(errdef.ErrUnavailable, "its VM does not answer")
	}
	return err
}

// class is the class of an error of sdk/errdef, internal for others.
func class(err error) error {
	for _, c := range []error{errdef.ErrUnavailable, errdef.ErrConflict, errdef.ErrNotFound, errdef.ErrUnsupported, errdef.ErrCanceled} {
		if errors.Is(err, c) {
			return c
		}
	}
	return errdef.ErrInternal
}

// paused notes that the processes are frozen, or go on, and tells it.
func (e *Engine) paused(r *run, paused bool) {
	word := "unpause"
	r.c.update(func() {
		if r.over || r.paused == paused {
			word = ""
			return
		}
		r.paused = paused
		r.c.state.Status = StatusRunning
		if paused {
			r.c.state.Status, word = StatusPaused, "pause"
		}
	})
	if word != "" {
		e.emit(r.c, word)
	}
}

// adoptState takes the state in which a tether is found, without telling of it: it came about
// before.
func (r *run) adoptState(s *link.State) {
	if s == nil {
		return
	}
	st := &r.c.state
	st.Health = s.Health
	if !r.adopted {
		return
	}
	st.Restarts = r.base + s.Restarts
	switch {
	case s.Phase == link.PhaseRestarting && s.Exit != nil:
		st.Status, st.Pid, st.ExitCode, st.Finished = StatusRestarting, 0, int(s.Exit.Code), s.Exit.Finished
	case s.Paused:
		st.Status, r.paused = StatusPaused, true
	}
}

// begun says whether the first process has run, or could not.
func begun(h link.Hello) bool {
	if h.Running || h.Exit != nil {
		return true
	}
	return h.State != nil && (h.State.Phase == link.PhaseRestarting || h.State.Restarts > 0)
}

// StatsInterval is Docker's, between two readings of a stream.
const StatsInterval = time.Second

// Stats calls fn with what a container uses, each StatsInterval until fn fails or ctx or the
// container ends; once without stream. ErrConflict if it does not run.
func (e *Engine) Stats(ctx context.Context, ref string, stream bool, fn func(link.Stats) error) error {
	c, err := e.lookup(ref)
	if err != nil {
		return err
	}
	r, err := c.activeRun()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	if stream {
		return endOfRun(r, r.link.Stats(ctx, StatsInterval, fn))
	}
	return r.tell(ctx, func(ctx context.Context) error { return r.link.Stats(ctx, 0, fn) })
}

// Processes lists a container's processes.
func (e *Engine) Processes(ctx context.Context, ref string) (link.Processes, error) {
	var out link.Processes
	c, err := e.lookup(ref)
	if err != nil {
		return out, err
	}
	r, err := c.activeRun()
	if err != nil {
		return out, err
	}
	if c.view().State.Status == StatusRestarting {
		return out, errRestarting(c.id)
	}
	err = r.tell(ctx, func(ctx context.Context) (err error) {
		out, err = r.link.Processes(ctx)
		return err
	})
	if err == nil {
		e.emit(c, "top")
	}
	return out, err
}
