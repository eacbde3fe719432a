package engine_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// hold makes a step wait until it is let go; reached is closed when it waits.
func (w *world) hold(step string) (reached, release chan struct{}) {
	reached, release = make(chan struct{}), make(chan struct{})
	w.At(step, func(ctx context.Context) error {
		close(reached)
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	})
	return reached, release
}

// holdStart makes the next start wait before there is a run. The engine is another, which does not know
// the platform's capacity yet.
func (w *world) holdStart() (reached, release chan struct{}) {
	w.t.Helper()
	w.restart()
	w.eventually("known again", func() bool { return w.status("c1") == engine.StatusRunning })
	return w.hold("capacity")
}

// staysOff fails when the container's VM comes on again.
func (w *world) staysOff(c engine.Container) {
	w.t.Helper()
	w.pass(time.Hour)
	if s := w.status(c.ID); s != engine.StatusExited {
		w.t.Fatalf("it is %s again after the stop; events %v", s, w.events.actions())
	}
	if vm, err := w.Compute.Get(ctx(w.t), c.ID); err != nil || vm.State == compute.StateRunning {
		w.t.Errorf("its VM is %s %v", vm.State, err)
	}
}

// A container whose VM went off and is on its way to its next start is ended by a stop, wherever the
// start has got to.
func TestStopEndsAStartThatThePolicyHasBegun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"}, policy(guest.PolicyAlways, 0))
		w.must(w.Start(ctx(t), "c1"))
		reached, release := w.holdStart()
		w.Compute.PowerOff(c.ID)
		<-reached
		if err := w.Stop(ctx(t), "c1", engine.StopOptions{}); err != nil {
			t.Errorf("stop: %v", err)
		}
		close(release)
		w.eventually("exited", func() bool { return w.status("c1") == engine.StatusExited })
		w.staysOff(c)
		if got, _ := w.Get("c1"); got.State.Error != "" {
			t.Errorf("error %q", got.State.Error)
		}
		w.must(w.Start(ctx(t), "c1"))
	})
}

// So is one whose VM is just going off: the policy asks again before it counts the restart.
func TestStopWhileTheVMGoesOffIsNotForgotten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"}, policy(guest.PolicyAlways, 0), publishing(tcp(8080, 0, 80)))
		w.must(w.Start(ctx(t), "c1"))
		reached, release := w.hold("unpublish") // the end is noted after that
		w.Compute.PowerOff(c.ID)
		<-reached
		stopped := make(chan error, 1)
		zero := 0
		go func() { stopped <- w.Stop(ctx(t), "c1", engine.StopOptions{Timeout: &zero}) }()
		w.eventually("the stop's signal", func() bool { return slices.Contains(w.events.actions(), "kill") })
		close(release)
		if err := <-stopped; err != nil && !errors.Is(err, engine.ErrNotModified) {
			t.Error(err)
		}
		w.eventually("exited", func() bool { return w.status("c1") == engine.StatusExited })
		w.staysOff(c)
	})
}

// An administrator who powers the VM on spares the policy its start; a stop then stops what runs.
func TestAVMThatIsPoweredOnBeforeThePolicyDoes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"}, policy(guest.PolicyAlways, 0))
		w.must(w.Start(ctx(t), "c1"))
		var tries atomic.Int32
		var refuse func(context.Context) error
		refuse = func(context.Context) error {
			tries.Add(1)
			w.At("start", refuse)
			return errdef.ErrUnavailable
		}
		w.At("start", refuse)
		w.Compute.PowerOff(c.ID)
		w.eventually("a long pause", func() bool { return tries.Load() >= 4 })
		w.must(w.Compute.Start(ctx(t), c.ID)) // past the engine
		w.eventually("runs", func() bool { return w.status("c1") == engine.StatusRunning })
		w.must(w.Stop(ctx(t), "c1", engine.StopOptions{}))
		w.staysOff(c)
	})
}

