// Package life is a container's process over its restarts: the restart policy, pauses, the health
// check, and the state that the host sees.
package life

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/health"
	"github.com/openvic/vic/tether/output"
	"github.com/openvic/vic/tether/spawn"
	"github.com/openvic/vic/tether/task"
	"golang.org/x/sys/unix"
)

// Phase is where a container is in its life.
type Phase int

// The phases.
const (
	Starting   Phase = iota + 1
	Running          // its process runs
	Restarting       // it has ended and will be started again
	Ended            // for good
)

// State is how a container is at one moment.
type State struct {
	Phase    Phase
	Paused   bool
	Restarts int
	PID      int
	Started  time.Time   // the present or last process
	Exit     *guest.Exit // of the last process that has ended
	Health   *health.Status
	// OutputStart is the offset of the first byte of the present process.
	OutputStart int64
}

// Hooks are what a life needs of the machine.
type Hooks struct {
	// Spawn starts the process.
	Spawn func() (*spawn.Process, error)
	// Started is called after the first start, once.
	Started func()
	// Policy returns the restart policy as it is now.
	Policy func(ctx context.Context) guest.Restart
	// Kills counts the processes that were killed because memory ran out.
	Kills func() int
	// Freeze stops all processes, or lets them go on, and returns when it is so.
	Freeze func(frozen bool) error
	// Check is the health check; nil for none. Probe runs its command in the container.
	Check *guest.Health
	Probe health.Probe
}

// Life is a container's process over its restarts.
type Life struct {
	hooks Hooks
	out   *output.Buffer
	ended chan struct{}

	freezing sync.Mutex // one freeze at a time, and its state

	mu       sync.Mutex
	task     *task.Task
	phase    Phase
	paused   bool
	stopped  bool // the host wants it to end
	restarts int
	exit     *guest.Exit
	health   *health.Monitor
	stop     chan struct{} // closed when stopped is set
	changed  chan struct{} // closed and replaced at every change
}

// New returns a life that has not begun. out is closed when it ends.
func New(out *output.Buffer, h Hooks) *Life {
	return &Life{hooks: h, out: out, task: task.New(out, true), phase: Starting, ended: make(chan struct{}),
		stop: make(chan struct{}), changed: make(chan struct{})}
}

// Run starts the process, and again as the policy says; it returns when the container has ended.
// failed is why it cannot be started at all.
func (l *Life) Run(ctx context.Context, failed error) {
	defer l.finish()
	if failed != nil {
		l.fail(failed)
		return
	}
	var pause guest.Backoff
	for first := true; ; first = false {
		kills := l.hooks.Kills()
		p, err := l.hooks.Spawn()
		if err != nil {
			l.fail(err)
			return
		}
		l.begin(p, func() bool { return l.hooks.Kills() > kills })
		if first {
			l.hooks.Started()
		}
		exit := l.awaitEnd()
		if !l.again(ctx, exit, &pause) {
			return
		}
	}
}

func (l *Life) fail(err error) {
	l.Task().Fail(err)
	_, _, exit, _ := l.Task().State()
	l.update(func() { l.exit = &exit })
}

func (l *Life) begin(p *spawn.Process, oom func() bool) {
	l.Task().Run(p, oom)
	l.update(func() {
		l.phase = Running
		if l.hooks.Check != nil {
			l.health = health.New(*l.hooks.Check, l.hooks.Probe, l.notify)
		}
	})
}

// awaitEnd returns when the process has ended and all of its output is taken.
func (l *Life) awaitEnd() guest.Exit {
	<-l.Task().Ended()
	_, _, exit, _ := l.Task().State()
	l.mu.Lock()
	h := l.health
	l.mu.Unlock()
	if h != nil {
		h.Stop()
	}
	return exit
}

// again decides whether the process is started again, and waits until it is time to.
func (l *Life) again(ctx context.Context, exit guest.Exit, pause *guest.Backoff) bool {
	policy := l.hooks.Policy(ctx)
	l.thaw()
	l.mu.Lock()
	l.exit = &exit
	restart := !l.stopped && policy.Wants(exit.Code, policy.Count+l.restarts)
	if restart {
		l.restarts++
		l.phase = Restarting
		l.wake()
	}
	l.mu.Unlock()
	if !restart {
		return false
	}
	select {
	case <-time.After(pause.Next(exit.Finished.Sub(exit.Started))):
	case <-l.stop:
		return false
	case <-ctx.Done():
		return false
	}
	next := task.After(l.Task())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.task, l.phase = next, Starting // from here on a signal waits for the start
	return true
}

