package linkserver

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// states reads a watch of the state on a channel, which is closed at its end.
func (s *story) states(c linkv1.LinkClient) <-chan *linkv1.ContainerState {
	s.t.Helper()
	w, err := c.WatchState(s.t.Context(), &linkv1.WatchStateRequest{})
	if err != nil {
		s.t.Fatal(err)
	}
	out := make(chan *linkv1.ContainerState, 64)
	go func() {
		defer close(out)
		for {
			m, err := w.Recv()
			if err != nil {
				if !errors.Is(err, io.EOF) && s.t.Context().Err() == nil {
					s.t.Error(err)
				}
				return
			}
			out <- m.State
		}
	}()
	return out
}

// until returns the first state that is as wanted.
func until(t *testing.T, states <-chan *linkv1.ContainerState, what string, f func(*linkv1.ContainerState) bool) *linkv1.ContainerState {
	t.Helper()
	for {
		select {
		case st, ok := <-states:
			if !ok {
				t.Fatalf("no state in which it %s", what)
			}
			if f(st) {
				return st
			}
		case <-time.After(patience):
			t.Fatalf("it never %s", what)
		}
	}
}

func inPhase(p linkv1.ContainerState_Phase) func(*linkv1.ContainerState) bool {
	return func(s *linkv1.ContainerState) bool { return s.Phase == p }
}

func TestThePolicyStartsTheProcessAgainUntilItGivesUp(t *testing.T) {
	s := begin(t)
	c, _ := s.connect()
	s.policy.Store(&guest.Restart{Policy: guest.PolicyOnFailure, Max: 2})
	states := s.states(c)
	for run := range 3 {
		if run > 0 {
			s.proc = <-s.started
		}
		until(t, states, "runs", inPhase(linkv1.ContainerState_PHASE_RUNNING))
		s.proc.stdout.WriteString("run\n")
		s.proc.exit(3)
		if run < 2 {
			st := until(t, states, "restarts", inPhase(linkv1.ContainerState_PHASE_RESTARTING))
			if st.Restarts != int64(run+1) || st.LastExit.GetCode() != 3 {
				t.Fatalf("run %d: %v", run, st)
			}
		}
	}
	if st := until(t, states, "ends", inPhase(linkv1.ContainerState_PHASE_ENDED)); st.Restarts != 2 {
		t.Fatalf("it ended after %d restarts", st.Restarts)
	}
	w, err := c.Wait(t.Context(), &linkv1.WaitRequest{})
	if err != nil || w.Exit.Code != 3 {
		t.Fatal(w, err)
	}
	if out := s.output(c, &linkv1.OutputRequest{}); out != "run\nrun\nrun\n" {
		t.Fatalf("output %q", out)
	}
}

// output reads what a request gives.
func (s *story) output(c linkv1.LinkClient, req *linkv1.OutputRequest) string {
	s.t.Helper()
	stream, err := c.Output(s.t.Context(), req)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []byte
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return string(out)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, m.Data...)
	}
}

func TestAFollowerOfTheOutputEndsWithItsProcessAndInputGoesToTheNext(t *testing.T) {
	s := begin(t)
	c, _ := s.connect()
	s.policy.Store(&guest.Restart{Policy: guest.PolicyAlways})
	first := s.proc
	follower, err := c.Output(t.Context(), &linkv1.OutputRequest{Follow: true, Attached: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteStdin(t.Context(), &linkv1.WriteStdinRequest{Data: []byte("one"), Close: true}); err != nil {
		t.Fatal(err)
	}
	first.stdout.WriteString("first\n")
	if m, err := follower.Recv(); err != nil || string(m.Data) != "first\n" {
		t.Fatalf("the follower got %v, %v", m, err)
	}
	first.exit(0)
	// The next process starts without anybody who waits for it: it must not be what the follower waits for.
	if m, err := follower.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the end of the process the follower got %v, %v", m, err)
	}
	second := <-s.started
	r, err := c.WriteStdin(t.Context(), &linkv1.WriteStdinRequest{Offset: 3, Data: []byte("two"), Close: true})
	if err != nil || r.Offset != 6 {
		t.Fatal(r, err)
	}
	if b, _ := io.ReadAll(second.stdin); string(b) != "two" {
		t.Fatalf("the second process read %q", b)
	}
	if _, err := c.Signal(t.Context(), &linkv1.SignalRequest{Signal: 15, Stop: true}); status.Code(err) != codes.FailedPrecondition {
		t.Fatalf("a signal to a process that is none: %v", err)
	}
	second.exit(0)
	if _, err := c.Wait(t.Context(), &linkv1.WaitRequest{}); err != nil {
		t.Fatal(err)
	}
}

func TestPauseAndResume(t *testing.T) {
	s := begin(t)
	c, _ := s.connect()
	for _, paused := range []bool{true, true, false, false} {
		var err error
		if paused {
			_, err = c.Pause(t.Context(), &linkv1.PauseRequest{})
		} else {
			_, err = c.Resume(t.Context(), &linkv1.ResumeRequest{})
		}
		if err != nil {
			t.Fatal(err)
		}
		h, err := c.Hello(t.Context(), &linkv1.HelloRequest{})
		if err != nil || h.State.Paused != paused || h.State.Phase != linkv1.ContainerState_PHASE_RUNNING {
			t.Fatalf("paused %v: %v, %v", paused, h, err)
		}
	}
	s.proc.exit(0)
	if _, err := c.Wait(t.Context(), &linkv1.WaitRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pause(t.Context(), &linkv1.PauseRequest{}); status.Code(err) != codes.FailedPrecondition {
		t.Fatalf("pause of an ended container: %v", err)
	}
}

func TestLimitsAreUpdated(t *testing.T) {
	s := begin(t)
	c, _ := s.connect()
	n, none := int64(64<<20), int64(0)
	s.machine.limits = limits{memory: 1, cpu: 2, pids: 3}
	if _, err := c.Update(t.Context(), &linkv1.UpdateRequest{Memory: &n, Pids: &none}); err != nil {
		t.Fatal(err)
	}
	if got := s.machine.limits; got != (limits{memory: n, cpu: 2, pids: 0}) {
		t.Fatalf("limits %+v", got)
	}
}