// A start of the policy's that fails for the moment is tried again, unless the user has stopped the
// container meanwhile.
func TestAPolicysStartIsTriedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"}, policy(guest.PolicyAlways, 0))
		w.must(w.Start(ctx(t), "c1"))
		w.At("start", func(context.Context) error { return errdef.ErrUnavailable })
		w.Compute.PowerOff(c.ID)
		w.eventually("runs again", func() bool { return w.status("c1") == engine.StatusRunning && w.restarts("c1") == 1 })
		failing := make(chan struct{})
		release := make(chan struct{})
		w.At("start", func(context.Context) error { close(failing); <-release; return errdef.ErrUnavailable })
		w.Compute.PowerOff(c.ID)
		<-failing
		stopped := make(chan error, 1)
		zero := 0
		go func() { stopped <- w.Stop(ctx(t), "c1", engine.StopOptions{Timeout: &zero}) }()
		w.eventually("the stop's signal", func() bool { return slices.Contains(w.events.actions(), "kill") })
		close(release)
		<-stopped
		w.eventually("exited", func() bool { return w.status("c1") == engine.StatusExited })
		w.staysOff(c)
	})
}

// --rm holds, however often the platform refuses.
func TestAutoRemoveIsTriedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"true"}, autoRemove)
		w.At("remove", func(context.Context) error { return errdef.ErrUnavailable })
		w.must(w.Start(ctx(t), "c1"))
		w.eventually("removed", func() bool { return len(w.List()) == 0 })
	})
}

// A VM that an administrator powers on while its container is being started has one run, and one end.
func TestAVMThatIsPoweredOnDuringAStart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"}, mounts(engine.MountRequest{Volume: "vol1", Target: "/v"}))
		other := w.create("c2", []string{"sleep"}, mounts(engine.MountRequest{Volume: "vol1", Target: "/v"}))
		reached, release := w.hold("capacity")
		started := make(chan error, 1)
		go func() { started <- w.Start(ctx(t), "c1") }()
		<-reached
		w.must(w.Compute.Start(ctx(t), c.ID))
		w.eventually("runs", func() bool { return w.status("c1") == engine.StatusRunning })
		close(release)
		if err := <-started; !errors.Is(err, engine.ErrNotModified) {
			t.Errorf("start: %v", err)
		}
		if err := w.Start(ctx(t), other.ID); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("its volume is another's: %v", err)
		}
		w.must(w.Stop(ctx(t), "c1", engine.StopOptions{}))
		w.staysOff(c)
		deaths := slices.DeleteFunc(w.events.actions(), func(a string) bool { return a != "die 143" })
		if len(deaths) != 1 {
			t.Errorf("events %v", w.events.actions())
		}
	})
}

// A removal that fails because the platform is slow to say that the VM is no more leaves no container
// behind that is nothing but a name.
func TestARemovalThatFailsForAVMThatIsNoMore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c, other := w.create("c1", []string{"true"}), w.create("c2", []string{"true"})
		w.At("remove", func(context.Context) error {
			w.Compute.Delete(c.ID)
			w.Compute.SetAddresses(other.ID, netip.MustParseAddr("10.0.0.2"))
			w.eventually("the news", func() bool { v, _ := w.Get("c2"); return len(v.Addresses) == 1 })
			return errdef.ErrUnavailable
		})
		if err := w.Remove(ctx(t), "c1", engine.RemoveOptions{}); !errors.Is(err, errdef.ErrUnavailable) {
			t.Errorf("remove: %v", err)
		}
		w.eventually("dropped", func() bool { return len(w.List()) == 1 })
		w.create("c1", []string{"true"})
	})
}

// A pause that comes while the container is being started waits for its process.
func TestAPauseDuringAStartFollowsIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"sleep"})
		reached, release := w.hold("start")
		started, paused := make(chan error, 1), make(chan error, 1)
		go func() { started <- w.Start(ctx(t), "c1") }()
		<-reached
		go func() { paused <- w.Pause(ctx(t), "c1") }()
		close(release)
		w.must(<-started)
		w.must(<-paused)
		if got, want := w.events.actions(), []string{"create", "start", "pause"}; !slices.Equal(got, want) || w.status("c1") != engine.StatusPaused {
			t.Errorf("it is %s, events %v", w.status("c1"), got)
		}
	})
}
