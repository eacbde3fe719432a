package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Execution is one piece of work as people see it. Times that have not come are zero.
type Execution struct {
	ID      int64
	Kind    string
	Subject int64
	Cause   Cause
	Status  Status
	Message string // why it did not succeed
	Params  json.RawMessage
	// Tasks is how many there are; the others count those that have ended.
	Tasks, Succeeded, Failed, Stopped int64
	Created, Started, Ended           time.Time
}

// Task is what one process does of an execution.
type Task struct {
	ID, Execution int64
	Kind          string
	Status        Status
	Message       string // why the last attempt did not succeed
	Payload       json.RawMessage
	Report        json.RawMessage // what it told of itself; nil: nothing
	Done, Total   int64           // progress, in a unit of the kind's; 0, 0: not known
	Run           int             // how often it was begun
	Failures      int             // how often it failed
	Stop          bool            // somebody wants it to stop
	Worker        string          // who runs it, or did so last
	// Due is when it may run; Updated when anything was last heard of it.
	Created, Due, Started, Updated, Ended time.Time
}

const (
	executionColumns = `id, kind, subject, cause, status, message, params, tasks, succeeded, failed, stopped, created, started, ended`
	selectExecution  = `SELECT ` + executionColumns + ` FROM job_execution`
	taskColumns      = `id, execution, kind, status, message, payload, report, done, total, run, failures, stop, worker, created, due, started, updated, ended`
)

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func execution1(scan func(...any) error) (e Execution, err error) {
	var params string
	var created, started, ended int64
	err = scan(&e.ID, &e.Kind, &e.Subject, &e.Cause, &e.Status, &e.Message, &params, &e.Tasks, &e.Succeeded, &e.Failed, &e.Stopped, &created, &started, &ended)
	e.Params, e.Created, e.Started, e.Ended = json.RawMessage(params), at(created), at(started), at(ended)
	return e, err
}

func task1(scan func(...any) error) (t Task, err error) {
	var payload, report string
	var created, due, started, updated, ended int64
	err = scan(&t.ID, &t.Execution, &t.Kind, &t.Status, &t.Message, &payload, &report, &t.Done, &t.Total, &t.Run, &t.Failures, &t.Stop, &t.Worker,
		&created, &due, &started, &updated, &ended)
	t.Payload = json.RawMessage(payload)
	if report != "" {
		t.Report = json.RawMessage(report)
	}
	t.Created, t.Due, t.Started, t.Updated, t.Ended = at(created), at(due), at(started), at(updated), at(ended)
	return t, err
}

func missing(err error, what string, id int64) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s %d: %w", what, id, errdef.ErrNotFound)
	}
	return err
}

