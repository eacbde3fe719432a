package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/health"
	"github.com/openvic/vic/tether/output"
	"github.com/openvic/vic/tether/spawn"
	"golang.org/x/sys/unix"
)

// nobody is a process ID that no process has: signals to it find it ended.
const nobody = 1 << 30

// rig is a machine without files and processes: what runs is a channel for its end. All of it is in a
// bubble of synctest, and so is time.
type rig struct {
	*Supervisor
	t       *testing.T
	cancel  context.CancelFunc
	spawned []time.Time // when processes were started
	ends    chan chan unix.WaitStatus

	mu      sync.Mutex
	policy  guest.Restart
	spawn   error // why nothing is started
	freeze  error
	frozen  []bool // the calls
	kills   int
	started int // calls of Started
	last    chan unix.WaitStatus
}

// story runs f with a supervisor that has begun.
func story(t *testing.T, policy guest.Restart, check *guest.Health, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, ends: make(chan chan unix.WaitStatus, 100), policy: policy}
		r.Supervisor = New(output.NewMemory(), Hooks{
			Spawn: r.start, Started: func() { r.set(func() { r.started++ }) }, Kills: func() (n int) { r.set(func() { n = r.kills }); return n },
			Policy: func(context.Context) (p guest.Restart) { r.set(func() { p = r.policy }); return p },
			Freeze: func(on bool) (err error) {
				r.set(func() { r.frozen, err = append(r.frozen, on), r.freeze })
				return err
			},
			Check: check, Probe: func(context.Context, []string, *health.Buffer) (int, error) { return 0, nil },
		})
		ctx, cancel := context.WithCancel(t.Context())
		r.cancel = cancel
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Run(ctx, nil)
		}()
		f(r)
		cancel()
		select { // Run does not leave a process that runs
		case r.last <- 0:
		default:
		}
		<-done
	})
}

func (r *rig) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *rig) start() (*spawn.Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spawn != nil {
		return nil, r.spawn
	}
	end := make(chan unix.WaitStatus, 1)
	r.spawned = append(r.spawned, time.Now())
	r.last = end
	r.ends <- end
	return &spawn.Process{PID: nobody, Ended: end}, nil
}

// next waits for the next process and returns what ends it.
func (r *rig) next() func(code int) {
	end := <-r.ends
	synctest.Wait()
	return func(code int) {
		end <- unix.WaitStatus(code << 8)
		synctest.Wait()
	}
}

// want compares the state.
func (r *rig) want(when string, phase Phase, restarts int) {
	r.t.Helper()
	if st, _ := r.State(); st.Phase != phase || st.Restarts != restarts {
		r.t.Errorf("%s: phase %d after %d restarts, want %d after %d", when, st.Phase, st.Restarts, phase, restarts)
	}
}

func TestThePolicyDecidesHowOftenTheProcessIsStarted(t *testing.T) {
	for name, c := range map[string]struct {
		policy guest.Restart
		codes  []int // of the processes; the last one's end is the container's
	}{
		"no policy":                       {guest.Restart{}, []int{1}},
		"no":                              {guest.Restart{Policy: guest.PolicyNo}, []int{0}},
		"on-failure, success":             {guest.Restart{Policy: guest.PolicyOnFailure}, []int{0}},
		"on-failure, until success":       {guest.Restart{Policy: guest.PolicyOnFailure}, []int{1, 2, 3, 0}},
		"on-failure:2":                    {guest.Restart{Policy: guest.PolicyOnFailure, Max: 2}, []int{1, 1, 7}},
		"on-failure:2, one before a boot": {guest.Restart{Policy: guest.PolicyOnFailure, Max: 2, Count: 1}, []int{1, 7}},
		"on-failure:2, two before a boot": {guest.Restart{Policy: guest.PolicyOnFailure, Max: 2, Count: 2}, []int{7}},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, c.policy, nil, func(r *rig) {
				for n, code := range c.codes {
					end := r.next()
					r.want("while it runs", Running, n)
					if end(code); n < len(c.codes)-1 {
						r.want("between two runs", Restarting, n+1)
					}
				}
				exit, err := r.Wait(r.t.Context())
				if err != nil || int(exit.Code) != c.codes[len(c.codes)-1] {
					t.Fatalf("exit %+v, %v", exit, err)
				}
				r.want("at the end", Ended, len(c.codes)-1)
				if len(r.spawned) != len(c.codes) || r.started != 1 {
					t.Errorf("%d processes, announced %d times", len(r.spawned), r.started)
				}
			})
		})
	}
}

