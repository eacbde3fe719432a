// Package jobs is the hub's one queue of work: scans, replications, retention, garbage collection, webhooks. It lies in
// the hub's own database, so that a job is there if and only if the change is that it belongs to:
//
//	err = db.Tx(ctx, func(tx *store.Tx) error {
//		if _, err := tx.Exec(`INSERT INTO ...`); err != nil {
//			return err
//		}
//		_, err := queue.Enqueue(tx, jobs.Request{Kind: "WEBHOOK", Subject: policy, Cause: jobs.ByEvent, Payload: delivery})
//		return err
//	})
//
// An execution is what people see: it has a kind, a subject (the number of the policy or rule that it belongs to), and
// one or more tasks, which processes do. Any number of hubs share the tasks of one database.
//
// Nothing is ever stuck. Each state of a task has a time limit and an action:
//
//	Pending   until Kind.Wait is over; then it ends with Error, since no hub took it
//	Running   who runs it gives a sign of life several times within Options.Lease; when there is none for that long, any
//	          hub puts it back, and after maxLosses times ends it with Error. It runs for Kind.Timeout at most; then its
//	          context ends, and what has not returned after Options.Grace is ended without it
//	stopping  as after a time-out; it ends with Stopped
//	ended     for good. Kind.Keep of a subject and History limit what is remembered
//
// A task may run more than once: the process may end between its last effect and the commit that says so. A task whose
// effect is in the database itself has it exactly once by Job.Commit.
//
// No clock is compared with another machine's to find out who is alive: each hub watches for itself that a count moves.
package jobs

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Status is where an execution or a task stands, in Harbor's words.
type Status string

// The statuses. Success, Error and Stopped are the last.
const (
	Pending Status = "Pending"
	Running Status = "Running"
	Success Status = "Success"
	Error   Status = "Error"
	Stopped Status = "Stopped"
)

// Ended says whether nothing follows.
func (s Status) Ended() bool { return s == Success || s == Error || s == Stopped }

// Cause is what set off an execution, in Harbor's words.
type Cause string

// The causes.
const (
	ByHand     Cause = "MANUAL"
	BySchedule Cause = "SCHEDULE"
	ByEvent    Cause = "EVENT"
)

// Why the context of a Job ended (context.Cause).
var (
	ErrStopped  = errors.New("somebody stopped it")
	ErrTimeout  = errors.New("it took longer than it may")
	ErrLost     = errors.New("the database was not reached in time, so that another hub may run it by now")
	ErrShutdown = errors.New("the hub ends; another one, or this one after its start, runs it again")
)

// Kind is a kind of work, and how it is done.
type Kind struct {
	// Name is Harbor's vendor type where it has one: GARBAGE_COLLECTION, WEBHOOK, REPLICATION, RETENTION, SCAN_ALL...
	Name string
	// Run does a task. nil is success; an error is tried again, up to Attempts, unless it is Permanent. It returns soon
	// after ctx has ended. Nil: this process takes no tasks of the kind.
	Run func(ctx context.Context, j *Job) error
	// Ended, if not nil, is called in the transaction in which an execution of the kind ends. If it fails the execution
	// ends without it, and the hub's log says so.
	Ended func(tx *store.Tx, e Execution) error
	// Alone, if not nil, is Request.Alone of all executions of the kind, scheduled ones too: by it they take turns.
	Alone func(subject int64) string
	// Parallel is how many tasks one process runs at a time; 0: 2.
	Parallel int
	// Attempts is how often a task is tried; 0: once.
	Attempts int
	// Backoff is the pause after a number of failures, from 1 on; nil: 10 s, doubled each time, 15 min at most.
	Backoff func(failures int) time.Duration
	// Timeout is how long one attempt may run; 0: an hour.
	Timeout time.Duration
	// Wait is how long a task may wait after it was due; 0: three days.
	Wait time.Duration
	// Keep is how many executions of one subject are remembered that have ended; 0: 100.
	Keep int
}

func (k Kind) filled() Kind {
	fill := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	fill(&k.Parallel, 2)
	fill(&k.Attempts, 1)
	fill(&k.Keep, 100)
	if k.Timeout <= 0 {
		k.Timeout = time.Hour
	}
	if k.Wait <= 0 {
		k.Wait = 72 * time.Hour
	}
	if k.Backoff == nil {
		k.Backoff = func(failures int) time.Duration { return min(10*time.Second<<min(failures-1, 10), 15*time.Minute) }
	}
	return k
}

// permanent is an error that another attempt would meet too.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error after which a task is not tried again.
func Permanent(err error) error { return permanent{err} }

// Bounds of what is kept of one task or execution, in bytes. What is longer is refused (payload) or cut.
const (
	maxPayload = 64 << 10
	maxReport  = 64 << 10
	maxMessage = 1 << 10
	maxLosses  = 5
)

