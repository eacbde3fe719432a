package session

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/errdef"
)

func TestTasksTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Session{log: slog.New(slog.DiscardHandler), tasks: make(chan struct{}, maxTasks)}
		const n = 3*maxTasks - 1
		var begun, failed atomic.Int32
		goOn := make(chan struct{})
		for range n {
			go func() {
				_, err := s.Run(t.Context(), "try", func(context.Context) (types.ManagedObjectReference, error) {
					begun.Add(1)
					<-goOn
					return types.ManagedObjectReference{}, errdef.ErrUnsupported
				})
				if errors.Is(err, errdef.ErrUnsupported) {
					failed.Add(1)
				}
			}()
		}
		synctest.Wait()
		if b := begun.Load(); b != maxTasks {
			t.Errorf("%d tasks at a time, want %d", b, maxTasks)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Run(ctx, "try", func(context.Context) (types.ManagedObjectReference, error) {
			t.Error("a task of a caller who has left was begun")
			return types.ManagedObjectReference{}, nil
		}); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who has left: %v", err)
		}
		goOn <- struct{}{}
		synctest.Wait()
		if b := begun.Load(); b != maxTasks+1 {
			t.Errorf("one has ended, and %d have begun", b)
		}
		close(goOn)
		synctest.Wait()
		if f := failed.Load(); f != n || len(s.tasks) != 0 {
			t.Errorf("%d tasks of %d ended, %d turns are held", f, n, len(s.tasks))
		}
	})
}
