package engine

import (
	"context"
)

// removeVM destroys a container's VM; news of it that are still under way are not believed then.
func (e *Engine) removeVM(ctx context.Context, id string) error {
	err := e.opts.Compute.Remove(ctx, id)
	if err == nil || isNotFound(err) {
		e.registry.noteRemoved(id)
	}
	return err
}
