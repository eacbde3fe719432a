package engine

import (
	"context"
	"errors"
)

// Restart stops a container if it runs, and starts it.
func (e *Engine) Restart(ctx context.Context, ref string, o StopOptions) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	c.update(func() { c.userRestart = true })
	defer c.update(func() { c.userRestart = false })
	if err := e.stop(ctx, c, o); err != nil && !errors.Is(err, ErrNotModified) {
		return err
	}
	if err := e.resetPolicy(ctx, c); err != nil {
		return err
	}
	if err := e.start(ctx, c); err != nil && !errors.Is(err, ErrNotModified) {
		return err
	}
	e.emit(c, "restart")
	return nil
}
