package health

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openvic/vic/sdk/guest"
)

// script plays probes: each value is an exit code; "hang" codes wait for the end of the context.
func script(codes ...int) (Probe, <-chan struct{}) {
	const hang = -100
	done := make(chan struct{}, 100)
	n := 0
	return func(ctx context.Context, _ []string, out *Buffer) (int, error) {
		defer func() { done <- struct{}{} }()
		code := codes[min(n, len(codes)-1)]
		n++
		if code == hang {
			_, _ = out.Write([]byte("so far"))
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}
		_, _ = out.Write([]byte("said"))
		return code, nil
	}, done
}

// watch runs a check, by a clock of the test's own, and returns the statuses after each run.
func watch(t *testing.T, check guest.Health, codes ...int) (all []Status) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { all = watched(t, check, codes) })
	return all
}

func watched(t *testing.T, check guest.Health, codes []int) []Status {
	t.Helper()
	probe, _ := script(codes...)
	changes := make(chan struct{}, 100)
	m := New(check, probe, func() { changes <- struct{}{} })
	defer m.Stop()
	var all []Status
	for range codes {
		<-changes
		all = append(all, m.Status())
	}
	return all
}

func TestStatusFollowsTheChecks(t *testing.T) {
	fast := guest.Health{Interval: 5 * time.Millisecond, Retries: 2}
	patient := fast
	patient.StartPeriod, patient.StartInterval = time.Hour, 5*time.Millisecond
	strict := patient
	strict.Retries = 1
	for name, c := range map[string]struct {
		check guest.Health
		codes []int
		want  string
	}{
		"healthy at once":           {fast, []int{0}, "healthy"},
		"one failure is none":       {fast, []int{1}, "starting"},
		"unhealthy after retries":   {fast, []int{1, 1}, "starting unhealthy"},
		"a success starts again":    {fast, []int{1, 0, 1, 1, 0}, "starting healthy healthy unhealthy healthy"},
		"start period forgives":     {patient, []int{1, 1, 1, 0}, "starting starting starting healthy"},
		"after success it does not": {strict, []int{0, 1}, "healthy unhealthy"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, s := range watch(t, c.check, c.codes...) {
				got = append(got, s.Status)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

func TestTheLogKeepsTheLastFive(t *testing.T) {
	all := watch(t, guest.Health{Interval: time.Millisecond, Retries: 100}, 1, 2, 3, 4, 5, 6)
	last := all[len(all)-1]
	if len(last.Log) != 5 || last.Log[0].ExitCode != 2 || last.Log[4].ExitCode != 6 || last.FailingStreak != 6 {
		t.Fatalf("%+v", last)
	}
	if r := last.Log[4]; r.Output != "said" || r.Start.IsZero() || r.End.Before(r.Start) {
		t.Fatalf("%+v", r)
	}
}

func TestACheckThatTakesTooLongHasFailed(t *testing.T) {
	all := watch(t, guest.Health{Interval: time.Millisecond, Timeout: 20 * time.Millisecond, Retries: 1}, -100)
	r := all[0].Log[0]
	if r.ExitCode != -1 || r.Output != "Health check exceeded timeout (20ms): so far" || all[0].Status != guest.HealthUnhealthy {
		t.Fatalf("%+v", all[0])
	}
}

func TestACheckThatCannotRunHasFailed(t *testing.T) {
	changed := make(chan struct{}, 100)
	m := New(guest.Health{Interval: time.Millisecond, Retries: 1}, func(context.Context, []string, *Buffer) (int, error) {
		return 0, errors.New("no such program")
	}, func() { changed <- struct{}{} })
	defer m.Stop()
	<-changed
	if s := m.Status(); s.Status != guest.HealthUnhealthy || s.Log[0].Output != "no such program" || s.Log[0].ExitCode != -1 {
		t.Fatalf("%+v", s)
	}
}

func TestAHeldCheckDoesNotRunAndALostRunDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := make(chan struct{}, 100)
		m := New(guest.Health{Interval: time.Second, Retries: 1}, func(ctx context.Context, _ []string, _ *Buffer) (int, error) {
			started <- struct{}{}
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}, func() {})
		defer m.Stop()
		<-started
		m.Hold(true)
		time.Sleep(time.Hour)
		if s := m.Status(); s.Status != guest.HealthStarting || len(s.Log) != 0 || len(started) != 0 {
			t.Fatalf("held: %+v, %d runs", s, len(started))
		}
		m.Hold(false)
		<-started
	})
}

// The pauses are those of the phase that the container is in.
func TestTheFirstRunsComeSoonerInTheStartPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var at []time.Duration
		m := New(guest.Health{Interval: time.Minute, StartPeriod: 20 * time.Second, StartInterval: 8 * time.Second},
			func(context.Context, []string, *Buffer) (int, error) {
				at = append(at, time.Since(begun))
				return 1, nil
			}, func() {})
		time.Sleep(3 * time.Minute)
		m.Stop()
		if want := []time.Duration{8 * time.Second, 16 * time.Second, 24 * time.Second, 84 * time.Second, 144 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("it ran after %v", at)
		}
	})
}

func TestOutputIsBounded(t *testing.T) {
	var b Buffer
	for range 3 {
		if n, err := b.Write(make([]byte, 3000)); n != 3000 || err != nil {
			t.Fatal(n, err)
		}
	}
	if s := b.String(); len(s) != 4096+3 || !strings.HasSuffix(s, "...") {
		t.Fatalf("%d bytes", len(s))
	}
}
