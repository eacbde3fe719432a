package vicd

import (
	"context"
	"time"
)

// settle waits for all that requests need; false if ctx ended before.
func (e *docker) settle(ctx context.Context) bool {
	select {
	case <-e.engine.Ready():
	case <-ctx.Done():
		return false
	}
	e.until(ctx, "storage driver does not serve", e.settleImages)
	e.until(ctx, "network driver does not serve", func(ctx context.Context) error {
		_, err := e.network.List(ctx)
		return err
	})
	return ctx.Err() == nil
}

// until tries something until it succeeds or ctx ends.
func (e *docker) until(ctx context.Context, message string, fn func(context.Context) error) {
	for pause := leastPause; ctx.Err() == nil; pause = min(2*pause, mostPause) {
		err := fn(ctx)
		if err == nil {
			return
		}
		e.log.Warn(message, "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// settleImages brings the image store in step with storage and with the containers that there are.
func (e *docker) settleImages(ctx context.Context) error {
	if err := e.images.Reconcile(ctx); err != nil {
		return err
	}
	held, err := e.images.Holds(ctx)
	if err != nil {
		return err
	}
	for _, c := range e.engine.List() {
		if _, ok := held[c.ID]; !ok && c.Image.Layer != "" {
			if err := e.images.Hold(ctx, c.ID, c.Image.Layer); err != nil {
				e.log.Info("image of a container is not in the image store", "container", c.ID, "err", err)
			}
		}
		delete(held, c.ID)
	}
	for id := range held {
		if err := e.images.Release(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
