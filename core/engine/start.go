package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/errdef"
)

// linkPatience is how long Start waits for the tether to say that the process runs. The container
// goes its way without it; a start just cannot tell of failures after that.
const linkPatience = 90 * time.Second

// Start starts a container and returns when its process runs. ErrNotModified if it runs already.
func (e *Engine) Start(ctx context.Context, ref string) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.resetPolicy(ctx, c); err != nil {
		return fmt.Errorf("start of container %s: %w", c.id, err)
	}
	return e.start(ctx, c)
}

// start waits for its turn as long as the client does; from the power-on it goes on without it. The caller has
// the right to operate (container.op), so that no other start meets this one; a stop, a kill, a forced
// removal and the platform may, from the moment in which there is a run.
func (e *Engine) start(ctx context.Context, c *container) error {
	if err := e.awaitOff(ctx, c); err != nil {
		return err
	}
	return e.launch(ctx, c)
}

// launch is start of a container that is off.
func (e *Engine) launch(ctx context.Context, c *container) error {
	done, err := e.room.slot(ctx)
	if err != nil {
		return err
	}
	defer done()
	r, err := e.power(ctx, c)
	if errors.Is(err, ErrNotModified) {
		return err
	}
	if err != nil {
		if !canceled(err) { // by who wanted it
			c.update(func() { c.state.Error = err.Error() })
		}
		if c.autoRemoved() {
			go e.autoRemove(c)
		}
		return err
	}
	ctx, cancel := e.detached(ctx)
	defer cancel()
	go e.follow(r)
	return e.awaitUp(ctx, r)
}

// power makes a container's next run, with all that it needs, and powers its VM on.
func (e *Engine) power(ctx context.Context, c *container) (*run, error) {
	if err := e.Networks.checkPlaces(ctx, c); err != nil {
		return nil, err
	}
	if err := e.Volumes.claims.take(ctx, c, c.exclusive()); err != nil {
		return nil, err
	}
	r, err := e.admit(ctx, c)
	if errors.Is(err, ErrNotModified) {
		return nil, err // the volumes are that run's
	}
	if err != nil {
		e.Volumes.claims.release(c)
		return nil, err
	}
	ctx, cancel := e.detached(ctx)
	defer cancel()
	e.emitMounts(c, "mount")
	if err := e.publish(ctx, c, false); err != nil {
		r.bootFailed()
		return nil, err
	}
	if err := c.call(func() error { return e.opts.Compute.Start(ctx, c.id) }); err != nil {
		e.unpublish(c)
		r.bootFailed()
		return nil, fmt.Errorf("start of container %s: %w", c.id, err)
	}
	c.update(func() { r.powered = time.Now() })
	return r, nil
}

// awaitOff checks that a container may be started and waits for its VM to be off when the run
// before has just ended.
func (e *Engine) awaitOff(ctx context.Context, c *container) error {
	c.mu.Lock()
	r, life, going, shown := c.run, c.life, c.going(), c.state.Status
	c.mu.Unlock()
	switch {
	case going:
		return errMarked()
	case shown == StatusPaused:
		return fail(errdef.ErrConflict, "cannot start a paused container, try unpause instead")
	case life == lifeAwaiting:
		return ErrNotModified // it will be started anyway
	case !life.hasRun():
		return nil
	case life.active():
		return ErrNotModified
	}
	wait, cancel := context.WithTimeout(ctx, 2*offPatience+drainPatience)
	defer cancel()
	off := false
	err := c.await(wait, func() bool { off = r.off(); return off || r.offErr != nil })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || !off {
		return c.stillOn()
	}
	return nil
}

// awaitUp returns when the tether says that the process runs, or why it does not.
func (e *Engine) awaitUp(ctx context.Context, r *run) error {
	ctx, cancel := context.WithTimeout(ctx, linkPatience)
	defer cancel()
	c := r.c
	err := c.await(ctx, func() bool { return r.contact == contactSettled || r.off() })
	if err != nil && e.ctx.Err() == nil {
		e.log.Warn("the tether of a container does not answer", "container", c.id)
		e.processRuns(r, link.Hello{})
		return nil
	}
	c.mu.Lock()
	failure := r.failure
	if h := r.hello; h.Exit != nil && h.Exit.Error != "" {
		failure = h.Exit.Error
	}
	c.mu.Unlock()
	if failure != "" {
		return fail(errdef.ErrInvalid, "failed to start the container's process: %s", failure)
	}
	return nil
}
