package engine

import (
	"context"

	"github.com/openvic/vic/core/link"
)

// Processes lists a container's processes.
func (e *Engine) Processes(ctx context.Context, ref string) (link.Processes, error) {
	var out link.Processes
	c, err := e.registry.lookup(ref)
	if err != nil {
		return out, err
	}
	r, err := c.activeRun()
	if err != nil {
		return out, err
	}
	if c.view().State.Status == StatusRestarting {
		return out, errRestarting(c.id)
	}
	err = r.ask(ctx, func(ctx context.Context) (err error) {
		out, err = r.link.Processes(ctx)
		return err
	})
	if err == nil {
		e.emit(c, "top")
	}
	return out, err
}
