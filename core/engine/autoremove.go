package engine

import (
	"context"
	"time"
)

// autoRemovalPatience bounds what a stop waits for the removal that follows it.
const autoRemovalPatience = 10 * time.Second

// awaitAutoRemoval waits for a stopped container that was made with --rm to go: users take its name
// for the next one at once. dockerd is done with that in a moment, a VM takes longer.
func (e *Engine) awaitAutoRemoval(ctx context.Context, c *container) {
	if !c.autoRemoved() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, autoRemovalPatience)
	defer cancel()
	_ = c.await(ctx, func() bool { return c.removal == removalDone }) // the patience is the bound
}

// autoRemoved says whether the container goes when its process has ended.
func (c *container) autoRemoved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.def.AutoRemove && !c.userRestart
}

// autoRemoveRead removes a container that was made with --rm and whose VM went off by itself, once
// the clients that were attached have read the rest of its output from its disk.
func (e *Engine) autoRemoveRead(r *run) {
	ctx, cancel := e.background(drainPatience)
	defer cancel()
	_ = r.c.await(ctx, func() bool { return r.readers == 0 && r.c.diskReaders == 0 }) // the patience is the bound
	e.autoRemove(r.c)
}

// autoRemove removes a container that was made with --rm and has ended, however long the platform
// cannot.
func (e *Engine) autoRemove(c *container) {
	ctx := e.ctx
	for delay := time.Second; ; delay = min(2*delay, time.Minute) {
		err := e.Remove(ctx, c.id, RemoveOptions{Force: true, Volumes: true})
		if err == nil || isNotFound(err) {
			return
		}
		if c.isGoing() {
			return // another is at it
		}
		e.log.Warn("container cannot be removed after its exit", "container", c.id, "err", err)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return
		}
	}
}
