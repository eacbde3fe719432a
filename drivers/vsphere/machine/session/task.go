package session

import (
	"context"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	vsphere "github.com/openvic/vic/drivers/vsphere/session"
)

// grace is how long a task that was asked to stop may take to say how it ended.
const grace = time.Minute

// Await waits for the end of a task and returns its result. If ctx ends first the task is asked to
// stop, and its end is waited for all the same: whoever cleans up must know what was made. Then both
// the result (if there is one) and ctx's error are returned.
func Await(ctx context.Context, t *object.Task, err error) (types.AnyType, error) {
	if err != nil {
		return nil, vsphere.Classify(err)
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
		return nil, vsphere.Classify(err)
	}
	return info.Result, vsphere.Classify(err)
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
