// Package store is the hub's memory: one SQL database, SQLite in a file or PostgreSQL on a server, behind the same
// few calls and the same statements.
//
//	s, err := store.Open(ctx, "sqlite:/var/lib/vic-hub/hub.db", registry.Schema())
//	err = s.Tx(ctx, func(tx *store.Tx) error {
//		_, err := tx.Exec(`UPDATE project SET used = used + $1 WHERE id = $2`, n, id)
//		return err
//	})
//
// Statements are written for both databases: numbered parameters ($1), BIGINT, TEXT and BOOLEAN columns, and in a
// Schema the words that Schema tells. What a transaction has read may be changed by another one unless it locked it:
// on PostgreSQL transactions are READ COMMITTED, so a transaction that decides by what it reads begins with Tx.Lock on
// the row that guards it. SQLite has one writer, and there Lock only reads.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrRetry is returned by the function of a transaction that wants to be run again from the start, since a row that it
// relied on went in the meantime.
var ErrRetry = errors.New("the transaction met another one")

// Querier is what both a Store and a Tx can do.
type Querier interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
}

// runner is a connection, a pool or a transaction of database/sql.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// backend is one kind of database.
type backend interface {
	reader() runner
	// tx runs f in a transaction that is committed when tx returns nil.
	tx(ctx context.Context, f func(*Tx) error) error
	// snapshot begins a transaction that only reads, all of it from one state. The caller ends it.
	snapshot(ctx context.Context) (*sql.Tx, error)
	// durable returns when everything that was committed before the call is on the disk.
	durable() error
	// soon is durable for who goes on meanwhile.
	soon() (wait func() error)
	dialect() dialect
	close() error
	// trips is how often an answer of the database was waited for.
	trips() int64
}

// dialect is where the two databases differ in the text of statements.
type dialect struct {
	name  string
	words *strings.Replacer // of a Schema
	lock  string            // what locks the rows that a SELECT finds
}

// Store is an open database. It may be used by several goroutines.
type Store struct {
	b      backend
	txs    atomic.Int64
	memory memory
}

// Open opens the database that url names, makes it if it is a file that is not there, and brings it to the version of
// the schemas. It refuses a database that a newer version of the program wrote. A url is "sqlite:" and the path of a
// file, or "postgres://..." as libpq knows it. The caller closes the Store.
func Open(ctx context.Context, url string, schemas ...Schema) (*Store, error) {
	var b backend
	var err error
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		b, err = openSQLite(ctx, path)
	} else if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		b, err = openPostgres(ctx, url)
	} else {
		// The url may hold a password and is not repeated.
		return nil, errors.New("the database must be named sqlite:PATH or postgres://USER@HOST/NAME")
	}
	if err != nil {
		return nil, err
	}
	s := &Store{b: b}
	s.memory.look.do = s.looked
	if err := s.migrate(ctx, schemas); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes the database. No transaction may be under way.
func (s *Store) Close() error { return s.b.close() }

// Kind is "sqlite" or "postgres".
func (s *Store) Kind() string { return s.b.dialect().name }

// Query reads what is committed. The caller closes the rows.
func (s *Store) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.b.reader().QueryContext(ctx, query, args...)
}

// QueryRow reads one row of what is committed.
func (s *Store) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return s.b.reader().QueryRowContext(ctx, query, args...)
}

// Point is QueryRow for one row by its key, of which there are many in a second: on SQLite it is done before a caller could go
// away, and what it costs to watch for that is more than it costs.
func (s *Store) Point(ctx context.Context, query string, args ...any) *sql.Row {
	if s.Kind() == "sqlite" {
		ctx = context.WithoutCancel(ctx)
	}
	return s.QueryRow(ctx, query, args...)
}

// Tx runs f in a transaction and commits it if f returns nil. What f does may be done again from the start when the
// transaction met another one, so f changes nothing outside of the database before it knows that Tx returned nil.
// f must not call Tx of the same Store, and must not keep the Tx. ctx is looked at before f runs; once it runs it is
// carried through, since the end of one client's connection must not undo what shares its commit.
func (s *Store) Tx(ctx context.Context, f func(*Tx) error) error {
	s.txs.Add(1)
	if err := s.b.tx(ctx, f); err != nil {
		return err
	}
	return s.b.durable()
}

