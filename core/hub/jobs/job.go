package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/openvic/vic/core/store"
)

// Bounds of a task's log: lines of one task, bytes of one line.
const (
	maxLines = 2000
	maxLine  = 2 << 10
)

// Job is a task under way, for who does it. Its methods may be called at once.
type Job struct {
	Task
	q      *Queue
	kind   Kind
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	heard     time.Time // the last sign of life that the database took
	report    string
	done, all int64
	lines     []LogLine // not yet written
	written   int       // lines in the database, from earlier attempts too
	committed bool
}

// resume finds out where the log of earlier attempts ends.
func (j *Job) resume(ctx context.Context) error {
	var n int
	if err := j.q.db.QueryRow(ctx, `SELECT COUNT(*) FROM job_log WHERE task = $1`, j.ID).Scan(&n); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.written = n
	return nil
}

// Last says whether a failure of this attempt is the task's.
func (j *Job) Last() bool { return j.Failures+1 >= j.kind.Attempts }

// Decode reads the payload.
func (j *Job) Decode(v any) error {
	if err := json.Unmarshal(j.Payload, v); err != nil {
		return Permanent(fmt.Errorf("the job's payload cannot be read: %w", err))
	}
	return nil
}

// Logf writes a line of the task's log, which people read: no secrets. What is too long is cut, and a log ends after
// 2,000 lines.
func (j *Job) Logf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch n := j.written + len(j.lines); {
	case n < maxLines:
		j.lines = append(j.lines, LogLine{j.q.o.Now(), cut(fmt.Sprintf(format, args...), maxLine)})
	case n == maxLines:
		j.lines = append(j.lines, LogLine{j.q.o.Now(), "more lines are left out"})
	}
}

// Progress says how much is done. It is written a moment later.
func (j *Job) Progress(done, total int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done, j.all = done, total
}

// Tell sets what the task tells of itself, as JSON of at most 64 KiB; what is larger is left out. It is written a moment
// later, and stays when the task has ended.
func (j *Job) Tell(v any) {
	b, err := json.Marshal(v)
	if err != nil || len(b) > maxReport {
		j.Logf("what the task tells of itself is left out: %d bytes, %v", len(b), err)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.report = string(b)
}

// Commit ends the task with Success in the same transaction as what f does, so that it is done exactly once. Run returns
// nil after it. ErrLost if another hub has taken the task meanwhile: f is undone.
func (j *Job) Commit(ctx context.Context, f func(*store.Tx) error) error {
	err := j.q.ending(ctx, func(tx *store.Tx, hook bool) error {
		if err := j.held(tx); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		return j.q.finish(tx, j, Success, "", hook)
	})
	if err == nil {
		j.mu.Lock()
		j.committed = true
		j.mu.Unlock()
	}
	return err
}

// held locks the task and returns ErrLost if this process has it no longer.
func (j *Job) held(tx *store.Tx) error {
	n, err := tx.Exec(`UPDATE job_task SET beat = beat + 1 WHERE id = $1 AND run = $2 AND status = 'Running'`, j.ID, j.Run)
	if err == nil && n == 0 {
		err = ErrLost
	}
	return err
}

// Add adds tasks to the execution that this one belongs to. ErrLost if another hub has taken the task, ErrStopped if
// somebody has stopped the execution.
func (j *Job) Add(ctx context.Context, tasks ...TaskRequest) error {
	return j.q.db.Tx(ctx, func(tx *store.Tx) error {
		if err := j.held(tx); err != nil {
			return err
		}
		var stop bool
		if err := tx.Row(`SELECT stop FROM job_task WHERE id = $1`, j.ID).Scan(&stop); err != nil {
			return err
		}
		if stop {
			return ErrStopped
		}
		if _, err := tx.Exec(`UPDATE job_execution SET tasks = tasks + $1 WHERE id = $2`, len(tasks), j.Execution); err != nil {
			return err
		}
		return j.q.insert(tx, j.Execution, j.Kind, tasks)
	})
}

// write writes what the job told, within a transaction, which is also a sign of life. kept is to be called when that is
// committed. gone says that this process has the task no longer, stop that somebody wants it to end.
func (j *Job) write(tx *store.Tx) (kept func(), gone, stop bool, err error) {
	j.mu.Lock()
	report, done, all, lines, written := j.report, j.done, j.all, slices.Clone(j.lines), j.written
	j.mu.Unlock()
	err = tx.Row(`UPDATE job_task SET beat = beat + 1, report = $1, done = $2, total = $3, updated = $4
		WHERE id = $5 AND run = $6 AND status = 'Running' RETURNING stop`, report, done, all, j.q.now(), j.ID, j.Run).Scan(&stop)
	if errors.Is(err, sql.ErrNoRows) {
		return func() {}, true, false, nil
	}
	if err != nil {
		return nil, false, false, err
	}
	for i, l := range lines { // another transaction of this process may write the same lines, at the same places
		_, err := tx.Exec(`INSERT INTO job_log (task, n, at, text) VALUES ($1, $2, $3, $4) ON CONFLICT (task, n) DO NOTHING`, j.ID, written+i,
			l.Time.UnixMilli(), l.Text)
		if err != nil {
			return nil, false, false, err
		}
	}
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		if n := written + len(lines) - j.written; n > 0 {
			j.lines, j.written = j.lines[n:], j.written+n
		}
		j.heard = time.Now()
	}, false, stop, nil
}

// reason is why a job's context ended, for its message.
func reason(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if cause == nil || errors.Is(err, cause) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return cause
	}
	return fmt.Errorf("%w: %w", cause, err)
}
