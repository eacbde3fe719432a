package engine

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// What follows went wrong before the states were written down; each is told as a story of the states.

func TestAStopDuringAPolicysStartThatFailsIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.in(t, lifeStartingAgain)
		b.e.noteManualStop(b.e.ctx, b.c)
		b.bring(onBootFailed)
		if b.c.life != lifeExited {
			t.Errorf("life %d: the policy goes on though a user has stopped the container", b.c.life)
		}
		<-time.After(time.Hour) // the policy's pauses are over
		if b.c.life != lifeExited {
			t.Errorf("life %d after an hour", b.c.life)
		}
	})
}

func TestAPolicyThatIsAskedTwiceStartsOnceAndCanBeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.in(t, lifeExited)
		b.bring(onStartAgain) // the platform tells that the VM is off, and so does a question
		b.bring(onStartAgain)
		if n := b.c.view().State.Restarts; n != 1 {
			t.Errorf("%d restarts are counted", n)
		}
		if _, awaiting, err := b.e.whatToStop(b.e.ctx, b.c); !awaiting || err != nil {
			t.Errorf("there is nothing to stop: %v", err)
		}
		<-time.After(time.Hour)
		if b.c.life != lifeExited {
			t.Errorf("life %d: it was started after the stop", b.c.life)
		}
	})
}

func TestAProcessThatCouldNotBeStartedAgainIsNotToldAsStarted(t *testing.T) {
	for _, l := range []life{lifeStartingAgain, lifeRestarting} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.in(t, l)
			b.bring(onCannotRun)
			if s := b.c.view().State; len(b.said) > 0 || s.Status != StatusExited || s.Error == "" {
				t.Errorf("life %d: told %v, state %+v", l, b.said, s)
			}
		})
	}
}

func TestASuspendedVMThatIsFoundIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.e.registry.drop(b.c)
		metadata, err := json.Marshal(b.c.def)
		if err != nil {
			t.Fatal(err)
		}
		vm := compute.VM{ID: benchID, Metadata: metadata, State: compute.StateSuspended, PoweredOn: time.Now()}
		b.e.observeAll([]compute.VM{vm})
		c, err := b.e.Get(benchID)
		if err != nil || c.State.Status != StatusPaused || len(b.said) > 0 {
			t.Errorf("status %s %v, told %v", c.State.Status, err, b.said)
		}
		vm.State = compute.StateRunning
		b.e.observeVM(vm)
		if c, _ := b.e.Get(benchID); c.State.Status != StatusRunning || !slices.Equal(b.said, []string{"unpause"}) {
			t.Errorf("resumed: status %s, told %v", c.State.Status, b.said)
		}
	})
}

func TestAnEndThatWasToldBeforeThisEngineCameIsNotToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r, err := b.e.newRun(b.e.ctx, b.c, foundRunning)
		if err != nil {
			t.Fatal(err)
		}
		exit := guest.Exit{Code: 3, Started: time.Now(), Finished: time.Now().Add(time.Second)}
		b.e.processRuns(r, link.Hello{State: &link.State{Phase: link.PhaseRestarting, Restarts: 2, Exit: &exit}})
		if s := b.c.view().State; s.Status != StatusRestarting || s.Restarts != 2 {
			t.Errorf("found as %+v", s)
		}
		b.e.processEnded(r, exit) // a user has stopped it before its next start
		if s := b.c.view().State; s.Status != StatusExited || len(b.said) > 0 {
			t.Errorf("state %+v, told %v", s, b.said)
		}
	})
}

func TestARemovedContainerIsNotOneThatIsBeingRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		if err := b.c.beginRemoval("c1", false); err != nil {
			t.Fatal(err)
		}
		if err := b.c.beginRemoval("c1", true); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("while it is being removed: %v", err)
		}
		b.e.drop(b.c)
		if err := b.c.beginRemoval("c1", true); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("after that: %v", err)
		}
	})
}
