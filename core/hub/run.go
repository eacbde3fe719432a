package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/sdnotify"
)

// Run serves until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	defer h.close()
	g, gctx := errgroup.WithContext(ctx)
	server := &http.Server{Handler: h.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)}
	h.log.Info("hub listens", "address", h.listener.Addr().String())
	g.Go(func() error {
		if err := server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("listen: %w", err)
		}
		return nil
	})
	g.Go(func() error { return h.inner.run(gctx) })
	g.Go(func() error { return h.plugins.Run(gctx) })
	g.Go(func() error { return h.begin(gctx) })
	g.Go(func() error { return h.renew(gctx) })
	g.Go(func() error { h.jobs.Run(gctx); return nil })
	g.Go(func() error { h.fleet.Run(gctx); return nil })
	g.Go(func() error { h.provisions.Run(gctx); return nil })
	g.Go(func() error { h.scanning.Watch(gctx); return nil })
	g.Go(func() error { h.audit.Seal(gctx); return nil })
	if h.forwarder != nil {
		g.Go(func() error { h.forwarder.Run(gctx); return nil })
	}
	g.Go(func() error { h.events.run(gctx); return nil })
	g.Go(func() error {
		<-gctx.Done()
		// Pushes and pulls under way may end; uploads that do not can be gone on with after the next start.
		end, cancel := context.WithTimeout(context.WithoutCancel(gctx), shutdownPatience)
		defer cancel()
		if err := server.Shutdown(end); err != nil {
			return server.Close()
		}
		return nil
	})
	return g.Wait()
}

// shutdownPatience is how long requests under way may take to end.
const shutdownPatience = 20 * time.Second

// begin makes the first cloud administrators and the example users, as soon as the identity sources can name them.
func (h *Hub) begin(ctx context.Context) error {
	if err := sdnotify.Send("READY=1\nSTATUS=ready"); err != nil {
		h.log.Warn("supervisor cannot be told", "err", err)
	}
	h.until(ctx, "first cloud administrators cannot be made", h.firstAdmins)
	if h.cfg.Access.Examples != "" {
		h.until(ctx, "example users cannot be made", func(ctx context.Context) (bool, error) {
			err := h.makeExamples(ctx)
			return err == nil, err
		})
	}
	return nil
}

// until does something until it is done or ctx ends, with longer and longer pauses. complaint is logged with each error.
func (h *Hub) until(ctx context.Context, complaint string, do func(context.Context) (done bool, err error)) {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		done, err := do(ctx)
		if err != nil && ctx.Err() == nil {
			h.log.Warn(complaint, "err", err)
		}
		if done {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// firstAdmins makes the first cloud administrators, and says whether there are some now.
func (h *Hub) firstAdmins(ctx context.Context) (bool, error) {
	all, err := h.people.CloudAdmins(ctx)
	if err != nil || len(all) > 0 {
		return len(all) > 0, err
	}
	groups := h.cfg.Access.CloudAdmins
	if len(groups) == 0 {
		if groups, err = h.signer.Administrators(ctx); err != nil {
			return false, err
		}
	}
	made, err := h.people.Begin(ctx, groups)
	if err != nil {
		return false, err
	}
	if len(made) > 0 {
		h.log.Info("first cloud administrators", "groups", made)
	}
	return len(made) > 0, nil
}

// Collect runs the collector once beside the jobs, until it is done or ctx ends.
func (h *Hub) Collect(ctx context.Context) (registry.Collected, error) {
	return h.registry.Collect(ctx, registry.CollectOptions{})
}

// RoundTrips is how often the hub has waited for its database.
func (h *Hub) RoundTrips() int64 { return h.db.RoundTrips() }

// renewEvery is how often the hub's own certificate is looked at.
const renewEvery = 12 * time.Hour

// renew keeps the hub's own certificate from ending; connections go on.
func (h *Hub) renew(ctx context.Context) error {
	for {
		select {
		case <-time.After(renewEvery):
		case <-ctx.Done():
			return nil
		}
		if err := h.Reload(); err != nil {
			h.log.Error("certificate cannot be renewed", "err", err)
		}
	}
}
