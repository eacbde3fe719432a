package engine

import (
	"context"

	"github.com/openvic/vic/sdk/errdef"
)

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
