package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// debugger runs the service that an administrator has switched on for a while. It is used by the one
// goroutine that follows the configuration; the service has its own, which closes ended.
type debugger struct {
	get        func(ctx context.Context) (string, error) // of guest.KeyDebug
	supervisor func(guest.Service) *supervisor
	report     func(guest.DebugStatus)
	warn       func(msg string, err error)
	root       string // where files are written below

	seen  string // what was put into effect last, or was there at boot
	stop  context.CancelFunc
	ended chan struct{}
}

// newDebugger begins with what there is at boot, which is not put into effect.
func (m *Machine) newDebugger(ctx context.Context) *debugger {
	d := &debugger{root: "/", report: m.board.debugs,
		get:  func(ctx context.Context) (string, error) { return m.Keys.Get(ctx, guest.KeyDebug) },
		warn: func(msg string, err error) { m.Log.Warn(msg, "err", err) },
		supervisor: func(s guest.Service) *supervisor {
			return &supervisor{service: s, reaper: m.Reaper, log: m.Log, runDir: notifyDir, logDir: logDir,
				console: os.Stderr, first: firstRestart, syslog: m.syslog}
		}}
	d.seen, _ = d.get(ctx)
	return d
}

// look puts a change into effect.
func (d *debugger) look(ctx context.Context) {
	value, err := d.get(ctx)
	if err != nil && !errors.Is(err, errdef.ErrNotFound) || value == d.seen {
		return
	}
	d.seen = value
	d.end()
	if value == "" {
		return
	}
	var want guest.Debug
	if err := json.Unmarshal([]byte(value), &want); err != nil {
		d.warn("what is to be debugged cannot be read", err)
		return
	}
	if want.Service == nil {
		d.report(guest.DebugStatus{ID: want.ID, State: guest.DebugOff})
		return
	}
	d.start(ctx, want)
}

func (d *debugger) start(ctx context.Context, want guest.Debug) {
	ctx, d.stop = context.WithTimeout(ctx, time.Duration(want.Minutes)*time.Minute)
	d.ended = make(chan struct{})
	if err := writeFiles(d.root, want.Files); err != nil {
		d.warn("files of a service for debugging", err)
	}
	status := guest.DebugStatus{ID: want.ID}
	v := d.supervisor(*want.Service)
	v.report = func(_, state, message string) {
		if state != "" {
			status.State = state
		}
		if message != "" {
			status.Message = message
		}
		d.report(status)
	}
	go func() {
		defer close(d.ended)
		v.run(ctx)
		for _, f := range want.Files {
			if err := os.Remove(filepath.Join(d.root, f.Path)); err != nil {
				d.warn("a file of a service for debugging stays", err)
			}
		}
		d.report(guest.DebugStatus{ID: want.ID, State: guest.DebugOff})
	}()
}

// end stops what runs and waits for it.
func (d *debugger) end() {
	if d.stop == nil {
		return
	}
	d.stop()
	<-d.ended
	d.stop = nil
}
