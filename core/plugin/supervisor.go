package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/sdk/errdef"
	pluginv1 "github.com/openvic/vic/sdk/proto/plugin/v1"
)

// supervisor leads one plugin's processes through their lives.
type supervisor struct {
	host *Host
	spec config.Plugin
	log  *slog.Logger
	kick chan struct{} // one place: an administrator asks for a restart

	mu      sync.Mutex
	st      Status
	proc    *process // set while up
	attempt int      // counts processes
	sick    bool     // the log says so
	changed chan struct{}
}

func newSupervisor(h *Host, spec config.Plugin) *supervisor {
	return &supervisor{
		host: h, spec: spec, log: h.opts.Log.With("plugin", spec.Name),
		kick: make(chan struct{}, 1), changed: make(chan struct{}),
		st: Status{
			Name: spec.Name, State: StateStarting, Since: time.Now(),
			File: spec.File, Path: spec.Path, SHA256: spec.SHA256, Config: spec.Config, Roles: h.playing(spec.Name),
		},
	}
}

// set changes the status and wakes all who wait for a change.
func (s *supervisor) set(f func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.st.State
	f(&s.st)
	if s.st.State != before {
		s.st.Since = time.Now()
	}
	if s.st.State != StateUp {
		s.proc = nil
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *supervisor) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st
}

// run starts one process after the other until ctx ends.
func (s *supervisor) run(ctx context.Context) {
	var wait backoff
	for ctx.Err() == nil {
		up, err := s.live(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, errRestart):
		case permanent(err):
			s.log.Error("plugin is refused", "err", err)
			s.fail(StateRefused, err)
			s.pause(ctx, -1)
			wait = backoff{}
		default:
			if errors.Is(err, errdef.ErrDenied) {
				wait.most() // a wrong password, again and again, would lock the account
			}
			d := wait.pause(up)
			s.log.Error("plugin is down", "err", err, "again_in", d)
			s.fail(StateDown, err)
			s.pause(ctx, d)
		}
	}
	s.set(func(st *Status) { st.State, st.PID, st.Healthy = StateStopped, 0, false })
}

// errRestart is an administrator's wish.
var errRestart = errors.New("restart was asked for")

// permanent tells faults that no restart can mend.
func permanent(err error) bool {
	return errors.Is(err, errdef.ErrInvalid) || errors.Is(err, errdef.ErrUnsupported)
}

func (s *supervisor) fail(state State, err error) {
	s.set(func(st *Status) {
		st.State, st.PID, st.Healthy, st.Health, st.LastError = state, 0, false, "", err.Error()
	})
}

// pause waits until somebody asks for a restart, or for so long if the time is not negative.
func (s *supervisor) pause(ctx context.Context, d time.Duration) {
	var after <-chan time.Time
	if d >= 0 {
		after = time.After(d)
	}
	select {
	case <-after:
	case <-ctx.Done():
	case <-s.kick:
	}
}

// live leads one process through its life and returns how long it was up and why it ended.
func (s *supervisor) live(ctx context.Context) (up time.Duration, err error) {
	s.set(func(st *Status) {
		st.State = StateStarting
		if s.attempt > 0 {
			st.Restarts++
		}
		s.attempt++
	})
	if s.spec.Err != nil {
		return 0, s.spec.Err
	}
	p, err := launch(ctx, s.spec, s.host.opts.RunDir, s.host.opts.LogLevel, s.log)
	if p != nil {
		s.set(func(st *Status) { st.SHA256, st.PID = p.sha256, p.pid })
	}
	if err != nil {
		return 0, err
	}
	defer p.close()
	if err := s.prepare(ctx, p); err != nil {
		ended := p.life.Err() != nil && ctx.Err() == nil && !permanent(err)
		if ended || errors.Is(err, errdef.ErrPluginDown) {
			p.close()
			return 0, fmt.Errorf("process %d ended before it was up%s", p.pid, p.lastWords())
		}
		return 0, err
	}
	since := time.Now()
	s.up(ctx, p)
	select {
	case <-p.life.Done():
		up = time.Since(since)
		p.close()
		return up, fmt.Errorf("process %d ended%s", p.pid, p.lastWords())
	case <-s.kick:
		s.set(func(st *Status) { st.State, st.PID = StateStarting, 0 })
		return time.Since(since), errRestart
	case <-ctx.Done():
		s.set(func(st *Status) { st.State = StateStopped })
		return time.Since(since), ctx.Err()
	}
}

