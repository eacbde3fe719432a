package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schedule is when an execution of a kind begins by itself for a subject. Each subject has one at most.
type Schedule struct {
	ID      int64
	Kind    string
	Subject int64
	// Cron is six fields, as Harbor's: second, minute, hour, day of the month, month, day of the week; in UTC. The first
	// is 0: nothing runs more often than once in a minute.
	Cron   string
	Params json.RawMessage // the payload of the executions
	// Next is when the next one begins; one that was missed while no hub ran begins with the first hub.
	Next, Created, Updated time.Time
}

// maxCron bounds a cron text.
const maxCron = 256

// ParseCron reads a cron text of six fields; errdef.ErrInvalid.
func ParseCron(text string) (cron.Schedule, error) {
	if len(text) > maxCron {
		return nil, fmt.Errorf("a cron text has at most %d characters: %w", maxCron, errdef.ErrInvalid)
	}
	fields := strings.Fields(text)
	if len(fields) != 6 {
		return nil, fmt.Errorf("cron %q: want six fields, second minute hour day month weekday, as in \"0 0 2 * * *\": %w", text, errdef.ErrInvalid)
	}
	if fields[0] != "0" {
		return nil, fmt.Errorf("cron %q: the first field, the second, must be 0: %w", text, errdef.ErrInvalid)
	}
	p, err := cron.TryNewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	if err != nil {
		return nil, err
	}
	s, err := p.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w: %w", text, err, errdef.ErrInvalid)
	}
	return s, nil
}

// next is when a schedule begins after a time.
func next(text string, after time.Time) (time.Time, error) {
	s, err := ParseCron(text)
	if err != nil {
		return time.Time{}, err
	}
	t := s.Next(after.UTC())
	if t.IsZero() {
		return t, fmt.Errorf("cron %q: there is no such day: %w", text, errdef.ErrInvalid)
	}
	return t, nil
}

// SetSchedule sets the schedule of a kind and subject, within a transaction. errdef.ErrInvalid for a cron text that is none.
func (q *Queue) SetSchedule(tx *store.Tx, kind string, subject int64, text string, payload any) error {
	now := q.o.Now()
	first, err := next(text, now)
	if err != nil {
		return err
	}
	params, err := encode(payload)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO job_schedule (kind, subject, cron, params, next, created, updated) VALUES ($1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT (kind, subject) DO UPDATE SET cron = excluded.cron, params = excluded.params, next = excluded.next, updated = excluded.updated`,
		kind, subject, strings.Join(strings.Fields(text), " "), params, first.UnixMilli(), now.UnixMilli())
	return err
}

// Unschedule removes the schedule of a kind and subject, if there is one, within a transaction.
func (q *Queue) Unschedule(tx *store.Tx, kind string, subject int64) error {
	_, err := tx.Exec(`DELETE FROM job_schedule WHERE kind = $1 AND subject = $2`, kind, subject)
	return err
}

// Schedule finds the schedule of a kind and subject; errdef.ErrNotFound.
func (q *Queue) Schedule(ctx context.Context, by store.Querier, kind string, subject int64) (Schedule, error) {
	s, err := schedule1(by.QueryRow(ctx, selectSchedule+` WHERE kind = $1 AND subject = $2`, kind, subject).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%s has no schedule: %w", kind, errdef.ErrNotFound)
	}
	return s, err
}

// Schedules lists all schedules by kind and subject: at most limit, after offset of them. It also counts all.
func (q *Queue) Schedules(ctx context.Context, limit, offset int) (list []Schedule, total int, err error) {
	if err := q.db.QueryRow(ctx, `SELECT COUNT(*) FROM job_schedule`).Scan(&total); err != nil {
		return nil, 0, err
	}
	list, _, err = store.List(ctx, q.db, limit, func(r *sql.Rows) (Schedule, error) { return schedule1(r.Scan) },
		selectSchedule+` ORDER BY kind, subject LIMIT $2 OFFSET $1`, offset)
	return list, total, err
}

const selectSchedule = `SELECT id, kind, subject, cron, params, next, created, updated FROM job_schedule`

func schedule1(scan func(...any) error) (s Schedule, err error) {
	var params string
	var next, created, updated int64
	err = scan(&s.ID, &s.Kind, &s.Subject, &s.Cron, &params, &next, &created, &updated)
	s.Params, s.Next, s.Created, s.Updated = json.RawMessage(params), at(next), at(created), at(updated)
	return s, err
}

// fire begins what is due by schedule. The hub that moves a schedule to its next time is the one that begins it.
func (q *Queue) fire(ctx context.Context) error {
	now := q.o.Now()
	list, _, err := store.List(ctx, q.db, 100, func(r *sql.Rows) (Schedule, error) { return schedule1(r.Scan) },
		selectSchedule+` WHERE next <= $1 ORDER BY next LIMIT $2`, now.UnixMilli())
	if err != nil {
		return err
	}
	for _, s := range list {
		then, err := next(s.Cron, now)
		if err != nil { // a later version's; another hub may know it
			q.o.Log.Error("schedule cannot be read", "kind", s.Kind, "subject", s.Subject, "err", err)
			continue
		}
		err = q.db.Tx(ctx, func(tx *store.Tx) error {
			n, err := tx.Exec(`UPDATE job_schedule SET next = $1 WHERE id = $2 AND next = $3`, then.UnixMilli(), s.ID, s.Next.UnixMilli())
			if err != nil || n == 0 {
				return err
			}
			_, err = q.Enqueue(tx, Request{Kind: s.Kind, Subject: s.Subject, Cause: BySchedule, Alone: fmt.Sprintf("schedule %d", s.Subject), Payload: s.Params})
			if errors.Is(err, errdef.ErrConflict) {
				q.o.Log.Warn("a scheduled run is left out: the one before has not ended", "kind", s.Kind, "subject", s.Subject)
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
