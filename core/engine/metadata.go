package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/guest"
)

// call makes one changing call to the compute driver: those for one VM come one after the other.
func (c *container) call(fn func() error) error {
	c.driver.Lock()
	defer c.driver.Unlock()
	return fn()
}

// saveDefinition writes the definition to the VM's metadata, and the name if it has changed.
func (e *Engine) saveDefinition(ctx context.Context, c *container, name string) error {
	return c.call(func() error {
		metadata, err := json.Marshal(c.definition())
		if err != nil {
			return fmt.Errorf("container %s: %w", c.id, err)
		}
		return e.opts.Compute.Update(ctx, compute.UpdateRequest{ID: c.id, Name: name, Metadata: metadata})
	})
}

// saveUpdate tells the guest what has changed, now and for its next boot, with the definition.
func (e *Engine) saveUpdate(ctx context.Context, c *container, u guest.Update) error {
	c.update(func() {
		if u.Restart != nil {
			c.def.Update.Restart = u.Restart
		}
		if u.Limits != nil {
			c.def.Update.Limits = u.Limits
		}
	})
	return e.saveSize(ctx, c, compute.UpdateRequest{})
}

// saveSize writes the definition, what the guest is to find, and the VM's new size.
func (e *Engine) saveSize(ctx context.Context, c *container, size compute.UpdateRequest) error {
	return c.call(func() error {
		d := c.definition()
		text, err := json.Marshal(d.Update)
		if err != nil {
			return err
		}
		if size.Metadata, err = json.Marshal(d); err != nil {
			return err
		}
		size.ID, size.Guest = c.id, map[string]string{guest.KeyUpdate: string(text)}
		return e.opts.Compute.Update(ctx, size)
	})
}

// noteFirstRun notes in the metadata that the container was started once, so that a later vicd does not
// take it for one that never was.
func (e *Engine) noteFirstRun(r *run) {
	if r.c.definition().LastRun.Started.IsZero() {
		select {
		case <-time.After(noteAfter):
			e.saveRun(r.c)
		case <-r.ctx.Done():
		}
	}
}

// saveRun writes the last run into the metadata.
func (e *Engine) saveRun(c *container) {
	ctx, cancel := e.background(time.Minute)
	defer cancel()
	c.mu.Lock()
	if c.going() {
		c.mu.Unlock()
		return
	}
	c.def.LastRun = Run{Started: c.state.Started, Restarts: c.state.Restarts}
	if c.life == lifeExited || c.life == lifeEnding {
		c.def.LastRun.Finished, c.def.LastRun.ExitCode = c.state.Finished, c.state.ExitCode
	}
	c.mu.Unlock()
	if err := e.saveDefinition(ctx, c, ""); err != nil && !canceled(err) && !isNotFound(err) {
		e.log.Warn("record of a run is not saved", "container", c.id, "err", err)
	}
}
