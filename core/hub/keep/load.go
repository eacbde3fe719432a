package keep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// asWritten cuts the schemas to the versions of a dump: an older one is loaded as it was, and brought to this version by
// the steps that each hub's start runs. errdef.ErrInvalid for what this version does not know.
func asWritten(schemas []store.Schema, versions map[string]int) ([]store.Schema, error) {
	var cut []store.Schema
	for _, sc := range schemas {
		v, ok := versions[sc.Name]
		switch {
		case !ok:
			continue
		case v < 0 || v > len(sc.Steps):
			return nil, fmt.Errorf("the copy was written by another version of vic-hub: its %q has version %d and this version knows %d; take the newer vic-hub: %w",
				sc.Name, v, len(sc.Steps), errdef.ErrInvalid)
		}
		sc.Steps = sc.Steps[:v]
		cut = append(cut, sc)
	}
	for name := range versions {
		if !slices.ContainsFunc(cut, func(sc store.Schema) bool { return sc.Name == name }) {
			return nil, fmt.Errorf("the copy was written by a newer version of vic-hub: it has %q, which this one does not know: %w", name, errdef.ErrInvalid)
		}
	}
	return cut, nil
}

// empty refuses a database in which is more than a new one has.
func empty(ctx context.Context, q store.Querier, tables []table) error {
	for _, t := range tables {
		var n int64
		if err := q.QueryRow(ctx, `SELECT count(*) FROM `+quote(t.Name)).Scan(&n); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		if n > t.fresh {
			return fmt.Errorf("the database is not empty: %s has %d rows; name a new one: %w", t.Name, n, errdef.ErrConflict)
		}
	}
	return nil
}

// load fills an empty database with a dump, in one transaction: all of it or nothing. check, if not nil, is asked before
// the end. It returns the sums of what is in the database then, and compares them with those of the dump.
func load(ctx context.Context, db *store.Store, tables []table, open opener, check func(*store.Tx) error) (sums map[string]Sum, err error) {
	err = db.Tx(ctx, func(tx *store.Tx) error {
		l := &loader{tx: tx, kind: db.Kind(), tables: tables, want: map[string]Sum{}}
		if err := l.run(ctx, open); err != nil {
			return err
		}
		if sums, err = sumsOf(ctx, tx, l.seen); err != nil {
			return err
		}
		if !maps.Equal(sums, l.want) {
			return fmt.Errorf("the database does not hold what was loaded: %v, want %v", sums, l.want)
		}
		if check == nil {
			return nil
		}
		return check(tx)
	})
	return sums, err
}

// sumsOf reads tables once more.
func sumsOf(ctx context.Context, q store.Querier, tables []table) (map[string]Sum, error) {
	sums := map[string]Sum{}
	for _, t := range tables {
		total, err := readRows(ctx, q, t, func([]byte) error { return ctx.Err() })
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.Name, err)
		}
		sums[t.Name] = total
	}
	return sums, nil
}

// loader is one transaction that loads.
type loader struct {
	tx     *store.Tx
	kind   string
	tables []table // that the database has
	seen   []table // of the dump
	want   map[string]Sum

	now   table // whose rows wait
	rows  []any
	count int
	bytes int
	total sum
}

func (l *loader) run(ctx context.Context, open opener) (err error) {
	if err := empty(ctx, l.tx, l.tables); err != nil {
		return err
	}
	for _, t := range slices.Backward(l.tables) { // what a schema's steps put in
		if _, err := l.tx.Exec(`DELETE FROM ` + quote(t.Name)); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	d, err := newReader(r)
	if err != nil {
		return err
	}
	defer d.close()
	if err := d.each(l.begin, func(t table, line []byte) error { return l.row(ctx, t, line) }); err != nil {
		return err
	}
	return l.end()
}

// begin ends the table before and looks whether the database has the next as the dump does.
func (l *loader) begin(t table) error {
	if err := l.end(); err != nil {
		return err
	}
	i := slices.IndexFunc(l.tables, func(x table) bool { return x.Name == t.Name })
	if i < 0 || !slices.Equal(l.tables[i].Columns, t.Columns) || l.tables[i].Numbered != t.Numbered {
		return fmt.Errorf("the copy of the database has a table %q that this version does not have so: %w", t.Name, errdef.ErrInvalid)
	}
	if slices.ContainsFunc(l.seen, func(x table) bool { return x.Name == t.Name }) {
		return fmt.Errorf("the copy of the database has the table %q twice: %w", t.Name, errdef.ErrInvalid)
	}
	last := t.Last
	l.now = l.tables[i]
	l.now.Last = last
	l.total = sum{}
	l.seen = append(l.seen, l.now)
	return nil
}

// Bounds on one INSERT: SQLite takes 32,766 parameters.
const (
	maxParameters = 30000
	maxRows       = 500
	maxBytes      = 4 << 20
)

func (l *loader) row(ctx context.Context, t table, line []byte) error {
	row, err := l.now.decode(line)
	if err != nil {
		return err
	}
	l.total.add(line)
	l.rows = append(l.rows, row...)
	l.count++
	l.bytes += len(line)
	if l.count < maxRows && l.bytes < maxBytes && len(l.rows)+len(t.Columns) <= maxParameters {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.flush()
}

func (l *loader) flush() error {
	if l.count == 0 {
		return nil
	}
	var text strings.Builder
	fmt.Fprintf(&text, "INSERT INTO %s (%s) VALUES ", quote(l.now.Name), names(l.now.columns()))
	n := 0
	for i := range l.count {
		if i > 0 {
			text.WriteString(", ")
		}
		for j := range l.now.Columns {
			n++
			fmt.Fprintf(&text, "%c$%d", "(,"[min(j, 1)], n)
		}
		text.WriteByte(')')
	}
	_, err := l.tx.Exec(text.String(), l.rows...)
	l.rows, l.count, l.bytes = l.rows[:0], 0, 0
	if err != nil {
		return fmt.Errorf("table %s: %w", l.now.Name, err)
	}
	return nil
}

// end writes what waits, and has the table go on with its numbers where the other one was.
func (l *loader) end() error {
	if l.now.Name == "" {
		return nil
	}
	if err := l.flush(); err != nil {
		return err
	}
	l.want[l.now.Name] = l.total.total()
	if l.now.Numbered == "" || l.now.Last == 0 {
		return nil
	}
	err := l.setNumber()
	if err != nil {
		err = fmt.Errorf("numbers of table %s: %w", l.now.Name, err)
	}
	return err
}

func (l *loader) setNumber() error {
	if l.kind != "sqlite" {
		var n int64
		return l.tx.Row(`SELECT setval(pg_get_serial_sequence($1, $2), $3)`, quote(l.now.Name), l.now.Numbered, l.now.Last).Scan(&n)
	}
	_, err := l.tx.Exec(`DELETE FROM sqlite_sequence WHERE name = $1`, l.now.Name)
	if err == nil {
		_, err = l.tx.Exec(`INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)`, l.now.Name, l.now.Last)
	}
	return err
}

// complete says that a dump has every table that it must have.
func complete(tables []table, sums map[string]Sum) error {
	var missing []string
	for _, t := range tables {
		if _, ok := sums[t.Name]; !ok && !slices.Contains(transient, t.Name) {
			missing = append(missing, t.Name)
		}
	}
	if missing == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("the copy of the database lacks %s: it is damaged", strings.Join(missing, ", ")), errdef.ErrInvalid)
}
