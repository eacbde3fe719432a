package jobs

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/openvic/vic/core/store"
)

// How often a process looks for tasks without being told, and how long it waits when it was told, so that the transaction
// that told it can end.
const (
	lookEvery = time.Second
	lookPause = 10 * time.Millisecond
)

// Run takes tasks and does them until ctx ends. Then it ends what it runs, gives it back, and returns; Options.Grace bounds
// how long that takes.
func (q *Queue) Run(ctx context.Context) {
	stopBeat := make(chan struct{})
	beaten := make(chan struct{})
	go func() { q.beat(stopBeat); close(beaten) }()
	swept := make(chan struct{})
	go func() { q.sweep(ctx); close(swept) }()
	for ctx.Err() == nil {
		more, err := q.take(ctx)
		if err != nil && ctx.Err() == nil {
			q.o.Log.Warn("jobs cannot be taken", "err", err)
			more = false
		}
		if more {
			continue
		}
		select {
		case <-q.wake:
			pause(ctx, lookPause)
		case <-time.After(lookEvery):
		case <-ctx.Done():
		}
	}
	q.mu.Lock()
	for _, j := range q.mine {
		j.cancel(ErrShutdown)
	}
	q.mu.Unlock()
	q.work.Wait()
	<-swept
	close(stopBeat)
	<-beaten
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// window is how many tasks a process looks at for each that it takes, so that several do not all try the first.
const window = 4

// take takes as many tasks as there is room for, and begins them. more says that there may be others.
func (q *Queue) take(ctx context.Context) (more bool, err error) {
	for _, k := range q.kinds {
		q.mu.Lock()
		free := k.Parallel - q.busy[k.Name]
		q.mu.Unlock()
		if k.Run == nil || free <= 0 {
			continue
		}
		ids, _, err := store.List(ctx, q.db, free*window, func(r *sql.Rows) (id int64, err error) { return id, r.Scan(&id) },
			`SELECT id FROM job_task WHERE status = 'Pending' AND kind = $1 AND due <= $2 ORDER BY due, id LIMIT $3`, k.Name, q.now())
		if err != nil {
			return false, err
		}
		if len(ids) > free {
			rand.Shuffle(len(ids), func(a, b int) { ids[a], ids[b] = ids[b], ids[a] })
			ids = ids[:free]
		}
		for _, id := range ids {
			t, ok, err := q.claim(ctx, id)
			if err != nil {
				return false, err
			}
			if ok {
				q.begin(k, t)
			}
			more = true // it ran or another one took it: look again
		}
	}
	return more, nil
}

// claim makes a waiting task this process's, unless another one was quicker.
func (q *Queue) claim(ctx context.Context, id int64) (t Task, ok bool, err error) {
	err = q.db.Tx(ctx, func(tx *store.Tx) (err error) {
		now := q.now()
		t, err = task1(tx.Row(`UPDATE job_task SET status = 'Running', run = run + 1, beat = beat + 1, worker = $1, done = 0, total = 0, updated = $2,
			started = CASE started WHEN 0 THEN $2 ELSE started END
			WHERE id = $3 AND status = 'Pending' AND due <= $2 RETURNING `+taskColumns, q.o.Worker, now, id).Scan)
		if ok = err == nil; errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			_, err = tx.Exec(`UPDATE job_execution SET status = 'Running', started = $1 WHERE id = $2 AND status = 'Pending'`, now, t.Execution)
		}
		return err
	})
	return t, ok && err == nil, err
}

// begin starts a task's goroutine.
func (q *Queue) begin(k Kind, t Task) {
	ctx, cancel := context.WithCancelCause(context.Background())
	j := &Job{Task: t, q: q, kind: k, cancel: cancel, heard: time.Now(), report: string(t.Report)}
	q.mu.Lock()
	q.mine[t.ID] = j
	q.busy[k.Name]++
	q.mu.Unlock()
	q.work.Go(func() { q.do(ctx, j) })
}

// do does a task and ends it.
func (q *Queue) do(ctx context.Context, j *Job) {
	defer j.cancel(nil)
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.mine[j.ID] == j {
			delete(q.mine, j.ID)
		}
		q.poke()
	}()
	if err := j.resume(ctx); err != nil {
		q.release(j)
		q.end(ctx, j, err)
		return
	}
	timed, cancel := context.WithTimeoutCause(ctx, j.kind.Timeout, ErrTimeout)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		defer q.release(j) // also when it comes back after its time
		result <- q.call(timed, j)
	}()
	var err error
	select {
	case err = <-result:
	case <-timed.Done():
		grace := time.NewTimer(q.o.Grace)
		defer grace.Stop()
		select {
		case err = <-result:
		case <-grace.C:
			err = fmt.Errorf("it did not end within %s after it should have", q.o.Grace)
			q.o.Log.Error("job does not end", "kind", j.Kind, "task", j.ID)
		}
	}
	q.end(timed, j, err)
}

// release makes room for another task of a job's kind.
func (q *Queue) release(j *Job) {
	q.mu.Lock()
	q.busy[j.kind.Name]--
	q.mu.Unlock()
	q.poke()
}

// call runs the kind's code. A panic is the task's failure, not the hub's end.
func (q *Queue) call(ctx context.Context, j *Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			q.o.Log.Error("job panicked", "kind", j.Kind, "task", j.ID, "panic", p, "stack", string(debug.Stack()))
			err = Permanent(errors.New("it failed by a fault of the hub, which the hub's log tells"))
		}
	}()
	return j.kind.Run(ctx, j)
}

