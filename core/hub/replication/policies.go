// Package replication copies artifacts between this hub and other registries: rules say what, where to and when; each run is
// an execution of the hub's job queue with a task for each artifact, which a plugin of the kind replicate carries out.
//
// A rule pushes to an endpoint or pulls from one. It runs by hand, by a schedule or, if it pushes, with each push of a tag.
// What was replicated to a hub tells which hubs it has passed (registry.Event.Via): a push that changes nothing sets off
// nothing, and what comes back to where it went out moves no tag there. So two hubs with rules for one another come to rest.
package replication

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the tables, over those of packages registries and jobs. replication_checkpoint is what a task goes on from; it holds
// addresses of uploads, and is sealed.
func Schema() store.Schema {
	return store.Schema{Name: "replication", Watched: []string{"replication_policy"}, Steps: []string{`
CREATE TABLE replication_policy (
	id @id, name TEXT NOT NULL UNIQUE, endpoint_id BIGINT NOT NULL REFERENCES endpoint(id), pull BOOLEAN NOT NULL, enabled BOOLEAN NOT NULL,
	on_event BOOLEAN NOT NULL, spec TEXT NOT NULL, creator TEXT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL
);
CREATE INDEX replication_policy_endpoint ON replication_policy (endpoint_id);
CREATE TABLE replication_checkpoint (
	task_id @key REFERENCES job_task(id) ON DELETE CASCADE, sealed @bytes NOT NULL
)`}}
}

// Trigger is what sets a rule off, in Harbor's words.
type Trigger string

// The triggers.
const (
	Manual    Trigger = "manual"
	Scheduled Trigger = "scheduled"
	OnEvent   Trigger = "event_based"
)

// Policy is a rule.
type Policy struct {
	ID       int64
	Name     string
	Endpoint int64 // the number of the other registry
	Pull     bool  // from there; else to there
	Enabled  bool
	Trigger  Trigger
	Spec
	Creator          string
	Created, Updated time.Time
}

// Spec is the part of a rule that no list is searched by.
type Spec struct {
	Description string
	Filters     []Filter
	Cron        string // of Scheduled
	// Namespace and Replace say where artifacts go: see rename.
	Namespace string
	Replace   int
	Override  bool // a tag that means something else is moved
	Deletion  bool // what is deleted here is deleted there (OnEvent)
	Single    bool // one run at a time
	// Speed is bytes per second of each task; 0: no limit.
	Speed int64
}

// namespacePattern is what a repository's name may begin with.
var namespacePattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$`)

func (p Policy) check() error {
	switch {
	case p.Name == "" || len(p.Name) > maxName || strings.TrimSpace(p.Name) != p.Name:
		return invalid("name: want 1 to %d characters, no space before or behind", maxName)
	case len(p.Description) > maxText:
		return invalid("description: it has more than %d characters", maxText)
	case p.Namespace != "" && (len(p.Namespace) > maxName || !namespacePattern.MatchString(p.Namespace)):
		return invalid("dest_namespace: %.100q is no beginning of a repository's name", p.Namespace)
	case p.Replace < -1 || p.Replace > maxParts:
		return invalid("dest_namespace_replace_count: want -1 to %d", maxParts)
	case p.Speed < 0 || p.Speed > maxSpeed:
		return invalid("speed: want a number of KB per second, or -1 for no limit")
	case len(p.Filters) > maxFilters:
		return invalid("filters: there are more than %d", maxFilters)
	}
	switch p.Trigger {
	case Manual:
	case Scheduled:
		if _, err := jobs.ParseCron(p.Cron); err != nil {
			return fmt.Errorf("trigger: %w", err)
		}
	case OnEvent:
		if p.Pull {
			return invalid("trigger: nobody tells the hub what happens at another registry: a rule that pulls is manual or scheduled")
		}
	default:
		return invalid("trigger: %.40q is not one of manual, scheduled, event_based", string(p.Trigger))
	}
	for _, f := range p.Filters {
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}

const columns = `id, name, endpoint_id, pull, enabled, on_event, spec, creator, created, updated`

func scan(f func(...any) error) (p Policy, err error) {
	var spec string
	var created, updated int64
	var onEvent bool
	if err := f(&p.ID, &p.Name, &p.Endpoint, &p.Pull, &p.Enabled, &onEvent, &spec, &p.Creator, &created, &updated); err != nil {
		return p, err
	}
	p.Created, p.Updated = time.UnixMilli(created), time.UnixMilli(updated)
	if err := json.Unmarshal([]byte(spec), &p.Spec); err != nil {
		return p, err
	}
	switch {
	case onEvent:
		p.Trigger = OnEvent
	case p.Cron != "":
		p.Trigger = Scheduled
	default:
		p.Trigger = Manual
	}
	return p, nil
}

// List lists the rules whose name contains part, by name: at most limit, after offset of them. It also counts all.
func (r *Replication) List(ctx context.Context, part string, limit, offset int) (list []Policy, total int, err error) {
	const where = ` FROM replication_policy WHERE name LIKE $1 ESCAPE '\'`
	if err := r.o.DB.QueryRow(ctx, `SELECT COUNT(*)`+where, store.Containing(part)).Scan(&total); err != nil {
		return nil, 0, err
	}
	list, _, err = store.List(ctx, r.o.DB, limit, func(rows *sql.Rows) (Policy, error) { return scan(rows.Scan) },
		`SELECT `+columns+where+` ORDER BY name LIMIT $3 OFFSET $2`, store.Containing(part), offset)
	return list, total, err
}

