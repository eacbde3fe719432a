package engine

import (
	"context"
	"time"

	"github.com/openvic/vic/core/link"
)

// StatsInterval is Docker's, between two readings of a stream.
const StatsInterval = time.Second

// Stats calls fn with what a container uses, each StatsInterval until fn fails or ctx or the
// container ends; once without stream. ErrConflict if it does not run.
func (e *Engine) Stats(ctx context.Context, ref string, stream bool, fn func(link.Stats) error) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	r, err := c.activeRun()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	if stream {
		return endOfRun(r, r.link.Stats(ctx, StatsInterval, fn))
	}
	return r.ask(ctx, func(ctx context.Context) error { return r.link.Stats(ctx, 0, fn) })
}