// finish is the end for good.
func (l *Life) finish() {
	l.out.Close()
	l.update(func() { l.phase = Ended })
	close(l.ended)
}

// Task is the present process, or the last one.
func (l *Life) Task() *task.Task {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.task
}

// Ended is closed when the container has ended for good.
func (l *Life) Ended() <-chan struct{} { return l.ended }

// Exit is how it ended.
func (l *Life) Exit() guest.Exit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exit == nil {
		return guest.Exit{}
	}
	return *l.exit
}

// Wait returns how the container ended.
func (l *Life) Wait(ctx context.Context) (guest.Exit, error) {
	select {
	case <-l.ended:
		return l.Exit(), nil
	case <-ctx.Done():
		return guest.Exit{}, context.Cause(ctx)
	}
}

// State returns the present state and a channel that is closed when it has changed.
func (l *Life) State() (State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, pid, exit, _ := l.task.State()
	s := State{Phase: l.phase, Paused: l.paused, Restarts: l.restarts, PID: pid, Started: exit.Started, Exit: l.exit,
		OutputStart: l.task.OutputStart()}
	if l.health != nil {
		h := l.health.Status()
		s.Health = &h
	}
	return s, l.changed
}

func (l *Life) update(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	l.wake()
}

func (l *Life) notify() { l.update(func() {}) }

func (l *Life) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Signal sends a signal to the process. stop ends the restart policy with it, and a pause.
func (l *Life) Signal(ctx context.Context, n int, stop bool) error {
	if stop {
		if waiting := l.noMore(); waiting {
			return nil // there is no process to signal: it is not started again
		}
	}
	err := l.Task().Signal(ctx, n)
	if stop && err == nil {
		l.thaw()
	}
	return err
}

// noMore ends the restart policy; true if the container waited for its next start.
func (l *Life) noMore() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		l.stopped = true
		close(l.stop)
	}
	return l.phase == Restarting
}

// Pause freezes the container's processes.
func (l *Life) Pause() error {
	l.freezing.Lock()
	defer l.freezing.Unlock()
	s, _ := l.State()
	switch {
	case s.Paused:
		return nil
	case s.Phase != Running:
		return fmt.Errorf("no process runs: %w", errdef.ErrConflict)
	}
	// First, so that a probe that is under way is not frozen and taken for one that hangs.
	l.holdHealth(true)
	if err := l.hooks.Freeze(true); err != nil {
		l.holdHealth(false)
		return fmt.Errorf("freeze the processes: %w", errors.Join(err, l.hooks.Freeze(false)))
	}
	l.update(func() { l.paused = true })
	return nil
}

// Resume lets them go on.
func (l *Life) Resume() error {
	l.freezing.Lock()
	defer l.freezing.Unlock()
	if s, _ := l.State(); !s.Paused {
		return nil
	}
	if err := l.hooks.Freeze(false); err != nil {
		return fmt.Errorf("let the processes go on: %w", err)
	}
	l.update(func() { l.paused = false })
	l.holdHealth(false)
	return nil
}

func (l *Life) holdHealth(hold bool) {
	l.mu.Lock()
	h := l.health
	l.mu.Unlock()
	if h != nil {
		h.Hold(hold)
	}
}

// thaw is Resume for those who cannot do more about a failure than tell it.
func (l *Life) thaw() { _ = l.Resume() }

// Kill ends the process for good.
func (l *Life) Kill(ctx context.Context) error { return l.Signal(ctx, int(unix.SIGKILL), true) }

// Running returns the pid of the process that runs, ErrConflict if none does or it is paused. It
// waits for the first start.
func (l *Life) Running(ctx context.Context) (int, error) {
	if err := l.Task().Started(ctx); err != nil {
		return 0, err
	}
	s, _ := l.State()
	switch {
	case s.Paused:
		return 0, fmt.Errorf("the container is paused: %w", errdef.ErrConflict)
	case s.PID == 0:
		return 0, fmt.Errorf("the container does not run: %w", errdef.ErrConflict)
	}
	return s.PID, nil
}
