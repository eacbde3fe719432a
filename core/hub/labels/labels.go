// Package labels keeps labels, of the whole hub and of projects, and which artifacts have them.
package labels

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/query"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the tables, over the registry's. A label of the whole hub has no project.
func Schema() store.Schema {
	return store.Schema{Name: "labels", Steps: []string{`
CREATE TABLE label (
	id @id, project BIGINT REFERENCES project(id) ON DELETE CASCADE, name TEXT NOT NULL, description TEXT NOT NULL, color TEXT NOT NULL,
	created BIGINT NOT NULL, updated BIGINT NOT NULL
);
CREATE UNIQUE INDEX label_name ON label (COALESCE(project, 0), name);
CREATE TABLE artifact_label (
	manifest BIGINT NOT NULL REFERENCES manifest(id) ON DELETE CASCADE, label BIGINT NOT NULL REFERENCES label(id) ON DELETE CASCADE,
	PRIMARY KEY (manifest, label)
) @clustered;
CREATE INDEX artifact_label_label ON artifact_label (label)`}}
}

// Bounds.
const (
	maxName        = 128
	maxDescription = 1024
	maxLabels      = 1000 // of a project, or of the whole hub
	maxAttached    = 100  // of one artifact
)

var colorPattern = regexp.MustCompile(`^(#[0-9A-Fa-f]{6})?$`)

// Label is one.
type Label struct {
	ID int64
	// Project is the number of its project; 0: it is for all.
	Project          int64
	Name             string
	Description      string
	Color            string // "#RRGGBB", or ""
	Created, Updated time.Time
}

func (l Label) check() error {
	switch {
	case strings.TrimSpace(l.Name) == "" || len(l.Name) > maxName || strings.ContainsAny(l.Name, ",\n"):
		return fmt.Errorf("name: want 1 to %d characters without commas: %w", maxName, errdef.ErrInvalid)
	case len(l.Description) > maxDescription:
		return fmt.Errorf("description: it is longer than %d bytes: %w", maxDescription, errdef.ErrInvalid)
	case !colorPattern.MatchString(l.Color):
		return fmt.Errorf("color: want #RRGGBB, or nothing: %w", errdef.ErrInvalid)
	}
	return nil
}

// Labels keeps them. It may be used by several goroutines.
type Labels struct {
	db  *store.Store
	now func() time.Time
}

// New makes a Labels over a store that was opened with Schema. now nil means time.Now.
func New(db *store.Store, now func() time.Time) *Labels {
	if now == nil {
		now = time.Now
	}
	return &Labels{db, now}
}

const columns = `l.id, COALESCE(l.project, 0), l.name, l.description, l.color, l.created, l.updated`

func scan(scan func(...any) error) (l Label, err error) {
	var created, updated int64
	err = scan(&l.ID, &l.Project, &l.Name, &l.Description, &l.Color, &created, &updated)
	l.Created, l.Updated = time.UnixMilli(created), time.UnixMilli(updated)
	return l, err
}

// Columns are what lists of labels are filtered and sorted by.
var Columns = query.Columns{"id": {SQL: "l.id", Type: query.Number}, "name": {SQL: "l.name"}, "description": {SQL: "l.description"}, "color": {SQL: "l.color"},
	"creation_time": {SQL: "l.created", Type: query.Millis}, "update_time": {SQL: "l.updated", Type: query.Millis}}

// Select lists the labels of a project, or of the whole hub for 0, for which a condition over Columns holds, with parameters
// from $1 on, in an order over the same: at most limit, after offset of them. It also counts all.
func (s *Labels) Select(ctx context.Context, project int64, limit, offset int, condition, order string, args ...any) (list []Label, total int, err error) {
	n := len(args)
	args = append(args[:n:n], project)
	from := fmt.Sprintf(` FROM label l WHERE COALESCE(l.project, 0) = $%d AND %s`, n+1, condition)
	if err := s.db.QueryRow(ctx, store.Once+`SELECT COUNT(*)`+from, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	list, _, err = store.List(ctx, s.db, limit, func(r *sql.Rows) (Label, error) { return scan(r.Scan) },
		fmt.Sprintf(store.Once+`SELECT %s%s ORDER BY %s LIMIT $%d OFFSET $%d`, columns, from, order, n+3, n+2), append(args, offset)...)
	return list, total, err
}

// Get finds a label; errdef.ErrNotFound.
func (s *Labels) Get(ctx context.Context, id int64) (Label, error) {
	l, err := scan(s.db.QueryRow(ctx, `SELECT `+columns+` FROM label l WHERE l.id = $1`, id).Scan)
	return l, missing(err, id)
}

func missing(err error, id int64) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("label %d not found: %w", id, errdef.ErrNotFound)
	}
	return err
}

func taken(err error, name string) error {
	if store.IsTaken(err) {
		return fmt.Errorf("there is a label %q already: %w", name, errdef.ErrExists)
	}
	return err
}