// Get finds a rule; errdef.ErrNotFound.
func (r *Replication) Get(ctx context.Context, id int64) (Policy, error) {
	p, err := scan(r.o.DB.QueryRow(ctx, `SELECT `+columns+` FROM replication_policy WHERE id = $1`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("replication policy %d: %w", id, errdef.ErrNotFound)
	}
	return p, err
}

// Make makes a rule, and returns its number. errdef.ErrInvalid, errdef.ErrExists for a name that is taken, errdef.ErrExhausted.
func (r *Replication) Make(ctx context.Context, p Policy) (id int64, err error) {
	spec, err := r.encode(ctx, p)
	if err != nil {
		return 0, err
	}
	err = r.o.DB.Tx(ctx, func(tx *store.Tx) error {
		var n int
		if err := tx.Row(`SELECT COUNT(*) FROM replication_policy`).Scan(&n); err != nil {
			return err
		}
		if n >= maxPolicies {
			return fmt.Errorf("the hub has %d replication policies already: %w", n, errdef.ErrExhausted)
		}
		err := tx.Row(`INSERT INTO replication_policy (name, endpoint_id, pull, enabled, on_event, spec, creator, created, updated)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING id`,
			p.Name, p.Endpoint, p.Pull, p.Enabled, p.Trigger == OnEvent, spec, p.Creator, r.o.Now().UnixMilli()).Scan(&id)
		if err != nil {
			return err
		}
		p.ID = id
		return r.schedule(tx, p)
	})
	return id, taken(err, p.Name)
}

func taken(err error, name string) error {
	if store.IsTaken(err) {
		return fmt.Errorf("a replication policy %q is there already: %w", name, errdef.ErrExists)
	}
	return err
}

func (r *Replication) encode(ctx context.Context, p Policy) (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	if _, err := r.o.Registries().Get(ctx, p.Endpoint); err != nil {
		if errors.Is(err, errdef.ErrNotFound) {
			return "", invalid("there is no registry %d", p.Endpoint)
		}
		return "", err
	}
	if p.Trigger != Scheduled {
		p.Cron = ""
	}
	b, err := json.Marshal(p.Spec)
	return string(b), err
}

func (r *Replication) schedule(tx *store.Tx, p Policy) error {
	if !p.Enabled || p.Trigger != Scheduled {
		return r.o.Queue().Unschedule(tx, Kind, p.ID)
	}
	return r.o.Queue().SetSchedule(tx, Kind, p.ID, p.Cron, params{Policy: p.ID})
}

// Change sets a rule anew: all but its number and who made it. Errors are those of Make, and errdef.ErrNotFound.
func (r *Replication) Change(ctx context.Context, p Policy) error {
	spec, err := r.encode(ctx, p)
	if err != nil {
		return err
	}
	err = r.o.DB.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE replication_policy SET name = $1, endpoint_id = $2, pull = $3, enabled = $4, on_event = $5, spec = $6, updated = $7 WHERE id = $8`,
			p.Name, p.Endpoint, p.Pull, p.Enabled, p.Trigger == OnEvent, spec, r.o.Now().UnixMilli(), p.ID)
		if err == nil && n == 0 {
			err = fmt.Errorf("replication policy %d: %w", p.ID, errdef.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return r.schedule(tx, p)
	})
	return taken(err, p.Name)
}

// Remove removes a rule, its schedule and its executions; what runs of it is stopped. errdef.ErrNotFound.
func (r *Replication) Remove(ctx context.Context, id int64) error {
	return r.o.DB.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM replication_policy WHERE id = $1`, id)
		if err == nil && n == 0 {
			err = fmt.Errorf("replication policy %d: %w", id, errdef.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return r.o.Queue().Forget(tx, Kind, id)
	})
}

// Uses is errdef.ErrConflict if a rule is for a registry, for who removes it within a transaction.
func Uses(tx *store.Tx, endpoint int64) error {
	var n int
	err := tx.Row(`SELECT COUNT(*) FROM replication_policy WHERE endpoint_id = $1`, endpoint).Scan(&n)
	if err == nil && n > 0 {
		err = fmt.Errorf("%d replication policies are for the registry; delete them first: %w", n, errdef.ErrConflict)
	}
	return err
}
