package engine

import (
	"context"
	"errors"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

const (
	sigKill = 9
	sigTerm = 15
	// defaultStopTimeout is Docker's.
	defaultStopTimeout = 10 * time.Second
	// signalPatience is how long a signal waits for the tether.
	signalPatience = 10 * time.Second
	// killPatience is how long SIGKILL over the link may take before the VM is powered off.
	killPatience = 3 * time.Second
)

// StopOptions change how Stop and Restart end the process.
type StopOptions struct {
	Signal  int  // 0: the container's
	Timeout *int // seconds; nil: the container's; negative: without end
}

// Stop ends a container's process: a signal first, SIGKILL after the timeout. ErrNotModified if it
// does not run.
func (e *Engine) Stop(ctx context.Context, ref string, o StopOptions) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	if err := e.stop(ctx, c, o); err != nil {
		return err
	}
	e.awaitAutoRemoval(ctx, c)
	return nil
}

func (e *Engine) stop(ctx context.Context, c *container, o StopOptions) error {
	r, awaiting, err := e.whatToStop(ctx, c)
	switch {
	case awaiting:
		e.emit(c, "stop")
		return nil
	case err != nil:
		return e.stopEnding(ctx, c)
	}
	d := c.definition()
	signal := first(o.Signal, d.StopSignal, sigTerm)
	err = e.signal(ctx, r, signal, true)
	if err != nil && !errors.Is(err, errdef.ErrConflict) {
		e.log.Info("stop: the process cannot be signalled", "container", c.id, "err", err)
		if err := c.call(func() error { return e.opts.Compute.Stop(ctx, c.id) }); err != nil && !errors.Is(err, errdef.ErrUnsupported) {
			e.log.Info("stop: the guest cannot be asked to shut down", "container", c.id, "err", err)
		}
	}
	if err := awaitEnd(ctx, r, stopTimeout(o.Timeout, d.StopTimeout)); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // the client has left: Docker leaves the rest as well
		}
		if err := e.kill(ctx, r); err != nil {
			return err
		}
	}
	e.emit(c, "stop")
	return nil
}

// stopEnding is stop for a container that does not run: its policy may be about to start the VM again
// that is just going off.
func (e *Engine) stopEnding(ctx context.Context, c *container) error {
	c.mu.Lock()
	ending := c.life.ended() && !c.def.Restart.None()
	c.mu.Unlock()
	if ending {
		e.noteManualStop(ctx, c) // before its VM is off: the policy looks at it then
		if _, awaiting, _ := e.whatToStop(ctx, c); awaiting {
			e.emit(c, "stop")
			return nil
		}
	}
	return ErrNotModified
}

func first(n ...int) int {
	for _, v := range n {
		if v != 0 {
			return v
		}
	}
	return 0
}

// stopTimeout is how long to wait; 0 means not at all, negative without end.
func stopTimeout(asked, own *int) time.Duration {
	if asked == nil {
		asked = own
	}
	if asked == nil {
		return defaultStopTimeout
	}
	return time.Duration(*asked) * time.Second
}

// awaitEnd returns when the process has ended, or the error of a context.
func awaitEnd(ctx context.Context, r *run, d time.Duration) error {
	if d >= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	return r.c.await(ctx, r.ended)
}

// whatToStop is what a stop has to do with, in one look: a run that is active, or a start of the VM that the
// policy awaited, which is ended. Either way it notes that a user ends the container. Else it returns why
// there is nothing to stop.
func (e *Engine) whatToStop(ctx context.Context, c *container) (r *run, awaiting bool, err error) {
	c.update(func() {
		if awaiting = c.stayOff(); !awaiting {
			r, err = c.active()
		}
	})
	if err == nil {
		e.noteManualStop(ctx, c)
	}
	if awaiting {
		go e.saveRun(c)
	}
	return r, awaiting, err
}
