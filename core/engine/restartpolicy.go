package engine

import (
	"context"
	"errors"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Restart policies are the tether's: it starts the process again in the VM that is there. The
// engine's part is what the tether cannot do: a VM that went off without the guest's record (a host
// failed, somebody switched it off) is started again, as Docker starts a process again that was
// killed; and when the engine itself starts it starts what should run.

// policyWants says whether the policy starts a container again whose process ended with a code, after so
// many restarts; called with mu held.
func (c *container) policyWants(code int32, restarts int) bool {
	return !c.going() && !c.userRestart && !c.def.ManuallyStopped && c.def.Restart.Wants(code, restarts)
}

// startAgain starts the VM of a container after a pause, if its policy wants that of one whose process ended with a
// code; false if it does not. The decision is made within, which calls it with mu held: in the moment in which
// the VM is noted as off, so that no stop comes between the two. The pause and the start are a goroutine's,
// which ends when the container is started, when cancelAwaiting is called, and with the engine.
func (e *Engine) startAgain(c *container, code int32, within func(decide func())) bool {
	ctx, cancel := context.WithCancel(e.ctx)
	var pause time.Duration
	wanted := false
	within(func() {
		if wanted = c.policyWants(code, c.state.Restarts) && c.move(onStartAgain); !wanted {
			return
		}
		c.cancelAwaiting = cancel
		c.state.Restarts++
		pause = c.backoff.Next(c.state.Finished.Sub(c.state.Started))
	})
	if !wanted {
		cancel()
		go e.saveRun(c)
		return false
	}
	go func() {
		defer cancel()
		for {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			err := e.tryAgain(ctx, c)
			if err == nil || ctx.Err() != nil {
				return
			}
			e.log.Warn("a container could not be started again", "container", c.id, "err", err)
			if !passing(err) {
				c.update(func() { c.stayOff(); c.state.Error = err.Error() })
				return
			}
			c.update(func() { pause = c.backoff.Next(0) })
		}
	}()
	return true
}

// passing says whether a start that failed may succeed later.
func passing(err error) bool {
	return errors.Is(err, errdef.ErrUnavailable) || errors.Is(err, errdef.ErrPluginDown) || errors.Is(err, errdef.ErrExhausted)
}

// tryAgain starts the VM, which goes on counting restarts where they were. Until there is a run, and
// when it came to nothing, the container still awaits its start: whoever ends that ends ctx.
func (e *Engine) tryAgain(ctx context.Context, c *container) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if ctx.Err() != nil {
		return ctx.Err() // ended by a user meanwhile, or started by an administrator
	}
	c.mu.Lock()
	awaiting := c.life == lifeAwaiting
	c.mu.Unlock()
	if !awaiting {
		return nil
	}
	d := c.view()
	policy := d.Restart
	policy.Count = d.State.Restarts
	if err := e.saveUpdate(ctx, c, guest.Update{Restart: &policy}); err != nil {
		return err
	}
	err = e.launch(ctx, c)
	if errors.Is(err, ErrNotModified) {
		return nil
	}
	return err
}

// stayOff ends the policy's wait for the next start of the VM; false if it does not wait. Called with mu
// held.
func (c *container) stayOff() bool {
	if !c.move(onStayOff) {
		return false
	}
	c.cancelAwaiting()
	return true
}

// resetPolicy forgets what a policy has counted, before a user starts a container.
func (e *Engine) resetPolicy(ctx context.Context, c *container) error {
	var save, rewrite bool
	var policy guest.Restart
	c.update(func() {
		if c.life.active() || c.life == lifeAwaiting {
			return // it runs: nothing is started
		}
		save = c.def.ManuallyStopped && c.def.Restart.Policy == guest.PolicyUnlessStopped
		c.def.ManuallyStopped = false
		c.state.Restarts, c.backoff = 0, guest.Backoff{}
		if u := c.def.Update.Restart; u != nil && u.Count != 0 {
			rewrite, policy = true, *u
			policy.Count = 0
		}
	})
	switch {
	case rewrite:
		return e.saveUpdate(ctx, c, guest.Update{Restart: &policy})
	case save:
		return e.saveDefinition(ctx, c, "")
	}
	return nil
}

// noteManualStop notes that a user ends a container.
func (e *Engine) noteManualStop(ctx context.Context, c *container) {
	var save bool
	c.update(func() {
		save = !c.def.ManuallyStopped && c.def.Restart.Policy == guest.PolicyUnlessStopped && !c.userRestart
		c.def.ManuallyStopped = true
	})
	if !save {
		return
	}
	if err := e.saveDefinition(ctx, c, ""); err != nil {
		e.log.Warn("that a container was stopped by a user is not kept", "container", c.id, "err", err)
	}
}

// startWanted starts the containers that should run and do not, as dockerd does when it starts.
func (e *Engine) startWanted() {
	for _, c := range e.registry.all() {
		if !c.wantedAtStart() {
			continue
		}
		go func() {
			err := e.Start(e.ctx, c.id)
			if err != nil && !errors.Is(err, ErrNotModified) && e.ctx.Err() == nil {
				e.log.Warn("a container whose policy wants it to run could not be started", "container", c.id, "err", err)
			}
		}()
	}
}

func (c *container) wantedAtStart() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state
	if c.life != lifeExited || c.going() || s.Error != "" || s.Started.IsZero() {
		return false
	}
	if c.def.Restart.Policy == guest.PolicyUnlessStopped && c.def.ManuallyStopped {
		return false
	}
	return c.def.Restart.Wants(int32(s.ExitCode), s.Restarts)
}