// Lazy is Tx for what need not be on the disk when it returns: a crash of the machine, or of PostgreSQL, soon after it may take
// it away, and with it all that was committed later and nobody was told of. The end of this process takes nothing away.
func (s *Store) Lazy(ctx context.Context, f func(*Tx) error) error {
	s.txs.Add(1)
	return s.b.tx(ctx, f)
}

// Snapshot runs f on one state of the database: what is committed meanwhile f does not see, and nobody waits for f. SQLite
// keeps what is written beside the database until f ends, so that its log grows. f closes the rows of a query before it
// asks the next one.
func (s *Store) Snapshot(ctx context.Context, f func(Querier) error) error {
	tx, err := s.b.snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	return f(snapshot{tx})
}

// snapshot is a Querier on a transaction that only reads.
type snapshot struct{ tx *sql.Tx }

// Query implements Querier.
func (s snapshot) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.tx.QueryContext(ctx, query, args...)
}

// QueryRow implements Querier.
func (s snapshot) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return s.tx.QueryRowContext(ctx, query, args...)
}

// LazyExec is Lazy for one statement, which PostgreSQL does in one round trip. It says how many rows it changed.
func (s *Store) LazyExec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = s.alone(ctx, func(tx *Tx) (err error) {
		n, err = tx.Exec(query, args...)
		return err
	})
	return n, err
}

// LazyRow is Lazy for one statement that returns a row: its columns are scanned into dest. sql.ErrNoRows if there is none.
func (s *Store) LazyRow(ctx context.Context, dest []any, query string, args ...any) error {
	return s.alone(ctx, func(tx *Tx) error { return tx.Row(query, args...).Scan(dest...) })
}

// alone runs a transaction of one statement.
func (s *Store) alone(ctx context.Context, f func(*Tx) error) error {
	s.txs.Add(1)
	if p, ok := s.b.(*postgres); ok {
		return p.alone(ctx, f)
	}
	return s.b.tx(ctx, f)
}

// Durable returns when everything that was committed before the call is on the disk.
func (s *Store) Durable() error { return s.b.durable() }

// Soon is Durable for who has something else to do first: what it returns waits.
func (s *Store) Soon() (wait func() error) { return s.b.soon() }

// Transactions is how many have begun in this process: by it work that can wait sees whether others have any.
func (s *Store) Transactions() int64 { return s.txs.Load() }

// RoundTrips is how often this process has waited for an answer of the database, for whatever reason: on PostgreSQL messages, on
// SQLite statements. It tells what a request costs however busy the machine is.
func (s *Store) RoundTrips() int64 { return s.b.trips() }

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.QueryRow(ctx, `SELECT 1`).Scan(&one); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// Tx is a transaction under way. It belongs to the goroutine that runs the transaction's function.
type Tx struct {
	ctx    context.Context
	run    runner
	pipe   *pipeline // PostgreSQL's; nil: none
	d      dialect
	broken *error // a failure after which SQLite may have rolled back behind our back
}

// Context is the transaction's: without the caller's cancellation, with its values.
func (t *Tx) Context() context.Context { return t.ctx }

// Exec changes rows and says how many.
func (t *Tx) Exec(query string, args ...any) (int64, error) {
	if err := *t.broken; err != nil {
		return 0, err
	}
	if t.pipe != nil && len(args) > 0 {
		n, err := t.pipe.exec(query, args)
		return n, t.failed(err)
	}
	if t.pipe != nil { // it may be several statements in one text
		if err := t.failed(t.pipe.send(nil)); err != nil {
			return 0, err
		}
	}
	res, err := t.run.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, t.failed(err)
	}
	return res.RowsAffected()
}

// failed takes note of a failure after which there is nothing to go on with.
func (t *Tx) failed(err error) error {
	if err != nil && !errors.Is(err, sql.ErrNoRows) && !isConstraint(err) {
		*t.broken = err
	}
	return err
}

// Do is Exec for who needs no count: PostgreSQL gets the statement with the next one that somebody waits for, or with the end of
// the transaction, and so a failure may be told there. Whatever fails, nothing of the transaction is kept.
func (t *Tx) Do(query string, args ...any) error {
	if t.pipe == nil {
		_, err := t.Exec(query, args...)
		return err
	}
	if err := *t.broken; err != nil {
		return err
	}
	return t.failed(t.pipe.add(query, args))
}

// Locking is the text of a SELECT whose rows nobody else may change before the transaction ends, for one that is part of another
// statement.
func (t *Tx) Locking(query string) string { return query + t.d.lock }

