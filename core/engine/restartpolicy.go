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

// wantsAgain says whether the policy starts a container whose VM went off just now.
func (c *container) wantsAgain(code int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wantsAgainNow(code)
}

// wantsAgainNow is wantsAgain with mu held.
func (c *container) wantsAgainNow(code int32) bool {
	return !c.removing && !c.removed && !c.keep && !c.def.ManuallyStopped && c.def.Restart.Wants(code, c.state.Restarts)
}

// startAgain starts the VM of a container after a pause, unless a user has ended the container since
// its VM went off.
func (e *Engine) startAgain(c *container, code int32) {
	ctx, cancel := context.WithCancel(e.ctx)
	var pause time.Duration
	wanted := false
	c.update(func() {
		if wanted = c.run == nil && c.wantsAgainNow(code); !wanted {
			return
		}
		c.again = cancel
		c.state.Restarts++
		c.state.Status = StatusRestarting
		pause = c.backoff.Next(c.state.Finished.Sub(c.state.Started))
	})
	if !wanted {
		cancel()
		e.saveRun(c)
		return
	}
	go func() {
		defer cancel()
		for {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			err := e.tryAgain(ctx, c, cancel, code)
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
}

// passing says whether a start that failed may succeed later.
func passing(err error) bool {
	return errors.Is(err, errdef.ErrUnavailable) || errors.Is(err, errdef.ErrPluginDown) || errors.Is(err, errdef.ErrExhausted)
}

// tryAgain starts the VM, which goes on counting restarts where they were. Until there is a run, and
// when it came to nothing, the container still waits: whoever ends it ends ctx.
func (e *Engine) tryAgain(ctx context.Context, c *container, again context.CancelFunc, code int32) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if ctx.Err() != nil {
		return ctx.Err() // ended by a user meanwhile, or started by an administrator
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
	if err == nil || ctx.Err() != nil {
		return err
	}
	c.update(func() {
		if c.run != nil || c.again != nil {
			return
		}
		c.state.Restarts-- // which the question whether it may counts
		if c.wantsAgainNow(code) {
			c.again, c.state.Status = again, StatusRestarting
		} else {
			again()
			c.state.Status = StatusExited
		}
		c.state.Restarts++
	})
	return err
}

// stayOff ends the wait for the next start of the VM; called with mu held.
func (c *container) stayOff() bool {
	if c.again == nil {
		return false
	}
	c.again()
	c.again = nil
	if c.state.Status == StatusRestarting {
		c.state.Status = StatusExited
	}
	return true
}

// fresh forgets what a policy has counted, before a user starts a container.
func (e *Engine) fresh(ctx context.Context, c *container) error {
	var save, rewrite bool
	var policy guest.Restart
	c.update(func() {
		if c.run != nil && !c.run.over || c.again != nil {
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

// manually notes that a user ends a container.
func (e *Engine) manually(ctx context.Context, c *container) {
	var save bool
	c.update(func() {
		save = !c.def.ManuallyStopped && c.def.Restart.Policy == guest.PolicyUnlessStopped && !c.keep
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
	e.mu.Lock()
	var wanted []*container
	for _, c := range e.containers {
		if c.wantedAtStart() {
			wanted = append(wanted, c)
		}
	}
	e.mu.Unlock()
	for _, c := range wanted {
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
	if c.run != nil || c.removing || s.Status != StatusExited || s.Error != "" || s.Started.IsZero() {
		return false
	}
	if c.def.Restart.Policy == guest.PolicyUnlessStopped && c.def.ManuallyStopped {
		return false
	}
	return c.def.Restart.Wants(int32(s.ExitCode), s.Restarts)
}