// Make makes a label and returns its number; errdef.ErrInvalid, also for one too many, errdef.ErrExists for a name that is
// taken, errdef.ErrNotFound for a project that is not there.
func (s *Labels) Make(ctx context.Context, l Label) (id int64, err error) {
	if err := l.check(); err != nil {
		return 0, err
	}
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		project := sql.NullInt64{Int64: l.Project, Valid: l.Project != 0}
		if project.Valid {
			err := tx.Lock(`SELECT id FROM project WHERE id = $1`, l.Project).Scan(&project.Int64)
			if errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("project %d not found: %w", l.Project, errdef.ErrNotFound)
			}
			if err != nil {
				return err
			}
		}
		var n int
		if err := tx.Row(`SELECT COUNT(*) FROM label WHERE COALESCE(project, 0) = $1`, l.Project).Scan(&n); err != nil {
			return err
		}
		if n >= maxLabels {
			return fmt.Errorf("there are %d labels: no more can be made: %w", n, errdef.ErrInvalid)
		}
		return tx.Row(`INSERT INTO label (project, name, description, color, created, updated) VALUES ($1, $2, $3, $4, $5, $5) RETURNING id`,
			project, l.Name, l.Description, l.Color, s.now().UnixMilli()).Scan(&id)
	})
	return id, taken(err, l.Name)
}

// Change sets a label's name, description and color. Errors are those of Make.
func (s *Labels) Change(ctx context.Context, l Label) error {
	if err := l.check(); err != nil {
		return err
	}
	return taken(s.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE label SET name = $1, description = $2, color = $3, updated = $4 WHERE id = $5`,
			l.Name, l.Description, l.Color, s.now().UnixMilli(), l.ID)
		if err == nil && n == 0 {
			err = missing(sql.ErrNoRows, l.ID)
		}
		return err
	}), l.Name)
}

// Remove removes a label, also from the artifacts that have it; errdef.ErrNotFound.
func (s *Labels) Remove(ctx context.Context, id int64) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM label WHERE id = $1`, id)
		if err == nil && n == 0 {
			err = missing(sql.ErrNoRows, id)
		}
		return err
	})
}

// Attach gives an artifact of a project a label of that project or of the whole hub. errdef.ErrNotFound for a label or a
// manifest that is not there, errdef.ErrExists if it has the label, errdef.ErrInvalid for one too many.
func (s *Labels) Attach(ctx context.Context, project, manifest, label int64) error {
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		// Those who delete the manifest hold the project's lock.
		var one int64
		if err := tx.Lock(`SELECT id FROM project WHERE id = $1`, project).Scan(&one); err != nil {
			return missing(err, label)
		}
		if err := tx.Lock(`SELECT id FROM label WHERE id = $1 AND COALESCE(project, $2) = $2`, label, project).Scan(&one); err != nil {
			return missing(err, label)
		}
		err := tx.Row(`SELECT m.id FROM manifest m JOIN repo r ON r.id = m.repo_id WHERE m.id = $1 AND r.project_id = $2`, manifest, project).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("the artifact has just been deleted: %w", errdef.ErrNotFound)
		}
		if err != nil {
			return err
		}
		var n int
		if err := tx.Row(`SELECT COUNT(*) FROM artifact_label WHERE manifest = $1`, manifest).Scan(&n); err != nil {
			return err
		}
		if n >= maxAttached {
			return fmt.Errorf("the artifact has %d labels: no more can be added: %w", n, errdef.ErrInvalid)
		}
		_, err = tx.Exec(`INSERT INTO artifact_label (manifest, label) VALUES ($1, $2)`, manifest, label)
		return err
	})
	if store.IsTaken(err) {
		return fmt.Errorf("the artifact has label %d already: %w", label, errdef.ErrExists)
	}
	return err
}

// Detach takes a label from an artifact; errdef.ErrNotFound if it does not have it.
func (s *Labels) Detach(ctx context.Context, manifest, label int64) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM artifact_label WHERE manifest = $1 AND label = $2`, manifest, label)
		if err == nil && n == 0 {
			err = fmt.Errorf("the artifact does not have label %d: %w", label, errdef.ErrNotFound)
		}
		return err
	})
}

// Of lists the labels of an artifact, by name.
func (s *Labels) Of(ctx context.Context, manifest int64) ([]Label, error) {
	list, _, err := store.List(ctx, s.db, maxAttached, func(r *sql.Rows) (Label, error) { return scan(r.Scan) },
		`SELECT `+columns+` FROM artifact_label a JOIN label l ON l.id = a.label WHERE a.manifest = $1 ORDER BY l.name, l.id LIMIT $2`, manifest)
	return list, err
}

// Where is the condition of a query's column over the table manifest m: the numbers of labels that an artifact has, all of
// them or one of them.
func Where(f query.Filter, arg func(any) string) (string, error) {
	if f.Kind == query.Fuzzy || f.Kind == query.Range {
		return "", fmt.Errorf("q: labels: want labels=(1 2) for artifacts with all of them, labels={1 2} for one of them: %w", errdef.ErrInvalid)
	}
	ids := query.Columns{"labels": {SQL: "a.label", Type: query.Number}}
	if f.Kind != query.All {
		f.Kind = query.Any
		one, err := where(ids, f, arg)
		return one, err
	}
	var all []string
	for _, v := range f.Values {
		one, err := where(ids, query.Filter{Key: f.Key, Kind: query.Any, Values: []string{v}}, arg)
		if err != nil {
			return "", err
		}
		all = append(all, one)
	}
	return strings.Join(all, " AND "), nil
}

func where(c query.Columns, f query.Filter, arg func(any) string) (string, error) {
	cond, err := c.One(f, arg)
	return `EXISTS (SELECT 1 FROM artifact_label a WHERE a.manifest = m.id AND ` + cond + `)`, err
}
