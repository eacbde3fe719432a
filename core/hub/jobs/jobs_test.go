package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/errdef"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(stormURL); url != "" {
		stormWorker(url)
		return
	}
	os.Exit(storetest.Main(m))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lease is short, so that what is lost is found soon.
const lease = 600 * time.Millisecond

type rig struct {
	t  *testing.T
	db *store.Store
	q  *Queue
}

// each runs a test on both databases, with a queue that runs if kinds have a Run.
func each(t *testing.T, kinds func(r *rig) []Kind, test func(r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := &rig{t: t, db: open(Schema())}
		r.q = r.queue(kinds(r)...)
		test(r)
	})
}

func (r *rig) queue(kinds ...Kind) *Queue {
	return New(r.db, Options{Kinds: kinds, Log: slog.New(slog.DiscardHandler), Lease: lease, Grace: lease})
}

// run runs a queue until the test ends, or until stop is called.
func (r *rig) run(q *Queue) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { q.Run(ctx); close(done) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	r.t.Cleanup(stop)
	return stop
}

func (r *rig) tx(f func(tx *store.Tx) error) {
	r.t.Helper()
	must(r.t, r.db.Tx(r.t.Context(), f))
}

func (r *rig) enqueue(x Request) (id int64) {
	r.t.Helper()
	r.tx(func(tx *store.Tx) (err error) { id, err = r.q.Enqueue(tx, x); return err })
	return id
}

func (r *rig) ended(id int64) (Execution, []Task) {
	r.t.Helper()
	e, err := r.q.Wait(r.t.Context(), id)
	must(r.t, err)
	tasks, _, err := r.q.Tasks(r.t.Context(), id, 100, 0)
	must(r.t, err)
	return e, tasks
}

func TestAJobIsThereIfItsChangeIs(t *testing.T) {
	each(t, func(*rig) []Kind {
		return []Kind{{Name: "K", Run: func(_ context.Context, j *Job) error {
			var p struct{ A int }
			if err := j.Decode(&p); err != nil {
				return err
			}
			j.Logf("a is %d", p.A)
			j.Progress(1, 2)
			j.Tell(map[string]int{"seen": p.A})
			return nil
		}}}
	}, func(r *rig) {
		undone := errors.New("undone")
		err := r.db.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := r.q.Enqueue(tx, Request{Kind: "K"})
			return errors.Join(err, undone)
		})
		if !errors.Is(err, undone) {
			r.t.Fatal(err)
		}
		id := r.enqueue(Request{Kind: "K", Subject: 7, Cause: ByEvent, Payload: map[string]int{"A": 5}})
		r.run(r.q)
		e, tasks := r.ended(id)
		if e.Status != Success || e.Subject != 7 || e.Cause != ByEvent || string(e.Params) != `{"A":5}` || e.Tasks != 1 || e.Succeeded != 1 || e.Started.IsZero() || e.Ended.IsZero() {
			r.t.Errorf("%+v", e)
		}
		if x := tasks[0]; x.Status != Success || string(x.Report) != `{"seen":5}` || x.Done != 1 || x.Total != 2 || x.Run != 1 || x.Worker == "" {
			r.t.Errorf("%+v", x)
		}
		if lines, err := r.q.TaskLog(t.Context(), tasks[0].ID); err != nil || len(lines) != 1 || lines[0].Text != "a is 5" {
			r.t.Errorf("%+v %v", lines, err)
		}
		if _, total, err := r.q.Executions(t.Context(), Filter{}, 10, 0); err != nil || total != 1 {
			r.t.Errorf("%d executions, %v", total, err)
		}
		subject := int64(8)
		for f, want := range map[*Filter]int{{Kind: "K", Status: Success, Cause: ByEvent}: 1, {Kind: "L"}: 0, {Subject: &subject}: 0, {Status: Error}: 0} {
			if list, total, err := r.q.Executions(t.Context(), *f, 10, 0); err != nil || total != want || len(list) != want {
				r.t.Errorf("%+v: %d, %v", f, total, err)
			}
		}
	})
}

