package session

import (
	"context"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/vmware/govmomi/task"
)

const (
	waitSeconds    = 60 // of one WaitForUpdatesEx
	maxIdleWaiters = 16
	maxInProgress  = 20 // times that a task is tried while the object is busy
	maxTasks       = 16 // tasks of ours at a time: vCenter would queue more, and time them out there
)

// Run starts a task with start and waits for its end. While the object is busy with another task
// it waits for that one and tries again. what begins the error's text. Of many at once, maxTasks run
// and the others wait for their turn.
func (s *Session) Run(ctx context.Context, what string, start func(context.Context) (types.ManagedObjectReference, error)) (*types.TaskInfo, error) {
	select {
	case s.tasks <- struct{}{}:
		defer func() { <-s.tasks }()
	case <-ctx.Done():
		return nil, Error(what, ctx.Err())
	}
	for try := 0; ; try++ {
		ref, err := start(ctx)
		var info *types.TaskInfo
		if err == nil {
			info, err = s.wait(ctx, ref)
		}
		if err == nil {
			return info, nil
		}
		busy, ok := Find[*types.TaskInProgress](err)
		if !ok || try >= maxInProgress {
			return nil, Error(what, err)
		}
		if err := s.waitBusy(ctx, busy, try); err != nil {
			return nil, Error(what, err)
		}
	}
}

// waitBusy waits for the task that is in the way; if that cannot be waited for, a little.
func (s *Session) waitBusy(ctx context.Context, busy *types.TaskInProgress, try int) error {
	if busy.Task.Value != "" {
		if info, _ := s.wait(ctx, busy.Task); info != nil && try < 3 {
			return ctx.Err()
		}
	}
	return sleep(ctx, min(retryFirst<<min(try, 6), retryMax))
}

// waiters keeps property collectors for waiting: one per wait that is going on, used again. A collector
// belongs to whoever got it until it is put back. Those of an older session are forgotten, since vCenter
// has removed them with it.
type waiters struct {
	mu   sync.Mutex // guards gen and idle
	gen  uint64
	idle []types.ManagedObjectReference
}

func (w *waiters) get(gen uint64) (types.ManagedObjectReference, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gen != gen {
		w.gen, w.idle = gen, nil
	}
	n := len(w.idle)
	if n == 0 {
		return types.ManagedObjectReference{}, false
	}
	pc := w.idle[n-1]
	w.idle = w.idle[:n-1]
	return pc, true
}

func (w *waiters) put(gen uint64, pc types.ManagedObjectReference) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gen != gen || len(w.idle) >= maxIdleWaiters {
		return false
	}
	w.idle = append(w.idle, pc)
	return true
}

// wait returns when a task has ended; its failure is the error.
func (s *Session) wait(ctx context.Context, ref types.ManagedObjectReference) (*types.TaskInfo, error) {
	for {
		gen := s.gen.Load()
		info, err := s.waitOnce(ctx, gen, ref)
		if err != nil && s.gen.Load() != gen && ctx.Err() == nil {
			continue // the collector went with its session
		}
		if err != nil {
			return nil, err
		}
		if e := info.Error; e != nil {
			return info, task.Error{LocalizedMethodFault: e, Description: info.Description}
		}
		return info, nil
	}
}

func (s *Session) waitOnce(ctx context.Context, gen uint64, ref types.ManagedObjectReference) (*types.TaskInfo, error) {
	pc, ok := s.waiters.get(gen)
	if !ok {
		res, err := methods.CreatePropertyCollector(ctx, s, &types.CreatePropertyCollector{This: s.client.ServiceContent.PropertyCollector})
		if err != nil {
			return nil, err
		}
		pc = res.Returnval
	}
	f, err := methods.CreateFilter(ctx, s, &types.CreateFilter{This: pc, Spec: types.PropertyFilterSpec{
		ObjectSet: []types.ObjectSpec{{Obj: ref}},
		PropSet:   []types.PropertySpec{{Type: ref.Type, PathSet: []string{"info"}}},
	}})
	if err != nil {
		s.dropWaiter(pc)
		return nil, err
	}
	info, err := s.poll(ctx, pc, ref)
	if err != nil {
		s.dropWaiter(pc)
		return nil, err
	}
	go s.returnWaiter(gen, pc, f.Returnval)
	return info, nil
}

// poll waits on the collector until the task has ended.
func (s *Session) poll(ctx context.Context, pc, ref types.ManagedObjectReference) (*types.TaskInfo, error) {
	seconds := int32(waitSeconds)
	req := types.WaitForUpdatesEx{This: pc, Options: &types.WaitOptions{MaxWaitSeconds: &seconds}}
	for {
		res, err := methods.WaitForUpdatesEx(ctx, s, &req)
		if err != nil {
			return nil, err
		}
		if res.Returnval == nil {
			continue
		}
		req.Version = res.Returnval.Version
		for _, fs := range res.Returnval.FilterSet {
			for _, o := range fs.ObjectSet {
				if info, err := ended(o, ref); info != nil || err != nil {
					return info, err
				}
			}
		}
	}
}

// ended returns the task's information if the update says that it has ended.
func ended(o types.ObjectUpdate, ref types.ManagedObjectReference) (*types.TaskInfo, error) {
	if o.Obj.Value != ref.Value {
		return nil, nil
	}
	if o.Kind == types.ObjectUpdateKindLeave {
		return nil, Error("task "+ref.Value, errdef.ErrNotFound)
	}
	for _, c := range o.ChangeSet {
		info, ok := c.Val.(types.TaskInfo)
		if ok && (info.State == types.TaskInfoStateSuccess || info.State == types.TaskInfoStateError) {
			return &info, nil
		}
	}
	return nil, nil
}

// returnWaiter clears a collector and keeps it for the next wait; not on anyone's path.
func (s *Session) returnWaiter(gen uint64, pc, filter types.ManagedObjectReference) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := methods.DestroyPropertyFilter(ctx, s.soap, &types.DestroyPropertyFilter{This: filter})
	if err != nil || !s.waiters.put(gen, pc) {
		s.dropWaiter(pc)
	}
}

func (s *Session) dropWaiter(pc types.ManagedObjectReference) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = methods.DestroyPropertyCollector(ctx, s.soap, &types.DestroyPropertyCollector{This: pc})
	}()
}