// The policy is asked at each end: docker update changes it while the container runs.
func TestThePolicyIsTheOneOfTheMoment(t *testing.T) {
	story(t, guest.Restart{Policy: guest.PolicyAlways}, nil, func(r *rig) {
		r.next()(0)
		end := r.next()
		r.set(func() { r.policy = guest.Restart{} })
		end(0)
		r.want("with the new policy", Ended, 1)
	})
}

func TestThePausesAreDockers(t *testing.T) {
	story(t, guest.Restart{Policy: guest.PolicyAlways}, nil, func(r *rig) {
		for n := range 14 {
			end := r.next()
			if n == 12 {
				time.Sleep(10 * time.Second) // a run that lasts starts the pauses again
			}
			end(1)
		}
		r.next()
		var pauses []time.Duration
		for n := 1; n < len(r.spawned); n++ {
			pauses = append(pauses, r.spawned[n].Sub(r.spawned[n-1]))
		}
		pauses[12] -= 10 * time.Second
		want := []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000, 100, 200}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(pauses, want) {
			t.Errorf("pauses %v\nwant   %v", pauses, want)
		}
	})
}

func TestAStopEndsThePolicy(t *testing.T) {
	always := guest.Restart{Policy: guest.PolicyAlways}
	t.Run("while the process runs", func(t *testing.T) {
		story(t, always, nil, func(r *rig) {
			end := r.next()
			if err := r.Signal(r.t.Context(), int(unix.SIGTERM), true); !errors.Is(err, errdef.ErrConflict) { // nobody
				t.Errorf("signal: %v", err)
			}
			end(0)
			r.want("after its end", Ended, 0)
		})
	})
	t.Run("a signal that is none", func(t *testing.T) {
		story(t, always, nil, func(r *rig) {
			end := r.next()
			_ = r.Signal(r.t.Context(), int(unix.SIGHUP), false)
			end(0)
			r.next()
			r.want("after its end", Running, 1)
		})
	})
	t.Run("while it waits for its next start", func(t *testing.T) {
		story(t, always, nil, func(r *rig) {
			r.next()(5)
			r.want("after its end", Restarting, 1)
			for _, want := range []error{nil, errdef.ErrConflict} {
				if err := r.Signal(r.t.Context(), int(unix.SIGTERM), true); !errors.Is(err, want) {
					t.Errorf("signal: %v, want %v", err, want)
				}
				synctest.Wait()
				r.want("after the stop", Ended, 1)
			}
			if exit := r.Exit(); exit.Code != 5 || len(r.spawned) != 1 {
				t.Errorf("exit %+v after %d processes", exit, len(r.spawned))
			}
		})
	})
	t.Run("with the machine", func(t *testing.T) {
		story(t, always, nil, func(r *rig) {
			r.next()(5)
			r.cancel()
			synctest.Wait()
			r.want("after the end of the context", Ended, 1)
		})
	})
}

func TestWhatCannotBeStartedHasEnded(t *testing.T) {
	notFound := &spawn.Failure{Code: spawn.CodeNotFound, Text: "no such program"}
	t.Run("at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := output.NewMemory()
			s := New(b, Hooks{})
			s.Run(t.Context(), errors.New("no disk"))
			if exit, err := s.Wait(t.Context()); err != nil || exit.Code != spawn.CodeTether || exit.Error != "no disk" {
				t.Errorf("%+v, %v", exit, err)
			}
			r, err := b.NewReader(output.Options{Follow: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("its output goes on: %v", err)
			}
		})
	})
	t.Run("the second time", func(t *testing.T) {
		story(t, guest.Restart{Policy: guest.PolicyAlways}, nil, func(r *rig) {
			end := r.next()
			r.set(func() { r.spawn = notFound })
			end(1)
			exit, err := r.Wait(r.t.Context())
			if err != nil || exit.Code != spawn.CodeNotFound || exit.Error != notFound.Text {
				t.Errorf("%+v, %v", exit, err)
			}
			r.want("at the end", Ended, 1)
		})
	})
}

