package engine

import (
	"context"
	"errors"
	"fmt"
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
	c, err := e.lookup(ref)
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
	if e.endWait(ctx, c) {
		e.emit(c, "stop")
		return nil
	}
	r, err := c.activeRun()
	if err != nil {
		return e.stopEnding(ctx, c)
	}
	e.manually(ctx, c)
	d := c.definition()
	signal := first(o.Signal, d.StopSignal, sigTerm)
	err = e.signal(ctx, r, signal, true)
	if err != nil && !errors.Is(err, errdef.ErrConflict) {
		e.log.Info("stop: the process cannot be signalled", "container", c.id, "err", err)
		if err := c.call(func() error { return e.opts.Compute.Stop(ctx, c.id) }); err != nil && !errors.Is(err, errdef.ErrUnsupported) {
			e.log.Info("stop: the guest cannot be asked to shut down", "container", c.id, "err", err)
		}
	}
	if err := awaitOver(ctx, r, stopTimeout(o.Timeout, d.StopTimeout)); err != nil {
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
	ending := c.run != nil && !c.def.Restart.None()
	c.mu.Unlock()
	if ending {
		e.manually(ctx, c)
		if e.endWait(ctx, c) {
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

// awaitOver returns when the process has ended, or the error of a context.
func awaitOver(ctx context.Context, r *run, d time.Duration) error {
	if d >= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	return r.c.await(ctx, func() bool { return r.over })
}

// endWait ends the wait of a container for the next start of its VM, if it waits.
func (e *Engine) endWait(ctx context.Context, c *container) bool {
	waited := false
	c.update(func() { waited = c.stayOff() })
	if waited {
		e.manually(ctx, c)
		go e.saveRun(c)
	}
	return waited
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
			e.paused(r, false)
		}
	} else {
		err = r.link.Signal(ctx, "", signal)
	}
	if err != nil && !errors.Is(err, errdef.ErrConflict) && r.isOver() {
		return nil // it ended before the answer came
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
		e.paused(r, false)
		if awaitOver(soft, r, killPatience) == nil {
			return nil
		}
	}
	if r.isOver() {
		return nil
	}
	if err := r.c.call(func() error { return e.opts.Compute.Kill(ctx, r.c.id) }); err != nil {
		return fmt.Errorf("container VM %s: %w", r.c.id, err)
	}
	e.vmOff(r, nil)
	return nil
}

func (r *run) isOver() bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.over
}

// Kill sends a signal to a container's process; for SIGKILL it returns when the process has ended.
func (e *Engine) Kill(ctx context.Context, ref string, signal int) error {
	c, err := e.lookup(ref)
	if err != nil {
		return err
	}
	if e.endWait(ctx, c) {
		return nil
	}
	r, err := c.activeRun()
	if err != nil {
		return err
	}
	e.manually(ctx, c)
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

// Restart stops a container if it runs, and starts it.
func (e *Engine) Restart(ctx context.Context, ref string, o StopOptions) error {
	c, err := e.lookup(ref)
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	c.update(func() { c.keep = true })
	defer c.update(func() { c.keep = false })
	if err := e.stop(ctx, c, o); err != nil && !errors.Is(err, ErrNotModified) {
		return err
	}
	if err := e.fresh(ctx, c); err != nil {
		return err
	}
	if err := e.start(ctx, c); err != nil && !errors.Is(err, ErrNotModified) {
		return err
	}
	e.emit(c, "restart")
	return nil
}

// Resize sets the size of a container's terminal.
func (e *Engine) Resize(ctx context.Context, ref string, width, height uint32) error {
	c, err := e.lookup(ref)
	if err != nil {
		return err
	}
	r, err := c.activeRun()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, signalPatience)
	defer cancel()
	if c.definition().Process.TTY { // without a terminal there is nothing to do, and no error
		if err := r.link.Resize(ctx, "", width, height); err != nil {
			return err
		}
	}
	e.emit(c, "resize", "height", itoa(int(height)), "width", itoa(int(width)))
	return nil
}

// Rename gives a container another name.
func (e *Engine) Rename(ctx context.Context, ref, name string) error {
	if name == "" {
		return fail(errdef.ErrInvalid, "Neither old nor new names may be empty")
	}
	c, err := e.lookup(ref)
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := e.detached(ctx)
	defer cancel()
	old := c.definition().Name
	if len(name) > 0 && name[0] == '/' {
		name = name[1:]
	}
	if name == old {
		return fail(errdef.ErrInvalid, "Renaming a container with the same name as its current name")
	}
	if err := e.checkAndReserve(name, c.id); err != nil {
		return fmt.Errorf("Error when allocating new name: %w", err) //nolint:staticcheck // Docker's text
	}
	c.update(func() { c.def.Name = name })
	if err := e.saveDefinition(ctx, c, name); err != nil {
		c.update(func() { c.def.Name = old })
		e.release(name, c.id)
		e.releaseGone(c)
		return fmt.Errorf("rename of container %s: %w", old, err)
	}
	e.release(old, c.id)
	e.releaseGone(c)
	e.renameOnNetworks(ctx, c)
	e.emit(c, "rename", "oldName", "/"+old)
	return nil
}