// outcome is what a task becomes after an attempt, and when it runs again.
func (j *Job) outcome(ctx context.Context, err error) (s Status, message string, again time.Duration) {
	var never permanent
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		return Success, "", 0
	case errors.Is(cause, ErrStopped):
		return Stopped, reason(ctx, err).Error(), 0
	case errors.Is(cause, ErrShutdown):
		return Pending, reason(ctx, err).Error(), 0
	case cause != nil:
		err = reason(ctx, err)
	}
	if j.Last() || errors.As(err, &never) {
		return Error, err.Error(), 0
	}
	return Pending, err.Error(), j.kind.Backoff(j.Failures + 1)
}

// end writes how an attempt ended. While the database does not answer it tries again, for as long as the task is this
// process's; after that another one, or this one's sweep, finds it.
func (q *Queue) end(ctx context.Context, j *Job, failure error) {
	j.mu.Lock()
	committed := j.committed
	j.mu.Unlock()
	if committed || errors.Is(context.Cause(ctx), ErrLost) {
		return
	}
	status, message, again := j.outcome(ctx, failure)
	counts := !errors.Is(context.Cause(ctx), ErrShutdown)
	if failure != nil {
		j.Logf("attempt %d: %s", j.Run, message)
	}
	giveUp, cancel := context.WithTimeout(context.Background(), q.o.Lease)
	defer cancel()
	for {
		err := q.ending(giveUp, func(tx *store.Tx, hook bool) error {
			if status.Ended() {
				return q.finish(tx, j, status, message, hook)
			}
			return q.putBack(tx, j, message, again, counts, hook)
		})
		if err == nil || errors.Is(err, ErrLost) || giveUp.Err() != nil {
			if err != nil {
				q.o.Log.Warn("job ran in vain; another hub has taken it or will", "kind", j.Kind, "task", j.ID, "err", err)
			}
			return
		}
		pause(giveUp, q.o.Lease/20)
	}
}

// finish ends a task for good, within a transaction; ErrLost.
func (q *Queue) finish(tx *store.Tx, j *Job, as Status, message string, hook bool) error {
	if _, gone, _, err := j.write(tx); err != nil || gone {
		return cmp.Or(err, ErrLost)
	}
	failed := 0
	if as == Error {
		failed = 1
	}
	now := q.now()
	n, err := tx.Exec(`UPDATE job_task SET status = $1, message = $2, failures = failures + $3, updated = $4, ended = $4
		WHERE id = $5 AND run = $6 AND status = 'Running'`, string(as), cut(message, maxMessage), failed, now, j.ID, j.Run)
	if err != nil || n == 0 {
		return cmp.Or(err, ErrLost)
	}
	return q.settle(tx, j.Execution, as, 1, hook)
}

// putBack has a task run again later, unless somebody wants it to stop; ErrLost.
func (q *Queue) putBack(tx *store.Tx, j *Job, message string, again time.Duration, failed, hook bool) error {
	_, gone, stop, err := j.write(tx)
	switch {
	case err != nil:
		return err
	case gone:
		return ErrLost
	case stop:
		return q.finish(tx, j, Stopped, message, hook)
	}
	n := 0
	if failed {
		n = 1
	}
	now := q.now()
	due := now + again.Milliseconds()
	_, err = tx.Exec(`UPDATE job_task SET status = 'Pending', message = $1, failures = failures + $2, updated = $3, due = $4, expires = $5
		WHERE id = $6 AND run = $7 AND status = 'Running'`, cut(message, maxMessage), n, now, due, due+j.kind.Wait.Milliseconds(), j.ID, j.Run)
	return err
}

// signs is how many signs of life a task gives within a lease.
const signs = 6

// beat gives the signs of life of all that this process runs, and learns what is to stop.
func (q *Queue) beat(stop <-chan struct{}) {
	tick := time.NewTicker(q.o.Lease / signs)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		q.mu.Lock()
		list := make([]*Job, 0, len(q.mine))
		for _, j := range q.mine {
			list = append(list, j)
		}
		q.mu.Unlock()
		// In one order, so that no two transactions wait for each other.
		slices.SortFunc(list, func(a, b *Job) int { return int(a.ID - b.ID) })
		for part := range slices.Chunk(list, 50) {
			q.beatSome(part)
		}
	}
}

func (q *Queue) beatSome(list []*Job) {
	ctx, cancel := context.WithTimeout(context.Background(), q.o.Lease/2)
	defer cancel()
	type answer struct {
		kept       func()
		gone, stop bool
	}
	var answers []answer
	err := q.db.Tx(ctx, func(tx *store.Tx) error {
		answers = answers[:0]
		for _, j := range list {
			kept, gone, stop, err := j.write(tx)
			if err != nil {
				return err
			}
			answers = append(answers, answer{kept, gone, stop})
		}
		return nil
	})
	for i, j := range list {
		switch {
		case err != nil:
			j.mu.Lock()
			silent := time.Since(j.heard)
			j.mu.Unlock()
			if silent > q.o.Lease*2/3 { // before another hub may have it
				j.cancel(ErrLost)
			}
		case answers[i].gone: // or it has ended a moment ago
			j.cancel(ErrLost)
		default:
			answers[i].kept()
			if answers[i].stop {
				j.cancel(ErrStopped)
			}
		}
	}
	if err != nil {
		q.o.Log.Warn("running jobs cannot be kept", "err", err)
	}
}