// Options of a Queue.
type Options struct {
	Kinds []Kind
	Log   *slog.Logger
	Now   func() time.Time // nil: time.Now
	// Lease is after how long without a sign of life a task is taken from who runs it; 0: 15 s. All hubs of a database
	// have the same.
	Lease time.Duration
	// Grace is how long a task may go on after its context has ended; 0: 30 s.
	Grace time.Duration
	// History is for how long executions are remembered that have ended; 0: 90 days.
	History time.Duration
	// Guest is for a program beside the hubs: it does tasks of its kinds and watches over them, and leaves the rest to hubs.
	Guest bool
	// Worker names this process, for people; empty: a random name.
	Worker string
}

// Queue is the queue as one process sees it. It may be used by several goroutines. Tasks are done while Run runs.
type Queue struct {
	db    *store.Store
	o     Options
	kinds map[string]Kind
	wake  chan struct{} // there may be tasks to take

	mu   sync.Mutex
	mine map[int64]*Job // by task: what this process runs
	busy map[string]int // by kind: how many of them, with those that do not end

	work sync.WaitGroup // the goroutines of mine
}

// New makes a queue over a store that was opened with Schema. The kinds are the same in each hub of a database; other
// programs may leave some out, or their Run.
func New(db *store.Store, o Options) *Queue {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for d, v := range map[*time.Duration]time.Duration{&o.Lease: 15 * time.Second, &o.Grace: 30 * time.Second, &o.History: 90 * 24 * time.Hour} {
		if *d <= 0 {
			*d = v
		}
	}
	if o.Worker == "" {
		o.Worker = rand.Text()[:10]
	}
	q := &Queue{db: db, o: o, kinds: map[string]Kind{}, wake: make(chan struct{}, 1), mine: map[int64]*Job{}, busy: map[string]int{}}
	for _, k := range o.Kinds {
		q.kinds[k.Name] = k.filled()
	}
	return q
}

// kind is how a kind is done, also one that this process does not know.
func (q *Queue) kind(name string) Kind {
	if k, ok := q.kinds[name]; ok {
		return k
	}
	return Kind{Name: name}.filled()
}

func (q *Queue) now() int64 { return q.o.Now().UnixMilli() }

// Request is an execution that is wanted.
type Request struct {
	Kind    string
	Subject int64 // the number of what it belongs to; 0: nothing
	Cause   Cause // empty: ByHand
	// Alone, if not empty, is a text that no two executions of the kind share that have not ended.
	Alone string
	// Payload is JSON for people and for the task: at most 64 KiB, and without secrets.
	Payload any
	// Tasks are what is to be done; none: one task with the payload of the request.
	Tasks []TaskRequest
}

// TaskRequest is a task that is wanted.
type TaskRequest struct {
	Kind    string // empty: the execution's
	Payload any    // JSON: at most 64 KiB, and without secrets
	Due     time.Time
}

// Enqueue adds an execution within a transaction of the caller's, and returns its number. errdef.ErrConflict if one that
// shares Alone has not ended; errdef.ErrInvalid for a payload that is too large.
func (q *Queue) Enqueue(tx *store.Tx, r Request) (int64, error) {
	if r.Cause == "" {
		r.Cause = ByHand
	}
	if k := q.kind(r.Kind); k.Alone != nil {
		r.Alone = k.Alone(r.Subject)
	}
	params, err := encode(r.Payload)
	if err != nil {
		return 0, err
	}
	if len(r.Tasks) == 0 {
		r.Tasks = []TaskRequest{{Payload: r.Payload}}
	}
	// A conflict is no error of the statement: that would end the caller's transaction.
	var id int64
	err = tx.Row(`INSERT INTO job_execution (kind, subject, alone, cause, status, message, params, tasks, created)
		VALUES ($1, $2, $3, $4, 'Pending', '', $5, $6, $7) ON CONFLICT (kind, alone) WHERE ended = 0 AND alone <> '' DO NOTHING RETURNING id`,
		r.Kind, r.Subject, r.Alone, string(r.Cause), params, len(r.Tasks), q.now()).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("%s: one is under way: %w", r.Kind, errdef.ErrConflict)
	}
	if err != nil {
		return 0, err
	}
	return id, q.insert(tx, id, r.Kind, r.Tasks)
}

func (q *Queue) insert(tx *store.Tx, execution int64, kind string, tasks []TaskRequest) error {
	now := q.now()
	for _, t := range tasks {
		if t.Kind == "" {
			t.Kind = kind
		}
		payload, err := encode(t.Payload)
		if err != nil {
			return err
		}
		due := now
		if !t.Due.IsZero() {
			due = t.Due.UnixMilli()
		}
		_, err = tx.Exec(`INSERT INTO job_task (execution, kind, status, message, payload, created, due, expires, updated)
			VALUES ($1, $2, 'Pending', '', $3, $4, $5, $6, $4)`,
			execution, t.Kind, payload, now, due, due+q.kind(t.Kind).Wait.Milliseconds())
		if err != nil {
			return err
		}
	}
	q.poke()
	return nil
}

