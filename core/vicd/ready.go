package vicd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/core/sdnotify"
)

const (
	leastPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

// becomeReady waits for all that requests need, lets them in and tells the supervisor.
func (d *daemon) becomeReady(ctx context.Context) error {
	begun := time.Now()
	go d.tellStatus(ctx)
	select {
	case <-d.engine.Ready():
	case <-ctx.Done():
		return nil
	}
	d.until(ctx, "storage driver does not serve", d.settleImages)
	d.until(ctx, "network driver does not serve", func(ctx context.Context) error {
		_, err := d.network.List(ctx)
		return err
	})
	if ctx.Err() != nil {
		return nil
	}
	close(d.ready)
	d.log.Info("vicd is ready", "seconds", time.Since(begun).Seconds())
	if err := sdnotify.Send("READY=1\nSTATUS=ready"); err != nil {
		d.log.Warn("supervisor cannot be told", "err", err)
	}
	return nil
}

// until tries something until it succeeds or ctx ends.
func (d *daemon) until(ctx context.Context, message string, fn func(context.Context) error) {
	for pause := leastPause; ctx.Err() == nil; pause = min(2*pause, mostPause) {
		err := fn(ctx)
		if err == nil {
			return
		}
		d.log.Warn(message, "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// settleImages brings the image store in step with storage and with the containers that there are.
func (d *daemon) settleImages(ctx context.Context) error {
	if err := d.images.Reconcile(ctx); err != nil {
		return err
	}
	held, err := d.images.Holds(ctx)
	if err != nil {
		return err
	}
	for _, c := range d.engine.List() {
		if _, ok := held[c.ID]; !ok && c.Image.Layer != "" {
			if err := d.images.Hold(ctx, c.ID, c.Image.Layer); err != nil {
				d.log.Info("image of a container is not in the image store", "container", c.ID, "err", err)
			}
		}
		delete(held, c.ID)
	}
	for id := range held {
		if err := d.images.Release(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// tellStatus reports to the supervisor what the daemon is waiting for, also when that comes later: a
// plugin that cannot log in any more. vic-machine inspect shows it.
func (d *daemon) tellStatus(ctx context.Context) {
	last := ""
	for {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
		now := d.whyNotReady()
		if now == "" {
			now = "ready"
		}
		if now == last {
			continue
		}
		if err := sdnotify.Send("STATUS=" + now); err != nil {
			d.log.Warn("supervisor cannot be told", "err", err)
			continue
		}
		last = now
	}
}

// waitingFor says, for people, why the daemon is not ready.
func (d *daemon) waitingFor() string {
	var why []string
	for _, s := range d.host.List() {
		switch {
		case s.State == plugin.StateUp && s.Healthy:
		case s.State == plugin.StateUp:
			why = append(why, fmt.Sprintf("plugin %s is not healthy: %s", s.Name, s.Health))
		case s.LastError != "":
			why = append(why, fmt.Sprintf("plugin %s is %s: %s", s.Name, s.State, s.LastError))
		default:
			why = append(why, fmt.Sprintf("plugin %s is %s", s.Name, s.State))
		}
	}
	if len(why) == 0 {
		return "the containers are being found"
	}
	return strings.ReplaceAll(strings.Join(why, "; "), "\n", " ")
}
