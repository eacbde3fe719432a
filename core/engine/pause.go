package engine

import (
	"context"

	"github.com/openvic/vic/sdk/errdef"
)

// Pause freezes a container's processes.
func (e *Engine) Pause(ctx context.Context, ref string) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	r, err := c.activeRun()
	if err != nil {
		return err
	}
	if err := r.awaitProcess(ctx); err != nil {
		return fail(class(err), "cannot pause container %s: %v", c.id, err)
	}
	switch c.view().State.Status {
	case StatusPaused:
		return fail(errdef.ErrConflict, "Container %s is already paused", c.id)
	case StatusRestarting:
		return errRestarting(c.id)
	}
	if err := r.ask(ctx, r.link.Pause); err != nil {
		return fail(class(err), "cannot pause container %s: %v", c.id, err)
	}
	e.setFrozen(r, true)
	return nil
}

// Unpause lets them go on.
func (e *Engine) Unpause(ctx context.Context, ref string) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	r, err := c.activeRun()
	if err != nil || c.view().State.Status != StatusPaused {
		return fail(errdef.ErrConflict, "Container %s is not paused", c.id)
	}
	c.mu.Lock()
	frozen := c.life == lifePaused
	c.mu.Unlock()
	if !frozen {
		return fail(errdef.ErrConflict, "cannot unpause container %s: its VM is suspended; resume it in vSphere", c.id)
	}
	if err := r.ask(ctx, r.link.Resume); err != nil {
		return fail(class(err), "cannot unpause container %s: %v", c.id, err)
	}
	e.setFrozen(r, false)
	return nil
}

// awaitProcess waits for the process of a run that is just being started, as long as for an answer of the
// tether.
func (r *run) awaitProcess(ctx context.Context) error {
	return r.ask(ctx, func(ctx context.Context) error {
		return r.c.await(ctx, func() bool { return r.off() || !r.c.life.starting() })
	})
}

// setFrozen notes that the tether has frozen the processes, or lets them go on, and tells it.
func (e *Engine) setFrozen(r *run, frozen bool) {
	o, word := onThaw, "unpause"
	if frozen {
		o, word = onFreeze, "pause"
	}
	r.step.Lock()
	defer r.step.Unlock()
	shown := false
	r.c.update(func() {
		before := r.c.state.Status
		shown = r.move(o) && r.c.state.Status != before // a VM that is suspended is paused before and after
	})
	if shown {
		e.emit(r.c, word)
	}
}
