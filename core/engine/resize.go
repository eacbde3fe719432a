package engine

import (
	"context"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// Resize sets the size of a container's terminal.
func (e *Engine) Resize(ctx context.Context, ref string, width, height uint32) error {
	c, err := e.registry.lookup(ref)
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

// ResizeExec sets the size of an exec's terminal.
func (e *Engine) ResizeExec(ctx context.Context, id string, width, height uint32) error {
	x, err := e.registry.exec(id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := x.container.await(ctx, func() bool { return x.life >= execRunning }); err != nil {
		return fail(errdef.ErrUnavailable, "timeout waiting for exec session ready")
	}
	x.container.mu.Lock()
	r := x.run
	x.container.mu.Unlock()
	if r == nil {
		return fail(errdef.ErrConflict, "exec process is not started")
	}
	return r.link.Resize(ctx, id, width, height)
}