// Query reads rows, also what this transaction wrote. The caller closes the rows before the next call. ctx is not
// looked at: see Tx of Store.
func (t *Tx) Query(_ context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := *t.broken; err != nil {
		return nil, err
	}
	if t.pipe != nil {
		if err := t.failed(t.pipe.send(nil)); err != nil {
			return nil, err
		}
	}
	return t.run.QueryContext(t.ctx, query, args...)
}

// QueryRow reads one row, also of what this transaction wrote. ctx is not looked at.
func (t *Tx) QueryRow(_ context.Context, query string, args ...any) *sql.Row {
	if t.pipe != nil {
		_ = t.failed(t.pipe.send(nil)) // after which the query fails too
	}
	return t.run.QueryRowContext(t.ctx, query, args...)
}

// Numbers takes n numbers of a table's column id, which is an @id, for rows that the transaction writes with them before it
// writes other rows of the table.
func (t *Tx) Numbers(table string, n int) ([]int64, error) {
	query := `WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < $2)
		SELECT i + COALESCE((SELECT seq FROM sqlite_sequence WHERE name = $1), 0) FROM r`
	if t.d.name == "postgres" {
		query = `SELECT nextval(pg_get_serial_sequence($1, 'id')) FROM generate_series(1, $2)`
	}
	rows, err := t.Query(t.ctx, query, table, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := make([]int64, 0, n)
	for rows.Next() {
		var number int64
		if err := rows.Scan(&number); err != nil {
			return nil, err
		}
		list = append(list, number)
	}
	return list, rows.Err()
}

// Row is one row that a transaction reads, or writes and reads (RETURNING).
type Row struct {
	t     *Tx
	query string
	args  []any
}

// Scan runs the statement and reads the columns of its first row; sql.ErrNoRows if there is none.
func (r *Row) Scan(dest ...any) error {
	if err := *r.t.broken; err != nil {
		return err
	}
	if r.t.pipe != nil {
		return r.t.failed(r.t.pipe.row(r.query, r.args, dest))
	}
	return r.t.failed(r.t.run.QueryRowContext(r.t.ctx, r.query, r.args...).Scan(dest...))
}

// Row reads one row, also of what this transaction wrote, when it is scanned, which is to be done once.
func (t *Tx) Row(query string, args ...any) *Row { return &Row{t, query, args} }

// Lock is Row for a plain SELECT whose rows nobody else may change before this transaction ends.
func (t *Tx) Lock(query string, args ...any) *Row { return t.Row(query+t.d.lock, args...) }

// statements keeps prepared statements by their text. SQLite would else parse each anew.
type statements struct {
	db interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
		runner
	}
	n    *atomic.Int64 // of statements that were run
	mu   sync.RWMutex
	kept map[string]*sql.Stmt
}

// maxStatements bounds what is kept if somebody makes texts by hand.
const maxStatements = 512

// Once begins the text of a statement that is put together for one request, of what a client chose: it is not kept, so
// that clients cannot fill the place of others.
const Once = "/* once */ "

// stmt is nil where the text is to be run as it is: Once, one too many, or one that does not parse.
func (s *statements) stmt(ctx context.Context, query string) *sql.Stmt {
	if strings.HasPrefix(query, Once) {
		return nil
	}
	s.mu.RLock()
	st, full := s.kept[query], len(s.kept) >= maxStatements
	s.mu.RUnlock()
	if st != nil || full {
		return st
	}
	st, err := s.db.PrepareContext(context.WithoutCancel(ctx), query)
	if err != nil {
		return nil // the same error comes from running it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.kept[query]; other != nil {
		_ = st.Close()
		return other
	}
	s.kept[query] = st
	return st
}

func (s *statements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s.n.Add(1)
	if len(args) > 0 { // several statements in one text have none
		if st := s.stmt(ctx, query); st != nil {
			return st.ExecContext(ctx, args...)
		}
	}
	return s.db.ExecContext(ctx, query, args...)
}

func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s.n.Add(1)
	if st := s.stmt(ctx, query); st != nil {
		return st.QueryContext(ctx, args...)
	}
	return s.db.QueryContext(ctx, query, args...)
}

func (s *statements) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s.n.Add(1)
	if st := s.stmt(ctx, query); st != nil {
		return st.QueryRowContext(ctx, args...)
	}
	return s.db.QueryRowContext(ctx, query, args...)
}

// close ends all of them.
func (s *statements) close() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for query, st := range s.kept {
		err = errors.Join(err, st.Close())
		delete(s.kept, query)
	}
	return err
}
