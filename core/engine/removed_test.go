package engine_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/openvic/vic/core/engine"
)

// What the platform told of a VM before it was removed may come when it is gone.
func TestLateNewsDoesNotBringARemovedContainerBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"true"})
		reached, release := w.hold("told")
		w.Compute.SetAddresses(c.ID, netip.MustParseAddr("10.0.0.1"))
		<-reached
		w.must(w.Remove(ctx(t), "c1", engine.RemoveOptions{}))
		close(release)
		next := w.create("c2", []string{"true"})
		w.Compute.SetAddresses(next.ID, netip.MustParseAddr("10.0.0.2"))
		w.eventually("later news", func() bool {
			v, err := w.Get("c2")
			return err == nil && slices.Contains(v.Addresses, netip.MustParseAddr("10.0.0.2"))
		})
		if got := w.events.actions(); !slices.Equal(got, []string{"create", "destroy", "create"}) {
			t.Errorf("events %v", got)
		}
		if all := w.List(); len(all) != 1 {
			t.Errorf("%d containers", len(all))
		}
	})
}

// Who stops a container that was made with --rm makes the next one of that name right away.
func TestTheNameOfAStoppedContainerThatGoesByItselfIsFree(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		zero := 0
		for _, end := range []func() error{
			func() error { return w.Stop(ctx(t), "c1", engine.StopOptions{Timeout: &zero}) },
			func() error { return w.Kill(ctx(t), "c1", 0) },
		} {
			w.create("c1", []string{"sleep"}, autoRemove)
			w.must(w.Start(ctx(t), "c1"))
			reached, release := w.hold("remove")
			ended := make(chan error, 1)
			go func() { ended <- end() }()
			<-reached
			w.settle()
			select {
			case err := <-ended:
				t.Errorf("it does not wait for the removal: %v", err)
			default:
			}
			close(release)
			w.must(<-ended)
			if all := w.List(); len(all) != 0 {
				t.Errorf("it is still there: %s", all[0].State.Status)
			}
		}
	})
}