func TestWhatFailsIsTriedAgainAndThenItIsAnError(t *testing.T) {
	broken := errors.New("broken\x00 pipe")
	var attempts atomic.Int32
	each(t, func(*rig) []Kind {
		soon := func(int) time.Duration { return time.Millisecond }
		return []Kind{
			{Name: "FAILS", Attempts: 3, Backoff: soon, Run: func(_ context.Context, j *Job) error {
				if j.Last() != (j.Failures == 2) {
					t.Errorf("last: %v after %d failures", j.Last(), j.Failures)
				}
				return broken
			}},
			{Name: "RECOVERS", Attempts: 3, Backoff: soon, Run: func(_ context.Context, j *Job) error {
				if j.Run < 3 {
					return broken
				}
				return nil
			}},
			{Name: "PERMANENT", Attempts: 3, Backoff: soon, Run: func(context.Context, *Job) error { attempts.Add(1); return Permanent(broken) }},
			{Name: "PANICS", Run: func(context.Context, *Job) error { panic("fault") }},
		}
	}, func(r *rig) {
		attempts.Store(0)
		r.run(r.q)
		for kind, want := range map[string]struct {
			status   Status
			runs     int
			failures int
			message  string
		}{"FAILS": {Error, 3, 3, "broken pipe"}, "RECOVERS": {Success, 3, 2, ""}, "PERMANENT": {Error, 1, 1, "broken pipe"}, "PANICS": {Error, 1, 1, "fault of the hub"}} {
			e, tasks := r.ended(r.enqueue(Request{Kind: kind}))
			if e.Status != want.status || tasks[0].Run != want.runs || tasks[0].Failures != want.failures || !strings.Contains(e.Message, want.message) {
				r.t.Errorf("%s: %+v %+v", kind, e, tasks[0])
			}
		}
		if attempts.Load() != 1 {
			r.t.Errorf("%d attempts", attempts.Load())
		}
	})
}

func TestStop(t *testing.T) {
	begun := make(chan struct{}, 1)
	each(t, func(*rig) []Kind {
		return []Kind{
			{Name: "LISTENS", Run: func(ctx context.Context, _ *Job) error { begun <- struct{}{}; <-ctx.Done(); return ctx.Err() }},
			{Name: "DEAF", Run: func(context.Context, *Job) error { begun <- struct{}{}; select {} }},
			{Name: "FAILS", Attempts: 9, Backoff: func(int) time.Duration { return 0 }, Run: func(context.Context, *Job) error { return errors.New("no") }},
		}
	}, func(r *rig) {
		waits := r.enqueue(Request{Kind: "LISTENS"})
		r.tx(func(tx *store.Tx) error { return r.q.Stop(tx, waits) })
		if e, tasks := r.ended(waits); e.Status != Stopped || tasks[0].Run != 0 || e.Message == "" {
			r.t.Errorf("%+v", e)
		}
		stop := r.run(r.q)
		for _, kind := range []string{"LISTENS", "DEAF"} {
			id := r.enqueue(Request{Kind: kind, Tasks: []TaskRequest{{}, {Due: time.Now().Add(time.Hour)}}})
			<-begun
			r.tx(func(tx *store.Tx) error { return r.q.Stop(tx, id) })
			if e, tasks := r.ended(id); e.Status != Stopped || e.Stopped != 2 || tasks[0].Run != 1 || tasks[1].Run != 0 {
				r.t.Errorf("%s: %+v %+v", kind, e, tasks)
			}
		}
		r.tx(func(tx *store.Tx) error { return r.q.Stop(tx, waits) }) // has ended
		err := r.db.Tx(t.Context(), func(tx *store.Tx) error { return r.q.Stop(tx, 4711) })
		if !errors.Is(err, errdef.ErrNotFound) {
			r.t.Error(err)
		}
		stop()
		// Between its mark and the next sign of life it fails: it is not put back.
		id := r.enqueue(Request{Kind: "FAILS"})
		_, tasks := r.list(id)
		x, ok, err := r.q.claim(t.Context(), tasks[0].ID)
		if err != nil || !ok {
			r.t.Fatal(ok, err)
		}
		r.tx(func(tx *store.Tx) error { return r.q.Stop(tx, id) })
		r.q.begin(r.q.kind("FAILS"), x)
		r.q.work.Wait()
		if e, _ := r.list(id); e.Status != Stopped {
			r.t.Errorf("%+v", e)
		}
	})
}

