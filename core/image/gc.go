package image

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
)

// idleCollect is how often garbage is looked for when nothing asks for it: leases expire by time.
const idleCollect = time.Hour

// collector runs containerd's garbage collection: in place when an image was deleted, in the
// background when a lease went. Runs are serial.
type collector struct {
	db      *metadata.DB
	backing *snapshotter
	log     *slog.Logger
	scope   scope
	sweep   func(context.Context) // before each run in the background; expires what is stale

	run    sync.Mutex // held during a collection
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

func newCollector(db *metadata.DB, backing *snapshotter, log *slog.Logger, scope scope) *collector {
	return &collector{db: db, backing: backing, log: log, scope: scope, wake: make(chan struct{}, 1)}
}

func (c *collector) start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel, c.done = cancel, make(chan struct{})
	go c.loop(ctx)
}

func (c *collector) stop() {
	if c.cancel != nil {
		c.cancel()
		<-c.done
	}
}

func (c *collector) loop(ctx context.Context) {
	defer close(c.done)
	tick := time.NewTicker(idleCollect)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-tick.C:
		}
		c.sweep(c.scope.in(ctx))
		if err := c.collect(ctx); err != nil && !errors.Is(err, context.Canceled) {
			c.log.Warn("image garbage collection failed; it is tried again later", "err", err)
		}
	}
}

// soon asks for a collection in the background.
func (c *collector) soon() {
	select {
	case c.wake <- struct{}{}:
	default: // one is due already
	}
}

// collect removes everything that is not reachable and waits until it is gone.
func (c *collector) collect(ctx context.Context) error {
	c.run.Lock()
	defer c.run.Unlock()
	ctx = c.scope.in(ctx)
	if _, err := c.db.GarbageCollect(ctx); err != nil {
		return err
	}
	c.backing.retryLeftovers(ctx)
	return nil
}

// gcImages collects garbage after an image was deleted, at once if the caller waits for it.
type gcImages struct {
	images.Store
	gc *collector
}

func (g gcImages) Delete(ctx context.Context, name string, opts ...images.DeleteOpt) error {
	if err := g.Store.Delete(ctx, name, opts...); err != nil {
		return err
	}
	var o images.DeleteOptions
	for _, opt := range opts {
		if err := opt(ctx, &o); err != nil {
			return err
		}
	}
	if !o.Synchronous {
		g.gc.soon()
		return nil
	}
	// The image is gone, whatever happens to its layers: a failure is retried, not reported.
	if err := g.gc.collect(context.WithoutCancel(ctx)); err != nil {
		g.gc.log.Warn("image garbage collection failed; it is tried again later", "err", err)
		g.gc.soon()
	}
	return nil
}

// gcLeases collects garbage in the background after a lease was deleted.
type gcLeases struct {
	leases.Manager
	gc *collector
}

func (g gcLeases) Delete(ctx context.Context, l leases.Lease, opts ...leases.DeleteOpt) error {
	if err := g.Manager.Delete(ctx, l, opts...); err != nil {
		return err
	}
	g.gc.soon()
	return nil
}
