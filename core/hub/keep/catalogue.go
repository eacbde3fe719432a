package keep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openvic/vic/core/store"
)

// table is one of the hub's, as both databases have it.
type table struct {
	Name    string   `json:"table"`
	Columns []column `json:"columns"`
	// Last is the last number that the table gave to a row; a number is never given twice. Numbered is the column.
	Last     int64  `json:"last,omitempty"`
	Numbered string `json:"numbered,omitempty"`

	key     []string // the columns of the primary key
	parents []string // the tables whose rows must be there before
	fresh   int64    // how many rows it has in a new database
}

// column has one of the kinds below.
type column struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// What a column holds.
const (
	kindInteger = "integer"
	kindReal    = "real"
	kindText    = "text"
	kindBoolean = "boolean"
	kindBytes   = "bytes"
)

// kinds are the words that schemas have for them, as SQLite tells them.
var kinds = map[string]string{"BIGINT": kindInteger, "INTEGER": kindInteger, "INT": kindInteger, "TEXT": kindText, "BOOLEAN": kindBoolean, "BLOB": kindBytes,
	"REAL": kindReal, "DOUBLE PRECISION": kindReal}

// catalogue reads the tables from the schemas themselves, by a database that is made for it and removed: so a table that
// somebody adds is never forgotten. Each table comes after those that its rows point to.
func catalogue(ctx context.Context, schemas []store.Schema) (_ []table, err error) {
	dir, err := os.MkdirTemp("", "vic-hub-")
	if err != nil {
		return nil, fmt.Errorf("tables: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := store.Open(ctx, "sqlite:"+filepath.Join(dir, "tables.db"), schemas...)
	if err != nil {
		return nil, fmt.Errorf("tables: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	const most = 10000
	tables, _, err := store.List(ctx, db, most, scanTable, `SELECT name, sql FROM sqlite_master
		WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT IN ('schema_version', 'store_stamp') ORDER BY rowid LIMIT $1`)
	if err != nil {
		return nil, fmt.Errorf("tables: %w", err)
	}
	for i := range tables {
		if err := tables[i].read(ctx, db); err != nil {
			return nil, fmt.Errorf("table %s: %w", tables[i].Name, err)
		}
	}
	return inOrder(tables)
}

func scanTable(r *sql.Rows) (t table, err error) {
	var text string
	if err := r.Scan(&t.Name, &text); err != nil {
		return t, err
	}
	if strings.HasPrefix(text, "CREATE VIRTUAL") {
		return t, fmt.Errorf("table %s is virtual, and its rows cannot be kept", t.Name)
	}
	if strings.Contains(text, "AUTOINCREMENT") {
		t.Numbered = "?" // read finds its name
	}
	return t, nil
}

func (t *table) read(ctx context.Context, db *store.Store) error {
	rows, err := db.Query(ctx, `SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid`, t.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	type keyed struct {
		name string
		at   int
	}
	var key []keyed
	for rows.Next() {
		var c column
		var typ string
		var pk int
		if err := rows.Scan(&c.Name, &typ, &pk); err != nil {
			return err
		}
		if c.Kind = kinds[strings.ToUpper(typ)]; c.Kind == "" {
			return fmt.Errorf("column %s has the type %q, which is none of those that are kept", c.Name, typ)
		}
		if pk > 0 {
			key = append(key, keyed{c.Name, pk})
		}
		t.Columns = append(t.Columns, c)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	slices.SortFunc(key, func(a, b keyed) int { return a.at - b.at })
	for _, k := range key {
		t.key = append(t.key, k.name)
	}
	if t.Numbered != "" {
		t.Numbered = t.key[0]
	}
	const most = 1000
	t.parents, _, err = store.List(ctx, db, most, func(r *sql.Rows) (n string, err error) { return n, r.Scan(&n) },
		`SELECT DISTINCT "table" FROM pragma_foreign_key_list($1) LIMIT $2`, t.Name)
	if err != nil {
		return err
	}
	return db.QueryRow(ctx, `SELECT count(*) FROM `+quote(t.Name)).Scan(&t.fresh)
}

// inOrder puts each table after its parents.
func inOrder(tables []table) ([]table, error) {
	done := map[string]bool{}
	var sorted []table
	for len(sorted) < len(tables) {
		before := len(sorted)
		for _, t := range tables {
			if !done[t.Name] && !slices.ContainsFunc(t.parents, func(p string) bool { return !done[p] }) {
				done[t.Name] = true
				sorted = append(sorted, t)
			}
		}
		if len(sorted) == before {
			return nil, errors.New("rows of tables point to one another in a circle: there is no order to load them in")
		}
	}
	return sorted, nil
}

func (t table) columns() []string {
	all := make([]string, 0, len(t.Columns))
	for _, c := range t.Columns {
		all = append(all, c.Name)
	}
	return all
}

// names are columns for a statement.
func names(columns []string) string {
	all := make([]string, 0, len(columns))
	for _, c := range columns {
		all = append(all, quote(c))
	}
	return strings.Join(all, ", ")
}

// quote makes a name of a table or column for a statement; some are words of SQL.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