func numbers(rows *sql.Rows) (all []int64, err error) {
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// Filter says which executions are wanted; the zero value: all.
type Filter struct {
	Kind    string
	Subject *int64
	Status  Status
	Cause   Cause
}

func (f Filter) condition() (string, []any) {
	parts, args := []string{"TRUE"}, []any{}
	add := func(column string, v any) {
		args = append(args, v)
		parts = append(parts, fmt.Sprintf("%s = $%d", column, len(args)))
	}
	if f.Kind != "" {
		add("kind", f.Kind)
	}
	if f.Subject != nil {
		add("subject", *f.Subject)
	}
	if f.Status != "" {
		add("status", string(f.Status))
	}
	if f.Cause != "" {
		add("cause", string(f.Cause))
	}
	return strings.Join(parts, " AND "), args
}

// Executions lists executions, the latest first: at most limit, after offset of them. It also counts all.
func (q *Queue) Executions(ctx context.Context, f Filter, limit, offset int) (list []Execution, total int, err error) {
	where, args := f.condition()
	if err := q.db.QueryRow(ctx, `SELECT COUNT(*) FROM job_execution WHERE `+where, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	n := len(args)
	list, _, err = store.List(ctx, q.db, limit, func(r *sql.Rows) (Execution, error) { return execution1(r.Scan) },
		fmt.Sprintf(`%s WHERE %s ORDER BY id DESC LIMIT $%d OFFSET $%d`, selectExecution, where, n+2, n+1), append(args[:n:n], offset)...)
	return list, total, err
}

// Execution finds one; errdef.ErrNotFound.
func (q *Queue) Execution(ctx context.Context, by store.Querier, id int64) (Execution, error) {
	e, err := execution1(by.QueryRow(ctx, selectExecution+` WHERE id = $1`, id).Scan)
	return e, missing(err, "execution", id)
}

// Tasks lists the tasks of an execution in the order in which they were made: at most limit, after offset of them. It also
// counts all.
func (q *Queue) Tasks(ctx context.Context, execution int64, limit, offset int) (list []Task, total int, err error) {
	if err := q.db.QueryRow(ctx, `SELECT COUNT(*) FROM job_task WHERE execution = $1`, execution).Scan(&total); err != nil {
		return nil, 0, err
	}
	list, _, err = store.List(ctx, q.db, limit, func(r *sql.Rows) (Task, error) { return task1(r.Scan) },
		`SELECT `+taskColumns+` FROM job_task WHERE execution = $1 ORDER BY id LIMIT $3 OFFSET $2`, execution, offset)
	return list, total, err
}

// Reports calls f with what each task of an execution told of itself, as a transaction sees it: also that of the task that
// ends with it.
func (q *Queue) Reports(tx *store.Tx, execution int64, f func(json.RawMessage) error) error {
	var last int64
	const batch = 500
	for more := true; more; {
		var list []Task
		var err error
		list, more, err = store.List(tx.Context(), tx, batch, func(r *sql.Rows) (t Task, err error) {
			var report string
			err = r.Scan(&t.ID, &report)
			t.Report = json.RawMessage(report)
			return t, err
		}, `SELECT id, report FROM job_task WHERE execution = $1 AND id > $2 AND report <> '' ORDER BY id LIMIT $3`, execution, last)
		if err != nil {
			return err
		}
		for _, t := range list {
			last = t.ID
			if err := f(t.Report); err != nil {
				return err
			}
		}
	}
	return nil
}

// Task finds one; errdef.ErrNotFound.
func (q *Queue) Task(ctx context.Context, id int64) (Task, error) {
	t, err := task1(q.db.QueryRow(ctx, `SELECT `+taskColumns+` FROM job_task WHERE id = $1`, id).Scan)
	return t, missing(err, "task", id)
}

// LogLine is one line of a task's log.
type LogLine struct {
	Time time.Time
	Text string
}

// TaskLog is the log of a task from its begin; nothing for a task that wrote none.
func (q *Queue) TaskLog(ctx context.Context, task int64) ([]LogLine, error) {
	list, _, err := store.List(ctx, q.db, maxLines+1, func(r *sql.Rows) (l LogLine, err error) {
		var ms int64
		err = r.Scan(&ms, &l.Text)
		l.Time = at(ms)
		return l, err
	}, `SELECT at, text FROM job_log WHERE task = $1 ORDER BY n LIMIT $2`, task)
	return list, err
}

// Wait returns an execution when it has ended, or when ctx has.
func (q *Queue) Wait(ctx context.Context, id int64) (Execution, error) {
	for {
		e, err := q.Execution(ctx, q.db, id)
		if err != nil || e.Status.Ended() {
			return e, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return e, ctx.Err()
		}
	}
}

// Queued is how much of a kind waits.
type Queued struct {
	Kind  string
	Tasks int64
	Due   time.Time // since when the oldest waits; zero: none does
}

// Waiting tells of each kind that this process knows how many tasks wait that are due, by name.
func (q *Queue) Waiting(ctx context.Context) ([]Queued, error) {
	waiting := map[string]Queued{}
	for name := range q.kinds {
		waiting[name] = Queued{Kind: name}
	}
	rows, err := q.db.Query(ctx, `SELECT kind, COUNT(*), MIN(due) FROM job_task WHERE status = 'Pending' AND due <= $1 GROUP BY kind`, q.o.Now().UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var x Queued
		var due int64
		if err := rows.Scan(&x.Kind, &x.Tasks, &due); err != nil {
			return nil, err
		}
		x.Due = at(due)
		waiting[x.Kind] = x
	}
	all := slices.SortedFunc(maps.Values(waiting), func(a, b Queued) int { return strings.Compare(a.Kind, b.Kind) })
	return all, rows.Err()
}
