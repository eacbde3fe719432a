package service

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

// tasks are the operations that run, and those that have ended not long ago.
type tasks struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	cfg    Config
	now    func() time.Time
	wg     sync.WaitGroup
	secret [32]byte // of fingerprints; of this process alone

	mu       sync.Mutex // guards what follows; taken before the mu of a task, never after it
	all      map[string]*task
	draining bool
}

func newTasks(ctx context.Context, cfg Config) *tasks {
	ctx, cancel := context.WithCancelCause(ctx)
	ts := &tasks{ctx: ctx, cancel: cancel, cfg: cfg, now: time.Now, all: map[string]*task{}}
	_, _ = rand.Read(ts.secret[:]) // never fails
	return ts
}

// work is what a task does; its result is JSON.
type work func(ctx context.Context, log *progress.Log) (result any, err error)

// job describes a task that is to begin.
type job struct {
	operation string
	vch       string // its ID or name
	sess      *session.Session
	timeout   time.Duration
	do        work
}

// start begins a task, which closes the session. The token lets its holder read the task without the
// account.
func (ts *tasks) start(j job) (t *task, token string, err error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.sweep()
	busy := func(detail, advise string) error {
		return advice.Wrap(problemError{Problem{Type: "busy", Status: http.StatusServiceUnavailable, Detail: detail, RetryAfter: 10}}, "%s", advise)
	}
	if ts.draining {
		return nil, "", busy("the service is ending", "try again when it runs again")
	}
	target := hostOf(j.sess.Target.URL)
	running := 0
	for _, other := range ts.all {
		if other.ended() {
			continue
		}
		if running++; other.view.Target == target && other.view.VCH == j.vch {
			return nil, "", advice.Wrap(problemError{Problem{Type: "refused", Status: http.StatusConflict,
				Detail: "another task of VCH " + j.vch + " runs: " + other.view.Operation}}, "wait for its end, or cancel it")
		}
	}
	if running >= ts.cfg.MaxRunning {
		return nil, "", busy("as many tasks run as may", "wait for the end of one")
	}
	token = rand.Text()
	ctx, cancel := context.WithCancelCause(ts.ctx)
	target0 := j.sess.Target
	target0.Password, target0.Ticket = "", ""
	t = &task{token: sha256.Sum256([]byte(token)), owner: j.sess.UserName, target: target0, cancel: cancel, changed: make(chan struct{}), now: ts.now,
		view: Task{ID: rand.Text(), Operation: j.operation, Target: target, VCH: j.vch, User: j.sess.UserName, State: Running, Started: ts.now()}}
	t.view.URL = "/tasks/" + t.view.ID
	ts.all[t.view.ID] = t
	ts.wg.Add(1)
	go ts.run(ctx, t, j)
	return t, token, nil
}

// run does the work of a task.
func (ts *tasks) run(ctx context.Context, t *task, j job) {
	defer ts.wg.Done()
	defer t.cancel(nil)
	defer j.sess.Close(ctx)
	ctx, stop := operation.WithTimeout(ctx, j.timeout)
	defer stop()
	result, err := ts.attempt(ctx, t, j)
	err = operation.EndOf(ctx, err)
	t.end(result, err)
	ts.cfg.Log.Info("task ended", "operation", j.operation, "vch", j.vch, "user", t.owner, "state", t.snapshot().State, "err", err)
}

// attempt does the work. A mistake in the program must not take the other tasks with it, half done.
func (ts *tasks) attempt(ctx context.Context, t *task, j job) (result any, err error) {
	defer func() {
		if r := recover(); r != nil {
			ts.cfg.Log.Error("task broke off", "operation", j.operation, "vch", j.vch, "err", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errdef.ErrInternal, r)
		}
	}()
	return j.do(ctx, progress.To(t.event))
}

// get returns a task; nil if there is none, or none any more.
func (ts *tasks) get(id string) *task {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.sweep()
	return ts.all[id]
}

// forget removes a task that has ended.
func (ts *tasks) forget(id string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.all, id)
}

// of lists the tasks of an account at a target, the newest first.
func (ts *tasks) of(target, user string) []Task {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.sweep()
	out := []Task{}
	for _, t := range ts.all {
		if v := t.snapshot(); t.owner == user && v.Target == target {
			v.Messages, v.Result = nil, nil
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b Task) int { return b.Started.Compare(a.Started) })
	return out
}

// sweep forgets what ended long ago, and the oldest if there are too many.
func (ts *tasks) sweep() {
	var ended []*task
	for id, t := range ts.all {
		switch {
		case !t.ended():
		case ts.now().Sub(t.snapshot().Ended) > ts.cfg.KeepTasks:
			delete(ts.all, id)
		default:
			ended = append(ended, t)
		}
	}
	slices.SortFunc(ended, func(a, b *task) int { return a.snapshot().Ended.Compare(b.snapshot().Ended) })
	for len(ts.all) >= ts.cfg.MaxTasks && len(ended) > 0 {
		delete(ts.all, ended[0].view.ID)
		ended = ended[1:]
	}
}

func (ts *tasks) drain() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.draining = true
}

func (ts *tasks) interrupt() {
	ts.drain()
	ts.cancel(operation.ErrInterrupted)
}

func (ts *tasks) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		ts.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
