// Package health runs a container's health check and keeps what it says. The rules, and the words
// in the log, are dockerd's (daemon/health.go).
package health

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/guest"
)

// Docker's defaults and bounds.
const (
	defaultInterval      = 30 * time.Second
	defaultTimeout       = 30 * time.Second
	defaultStartInterval = 5 * time.Second
	defaultRetries       = 3
	maxLog               = 5
	maxOutput            = 4096
)

// Status is what the health check says.
type Status struct {
	Status        string
	FailingStreak int
	Log           []Result
}

// Result is one run of the check.
type Result struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}

// Probe runs a command in the container and returns its exit code. What it prints goes to out. It
// kills the command when ctx ends.
type Probe func(ctx context.Context, args []string, out *Buffer) (int, error)

// Monitor checks one process until Stop.
type Monitor struct {
	check   guest.Health
	probe   Probe
	changed func()
	started time.Time
	cancel  context.CancelFunc
	done    chan struct{}

	mu     sync.Mutex
	status Status
	held   bool
	hold   chan struct{} // closed and replaced when held changes
}

// New starts checking. changed is called after every run of the check, without locks of this package.
func New(check guest.Health, probe Probe, changed func()) *Monitor {
	check.Interval = or(check.Interval, defaultInterval)
	check.Timeout = or(check.Timeout, defaultTimeout)
	check.StartInterval = or(check.StartInterval, defaultStartInterval)
	if check.Retries <= 0 {
		check.Retries = defaultRetries
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &Monitor{check: check, probe: probe, changed: changed, started: time.Now(), cancel: cancel, done: make(chan struct{}),
		status: Status{Status: guest.HealthStarting}, hold: make(chan struct{})}
	go m.run(ctx)
	return m
}

func or(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// Stop ends the checking and waits for a run that is under way.
func (m *Monitor) Stop() {
	m.cancel()
	<-m.done
}

// Hold interrupts the checking, as a paused container's is, or lets it go on.
func (m *Monitor) Hold(held bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held != held {
		m.held = held
		close(m.hold)
		m.hold = make(chan struct{})
	}
}

func (m *Monitor) holding() (bool, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held, m.hold
}

// Status returns what the check says now.
func (m *Monitor) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.status
	s.Log = slices.Clone(s.Log)
	return s
}

func (m *Monitor) run(ctx context.Context) {
	defer close(m.done)
	for {
		held, change := m.holding()
		if held {
			select {
			case <-change:
			case <-ctx.Done():
				return
			}
			continue
		}
		select {
		case <-time.After(m.interval()):
		case <-change:
			continue
		case <-ctx.Done():
			return
		}
		m.runOnce(ctx, change)
		if ctx.Err() != nil {
			return
		}
	}
}

// interval is the time before the next run.
func (m *Monitor) interval() time.Duration {
	if time.Since(m.started) < m.check.StartPeriod && m.Status().Status == guest.HealthStarting {
		return m.check.StartInterval
	}
	return m.check.Interval
}

// runOnce runs the check once; a run that is interrupted does not count.
func (m *Monitor) runOnce(ctx context.Context, interrupt <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan Result, 1)
	go func() { results <- m.once(ctx) }()
	select {
	case r := <-results:
		if ctx.Err() == nil {
			m.record(r)
			m.changed()
		}
	case <-interrupt:
		cancel()
		<-results
	case <-ctx.Done():
		<-results
	}
}

func (m *Monitor) once(ctx context.Context) Result {
	r := Result{Start: time.Now()}
	out := &Buffer{}
	limited, cancel := context.WithTimeout(ctx, m.check.Timeout)
	defer cancel()
	code, err := m.probe(limited, m.check.Args, out)
	r.ExitCode, r.Output, r.End = code, out.String(), time.Now()
	switch {
	case limited.Err() != nil && ctx.Err() == nil:
		text := fmt.Sprintf("Health check exceeded timeout (%v)", m.check.Timeout)
		if r.Output != "" {
			text += ": " + r.Output
		}
		r.ExitCode, r.Output = -1, text
	case err != nil:
		r.ExitCode, r.Output = -1, err.Error()
	}
	return r
}

func (m *Monitor) record(r Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.status
	s.Log = append(s.Log, r)
	s.Log = slices.Clone(s.Log[max(0, len(s.Log)-maxLog):])
	switch {
	case r.ExitCode == 0:
		s.FailingStreak, s.Status = 0, guest.HealthHealthy
	case s.Status == guest.HealthStarting && r.Start.Sub(m.started) < m.check.StartPeriod:
		// It may still be starting.
	default:
		s.FailingStreak++
		if s.FailingStreak >= m.check.Retries {
			s.Status = guest.HealthUnhealthy
		}
	}
}

// Buffer keeps the beginning of what a check printed.
type Buffer struct {
	mu   sync.Mutex
	b    []byte
	more bool
}

// Write implements io.Writer; it never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(p), maxOutput-len(b.b))
	b.b = append(b.b, p[:n]...)
	b.more = b.more || n < len(p)
	return len(p), nil
}

// String is what was kept, with "..." if that is not all.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more {
		return string(b.b) + "..."
	}
	return string(b.b)
}
