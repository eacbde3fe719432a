package session

import (
	"context"
	"fmt"
	"time"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/errdef"
)

// grace is how long a task that was asked to stop may take to say how it ended.
const grace = time.Minute

// Await waits for the end of a task and returns its result. If ctx ends first the task is asked to
// stop, and its end is waited for all the same: whoever cleans up must know what was made. Then both
// the result (if there is one) and ctx's error are returned.
func Await(ctx context.Context, t *object.Task, err error) (types.AnyType, error) {
	if err != nil {
		return nil, Classify(err)
	}
	after, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		_ = t.Cancel(after) // not every task can be; then it runs to its end
		time.AfterFunc(grace, stop)
	})()
	info, err := t.WaitForResult(after)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if info == nil {
		return nil, Classify(err)
	}
	return info.Result, Classify(err)
}

// Wait is Await for tasks without a result.
func Wait(ctx context.Context, t *object.Task, err error) error {
	_, err = Await(ctx, t, err)
	return err
}

// Detached is a context for a short call that makes something: it outlives ctx, so that the answer
// is known and what was made can be removed.
func Detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), grace)
}

// Classify gives the faults that callers tell apart their class.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range []struct {
		fault types.BaseMethodFault
		class error
	}{
		{&types.FileNotFound{}, errdef.ErrNotFound},
		{&types.ManagedObjectNotFound{}, errdef.ErrNotFound},
		{&types.FileAlreadyExists{}, errdef.ErrExists},
		{&types.DuplicateName{}, errdef.ErrExists},
		{&types.NoPermission{}, errdef.ErrDenied},
		{&types.NoDiskSpace{}, errdef.ErrExhausted},
		{&types.InvalidPowerState{}, errdef.ErrConflict},
	} {
		if fault.Is(err, c.fault) {
			return fmt.Errorf("%w: %w", c.class, err)
		}
	}
	return err
}
