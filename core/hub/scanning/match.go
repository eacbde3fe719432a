package scanning

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// checkEvery is how often scanners are asked for the state of their data, and tidyEvery how often what is left of deleted
// images goes.
const (
	checkEvery = time.Minute
	tidyEvery  = time.Hour
)

// Watch looks for new data until ctx ends.
func (s *Service) Watch(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	var tidied time.Time
	for {
		if err := s.CheckDatabases(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("scanners cannot be asked for the state of their data", "err", err)
		}
		if s.o.Now().Sub(tidied) >= tidyEvery {
			tidied = s.o.Now()
			if err := s.Tidy(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("reports of deleted images cannot be removed", "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// CheckDatabases asks all scanners, and has images matched again where the data are newer than those they were matched with. Of
// several hubs one does it; the age decides, since each may have a plugin of its own.
func (s *Service) CheckDatabases(ctx context.Context) error {
	var errs []error
	for _, x := range s.o.Scanners() {
		d, err := x.Driver.Database(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("scanner %s: %w", x.Name, err))
			continue
		}
		errs = append(errs, s.o.DB.Tx(ctx, func(tx *store.Tx) error { return s.database(tx, x, d) }))
	}
	return errors.Join(errs...)
}

func (s *Service) database(tx *store.Tx, x Scanner, d scan.Database) error {
	if _, err := tx.Exec(`INSERT INTO scan_database (scanner, version, updated, checked, problem) VALUES ($1, '', 0, 0, '') ON CONFLICT (scanner) DO NOTHING`,
		x.Name); err != nil {
		return err
	}
	var version string
	var updated int64
	if err := tx.Lock(`SELECT version, updated FROM scan_database WHERE scanner = $1`, x.Name).Scan(&version, &updated); err != nil {
		return err
	}
	newer := d.Version != "" && d.Version != version && milli(d.Updated) >= updated
	if newer {
		if _, err := tx.Exec(`UPDATE scan_database SET version = $1, updated = $2 WHERE scanner = $3`, d.Version, milli(d.Updated), x.Name); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(`UPDATE scan_database SET checked = $1, problem = $2 WHERE scanner = $3`, s.now(), d.Problem, x.Name); err != nil || !newer {
		return err
	}
	if !x.can(scan.CapMatch) {
		return nil // its images wait for the next scan of all
	}
	_, err := s.o.Queue().Enqueue(tx, jobs.Request{Kind: Match, Cause: jobs.ByEvent, Payload: matchTask{Scanner: x.Name, Since: version, To: d.Version}})
	return err
}

// updateTask is one of Update.
type updateTask struct {
	Scanner string `json:"scanner"`
}

// StartUpdate has a scanner fetch new data. errdef.ErrConflict: that is under way. errdef.ErrUnsupported: it fetches none.
func (s *Service) StartUpdate(ctx context.Context, name string) error {
	x, err := s.Scanner(ctx, name)
	if err != nil {
		return err
	}
	if !x.can(scan.CapUpdate) {
		return fmt.Errorf("scanner %s does not fetch data: import them: %w", name, errdef.ErrInvalid)
	}
	return s.o.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := s.o.Queue().Enqueue(tx, jobs.Request{Kind: Update, Alone: name, Payload: updateTask{name}})
		return err
	})
}

func (s *Service) runUpdate(ctx context.Context, j *jobs.Job) error {
	var t updateTask
	if err := j.Decode(&t); err != nil {
		return err
	}
	x, err := s.Scanner(ctx, t.Scanner)
	if err != nil {
		return jobs.Permanent(err)
	}
	step := ""
	d, err := x.Driver.Update(ctx, func(p scan.Progress) error {
		if p.Step != step {
			step = p.Step
			j.Logf("%s", step)
		}
		j.Progress(int64(p.Percent), 100)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	j.Logf("the data of scanner %s are of version %s, updated %s", x.Name, d.Version, stamp(d.Updated))
	return s.CheckDatabases(ctx)
}

// Task is the number of the task that made a report last, for its log; errdef.ErrNotFound for one of many, whose log is that of
// the scan of all, and for one that another project asked for: its log names that project's repository.
func (s *Service) Task(ctx context.Context, repo registry.Repository, o Overview) (int64, error) {
	list, _, err := s.o.Queue().Tasks(ctx, o.Execution, 2, 0)
	if err != nil {
		return 0, err
	}
	var t Target
	if len(list) == 1 && list[0].Kind == One {
		if err := json.Unmarshal(list[0].Payload, &t); err != nil {
			return 0, err
		}
	}
	if t.Project == 0 || t.Project != repo.Project {
		return 0, fmt.Errorf("the log of the scan is not there any more, or that of a scan of all, or not this project's: %w", errdef.ErrNotFound)
	}
	return list[0].ID, nil
}

// matchTask is a task of Match: the first finds the reports, the others match some each.
type matchTask struct {
	Scanner string  `json:"scanner"`
	Since   string  `json:"since"` // the version that they were matched with; "": nobody knows
	To      string  `json:"to"`
	Reports []int64 `json:"reports,omitempty"`
}

// Pages: how many reports are looked at in a query, and how many a task matches.
const (
	lookPage  = 2000
	matchPage = 250
)

func (s *Service) runMatch(ctx context.Context, j *jobs.Job) error {
	var t matchTask
	if err := j.Decode(&t); err != nil {
		return err
	}
	x, err := s.Scanner(ctx, t.Scanner)
	if err != nil {
		return jobs.Permanent(err)
	}
	if len(t.Reports) > 0 {
		return s.matchSome(ctx, j, x, t)
	}
	names, all, err := s.changes(ctx, x, t.Since)
	if err != nil {
		return err
	}
	j.Logf("scanner %s has new data, %s instead of %q; all packages: %t, else %d", x.Name, t.To, t.Since, all, len(names))
	return s.spread(ctx, j, t, names, all)
}

// changes are the numbers of the packages that data are new of.
func (s *Service) changes(ctx context.Context, x Scanner, since string) (some map[int64]bool, all bool, err error) {
	if since == "" || !x.can(scan.CapChanges) {
		return nil, true, nil
	}
	c, err := x.Driver.Changes(ctx, scan.ChangesRequest{Since: since})
	if err != nil || c.All {
		return nil, true, err
	}
	some = map[int64]bool{}
	for _, name := range c.Packages {
		var id int64
		err := s.o.DB.QueryRow(ctx, `SELECT id FROM scan_package WHERE name = $1`, name).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			continue // no image has it
		}
		if err != nil {
			return nil, false, err
		}
		some[id] = true
	}
	return some, false, nil
}

// spread adds tasks for the reports that a change is about, and notes for the others that they are of the new data too.
func (s *Service) spread(ctx context.Context, j *jobs.Job, t matchTask, names map[int64]bool, all bool) error {
	type row struct {
		id       int64
		packages []byte
	}
	last, looked, affected := int64(0), 0, 0
	for {
		list, _, err := store.List(ctx, s.o.DB, lookPage, func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.id, &x.packages) },
			`SELECT r.id, b.packages FROM scan_report r JOIN scan_sbom b ON b.report = r.id WHERE r.scanner = $1 AND r.id > $2 AND r.first > 0
				ORDER BY r.id LIMIT $3`, t.Scanner, last)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			j.Logf("%d images were looked at, %d are matched again", looked, affected)
			return nil
		}
		var again, others []int64
		for _, x := range list {
			last = x.id
			if all || len(x.packages) == 0 || holds(x.packages, names) {
				again = append(again, x.id)
			} else {
				others = append(others, x.id)
			}
		}
		looked, affected = looked+len(list), affected+len(again)
		if err := s.sameUnder(ctx, t.To, others); err != nil {
			return err
		}
		var tasks []jobs.TaskRequest
		for n := 0; n < len(again); n += matchPage {
			part := t
			part.Reports = again[n:min(n+matchPage, len(again))]
			tasks = append(tasks, jobs.TaskRequest{Payload: part})
		}
		if len(tasks) > 0 {
			if err := j.Add(ctx, tasks...); err != nil {
				return err
			}
		}
	}
}

func (s *Service) sameUnder(ctx context.Context, version string, reports []int64) error {
	if len(reports) == 0 {
		return nil
	}
	args, marks := []any{version}, make([]string, len(reports))
	for i, id := range reports {
		args, marks[i] = append(args, id), fmt.Sprintf("$%d", i+2)
	}
	return s.o.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE scan_report SET database_version = $1 WHERE id IN (`+strings.Join(marks, ", ")+`)`, args...)
		return err
	})
}

// matchSome matches the reports of a task, one after the other. One that cannot be matched does not keep the others from it.
func (s *Service) matchSome(ctx context.Context, j *jobs.Job, x Scanner, t matchTask) error {
	about, err := x.Driver.Describe(ctx)
	if err != nil {
		return err
	}
	failed := 0
	for i, id := range t.Reports {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := s.match(ctx, x, about, id, t.To)
		switch {
		case errors.Is(err, errdef.ErrUnavailable), errors.Is(err, errdef.ErrPluginDown), store.IsUnavailable(err):
			return err // the task is tried again
		case err != nil:
			failed++
			j.Logf("report %d: %v", id, err)
		}
		j.Progress(int64(i+1), int64(len(t.Reports)))
	}
	if failed > 0 {
		return jobs.Permanent(fmt.Errorf("%d of %d images could not be matched again: see the log", failed, len(t.Reports)))
	}
	return nil
}

// match matches one report's SBOM, unless it was already or is gone.
func (s *Service) match(ctx context.Context, x Scanner, about scan.Description, report int64, to string) error {
	var digest, format, version string
	var packed []byte
	err := s.o.DB.QueryRow(ctx, `SELECT r.digest, r.database_version, b.format, b.document FROM scan_report r JOIN scan_sbom b ON b.report = r.id WHERE r.id = $1`,
		report).Scan(&digest, &version, &format, &packed)
	if errors.Is(err, sql.ErrNoRows) || err == nil && version == to {
		return nil
	}
	if err != nil {
		return err
	}
	document, err := unpack(packed)
	if err != nil {
		return err
	}
	defer document.Close()
	f := &found{s: s, ctx: ctx, tool: about}
	f.report, err = x.Driver.Match(ctx, scan.MatchRequest{ID: fmt.Sprintf("report-%d", report), Format: scan.Want(format), SBOM: document}, f)
	if err == nil {
		err = f.flush()
	}
	if err != nil {
		return err
	}
	return s.o.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := s.keep(tx, digest, x, f)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // it went meanwhile
		}
		return err
	})
}

// Tidy removes the reports of digests that no repository has any more.
func (s *Service) Tidy(ctx context.Context) error {
	const some = 500
	for {
		var n int64
		err := s.o.DB.Tx(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM scan_report WHERE id IN (SELECT r.id FROM scan_report r
				WHERE NOT EXISTS (SELECT 1 FROM manifest m WHERE m.digest = r.digest) ORDER BY r.id LIMIT $1)`, some)
			return err
		})
		if err != nil || n < some {
			return err
		}
	}
}