func TestKilledForMemoryIsToldOfTheRunInWhichItWas(t *testing.T) {
	story(t, guest.Restart{Policy: guest.PolicyOnFailure, Max: 1}, nil, func(r *rig) {
		end := r.next()
		r.set(func() { r.kills++ })
		end(137)
		if st, _ := r.State(); !st.Exit.OOM {
			t.Errorf("the first run: %+v", st.Exit)
		}
		r.next()(137)
		if exit := r.Exit(); exit.OOM {
			t.Errorf("the second run: %+v", exit)
		}
	})
}

func TestPausing(t *testing.T) {
	story(t, guest.Restart{Policy: guest.PolicyAlways}, nil, func(r *rig) {
		steps := func(want ...bool) {
			t.Helper()
			if !slices.Equal(r.frozen, want) {
				t.Errorf("frozen %v, want %v", r.frozen, want)
			}
			r.frozen = nil
		}
		paused := func(want bool) {
			t.Helper()
			if st, _ := r.State(); st.Paused != want {
				t.Errorf("paused: %v", st.Paused)
			}
			_, err := r.Running(r.t.Context())
			if want != errors.Is(err, errdef.ErrConflict) {
				t.Errorf("Running: %v", err)
			}
		}
		end := r.next()
		paused(false)
		for range 2 {
			if err := r.Pause(); err != nil {
				t.Fatal(err)
			}
			paused(true)
		}
		steps(true)
		for range 2 {
			if err := r.Resume(); err != nil {
				t.Fatal(err)
			}
			paused(false)
		}
		steps(false)

		r.freeze = errors.New("stuck")
		if err := r.Pause(); err == nil || !strings.Contains(err.Error(), "stuck") {
			t.Errorf("a process that does not freeze: %v", err)
		}
		paused(false)
		steps(true, false) // and let go on again
		r.freeze = nil

		if err := r.Pause(); err != nil {
			t.Fatal(err)
		}
		end(1) // killed from outside
		r.want("after its end", Restarting, 1)
		steps(true, false)
		if err := r.Pause(); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("pause while no process runs: %v", err)
		}
		r.next()
		paused(false)
	})
}

func TestRunningWaitsForTheStartAndKnowsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		end := make(chan unix.WaitStatus, 1)
		s := New(output.NewMemory(), Hooks{Kills: func() int { return 0 }, Started: func() {},
			Policy: func(context.Context) guest.Restart { return guest.Restart{} },
			Spawn:  func() (*spawn.Process, error) { <-release; return &spawn.Process{PID: 42, Ended: end}, nil }})
		go s.Run(t.Context(), nil)
		pids := make(chan int, 1)
		go func() {
			pid, err := s.Running(t.Context())
			if err != nil {
				t.Error(err)
			}
			pids <- pid
		}()
		synctest.Wait()
		if st, _ := s.State(); st.Phase != Starting || len(pids) > 0 {
			t.Errorf("before the start: %+v", st)
		}
		close(release)
		if pid := <-pids; pid != 42 {
			t.Errorf("pid %d", pid)
		}
		end <- 0
		<-s.Ended()
		if _, err := s.Running(t.Context()); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Who waits for a change and then looks sees every state that lasts.
func TestEveryChangeIsAnnounced(t *testing.T) {
	story(t, guest.Restart{Policy: guest.PolicyOnFailure, Max: 1}, &guest.Health{Interval: time.Second}, func(r *rig) {
		var seen []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				st, changed := r.State()
				word := fmt.Sprint([]string{"", "starting", "running", "restarting", "ended"}[st.Phase], " ", st.Restarts)
				if st.Paused {
					word += " paused"
				}
				if st.Health != nil && st.Phase == Running {
					word += " " + st.Health.Status
				}
				if len(seen) == 0 || seen[len(seen)-1] != word {
					seen = append(seen, word)
				}
				if st.Phase == Ended {
					return
				}
				<-changed
			}
		}()
		end := r.next()
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if err := errors.Join(r.Pause(), r.wait(), r.Resume(), r.wait()); err != nil {
			t.Fatal(err)
		}
		end(1)
		r.next()(0)
		<-done
		want := []string{"running 0 starting", "running 0 healthy", "running 0 paused healthy", "running 0 healthy", "restarting 1",
			"running 1 starting", "ended 1"}
		if !slices.Equal(seen, want) && !slices.Equal(seen, append([]string{"starting 0"}, want...)) {
			t.Errorf("seen %q\nwant %q", seen, want)
		}
	})
}

// wait lets everybody see what has changed.
func (r *rig) wait() error {
	synctest.Wait()
	return nil
}
