// Package cveallow keeps the lists of vulnerabilities that are allowed: one of the whole hub, and one of each project that
// has its own. What such a list names counts for nothing where findings are compared with what a project allows.
package cveallow

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the table, over the registry's. The list of the whole hub has no project.
func Schema() store.Schema {
	return store.Schema{Name: "cveallow", Steps: []string{`
CREATE TABLE cve_allowlist (
	id @id, project BIGINT REFERENCES project(id) ON DELETE CASCADE, items TEXT NOT NULL, expires BIGINT, created BIGINT NOT NULL, updated BIGINT NOT NULL
);
CREATE UNIQUE INDEX cve_allowlist_project ON cve_allowlist (COALESCE(project, 0))`}}
}

// Hub is the number of the list of the whole hub, where others have their project's.
const Hub int64 = 0

// ReuseName is the project's metadata that says which list counts there: "false" its own, everything else the hub's.
const ReuseName = "reuse_sys_cve_allowlist"

// MaxItems bounds a list.
const MaxItems = 5000

// itemPattern is the ID of a vulnerability in any database: CVE-2024-3094, GHSA-..., RUSTSEC-..., DSA-1234-1, ALAS2-...
var itemPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// List is one.
type List struct {
	ID      int64 // 0: nobody has set it yet
	Project int64 // Hub: it is the whole hub's
	// Items are IDs of vulnerabilities.
	Items []string
	// Expires is when the list ends to count; zero: never.
	Expires          time.Time
	Created, Updated time.Time
}

// tidy takes spaces away; errdef.ErrInvalid for a list that cannot be.
func (l List) tidy() (List, error) {
	if len(l.Items) > MaxItems {
		return l, fmt.Errorf("items: there are %d, and a list has at most %d: %w", len(l.Items), MaxItems, errdef.ErrInvalid)
	}
	items, seen := make([]string, 0, len(l.Items)), map[string]bool{}
	for _, item := range l.Items {
		item = strings.TrimSpace(item)
		switch {
		case !itemPattern.MatchString(item):
			return l, fmt.Errorf("items: %.40q is not the ID of a vulnerability, such as CVE-2024-3094: %w", item, errdef.ErrInvalid)
		case seen[strings.ToUpper(item)]:
			return l, fmt.Errorf("items: %s is there twice: %w", item, errdef.ErrInvalid)
		}
		seen[strings.ToUpper(item)] = true
		items = append(items, item)
	}
	l.Items = items
	return l, nil
}

// Set is what is allowed at some moment.
type Set map[string]bool

// Allows says whether one of the names of a vulnerability is in the set; case does not matter.
func (s Set) Allows(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return s[strings.ToUpper(name)] })
}

// At is what the list allows at a time: nothing after it has expired.
func (l List) At(now time.Time) Set {
	if !l.Expires.IsZero() && !now.Before(l.Expires) {
		return Set{}
	}
	out := make(Set, len(l.Items))
	for _, item := range l.Items {
		out[strings.ToUpper(item)] = true
	}
	return out
}

// Lists keeps them. It may be used by several goroutines.
type Lists struct {
	db  *store.Store
	now func() time.Time
}

// New makes a Lists over a store that was opened with Schema. now nil means time.Now.
func New(db *store.Store, now func() time.Time) *Lists {
	if now == nil {
		now = time.Now
	}
	return &Lists{db, now}
}

// Of is the list of a project, or of the whole hub for Hub. One that nobody has set is empty.
func (s *Lists) Of(ctx context.Context, q store.Querier, project int64) (List, error) {
	l := List{Project: project, Items: []string{}}
	var items string
	var expires sql.NullInt64
	var created, updated int64
	err := q.QueryRow(ctx, `SELECT id, items, expires, created, updated FROM cve_allowlist WHERE COALESCE(project, 0) = $1`, project).
		Scan(&l.ID, &items, &expires, &created, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(items), &l.Items)
	}
	if err != nil {
		return l, fmt.Errorf("CVE allowlist: %w", err)
	}
	if expires.Valid {
		l.Expires = time.Unix(expires.Int64, 0)
	}
	l.Created, l.Updated = time.UnixMilli(created), time.UnixMilli(updated)
	return l, nil
}

// Counting is what is allowed in a project now. metadata are the project's: they say which list counts.
func (s *Lists) Counting(ctx context.Context, q store.Querier, project int64, metadata map[string]string) (Set, error) {
	if metadata[ReuseName] != "false" {
		project = Hub
	}
	l, err := s.Of(ctx, q, project)
	return l.At(s.now()), err
}

// Keep sets the items and the expiry of the list of l.Project, within a transaction that has locked the project;
// errdef.ErrInvalid for a list that cannot be.
func (s *Lists) Keep(tx *store.Tx, l List) error {
	l, err := l.tidy()
	if err != nil {
		return err
	}
	items, err := json.Marshal(l.Items)
	if err != nil {
		return err
	}
	expires := sql.NullInt64{Int64: l.Expires.Unix(), Valid: !l.Expires.IsZero()}
	_, err = tx.Exec(`INSERT INTO cve_allowlist (project, items, expires, created, updated) VALUES ($1, $2, $3, $4, $4)
		ON CONFLICT (COALESCE(project, 0)) DO UPDATE SET items = excluded.items, expires = excluded.expires, updated = excluded.updated`,
		sql.NullInt64{Int64: l.Project, Valid: l.Project != Hub}, string(items), expires, s.now().UnixMilli())
	return err
}
