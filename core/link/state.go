package link

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

// Phase is where a container is in its life.
type Phase int

// The phases.
const (
	PhaseStarting   Phase = 1
	PhaseRunning    Phase = 2
	PhaseRestarting Phase = 3 // the process has ended and will be started again
	PhaseEnded      Phase = 4
)

// State is how a container is, as its tether sees it.
type State struct {
	Phase    Phase
	Paused   bool
	Restarts int // since the boot
	Pid      int
	Started  time.Time
	Exit     *guest.Exit // of the last process that has ended
	Health   *Health     // nil: no health check
}

// Health is what the health check says.
type Health struct {
	Status        string
	FailingStreak int
	Log           []Probe
}

// Probe is one run of the health check.
type Probe struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}

func toState(s *linkv1.ContainerState) *State {
	if s == nil {
		return nil // a tether from before there were states
	}
	return &State{Phase: Phase(s.GetPhase()), Paused: s.GetPaused(), Restarts: int(s.GetRestarts()), Pid: int(s.GetPid()),
		Started: toTime(s.GetStarted()), Exit: toExit(s.GetLastExit()), Health: toHealth(s.GetHealth())}
}

func toHealth(h *linkv1.Health) *Health {
	if h == nil {
		return nil
	}
	out := &Health{Status: h.GetStatus(), FailingStreak: int(h.GetFailingStreak())}
	for _, p := range h.GetLog() {
		out.Log = append(out.Log, Probe{Start: toTime(p.GetStart()), End: toTime(p.GetEnd()), ExitCode: int(p.GetExitCode()), Output: p.GetOutput()})
	}
	return out
}

// WatchState calls fn with the present state and then with every change, over as many connections
// as it takes, until the container has ended for good.
func (l *Link) WatchState(ctx context.Context, fn func(State)) error {
	return l.call(ctx, func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		s, err := l.client.WatchState(ctx, &linkv1.WatchStateRequest{})
		if err != nil {
			return err
		}
		for {
			m, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if st := toState(m.GetState()); st != nil {
				fn(*st)
			}
		}
	})
}

// AwaitStart returns when the container's first process has been started, or could not be.
func (l *Link) AwaitStart(ctx context.Context) error {
	watch, enough := context.WithCancel(ctx)
	defer enough()
	started := false
	err := l.WatchState(watch, func(s State) {
		if s.Phase != PhaseStarting {
			started = true
			enough()
		}
	})
	if started {
		return nil
	}
	return err
}

// Stop sends a signal that is meant as the end of the container: its restart policy does not start
// it again. ErrConflict if no process runs.
func (l *Link) Stop(ctx context.Context, signal int) error {
	return l.call(ctx, func() error {
		_, err := l.client.Signal(ctx, &linkv1.SignalRequest{Signal: int32(signal), Stop: true})
		return err
	})
}

// Pause freezes the container's processes.
func (l *Link) Pause(ctx context.Context) error {
	return l.call(ctx, func() error {
		_, err := l.client.Pause(ctx, &linkv1.PauseRequest{})
		return err
	})
}

// Resume lets them go on.
func (l *Link) Resume(ctx context.Context) error {
	return l.call(ctx, func() error {
		_, err := l.client.Resume(ctx, &linkv1.ResumeRequest{})
		return err
	})
}

// Limits are limits to change; nil ones stay, 0 is none.
type Limits struct{ Memory, NanoCPUs, Pids *int64 }

// Update changes limits of the running container.
func (l *Link) Update(ctx context.Context, u Limits) error {
	return l.call(ctx, func() error {
		_, err := l.client.Update(ctx, &linkv1.UpdateRequest{Memory: u.Memory, NanoCpus: u.NanoCPUs, Pids: u.Pids})
		return err
	})
}