// poke makes Run look for tasks soon. The transaction may not be committed by then; Run looks again later in any case.
func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Stop stops an execution within a transaction: what waits ends at once, what runs ends soon. It is no error if it has
// ended; errdef.ErrNotFound.
func (q *Queue) Stop(tx *store.Tx, execution int64) error {
	now := q.now()
	// First the mark, which also keeps those that run from being put back before this transaction ends.
	if _, err := tx.Exec(`UPDATE job_task SET stop = TRUE, updated = $1 WHERE execution = $2 AND ended = 0`, now, execution); err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE job_task SET status = 'Stopped', message = $1, updated = $2, ended = $2 WHERE execution = $3 AND status = 'Pending'`,
		ErrStopped.Error(), now, execution)
	if err != nil {
		return err
	}
	return q.settle(tx, execution, Stopped, n, true)
}

// Retry has the tasks of an execution done again that did not succeed, within a transaction. errdef.ErrConflict if it has
// not ended or if another one is under way that may not be at the same time; errdef.ErrNotFound.
func (q *Queue) Retry(tx *store.Tx, execution int64) error {
	e, err := execution1(tx.Lock(selectExecution+` WHERE id = $1`, execution).Scan)
	if err != nil {
		return missing(err, "execution", execution)
	}
	if !e.Status.Ended() {
		return fmt.Errorf("execution %d has not ended: %w", execution, errdef.ErrConflict)
	}
	now := q.now()
	_, err = tx.Exec(`UPDATE job_execution SET status = 'Running', message = '', failed = 0, stopped = 0, ended = 0
		WHERE id = $1 AND failed + stopped > 0`, execution)
	if store.IsTaken(err) {
		return fmt.Errorf("%s: one is under way: %w", e.Kind, errdef.ErrConflict)
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE job_task SET status = 'Pending', failures = 0, losses = 0, stop = FALSE, due = $1, expires = $2, updated = $1, ended = 0
		WHERE execution = $3 AND status IN ('Error', 'Stopped')`, now, now+q.kind(e.Kind).Wait.Milliseconds(), execution)
	q.poke()
	return err
}

// settle counts n tasks of an execution that have ended with a status, and ends the execution with the last of them.
// hook says whether Kind.Ended is called.
func (q *Queue) settle(tx *store.Tx, execution int64, as Status, n int64, hook bool) error {
	column := map[Status]string{Success: "succeeded", Error: "failed", Stopped: "stopped"}[as]
	e, err := execution1(tx.Row(`UPDATE job_execution SET `+column+` = `+column+` + $1 WHERE id = $2 RETURNING `+executionColumns, n, execution).Scan)
	if err != nil {
		return missing(err, "execution", execution)
	}
	if e.Status.Ended() || e.Succeeded+e.Failed+e.Stopped < e.Tasks {
		return nil
	}
	switch {
	case e.Failed > 0:
		e.Status = Error
	case e.Stopped > 0:
		e.Status = Stopped
	default:
		e.Status = Success
	}
	e.Ended = q.o.Now()
	if e.Status != Success {
		err := tx.Row(`SELECT message FROM job_task WHERE execution = $1 AND status = $2 ORDER BY id LIMIT 1`, execution, string(e.Status)).Scan(&e.Message)
		if err != nil {
			return err
		}
	}
	_, err = tx.Exec(`UPDATE job_execution SET status = $1, message = $2, ended = $3 WHERE id = $4`, string(e.Status), e.Message, e.Ended.UnixMilli(), e.ID)
	if err != nil {
		return err
	}
	k := q.kind(e.Kind)
	_, err = tx.Exec(`DELETE FROM job_execution WHERE id IN (SELECT id FROM job_execution WHERE kind = $1 AND subject = $2 AND ended > 0
		ORDER BY id DESC LIMIT 100 OFFSET $3)`, e.Kind, e.Subject, k.Keep)
	if err == nil && hook && k.Ended != nil {
		if err = k.Ended(tx, e); err != nil {
			err = &hookError{err}
		}
	}
	return err
}

// hookError is a failure of Kind.Ended.
type hookError struct{ error }

func (h *hookError) Unwrap() error { return h.error }

// ending runs a transaction that may end an execution, again without Kind.Ended if that fails.
func (q *Queue) ending(ctx context.Context, f func(tx *store.Tx, hook bool) error) error {
	err := q.db.Tx(ctx, func(tx *store.Tx) error { return f(tx, true) })
	var hook *hookError
	if errors.As(err, &hook) {
		q.o.Log.Error("an execution ends without what should follow it", "err", hook.error)
		err = q.db.Tx(ctx, func(tx *store.Tx) error { return f(tx, false) })
	}
	return err
}

// encode makes the JSON of a payload or a report.
func encode(v any) (string, error) {
	if v == nil {
		return "{}", nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("job: %w", err)
	}
	if len(b) > maxPayload {
		return "", fmt.Errorf("job: a payload of %d bytes; at most %d are kept: %w", len(b), maxPayload, errdef.ErrInvalid)
	}
	return string(b), nil
}

// cut bounds a text, and drops what a database does not take as one.
func cut(s string, most int) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), most)], ""), "\x00", "")
}