func (r *rig) list(id int64) (Execution, []Task) {
	r.t.Helper()
	e, err := r.q.Execution(r.t.Context(), r.db, id)
	must(r.t, err)
	tasks, _, err := r.q.Tasks(r.t.Context(), id, 100, 0)
	must(r.t, err)
	return e, tasks
}

func TestNothingIsStuck(t *testing.T) {
	each(t, func(*rig) []Kind {
		return []Kind{
			{Name: "HANGS", Timeout: time.Millisecond, Run: func(context.Context, *Job) error { select {} }},
			{Name: "SLOW", Timeout: time.Millisecond, Run: func(ctx context.Context, _ *Job) error { <-ctx.Done(); return ctx.Err() }},
			{Name: "NOBODY", Wait: time.Millisecond},
			{Name: "DIES", Run: func(context.Context, *Job) error { return nil }},
			{Name: "KILLS"},
		}
	}, func(r *rig) {
		// A process that takes a task and is no more: another one does it.
		dies := r.enqueue(Request{Kind: "DIES"})
		_, tasks := r.list(dies)
		dead := r.queue()
		if _, ok, err := dead.claim(t.Context(), tasks[0].ID); err != nil || !ok {
			r.t.Fatal(ok, err)
		}
		hangs, slow, nobody := r.enqueue(Request{Kind: "HANGS"}), r.enqueue(Request{Kind: "SLOW"}), r.enqueue(Request{Kind: "NOBODY"})
		kills := r.enqueue(Request{Kind: "KILLS"})
		r.run(r.q)
		for id, want := range map[int64]string{hangs: "did not end", slow: "longer than it may", nobody: "no hub took it"} {
			if e, _ := r.ended(id); e.Status != Error || !strings.Contains(e.Message, want) {
				r.t.Errorf("%+v, want %q", e, want)
			}
		}
		if e, tasks := r.ended(dies); e.Status != Success || tasks[0].Run != 2 || tasks[0].Failures != 0 {
			r.t.Errorf("%+v %+v", e, tasks)
		}
		// What kills each process that takes it is given up.
		_, tasks = r.list(kills)
		for e, _ := r.list(kills); !e.Status.Ended(); e, _ = r.list(kills) {
			_, _, err := dead.claim(t.Context(), tasks[0].ID)
			must(t, err)
		}
		if e, _ := r.list(kills); e.Status != Error || !strings.Contains(e.Message, "ended 5 times") {
			r.t.Errorf("%+v", e)
		}
	})
}

func TestWhoLostATaskCannotEndIt(t *testing.T) {
	each(t, func(*rig) []Kind { return []Kind{{Name: "K", Attempts: 5}} }, func(r *rig) {
		id := r.enqueue(Request{Kind: "K"})
		_, tasks := r.list(id)
		take := func(q *Queue) *Job {
			x, ok, err := q.claim(t.Context(), tasks[0].ID)
			if err != nil || !ok {
				r.t.Fatal(ok, err)
			}
			return &Job{Task: x, q: q, kind: q.kind("K"), cancel: func(error) {}}
		}
		old := take(r.q)
		r.tx(func(tx *store.Tx) error {
			var beat int64
			if err := tx.Row(`SELECT beat FROM job_task WHERE id = $1`, old.ID).Scan(&beat); err != nil {
				return err
			}
			return r.q.takeAway(tx, old.ID, sign{run: int64(old.Run), beat: beat}, true)
		})
		other := take(r.queue(r.q.kinds["K"]))
		ran := false
		if err := old.Commit(t.Context(), func(*store.Tx) error { ran = true; return nil }); !errors.Is(err, ErrLost) || ran {
			r.t.Errorf("%v, ran %v", err, ran)
		}
		if err := old.Add(t.Context(), TaskRequest{}); !errors.Is(err, ErrLost) {
			r.t.Error(err)
		}
		r.q.end(t.Context(), old, errors.New("failed"))
		r.q.end(t.Context(), old, nil)
		if e, tasks := r.list(id); e.Status != Running || tasks[0].Status != Running {
			r.t.Errorf("%+v %+v", e, tasks)
		}
		must(t, other.Commit(t.Context(), func(*store.Tx) error { ran = true; return nil }))
		if e, _ := r.list(id); e.Status != Success || !ran {
			r.t.Errorf("%+v", e)
		}
	})
}