// prepare takes a process from its launch to its configuration.
func (s *supervisor) prepare(ctx context.Context, p *process) error {
	work, cancel := context.WithCancel(p.life)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if err := p.watch(s.health); err != nil {
		return fmt.Errorf("WatchHealth: %w", errdef.FromGRPC(err))
	}
	components, err := s.describe(work, p)
	if err != nil {
		return err
	}
	s.host.board.post(s.spec.Name, components)
	if err := s.host.fits(work, s.spec.Name, components); err != nil {
		return fmt.Errorf("%s: %w", s.spec.File, err)
	}
	return s.configure(work, p)
}

func (s *supervisor) health(healthy bool, message string) {
	s.set(func(st *Status) { st.Healthy, st.Health = healthy, message })
	s.mu.Lock()
	up, was := s.st.State == StateUp, s.sick
	s.sick = up && !healthy
	s.mu.Unlock()
	switch {
	case up && !healthy && !was:
		s.log.Warn("plugin is not healthy", "reason", message)
	case up && healthy && was:
		s.log.Info("plugin is healthy again")
	}
}

func (s *supervisor) describe(ctx context.Context, p *process) ([]Component, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	d, err := p.api.Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return nil, fmt.Errorf("Describe: %w", errdef.FromGRPC(err))
	}
	var components []Component
	for _, c := range d.GetComponents() {
		components = append(components, Component{Kind: c.GetKind(), Name: c.GetName(), Capabilities: c.GetCapabilities()})
	}
	s.set(func(st *Status) {
		st.Program, st.Version, st.Components, st.Example = d.GetName(), d.GetVersion(), components, d.GetExampleConfig()
	})
	return components, nil
}

func (s *supervisor) configure(ctx context.Context, p *process) error {
	req := &pluginv1.ConfigureRequest{Source: s.spec.Config}
	if s.spec.Config != "" {
		text, err := os.ReadFile(s.spec.Config)
		if err != nil {
			return fmt.Errorf("%s: config: %w: %w", s.spec.File, err, errdef.ErrInvalid)
		}
		req.Toml = string(text)
	}
	ctx, cancel := context.WithTimeout(ctx, configureTimeout)
	defer cancel()
	_, err := p.api.Configure(ctx, req)
	return errdef.FromGRPC(err)
}

func (s *supervisor) up(ctx context.Context, p *process) {
	s.set(func(st *Status) { st.State, st.PID, st.LastError = StateUp, p.pid, "" })
	s.mu.Lock()
	s.proc = p
	close(s.changed)
	s.changed = make(chan struct{})
	st := s.st
	s.mu.Unlock()
	s.log.Info("plugin is up", "program", st.Program, "version", st.Version, "pid", p.pid, "restarts", st.Restarts)
	if s.host.opts.OnUp != nil {
		go s.host.opts.OnUp(ctx, s.spec.Name)
	}
}

// current returns the process that is up, and waits a while for one that is not yet.
func (s *supervisor) current(ctx context.Context) (*process, error) {
	var timeout <-chan time.Time
	for {
		s.mu.Lock()
		p, st, changed := s.proc, s.st, s.changed
		s.mu.Unlock()
		if p != nil && p.life.Err() == nil {
			return p, nil
		}
		switch st.State {
		case StateRefused, StateStopped:
			return nil, fmt.Errorf("plugin %s is %s: %s: %w", s.spec.Name, st.State, st.LastError, errdef.ErrUnavailable)
		}
		if timeout == nil {
			timer := time.NewTimer(s.host.opts.Wait)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timeout:
			return nil, fmt.Errorf("plugin %s is %s: %s: %w", s.spec.Name, st.State, st.LastError, errdef.ErrUnavailable)
		}
	}
}

func (s *supervisor) restart(ctx context.Context) (Status, error) {
	s.mu.Lock()
	attempt := s.attempt
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default: // somebody has asked already
	}
	for {
		s.mu.Lock()
		st, n, changed := s.st, s.attempt, s.changed
		s.mu.Unlock()
		switch {
		case st.State == StateStopped:
			return st, fmt.Errorf("plugin %s: the host has ended: %w", st.Name, errdef.ErrUnavailable)
		case n > attempt && st.State == StateUp:
			return st, nil
		case n > attempt && st.State != StateStarting:
			return st, fmt.Errorf("plugin %s is %s: %s: %w", st.Name, st.State, st.LastError, errdef.ErrUnavailable)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return st, ctx.Err()
		}
	}
}
