package retention

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the tables, over the registry's. A project has one policy at most. When it runs by itself is kept by the queue
// of jobs.
func Schema() store.Schema {
	return store.Schema{Name: "retention", Steps: []string{`
CREATE TABLE retention_policy (
	id @id, project BIGINT NOT NULL UNIQUE REFERENCES project(id) ON DELETE CASCADE, rules TEXT NOT NULL, cron TEXT NOT NULL,
	created BIGINT NOT NULL, updated BIGINT NOT NULL
)`}}
}

// Policy is the rules of a project.
type Policy struct {
	ID      int64
	Project int64
	Rules   []Rule
	// Cron is when it runs by itself (jobs.ParseCron); "": never.
	Cron             string
	Created, Updated time.Time
}

// Policies keeps them. It may be used by several goroutines.
type Policies struct {
	db  *store.Store
	now func() time.Time
}

// New makes a Policies over a store that was opened with Schema. now nil means time.Now.
func New(db *store.Store, now func() time.Time) *Policies {
	if now == nil {
		now = time.Now
	}
	return &Policies{db, now}
}

func (s *Policies) find(ctx context.Context, where string, n int64) (p Policy, err error) {
	var rules string
	var created, updated int64
	err = s.db.QueryRow(ctx, `SELECT id, project, rules, cron, created, updated FROM retention_policy WHERE `+where, n).
		Scan(&p.ID, &p.Project, &rules, &p.Cron, &created, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("there is no such retention policy: %w", errdef.ErrNotFound)
	}
	if err != nil {
		return p, err
	}
	p.Created, p.Updated = time.UnixMilli(created), time.UnixMilli(updated)
	return p, json.Unmarshal([]byte(rules), &p.Rules)
}

// Get finds a policy; errdef.ErrNotFound.
func (s *Policies) Get(ctx context.Context, id int64) (Policy, error) {
	return s.find(ctx, `id = $1`, id)
}

// Of finds the policy of a project; errdef.ErrNotFound.
func (s *Policies) Of(ctx context.Context, project int64) (Policy, error) {
	return s.find(ctx, `project = $1`, project)
}

// Make makes the policy of a project and returns its number. errdef.ErrInvalid, also for a project that has one; errdef.ErrExists
// for rules that are twice the same, errdef.ErrNotFound for a project that is not there.
func (s *Policies) Make(ctx context.Context, q *jobs.Queue, p Policy) (id int64, err error) {
	rules, err := p.encode()
	if err != nil {
		return 0, err
	}
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		var project int64
		err := tx.Lock(`SELECT id FROM project WHERE id = $1`, p.Project).Scan(&project)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("project %d not found: %w", p.Project, errdef.ErrNotFound)
		}
		if err != nil {
			return err
		}
		err = tx.Row(`INSERT INTO retention_policy (project, rules, cron, created, updated) VALUES ($1, $2, $3, $4, $4) RETURNING id`,
			p.Project, rules, p.Cron, s.now().UnixMilli()).Scan(&id)
		if err != nil {
			return err
		}
		return schedule(tx, q, id, p.Cron)
	})
	if store.IsTaken(err) {
		err = fmt.Errorf("the project has a retention policy already; change that one: %w", errdef.ErrInvalid)
	}
	return id, err
}

func (p Policy) encode() (string, error) {
	if err := Check(p.Rules); err != nil {
		return "", err
	}
	if p.Rules == nil {
		p.Rules = []Rule{}
	}
	b, err := json.Marshal(p.Rules)
	return string(b), err
}

func schedule(tx *store.Tx, q *jobs.Queue, id int64, cron string) error {
	if cron == "" {
		return q.Unschedule(tx, Kind, id)
	}
	return q.SetSchedule(tx, Kind, id, cron, Params{Policy: id})
}

// Change sets the rules of a policy and when it runs. Errors are those of Make.
func (s *Policies) Change(ctx context.Context, q *jobs.Queue, p Policy) error {
	rules, err := p.encode()
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE retention_policy SET rules = $1, cron = $2, updated = $3 WHERE id = $4`, rules, p.Cron, s.now().UnixMilli(), p.ID)
		if err == nil && n == 0 {
			err = fmt.Errorf("retention policy %d not found: %w", p.ID, errdef.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return schedule(tx, q, p.ID, p.Cron)
	})
}

// Remove removes a policy; errdef.ErrNotFound. What runs of it ends with the repositories that are under way.
func (s *Policies) Remove(ctx context.Context, q *jobs.Queue, id int64) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM retention_policy WHERE id = $1`, id)
		if err == nil && n == 0 {
			err = fmt.Errorf("retention policy %d not found: %w", id, errdef.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return q.Unschedule(tx, Kind, id)
	})
}

// Forget removes the schedule of a project that is about to be deleted, within its transaction.
func Forget(tx *store.Tx, q *jobs.Queue, project int64) error {
	var id int64
	err := tx.Row(`SELECT id FROM retention_policy WHERE project = $1`, project).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return q.Unschedule(tx, Kind, id)
}
