package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openvic/vic/core/store"
)

// Query says which lines are wanted; the zero value: all.
type Query struct {
	// Project limits to one; 0: all.
	Project int64
	// Operation and Type are whole words, Caller and Resource parts of a text, whatever the case: of a digest from six digits on,
	// or with the "@" before it.
	Operation, Type, Caller, Resource string
	// From and To bound the time: from included, to not.
	From, To time.Time
}

// MaxTotal is how far Search counts what a query finds.
const MaxTotal = 100_000

// search is a query as the database is asked it.
type search struct {
	parts []string
	args  []any
	// byTime: the index of times alone finds and orders the lines.
	byTime bool
	all    bool
}

func (s *search) add(format string, values ...any) {
	numbers := make([]any, len(values))
	for i, v := range values {
		s.args = append(s.args, v)
		numbers[i] = len(s.args)
	}
	s.parts = append(s.parts, fmt.Sprintf(format, numbers...))
}

func (s *search) where() string { return strings.Join(append([]string{"TRUE"}, s.parts...), " AND ") }

// texts adds the condition for a part of a text. Lines that have no numbers yet are looked at themselves.
func (s *search) texts(ctx context.Context, l *Log, kind, column, number, part string) error {
	// The database folds both sides: SQLite folds ASCII alone, and what it does not fold is found as it is written.
	like := "lower(" + column + `) LIKE lower($%d) ESCAPE '\'`
	if kind == subjectText && digestPart.MatchString(part) {
		s.add(like, store.Containing(part))
		return nil
	}
	ids, few, err := l.find(ctx, kind, part)
	if err != nil {
		return err
	}
	if !few {
		s.add(like, store.Containing(part))
		return nil
	}
	s.byTime = false
	values := []any{int64(0)}
	for _, id := range ids {
		values = append(values, id)
	}
	s.add(number+" IN ($%d"+strings.Repeat(", $%d", len(ids))+")", values...)
	s.add("("+number+" <> 0 OR "+like+")", store.Containing(part)) // so that most lines need not be read
	return nil
}

// search makes the conditions of a query. Those that name partial indexes do so as the indexes do.
func (l *Log) search(ctx context.Context, q Query) (*search, error) {
	s := &search{byTime: q.Project == 0, all: q == Query{}}
	if q.Project != 0 {
		s.add("project = $%d", q.Project)
	}
	if q.Operation != "" {
		s.add("operation = $%d", q.Operation)
		if q.Operation != "pull" && q.Operation != "push" {
			s.byTime = false
			s.add("operation <> 'pull' AND operation <> 'push'")
		}
	}
	if q.Type != "" {
		s.add("resource_type = $%d", q.Type)
		if q.Type != "artifact" {
			s.byTime = false
			s.add("resource_type <> 'artifact'")
		}
	}
	if !q.From.IsZero() {
		s.add("at >= $%d", q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		s.add("at < $%d", q.To.UnixMilli())
	}
	if q.Caller != "" {
		if err := s.texts(ctx, l, callerText, "caller", "actor", q.Caller); err != nil {
			return nil, err
		}
	}
	if q.Resource != "" {
		if err := s.texts(ctx, l, subjectText, "resource", "subject", q.Resource); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Search returns the lines of a query, the latest first: at most limit, after offset of them. It also counts all, up to MaxTotal
// unless the query is for every line.
func (l *Log) Search(ctx context.Context, q Query, limit, offset int) (list []Line, total int, err error) {
	s, err := l.search(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	if total, err = l.count(ctx, s); err != nil {
		return nil, 0, err
	}
	order := "id DESC"
	if s.byTime {
		order = "at DESC, id DESC"
	}
	n := len(s.args)
	// The inner query reads an index alone, however deep the page is.
	list, _, err = store.List(ctx, l.db, limit, func(r *sql.Rows) (Line, error) { return scan(r) },
		fmt.Sprintf(store.Once+`SELECT %s FROM audit_line WHERE id IN (SELECT id FROM audit_line WHERE %s ORDER BY %s LIMIT $%d OFFSET $%d) ORDER BY %s`,
			columns, s.where(), order, n+2, n+1, order), append(s.args[:n:n], offset)...)
	return list, total, err
}

// count counts what a search finds.
func (l *Log) count(ctx context.Context, s *search) (total int, err error) {
	if !s.all {
		query := fmt.Sprintf(store.Once+`SELECT COUNT(*) FROM (SELECT 1 FROM audit_line WHERE %s LIMIT %d) found`, s.where(), MaxTotal)
		return total, l.db.QueryRow(ctx, query, s.args...).Scan(&total)
	}
	// The chain numbers what is sealed; the rest is young.
	var young int
	err = l.db.QueryRow(ctx, `SELECT last_seq - first_seq FROM audit_chain WHERE id = 1`).Scan(&total)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	if err == nil {
		err = l.db.QueryRow(ctx, `SELECT COUNT(*) FROM audit_line WHERE seq IS NULL`).Scan(&young)
	}
	return total + young, err
}

// Each calls f with each line of a query, the oldest first, and ends with the first error of f. Lines that are written
// meanwhile may come too.
func (l *Log) Each(ctx context.Context, q Query, f func(Line) error) error {
	s, err := l.search(ctx, q)
	if err != nil {
		return err
	}
	n := len(s.args)
	const batch = 500
	var last int64
	for more := true; more; {
		var list []Line
		list, more, err = store.List(ctx, l.db, batch, func(r *sql.Rows) (Line, error) { return scan(r) },
			fmt.Sprintf(store.Once+`SELECT %s FROM audit_line WHERE %s AND id > $%d ORDER BY id LIMIT $%d`, columns, s.where(), n+1, n+2),
			append(s.args[:n:n], last)...)
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
