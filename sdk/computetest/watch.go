package computetest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
)

// watched collects the events of one Watch.
type watched struct {
	events chan compute.Event
	done   chan error
	stop   context.CancelFunc
}

func (s *suite) watch(t *testing.T) *watched {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watched{events: make(chan compute.Event, 1000), done: make(chan error, 1), stop: cancel}
	go func() {
		w.done <- s.Driver.Watch(ctx, func(e compute.Event) error {
			w.events <- e
			return nil
		})
	}()
	t.Cleanup(cancel)
	return w
}

// until skips events until one that ok accepts.
func (s *suite) until(t *testing.T, w *watched, what string, ok func(compute.Event) bool) compute.Event {
	t.Helper()
	timeout := time.After(s.Timeout)
	for {
		select {
		case e := <-w.events:
			if ok(e) {
				return e
			}
		case err := <-w.done:
			t.Fatalf("Watch ended while waiting for %s: %v", what, err)
		case <-timeout:
			t.Fatalf("no event within %s: %s", s.Timeout, what)
		}
	}
}

func put(id string, state compute.State) func(compute.Event) bool {
	return func(e compute.Event) bool {
		return e.Kind == compute.EventPut && e.VM.ID == id && e.VM.State == state
	}
}

func watch(t *testing.T, s *suite) {
	old := s.create(t)
	w := s.watch(t)
	first := s.until(t, w, "anything", func(compute.Event) bool { return true })
	if first.Kind != compute.EventSnapshot || !slices.ContainsFunc(first.VMs, func(v compute.VM) bool { return v.ID == old.ID }) {
		t.Fatalf("first event: %+v, want a snapshot with %s", first, old.ID)
	}
	vm := s.create(t)
	e := s.until(t, w, "the new VM", put(vm.ID, compute.StateOff))
	if string(e.VM.Metadata) != string(vm.Metadata) {
		t.Errorf("the event has metadata %q, the VM %q", e.VM.Metadata, vm.Metadata)
	}
	want(t, "Start", s.Driver.Start(s.ctx(t), vm.ID), nil)
	s.until(t, w, "running", put(vm.ID, compute.StateRunning))
	want(t, "Kill", s.Driver.Kill(s.ctx(t), vm.ID), nil)
	s.until(t, w, "off", put(vm.ID, compute.StateOff))
	want(t, "Remove", s.Driver.Remove(s.ctx(t), vm.ID), nil)
	s.until(t, w, "removed", func(e compute.Event) bool { return e.Kind == compute.EventRemove && e.VM.ID == vm.ID })
}

func watchError(t *testing.T, s *suite) {
	mine := errors.New("enough")
	err := s.Driver.Watch(s.ctx(t), func(compute.Event) error { return mine })
	if !errors.Is(err, mine) {
		t.Errorf("Watch returned %v, want the callback's error", err)
	}
}

func watchContext(t *testing.T, s *suite) {
	w := s.watch(t)
	s.until(t, w, "the snapshot", func(e compute.Event) bool { return e.Kind == compute.EventSnapshot })
	w.stop()
	select {
	case err := <-w.done:
		if !errors.Is(err, context.Canceled) && !errors.Is(err, errdef.ErrCanceled) {
			t.Errorf("Watch returned %v", err)
		}
	case <-time.After(s.Timeout):
		t.Error("Watch did not end with its context")
	}
}

func outside(t *testing.T, s *suite) {
	if s.PowerOff == nil || s.Delete == nil {
		t.Skip("the fixture cannot change the platform")
	}
	vm := s.started(t)
	w := s.watch(t)
	s.until(t, w, "the snapshot", func(e compute.Event) bool { return e.Kind == compute.EventSnapshot })
	s.PowerOff(t, vm.ID)
	s.until(t, w, "off", put(vm.ID, compute.StateOff))
	if got := s.get(t, vm.ID); got.State != compute.StateOff {
		t.Errorf("Get says %s", got.State)
	}
	s.Delete(t, vm.ID)
	s.until(t, w, "gone", func(e compute.Event) bool { return e.Kind == compute.EventRemove && e.VM.ID == vm.ID })
	_, err := s.Driver.Get(s.ctx(t), vm.ID)
	want(t, "Get", err, errdef.ErrNotFound)
}

func exitRecord(t *testing.T, s *suite) {
	if s.Exit == nil {
		t.Skip("the fixture has no guest")
	}
	vm := s.started(t)
	now := time.Now().UTC().Truncate(time.Second)
	exit := compute.Exit{Code: 7, OOM: true, Error: "why", Started: now.Add(-time.Minute), Finished: now}
	s.Exit(t, vm.ID, exit)
	s.eventually(t, "off with a record", func() bool {
		got := s.get(t, vm.ID)
		return got.State == compute.StateOff && got.Exit != nil
	})
	got := s.get(t, vm.ID).Exit
	if got.Code != exit.Code || got.OOM != exit.OOM || got.Error != exit.Error ||
		!got.Started.Equal(exit.Started) || !got.Finished.Equal(exit.Finished) {
		t.Errorf("record %+v, want %+v", *got, exit)
	}
	want(t, "Start", s.Driver.Start(s.ctx(t), vm.ID), nil)
	if got := s.get(t, vm.ID); got.Exit != nil {
		t.Errorf("the old record is there after Start: %+v", *got.Exit)
	}
}

func addresses(t *testing.T, s *suite) {
	if s.SetAddresses == nil {
		t.Skip("the fixture has no guest")
	}
	vm := s.started(t)
	addr := netip.MustParseAddr("172.16.0.2")
	s.SetAddresses(t, vm.ID, addr, netip.MustParseAddr("fe80::1"))
	s.eventually(t, "addresses", func() bool { return slices.Contains(s.get(t, vm.ID).Addresses, addr) })
}