func TestAloneAndRetryAndEnded(t *testing.T) {
	var fail atomic.Bool
	var ends atomic.Int32
	each(t, func(r *rig) []Kind {
		return []Kind{{Name: "PLAN", Run: func(ctx context.Context, j *Job) error {
			return j.Add(ctx, TaskRequest{Kind: "STEP", Payload: 1}, TaskRequest{Kind: "STEP", Payload: 2}, TaskRequest{Kind: "STEP", Payload: 3})
		}, Ended: func(tx *store.Tx, e Execution) error {
			ends.Add(1)
			if e.Status == Success {
				_, err := r.q.Enqueue(tx, Request{Kind: "AFTER", Subject: e.ID})
				return err
			}
			return errors.New("the hook fails")
		}}, {Name: "STEP", Run: func(_ context.Context, j *Job) error {
			if n := string(j.Payload); n == "2" && fail.Load() {
				return errors.New("step 2 fails")
			}
			return nil
		}}}
	}, func(r *rig) {
		fail.Store(true)
		ends.Store(0)
		id := r.enqueue(Request{Kind: "PLAN", Alone: "x"})
		again := func() error {
			return r.db.Tx(t.Context(), func(tx *store.Tx) error {
				_, err := r.q.Enqueue(tx, Request{Kind: "PLAN", Alone: "x"})
				if errors.Is(err, errdef.ErrConflict) { // the transaction is still good
					_, e := tx.Exec(`UPDATE job_execution SET message = '' WHERE id = $1`, id)
					err = errors.Join(err, e)
				}
				return err
			})
		}
		if err := again(); !errors.Is(err, errdef.ErrConflict) {
			r.t.Fatal(err)
		}
		r.run(r.q)
		e, tasks := r.ended(id)
		if e.Status != Error || e.Message != "step 2 fails" || e.Tasks != 4 || e.Failed != 1 || e.Succeeded != 3 || len(tasks) != 4 || ends.Load() != 1 {
			r.t.Errorf("%+v %d, ended %d times", e, len(tasks), ends.Load())
		}
		fail.Store(false)
		r.tx(func(tx *store.Tx) error { return r.q.Retry(tx, id) })
		if e, tasks = r.ended(id); e.Status != Success || e.Succeeded != 4 || e.Failed != 0 || tasks[2].Run != 2 || tasks[1].Run != 1 {
			r.t.Errorf("%+v %+v", e, tasks)
		}
		if list, _, err := r.q.Executions(t.Context(), Filter{Kind: "AFTER", Subject: &id}, 1, 0); err != nil || len(list) != 1 {
			r.t.Errorf("%+v %v", list, err)
		}
		must(t, again())
	})
}

func TestBounds(t *testing.T) {
	each(t, func(*rig) []Kind {
		return []Kind{{Name: "TALKS", Keep: 3, Run: func(_ context.Context, j *Job) error {
			for range maxLines + 10 {
				j.Logf("%s\x00\xff", strings.Repeat("x", 2*maxLine))
			}
			j.Tell(json.RawMessage(`"` + strings.Repeat("x", maxReport) + `"`))
			return errors.New(strings.Repeat("e", 2*maxMessage))
		}}}
	}, func(r *rig) {
		err := r.db.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := r.q.Enqueue(tx, Request{Kind: "TALKS", Payload: strings.Repeat("x", maxPayload)})
			return err
		})
		if !errors.Is(err, errdef.ErrInvalid) {
			r.t.Error(err)
		}
		r.run(r.q)
		var last int64
		for range 6 {
			last = r.enqueue(Request{Kind: "TALKS"})
			r.ended(last)
		}
		list, total, err := r.q.Executions(t.Context(), Filter{Kind: "TALKS"}, 10, 0)
		if err != nil || total != 3 || list[0].ID != last || len(list[0].Message) != maxMessage {
			r.t.Errorf("%d %v", total, err)
		}
		_, tasks := r.list(last)
		lines, err := r.q.TaskLog(t.Context(), tasks[0].ID)
		if err != nil || len(lines) != maxLines+1 || len(lines[0].Text) > maxLine || lines[maxLines].Text != "more lines are left out" || tasks[0].Report != nil {
			r.t.Errorf("%d lines, %v", len(lines), err)
		}
		// By age.
		r.q.o.Now = func() time.Time { return time.Now().Add(r.q.o.History + time.Hour) }
		must(t, r.q.forget(t.Context()))
		if _, total, err := r.q.Executions(t.Context(), Filter{}, 10, 0); err != nil || total != 0 {
			r.t.Errorf("%d %v", total, err)
		}
	})
}

