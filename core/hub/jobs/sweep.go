package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/openvic/vic/core/store"
)

// sign is the last sign of life of a task, and when this process first saw it.
type sign struct {
	run, beat int64
	since     time.Time
}

// forgetEvery is how often what is too old is removed.
const forgetEvery = time.Hour

// sweep does what time does: it takes tasks from those who are gone, ends what waited too long, starts what is scheduled,
// and forgets what is old. Each hub does so; each step is done by one of them.
func (q *Queue) sweep(ctx context.Context) {
	seen := map[int64]sign{}
	var forgot time.Time
	for ctx.Err() == nil {
		steps := []func(context.Context) error{func(ctx context.Context) error { return q.reclaim(ctx, seen) }}
		if !q.o.Guest {
			steps = append(steps, q.expire, q.fire)
		}
		if !q.o.Guest && time.Since(forgot) > forgetEvery {
			forgot = time.Now()
			steps = append(steps, q.forget)
		}
		for _, step := range steps {
			if err := step(ctx); err != nil && ctx.Err() == nil {
				q.o.Log.Warn("jobs cannot be looked after", "err", err)
			}
		}
		pause(ctx, min(q.o.Lease/signs, time.Second))
	}
}

// maxWatched bounds how many running tasks are watched. There are as many as all hubs together run.
const maxWatched = 10_000

// reclaim takes tasks from processes that gave no sign of life of them for a lease.
func (q *Queue) reclaim(ctx context.Context, seen map[int64]sign) error {
	type row struct {
		id, run, beat int64
		kind          string
	}
	list, _, err := store.List(ctx, q.db, maxWatched, func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.id, &x.run, &x.beat, &x.kind) },
		`SELECT id, run, beat, kind FROM job_task WHERE status = 'Running' ORDER BY id LIMIT $1`)
	if err != nil {
		return err
	}
	there := make(map[int64]bool, len(list))
	for _, x := range list {
		if _, known := q.kinds[x.kind]; q.o.Guest && !known {
			continue
		}
		there[x.id] = true
		s := seen[x.id]
		if s.run != x.run || s.beat != x.beat {
			seen[x.id] = sign{x.run, x.beat, time.Now()}
			continue
		}
		if time.Since(s.since) < q.o.Lease {
			continue
		}
		err := q.ending(ctx, func(tx *store.Tx, hook bool) error { return q.takeAway(tx, x.id, s, hook) })
		if err != nil {
			return err
		}
		delete(seen, x.id)
	}
	for id := range seen {
		if !there[id] {
			delete(seen, id)
		}
	}
	return nil
}

// takeAway puts a task back, or ends it, if there is no sign of life after one.
func (q *Queue) takeAway(tx *store.Tx, id int64, s sign, hook bool) error {
	var execution, losses int64
	var kind, worker string
	var stop bool
	now := q.now()
	err := tx.Row(`UPDATE job_task SET losses = losses + 1, beat = beat + 1, updated = $1
		WHERE id = $2 AND run = $3 AND beat = $4 AND status = 'Running'
		RETURNING execution, losses, kind, worker, stop`, now, id, s.run, s.beat).Scan(&execution, &losses, &kind, &worker, &stop)
	if errors.Is(err, sql.ErrNoRows) { // a late sign, or another hub was quicker
		return nil
	}
	if err != nil {
		return err
	}
	message := fmt.Sprintf("the hub that ran it (%s) was gone", worker)
	as := Pending
	switch {
	case stop:
		as, message = Stopped, ErrStopped.Error()
	case losses >= maxLosses:
		as, message = Error, fmt.Sprintf("the hubs that ran it ended %d times", losses)
	}
	if as == Pending {
		q.poke()
		_, err := tx.Exec(`UPDATE job_task SET status = 'Pending', message = $1, due = $2, expires = $3 WHERE id = $4`, message, now,
			now+q.kind(kind).Wait.Milliseconds(), id)
		return err
	}
	if _, err := tx.Exec(`UPDATE job_task SET status = $1, message = $2, ended = $3 WHERE id = $4`, string(as), message, now, id); err != nil {
		return err
	}
	return q.settle(tx, execution, as, 1, hook)
}

// expire ends tasks that nobody took in time.
func (q *Queue) expire(ctx context.Context) error {
	type row struct {
		id, execution int64
		kind          string
	}
	list, _, err := store.List(ctx, q.db, 100, func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.id, &x.execution, &x.kind) },
		`SELECT id, execution, kind FROM job_task WHERE status = 'Pending' AND expires < $1 ORDER BY expires LIMIT $2`, q.now())
	if err != nil {
		return err
	}
	for _, x := range list {
		err := q.ending(ctx, func(tx *store.Tx, hook bool) error {
			now := q.now()
			n, err := tx.Exec(`UPDATE job_task SET status = 'Error', message = $1, updated = $2, ended = $2 WHERE id = $3 AND status = 'Pending' AND expires < $2`,
				fmt.Sprintf("no hub took it within %s: all were busy, or none does %s", q.kind(x.kind).Wait, x.kind), now, x.id)
			if err != nil || n == 0 {
				return err
			}
			return q.settle(tx, x.execution, Error, 1, hook)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forget removes executions that ended long ago, some at a time.
func (q *Queue) forget(ctx context.Context) error {
	before := q.o.Now().Add(-q.o.History).UnixMilli()
	for {
		var n int64
		err := q.db.Tx(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM job_execution WHERE id IN (SELECT id FROM job_execution WHERE ended > 0 AND ended < $1 ORDER BY ended LIMIT 100)`, before)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// Forget removes the schedule and the executions of a subject that is no more, within a transaction: executions that have
// ended at once, the others are stopped and go with time.
func (q *Queue) Forget(tx *store.Tx, kind string, subject int64) error {
	if err := q.Unschedule(tx, kind, subject); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM job_execution WHERE kind = $1 AND subject = $2 AND ended > 0`, kind, subject); err != nil {
		return err
	}
	rows, err := tx.Query(tx.Context(), `SELECT id FROM job_execution WHERE kind = $1 AND subject = $2`, kind, subject)
	if err != nil {
		return err
	}
	ids, err := numbers(rows)
	for _, id := range ids {
		if err == nil {
			err = q.Stop(tx, id)
		}
	}
	return err
}
