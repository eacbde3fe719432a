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
	if d.docker != nil && !d.docker.settle(ctx) {
		return nil
	}
	close(d.ready)
	d.log.Info("vicd is ready", "seconds", time.Since(begun).Seconds())
	if err := sdnotify.Send("READY=1\nSTATUS=ready"); err != nil {
		d.log.Warn("supervisor cannot be told", "err", err)
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
