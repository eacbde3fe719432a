package store

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// The stamp is a number in the database that grows with each change of the tables that schemas name as Watched, in the same
// transaction, whoever makes it: triggers see to that. What was read of these tables after the stamp was may be used again as
// long as the stamp is the same, and so the many questions that a request needs to be let in cost one look at one row.

// watch makes the stamp and its triggers. Making them again changes nothing.
func (s *Store) watch(tx *Tx, tables []string) error {
	statements := []string{`CREATE TABLE IF NOT EXISTS store_stamp (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)`,
		`INSERT INTO store_stamp (id, n) VALUES (1, 1) ON CONFLICT DO NOTHING`}
	postgres := s.Kind() == "postgres"
	if postgres {
		statements = append(statements, `CREATE OR REPLACE FUNCTION store_stamp() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN UPDATE store_stamp SET n = n + 1 WHERE id = 1; RETURN NULL; END'`)
	}
	for _, t := range tables {
		name, columns, some := strings.Cut(strings.TrimSuffix(t, ")"), "(")
		of := ""
		if some {
			of = " OF " + columns
		}
		if postgres {
			statements = append(statements, fmt.Sprintf(`CREATE OR REPLACE TRIGGER store_stamp AFTER INSERT OR DELETE OR UPDATE%s ON %s
				FOR EACH STATEMENT EXECUTE FUNCTION store_stamp()`, of, name))
			continue
		}
		for event, on := range map[string]string{"insert": "INSERT", "delete": "DELETE", "update": "UPDATE" + of} {
			statements = append(statements, fmt.Sprintf(`CREATE TRIGGER IF NOT EXISTS store_stamp_%s_%s AFTER %s ON %s
				BEGIN UPDATE store_stamp SET n = n + 1 WHERE id = 1; END`, name, event, on, name))
		}
	}
	for _, q := range statements {
		if _, err := tx.Exec(q); err != nil {
			return fmt.Errorf("database stamp: %w", err)
		}
	}
	return nil
}

// memory is what was read of watched tables while the stamp was the same.
type memory struct {
	look turns // at the stamp

	mu    sync.Mutex
	stamp int64
	kept  map[any]any
}

// maxKept bounds a memory: beyond that it begins anew.
const maxKept = 20_000

// lookTimeout is how long the database may take to say the stamp.
const lookTimeout = 10 * time.Second

// looked reads the stamp.
func (s *Store) looked() error {
	ctx := context.Background()
	if s.Kind() != "sqlite" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lookTimeout)
		defer cancel()
	}
	var n int64
	if err := s.Point(ctx, `SELECT n FROM store_stamp WHERE id = 1`).Scan(&n); err != nil {
		return err
	}
	m := &s.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if n != m.stamp || len(m.kept) >= maxKept {
		m.stamp, m.kept = n, map[any]any{}
	}
	return nil
}

// moment is when a context looked at the stamp.
type moment struct {
	s     *Store
	stamp int64
}

type momentKey struct{}

// Moment is a context for one request, in which Remember need not ask the database again for what was read before, be it for
// other requests, unless something has changed until now. In a Moment it is the same one.
func (s *Store) Moment(ctx context.Context) (context.Context, error) {
	if at, _ := ctx.Value(momentKey{}).(*moment); at != nil && at.s == s {
		return ctx, nil
	}
	if err := s.memory.look.wait(); err != nil {
		return ctx, err
	}
	s.memory.mu.Lock()
	at := &moment{s, s.memory.stamp}
	s.memory.mu.Unlock()
	return context.WithValue(ctx, momentKey{}, at), nil
}

// Stamp is the stamp as a column of a query for MomentOf.
const Stamp = `(SELECT n FROM store_stamp WHERE id = 1)`

// MomentOf is Moment for a request that has a question of its own to begin with, which is asked with the same look at the database:
// the query returns one row, whose first column is Stamp and whose others are scanned into dest.
func (s *Store) MomentOf(ctx context.Context, dest []any, query string, args ...any) (context.Context, error) {
	at := &moment{s: s}
	if err := s.Point(ctx, query, args...).Scan(append([]any{&at.stamp}, dest...)...); err != nil {
		return ctx, err
	}
	m := &s.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.stamp > m.stamp || len(m.kept) >= maxKept { // one who asked later may have been quicker
		m.stamp, m.kept = at.stamp, map[any]any{}
	}
	return context.WithValue(ctx, momentKey{}, at), nil
}

// Forget has Remember ask the database anew, also in moments that have begun: for one who has changed something and goes on within
// the same request.
func (s *Store) Forget() {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	s.memory.stamp, s.memory.kept = -1, nil
}

// Anew is a context in which Remember asks the database.
func Anew(ctx context.Context) context.Context {
	return context.WithValue(ctx, momentKey{}, (*moment)(nil))
}

// Remember returns what load read of watched tables, by a key of a type of the caller's own, or calls load. Values are shared:
// nobody changes them. Errors are not kept.
func Remember[T any](ctx context.Context, key any, load func() (T, error)) (T, error) {
	at, _ := ctx.Value(momentKey{}).(*moment)
	if at == nil {
		return load()
	}
	m := &at.s.memory
	m.mu.Lock()
	old, ok := m.kept[key]
	ok = ok && m.stamp >= at.stamp
	m.mu.Unlock()
	if v, same := old.(T); ok && same {
		return v, nil
	}
	v, err := load()
	if err != nil {
		return v, err
	}
	// It was read after the stamp of this moment. If that has changed since, nobody knows on which side of the change it was.
	m.mu.Lock()
	if m.stamp == at.stamp && m.kept != nil {
		m.kept[key] = v
	}
	m.mu.Unlock()
	return v, nil
}
