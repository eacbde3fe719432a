// Package supervisor is a container's process over its restarts: the restart policy, pauses, the health
// check, and the state that the host sees.
package supervisor

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

// Hooks are what a supervisor needs of the machine. It calls Spawn, Started, Policy and Kills from Run, one
// at a time; Freeze with its lock freezing held, one at a time; Probe from the health check's goroutine.
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

// Supervisor is a container's process over its restarts. One goroutine is in Run; the calls of the host come
// from others, at any time and several at once. Run alone changes task, phase, restarts, exit and health;
// Pause and Resume change paused, and Signal stopped. A change is made with mu held and announced before mu
// is given up, so that who has taken changed and then looks misses none.
//
// freezing comes before mu, and mu before the locks of the task and of the health check, at which State looks
// with mu held. mu is never held over a call that waits for a process, nor over a hook.
type Supervisor struct {
	hooks Hooks
	out   *output.Buffer
	ended chan struct{} // closed when Run is done

	freezing sync.Mutex // held over a freeze or thaw, from the look at paused to its change

	mu       sync.Mutex // guards what follows
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

// New returns a supervisor that has not begun. out is closed when it ends.
func New(out *output.Buffer, h Hooks) *Supervisor {
	return &Supervisor{hooks: h, out: out, task: task.New(out, true), phase: Starting, ended: make(chan struct{}),
		stop: make(chan struct{}), changed: make(chan struct{})}
}

// Run starts the process, and again as the policy says; it returns when the container has ended. The end of
// ctx ends a pause before a restart; a process that runs is for others to end (Kill). failed is why it
// cannot be started at all.
func (s *Supervisor) Run(ctx context.Context, failed error) {
	defer s.end()
	if failed != nil {
		s.fail(failed)
		return
	}
	var pause guest.Backoff
	for first := true; ; first = false {
		kills := s.hooks.Kills()
		p, err := s.hooks.Spawn()
		if err != nil {
			s.fail(err)
			return
		}
		s.adopt(p, func() bool { return s.hooks.Kills() > kills })
		if first {
			s.hooks.Started()
		}
		exit := s.awaitEnd()
		if !s.awaitRestart(ctx, exit, &pause) {
			return
		}
	}
}

// fail ends a process that could not be started.
func (s *Supervisor) fail(err error) {
	s.Task().Fail(err)
	_, _, exit, _ := s.Task().State()
	s.update(func() { s.exit = &exit })
}

// adopt makes a process the present one; oom is asked at its end.
func (s *Supervisor) adopt(p *spawn.Process, oom func() bool) {
	s.Task().Run(p, oom)
	s.update(func() {
		s.phase = Running
		if s.hooks.Check != nil {
			s.health = health.New(*s.hooks.Check, s.hooks.Probe, s.notify)
		}
	})
}

// awaitEnd returns when the process has ended and all of its output is taken.
func (s *Supervisor) awaitEnd() guest.Exit {
	<-s.Task().Ended()
	_, _, exit, _ := s.Task().State()
	s.mu.Lock()
	h := s.health
	s.mu.Unlock()
	if h != nil {
		h.Stop()
	}
	return exit
}

// awaitRestart decides whether the process is started again, and waits until it is time to. A stop that
// comes meanwhile wins.
func (s *Supervisor) awaitRestart(ctx context.Context, exit guest.Exit, pause *guest.Backoff) bool {
	policy := s.hooks.Policy(ctx)
	s.thaw()
	s.mu.Lock()
	s.exit = &exit
	restart := !s.stopped && policy.Wants(exit.Code, policy.Count+s.restarts)
	if restart {
		s.restarts++
		s.phase = Restarting
		s.wake()
	}
	s.mu.Unlock()
	if !restart {
		return false
	}
	select {
	case <-time.After(pause.Next(exit.Finished.Sub(exit.Started))):
	case <-s.stop:
		return false
	case <-ctx.Done():
		return false
	}
	next := task.After(s.Task())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.task, s.phase = next, Starting // from here on a signal waits for the start
	return true
}

// end is the end for good: the state says so before Ended does.
func (s *Supervisor) end() {
	s.out.Close()
	s.update(func() { s.phase = Ended })
	close(s.ended)
}

// Task is the present process, or the last one.
func (s *Supervisor) Task() *task.Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.task
}

