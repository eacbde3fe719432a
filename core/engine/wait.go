package engine

import (
	"context"
)

// WaitCondition says what Wait waits for.
type WaitCondition int

// The conditions.
const (
	WaitNotRunning WaitCondition = iota
	WaitNextExit
	WaitRemoved
)

// WaitResult is how a wait ended.
type WaitResult struct {
	State State
	Err   error
}

// Wait registers at once and delivers one result when the condition holds or ctx ends.
func (e *Engine) Wait(ctx context.Context, ref string, cond WaitCondition) (<-chan WaitResult, error) {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	before := c.exits
	c.mu.Unlock()
	out := make(chan WaitResult, 1)
	go func() {
		var state State
		err := c.await(ctx, func() bool {
			state = c.state
			if c.exits > before {
				state.ExitCode = c.lastCode // it may run again
			}
			switch cond {
			case WaitNextExit:
				return c.exits > before || c.removal == removalDone
			case WaitRemoved:
				return c.removal == removalDone
			default:
				// Docker tells of an end that is followed by a restart, too.
				return c.removal == removalDone || c.exits > before || (!c.life.active() && c.life != lifeAwaiting)
			}
		})
		out <- WaitResult{State: state, Err: err}
	}()
	return out, nil
}