func TestAHubThatEndsGivesItsWorkBack(t *testing.T) {
	begun := make(chan int, 10)
	var quick atomic.Bool
	each(t, func(*rig) []Kind {
		return []Kind{{Name: "K", Run: func(ctx context.Context, j *Job) error {
			begun <- j.Run
			if quick.Load() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}}
	}, func(r *rig) {
		quick.Store(false)
		id := r.enqueue(Request{Kind: "K"})
		stop := r.run(r.q)
		<-begun
		stop()
		if e, tasks := r.list(id); e.Status != Running || tasks[0].Status != Pending || tasks[0].Failures != 0 {
			r.t.Errorf("%+v %+v", e, tasks)
		}
		quick.Store(true)
		r.run(r.queue(r.q.kinds["K"]))
		<-begun
		if e, tasks := r.ended(id); e.Status != Success || tasks[0].Run != 2 {
			r.t.Errorf("%+v %+v", e, tasks)
		}
	})
}

func TestASubjectThatIsGoneLeavesNothing(t *testing.T) {
	each(t, func(*rig) []Kind { return []Kind{{Name: "K"}} }, func(r *rig) {
		ended := r.enqueue(Request{Kind: "K", Subject: 5})
		waits := r.enqueue(Request{Kind: "K", Subject: 5})
		other := r.enqueue(Request{Kind: "K", Subject: 6})
		r.tx(func(tx *store.Tx) error {
			return errors.Join(r.q.Stop(tx, ended), r.q.SetSchedule(tx, "K", 5, "0 0 0 * * *", nil))
		})
		r.tx(func(tx *store.Tx) error { return r.q.Forget(tx, "K", 5) })
		if _, err := r.q.Execution(t.Context(), r.db, ended); !errors.Is(err, errdef.ErrNotFound) {
			r.t.Error(err)
		}
		if _, err := r.q.Schedule(t.Context(), r.db, "K", 5); !errors.Is(err, errdef.ErrNotFound) {
			r.t.Error(err)
		}
		if e, _ := r.list(waits); e.Status != Stopped {
			r.t.Errorf("%+v", e)
		}
		if e, _ := r.list(other); e.Status != Pending {
			r.t.Errorf("%+v", e)
		}
	})
}

func TestATaskThatCannotBeginLeavesItsRoom(t *testing.T) {
	each(t, func(*rig) []Kind {
		return []Kind{{Name: "K", Parallel: 1, Run: func(context.Context, *Job) error { return nil }}}
	}, func(r *rig) {
		id := r.enqueue(Request{Kind: "K"})
		_, tasks := r.list(id)
		x, ok, err := r.q.claim(t.Context(), tasks[0].ID)
		if err != nil || !ok {
			r.t.Fatal(ok, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(ErrShutdown) // the database is not asked any more
		r.q.busy["K"]++
		r.q.do(ctx, &Job{Task: x, q: r.q, kind: r.q.kind("K"), cancel: cancel})
		r.run(r.q)
		if e, tasks := r.ended(id); e.Status != Success || tasks[0].Run != 2 || tasks[0].Failures != 0 {
			r.t.Errorf("%+v %+v", e, tasks)
		}
	})
}
