package engine

import (
	"context"
	"maps"
	"time"
)

// removedFor is how late news of a VM may come that was removed meanwhile.
const removedFor = time.Minute

// removeVM destroys a container's VM and remembers it for a while: a message from before its end,
// which is still under way, is not one of a VM that the engine does not know.
func (e *Engine) removeVM(ctx context.Context, id string) error {
	err := e.opts.Compute.Remove(ctx, id)
	if err != nil && !isNotFound(err) {
		return err
	}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.removed, func(_ string, at time.Time) bool { return now.Sub(at) > removedFor })
	e.removed[id] = now
	return err
}
