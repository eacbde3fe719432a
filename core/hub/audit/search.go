package audit

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/openvic/vic/core/store"
)

// Query says which lines are wanted; the zero value: all.
type Query struct {
	// Project limits to one; 0: all.
	Project int64
	// Operation and Type are whole words, Caller and Resource parts of a text, whatever the case.
	Operation, Type, Caller, Resource string
	// From and To bound the time: from included, to not.
	From, To time.Time
}

// condition makes the text of a WHERE, with parameters from $1 on.
func (q Query) condition() (string, []any) {
	parts, args := []string{"TRUE"}, []any{}
	add := func(format string, v any) {
		args = append(args, v)
		parts = append(parts, fmt.Sprintf(format, len(args)))
	}
	// The database folds both sides: SQLite folds ASCII alone, and what it does not fold is found as it is written.
	if q.Project != 0 {
		add("project = $%d", q.Project)
	}
	if q.Operation != "" {
		add("operation = $%d", q.Operation)
	}
	if q.Type != "" {
		add("resource_type = $%d", q.Type)
	}
	if q.Caller != "" {
		add(`lower(caller) LIKE lower($%d) ESCAPE '\'`, store.Containing(q.Caller))
	}
	if q.Resource != "" {
		add(`lower(resource) LIKE lower($%d) ESCAPE '\'`, store.Containing(q.Resource))
	}
	if !q.From.IsZero() {
		add("at >= $%d", q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		add("at < $%d", q.To.UnixMilli())
	}
	return strings.Join(parts, " AND "), args
}

// Search returns the lines of a query, the latest first: at most limit, after offset of them. It also counts all.
func (l *Log) Search(ctx context.Context, q Query, limit, offset int) (list []Line, total int, err error) {
	where, args := q.condition()
	if err := l.db.QueryRow(ctx, `SELECT COUNT(*) FROM audit_line WHERE `+where, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	n := len(args)
	list, _, err = store.List(ctx, l.db, limit, func(r *sql.Rows) (Line, error) { return scan(r) },
		fmt.Sprintf(`SELECT %s FROM audit_line WHERE %s ORDER BY id DESC LIMIT $%d OFFSET $%d`, columns, where, n+2, n+1), append(args[:n:n], offset)...)
	return list, total, err
}

// Each calls f with each line of a query, the oldest first, and ends with the first error of f. Lines that are written
// meanwhile may come too.
func (l *Log) Each(ctx context.Context, q Query, f func(Line) error) error {
	where, args := q.condition()
	n := len(args)
	const batch = 500
	var last int64
	for more := true; more; {
		var list []Line
		var err error
		list, more, err = store.List(ctx, l.db, batch, func(r *sql.Rows) (Line, error) { return scan(r) },
			fmt.Sprintf(`SELECT %s FROM audit_line WHERE %s AND id > $%d ORDER BY id LIMIT $%d`, columns, where, n+1, n+2), append(args[:n:n], last)...)
		if err != nil {
			return err
		}
		for _, x := range list {
			if err := f(x); err != nil {
				return err
			}
			last = x.ID
		}
	}
	return nil
}
