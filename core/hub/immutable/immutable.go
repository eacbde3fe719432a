// Package immutable keeps the rules of projects by which tags that are there neither move nor go. The registry asks it
// within each transaction that would move or delete a tag (registry.Policy), whoever wants that by whatever route.
//
// A rule is changed under the lock of its project's row, which all those transactions hold too. So a rule that was made
// counts for every push that ends after it.
package immutable

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/openvic/vic/core/hub/selector"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the tables, over the registry's.
func Schema() store.Schema {
	return store.Schema{Name: "immutable", Steps: []string{`
CREATE TABLE immutable_rule (
	id @id, project BIGINT NOT NULL REFERENCES project(id) ON DELETE CASCADE, disabled BOOLEAN NOT NULL, spec TEXT NOT NULL, UNIQUE (project, spec)
)`}}
}

// Bounds of a project's rules.
const (
	maxRules     = 15
	maxSelectors = 5    // of each sort in one rule
	maxSpec      = 2400 // bytes of all of a rule as JSON: PostgreSQL's index has no more room
)

// Rule holds the tags that all its selectors choose, in the repositories that all its selectors choose.
type Rule struct {
	ID       int64
	Project  int64
	Disabled bool
	Spec
}

// Spec is what a rule chooses. No selectors choose everything.
type Spec struct {
	Repositories []selector.Selector `json:"repositories"`
	Tags         []selector.Selector `json:"tags"`
}

func (s Spec) check() error {
	if len(s.Tags) == 0 || len(s.Tags) > maxSelectors || len(s.Repositories) > maxSelectors {
		return fmt.Errorf("a rule has 1 to %d selectors of tags, and at most %d of repositories: %w", maxSelectors, maxSelectors, errdef.ErrInvalid)
	}
	for _, x := range s.Repositories {
		if err := x.CheckRepository(); err != nil {
			return err
		}
	}
	for _, x := range s.Tags {
		if x.Kind != selector.Doublestar {
			return fmt.Errorf("a rule chooses tags by their names, not by %.40q: %w", x.Kind, errdef.ErrInvalid)
		}
		if err := x.CheckTag(); err != nil {
			return err
		}
	}
	return nil
}

// Holds says whether the rule holds a tag, in a repository of its project whose name is given without the project.
func (r Rule) Holds(repository, tag string) bool {
	if r.Disabled {
		return false
	}
	for _, x := range r.Repositories {
		if !x.Repository(repository) {
			return false
		}
	}
	for _, x := range r.Tags {
		if !x.Tag(tag) {
			return false
		}
	}
	return true
}

// Rules keeps them. It may be used by several goroutines.
type Rules struct{ db *store.Store }

// New makes a Rules over a store that was opened with Schema.
func New(db *store.Store) *Rules { return &Rules{db} }

// List returns the rules of a project, by number.
func (r *Rules) List(ctx context.Context, q store.Querier, project int64) ([]Rule, error) {
	list, _, err := store.List(ctx, q, maxRules, func(rows *sql.Rows) (x Rule, err error) {
		var spec string
		if err := rows.Scan(&x.ID, &x.Project, &x.Disabled, &spec); err != nil {
			return x, err
		}
		return x, json.Unmarshal([]byte(spec), &x.Spec)
	}, `SELECT id, project, disabled, spec FROM immutable_rule WHERE project = $1 ORDER BY id LIMIT $2`, project)
	return list, err
}

// Held says of the tags of a project's repositories whether a rule holds them.
func (r *Rules) Held(ctx context.Context, q store.Querier, project int64) (func(repository, tag string) bool, error) {
	rules, err := r.List(ctx, q, project)
	return func(repository, tag string) bool {
		_, name, _ := strings.Cut(repository, "/")
		for _, x := range rules {
			if x.Holds(name, tag) {
				return true
			}
		}
		return false
	}, err
}

// Immutable says whether a rule holds a tag of a repository, project/name, as of the transaction.
func (r *Rules) Immutable(ctx context.Context, tx *store.Tx, repository, tag string) (bool, error) {
	project, _, _ := strings.Cut(repository, "/")
	var id int64
	err := tx.Row(`SELECT id FROM project WHERE name = $1`, project).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	held, err := r.Held(ctx, tx, id)
	return err == nil && held(repository, tag), err
}

func lock(tx *store.Tx, project int64) error {
	err := tx.Lock(`SELECT id FROM project WHERE id = $1`, project).Scan(&project)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("project %d not found: %w", project, errdef.ErrNotFound)
	}
	return err
}

// Make makes a rule of a project and returns its number. errdef.ErrInvalid for one that is none or is one too many,
// errdef.ErrExists for one that chooses the same as another, errdef.ErrNotFound for a project that is not there.
func (r *Rules) Make(ctx context.Context, x Rule) (id int64, err error) {
	spec, err := x.encode()
	if err != nil {
		return 0, err
	}
	err = r.db.Tx(ctx, func(tx *store.Tx) error {
		if err := lock(tx, x.Project); err != nil {
			return err
		}
		var n int
		if err := tx.Row(`SELECT COUNT(*) FROM immutable_rule WHERE project = $1`, x.Project).Scan(&n); err != nil {
			return err
		}
		if n >= maxRules {
			return fmt.Errorf("a project has at most %d rules: %w", maxRules, errdef.ErrInvalid)
		}
		return tx.Row(`INSERT INTO immutable_rule (project, disabled, spec) VALUES ($1, $2, $3) RETURNING id`, x.Project, x.Disabled, spec).Scan(&id)
	})
	return id, taken(err)
}

func (s Spec) encode() (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	b, err := json.Marshal(s)
	if err == nil && len(b) > maxSpec {
		err = fmt.Errorf("the rule's patterns are too long together: as JSON it has %d bytes, and may have %d: %w", len(b), maxSpec, errdef.ErrInvalid)
	}
	return string(b), err
}

func taken(err error) error {
	if store.IsTaken(err) {
		return fmt.Errorf("the project has a rule that chooses the same: %w", errdef.ErrExists)
	}
	return err
}

// Change sets what a rule of a project chooses, and whether it is disabled. Errors are those of Make; errdef.ErrNotFound.
func (r *Rules) Change(ctx context.Context, x Rule) error {
	spec, err := x.encode()
	if err != nil {
		return err
	}
	return r.change(ctx, x, `UPDATE immutable_rule SET disabled = $3, spec = $4 WHERE project = $1 AND id = $2`, x.Disabled, spec)
}

// Disable enables or disables a rule of a project; errdef.ErrNotFound.
func (r *Rules) Disable(ctx context.Context, project, id int64, disabled bool) error {
	return r.change(ctx, Rule{ID: id, Project: project}, `UPDATE immutable_rule SET disabled = $3 WHERE project = $1 AND id = $2`, disabled)
}

// Remove removes a rule of a project; errdef.ErrNotFound.
func (r *Rules) Remove(ctx context.Context, project, id int64) error {
	return r.change(ctx, Rule{ID: id, Project: project}, `DELETE FROM immutable_rule WHERE project = $1 AND id = $2`)
}

func (r *Rules) change(ctx context.Context, x Rule, query string, args ...any) error {
	return taken(r.db.Tx(ctx, func(tx *store.Tx) error {
		if err := lock(tx, x.Project); err != nil {
			return err
		}
		n, err := tx.Exec(query, append([]any{x.Project, x.ID}, args...)...)
		if err == nil && n == 0 {
			err = fmt.Errorf("rule %d not found: %w", x.ID, errdef.ErrNotFound)
		}
		return err
	}))
}
