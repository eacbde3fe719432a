package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/openvic/vic/sdk/errdef"
)

// A container whose process has ended has its volumes until its VM is off; one that runs is not waited for.
func TestAClaimOnAVolumeIsWaitedForUntilItsHoldersVMIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		claims, names := b.e.Volumes.claims, []string{"db"}
		next := newContainer(Definition{ID: "b" + benchID[1:], Name: "c2"})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		take := func() chan error {
			taken := make(chan error, 1)
			go func() { taken <- claims.take(ctx, next, names) }()
			synctest.Wait()
			return taken
		}
		waits := func(taken chan error) {
			t.Helper()
			select {
			case err := <-taken:
				t.Errorf("not waited for: %v", err)
			default:
			}
		}
		claims.try(b.c, names) // its start is about to have a run
		taken := take()
		waits(taken)
		b.in(t, lifeRunning)
		if err := <-taken; !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("of one that runs: %v", err)
		}
		b.bring(onEnds)
		taken = take()
		waits(taken)
		b.bring(onOff)
		if err := <-taken; err != nil || claims.holder("db") != next {
			t.Errorf("of one whose VM is off: %v", err)
		}
		claims.try(b.c, names)
		claims.release(next)
		claims.try(b.c, names)
		taken = take()
		waits(taken)
		cancel()
		if err := <-taken; !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("without patience: %v", err)
		}
	})
}