// Ended is closed when the container has ended for good.
func (s *Supervisor) Ended() <-chan struct{} { return s.ended }

// Exit is how it ended.
func (s *Supervisor) Exit() guest.Exit {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exit == nil {
		return guest.Exit{}
	}
	return *s.exit
}

// Wait returns how the container ended.
func (s *Supervisor) Wait(ctx context.Context) (guest.Exit, error) {
	select {
	case <-s.ended:
		return s.Exit(), nil
	case <-ctx.Done():
		return guest.Exit{}, context.Cause(ctx)
	}
}

// State returns the present state and a channel that is closed when it has changed.
func (s *Supervisor) State() (State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, pid, exit, _ := s.task.State()
	st := State{Phase: s.phase, Paused: s.paused, Restarts: s.restarts, PID: pid, Started: exit.Started, Exit: s.exit,
		OutputStart: s.task.OutputStart()}
	if s.health != nil {
		h := s.health.Status()
		st.Health = &h
	}
	return st, s.changed
}

// update makes a change and announces it.
func (s *Supervisor) update(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
	s.wake()
}

// notify announces a change of what State asks others for.
func (s *Supervisor) notify() { s.update(func() {}) }

// wake announces a change; mu is held.
func (s *Supervisor) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Signal sends a signal to the process, which it waits for if it is about to start. stop ends the restart
// policy with it, and a pause. ErrConflict if no process runs.
func (s *Supervisor) Signal(ctx context.Context, n int, stop bool) error {
	if stop {
		if waiting := s.forbidRestart(); waiting {
			return nil // there is no process to signal: it is not started again
		}
	}
	err := s.Task().Signal(ctx, n)
	if stop && err == nil {
		s.thaw()
	}
	return err
}

// forbidRestart ends the restart policy; true if the container waited for its next start.
func (s *Supervisor) forbidRestart() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.stop)
	}
	return s.phase == Restarting
}

// Pause freezes the container's processes and returns when they are frozen. ErrConflict if none runs; no
// error if they are frozen already.
func (s *Supervisor) Pause() error {
	s.freezing.Lock()
	defer s.freezing.Unlock()
	st, _ := s.State()
	switch {
	case st.Paused:
		return nil
	case st.Phase != Running:
		return fmt.Errorf("no process runs: %w", errdef.ErrConflict)
	}
	// First, so that a probe that is under way is not frozen and taken for one that hangs.
	s.holdHealth(true)
	if err := s.hooks.Freeze(true); err != nil {
		s.holdHealth(false)
		return fmt.Errorf("freeze the processes: %w", errors.Join(err, s.hooks.Freeze(false)))
	}
	s.update(func() { s.paused = true })
	return nil
}

// Resume lets them go on.
func (s *Supervisor) Resume() error {
	s.freezing.Lock()
	defer s.freezing.Unlock()
	if st, _ := s.State(); !st.Paused {
		return nil
	}
	if err := s.hooks.Freeze(false); err != nil {
		return fmt.Errorf("let the processes go on: %w", err)
	}
	s.update(func() { s.paused = false })
	s.holdHealth(false)
	return nil
}

// holdHealth interrupts the health check, if there is one, or lets it go on.
func (s *Supervisor) holdHealth(hold bool) {
	s.mu.Lock()
	h := s.health
	s.mu.Unlock()
	if h != nil {
		h.Hold(hold)
	}
}

// thaw is Resume for those who cannot do more about a failure than tell it.
func (s *Supervisor) thaw() { _ = s.Resume() }

// Kill has the process end for good, by SIGKILL; it does not wait for that.
func (s *Supervisor) Kill(ctx context.Context) error { return s.Signal(ctx, int(unix.SIGKILL), true) }

// Running returns the pid of the process that runs, ErrConflict if none does or it is paused. It
// waits for the first start.
func (s *Supervisor) Running(ctx context.Context) (int, error) {
	if err := s.Task().Started(ctx); err != nil {
		return 0, err
	}
	st, _ := s.State()
	switch {
	case st.Paused:
		return 0, fmt.Errorf("the container is paused: %w", errdef.ErrConflict)
	case st.PID == 0:
		return 0, fmt.Errorf("the container does not run: %w", errdef.ErrConflict)
	}
	return st.PID, nil
}
