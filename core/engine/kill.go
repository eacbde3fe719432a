package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
)

// Kill sends a signal to a container's process; for SIGKILL it returns when the process has ended.
func (e *Engine) Kill(ctx context.Context, ref string, signal int) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	r, awaiting, err := e.whatToStop(ctx, c)
	if awaiting || err != nil {
		return err
	}
	if signal == 0 || signal == sigKill {
		if err := e.kill(ctx, r); err != nil {
			return err
		}
		e.awaitAutoRemoval(ctx, c)
		return nil
	}
	// dockerd takes every signal for the end of the policy, unless the container has a stop signal of
	// its own, which is then the only one.
	own := c.definition().StopSignal
	err = e.signal(ctx, r, signal, own == 0 || own == signal)
	if errors.Is(err, errdef.ErrConflict) {
		return errNotRunning(c.id)
	}
	if canceled(err) {
		return fail(errdef.ErrUnavailable, "container %s: the process cannot be signalled now: its VM does not answer", c.id)
	}
	return err
}

// kill ends the process for sure: over the link, so that it leaves its record, else with the power.
func (e *Engine) kill(ctx context.Context, r *run) error {
	ctx, cancel := e.detached(ctx)
	defer cancel()
	e.emit(r.c, "kill", "signal", itoa(sigKill))
	soft, done := context.WithTimeout(ctx, killPatience)
	defer done()
	if err := r.link.Stop(soft, sigKill); err == nil {
		e.setFrozen(r, false)
		if awaitEnd(soft, r, killPatience) == nil {
			return nil
		}
	}
	if r.hasEnded() {
		return nil
	}
	if err := r.c.call(func() error { return e.opts.Compute.Kill(ctx, r.c.id) }); err != nil {
		return fmt.Errorf("container VM %s: %w", r.c.id, err)
	}
	e.vmOff(r, nil)
	return nil
}

// signal sends a signal and tells; it waits for the tether if it is still booting. stop says that it
// is meant as the end of the container.
func (e *Engine) signal(ctx context.Context, r *run, signal int, stop bool) error {
	ctx, cancel := context.WithTimeout(ctx, signalPatience)
	defer cancel()
	e.emit(r.c, "kill", "signal", itoa(signal))
	defer context.AfterFunc(r.ctx, cancel)()
	var err error
	if stop {
		if err = r.link.Stop(ctx, signal); err == nil {
			e.setFrozen(r, false)
		}
	} else {
		err = r.link.Signal(ctx, "", signal)
	}
	if err != nil && !errors.Is(err, errdef.ErrConflict) && r.hasEnded() {
		return nil // it ended before the answer came
	}
	return err
}
