package engine

import (
	"context"
	"errors"

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
		if r.watching == nil && !r.ended() {
			done = make(chan struct{})
			r.watching = done
		}
	})
	if done == nil {
		return
	}
	go func() { // ends with the process, or with the run
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

// apply takes what the tether says of the container's life and tells what is new in it. States come from one
// goroutine for each run; run.step keeps their events apart from those of a pause and of the end.
func (e *Engine) apply(r *run, s link.State) {
	r.step.Lock()
	defer r.step.Unlock()
	if r.hasEnded() {
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
		between := c.life == lifeRestarting
		if total := r.base + s.Restarts; total > st.Restarts && s.Exit != nil && r.move(onEndsForNow) {
			deaths, exit, waiting = total-st.Restarts, *s.Exit, between
			if s.Phase != link.PhaseEnded { // else this is the end after the last restart, which processEnded tells
				r.lastTold = exit.Finished
			}
			c.noteExit(exit)
			st.Restarts = total
		}
		if s.Phase == link.PhaseRunning && r.move(onRunsAgain) {
			started = true
			st.Pid, st.Started, st.ExitCode, st.OOM = s.Pid, s.Started, 0, false
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

// ask makes a call to the tether that it answers soon, or not at all.
func (r *run) ask(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, signalPatience)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	err := call(ctx)
	switch {
	case err != nil && (r.ctx.Err() != nil || r.hasEnded()):
		return errNotRunning(r.c.id) // it ended meanwhile
	case errors.Is(err, context.DeadlineExceeded):
		return fail(errdef.ErrUnavailable, "its VM does not answer")
	}
	return err
}

// adoptState takes the state in which a tether is found, without telling of it: it came about
// before. Called with c.mu held.
func (r *run) adoptState(s *link.State) {
	if s == nil {
		return
	}
	st := &r.c.state
	st.Health = s.Health
	if r.origin != foundRunning {
		return
	}
	st.Restarts = r.base + s.Restarts
	switch {
	case s.Phase == link.PhaseRestarting && s.Exit != nil:
		if r.move(onEndsForNow) {
			st.Pid, st.ExitCode, st.Finished = 0, int(s.Exit.Code), s.Exit.Finished
			r.lastTold = s.Exit.Finished
		}
	case s.Paused:
		r.move(onFreeze)
	}
}

// settled says whether the first process has run, or could not.
func settled(h link.Hello) bool {
	if h.Running || h.Exit != nil {
		return true
	}
	return h.State != nil && (h.State.Phase == link.PhaseRestarting || h.State.Restarts > 0)
}
