package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver
)

// maxBatch is how many transactions share one commit at most.
const maxBatch = 64

// sqlite is a file: one connection that writes, and a pool that reads beside it (WAL).
type sqlite struct {
	w, r *sql.DB
	conn *sql.Conn // the only one of w
	read *statements
	n    atomic.Int64 // statements
	// Commits do not wait for the disk (synchronous is NORMAL, which flushes at checkpoints alone): who must wait does so for a
	// flush of the log behind the file that began later, one for all, while the next transactions run.
	log  turns
	lost error // of a flush that failed; guarded by log, which calls flush one at a time

	// Transactions that wait for one another share a commit: each runs in the turn that mu gives, inside a savepoint; who finds
	// nobody waiting behind commits for all.
	waiting atomic.Int64
	mu      sync.Mutex
	write   *statements // guarded by mu
	open    *batch      // guarded by mu; nil: no transaction is open
}

// batch is one transaction of the database that several of ours share.
type batch struct {
	n      int
	broken error
	done   chan struct{} // closed when err is final
	err    error
}

var sqliteDialect = dialect{name: "sqlite", words: strings.NewReplacer(
	"@id", "INTEGER PRIMARY KEY AUTOINCREMENT", "@key", "INTEGER PRIMARY KEY", "@ascii", "TEXT", "@bytes", "BLOB", "@clustered", "WITHOUT ROWID")}

func openSQLite(ctx context.Context, path string) (*sqlite, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	// It holds what others on the machine must not read; the files beside it get the same mode.
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	q := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(10000)", "foreign_keys(1)", "cache_size(-16384)"}}
	name := url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}
	s := &sqlite{}
	s.log.do = func() error { return s.flush(abs + "-wal") }
	if s.w, err = sql.Open("sqlite", name.String()); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	s.w.SetMaxOpenConns(1)
	if s.conn, err = s.w.Conn(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, err), s.w.Close())
	}
	q.Add("_pragma", "query_only(1)")
	q.Add("_pragma", "cache_size(-4096)") // each; the kernel has the rest
	name.RawQuery = q.Encode()
	if s.r, err = sql.Open("sqlite", name.String()); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, err), s.conn.Close(), s.w.Close())
	}
	n := 4 + runtime.NumCPU()
	s.r.SetMaxOpenConns(n)
	s.r.SetMaxIdleConns(n)
	s.read = &statements{db: s.r, n: &s.n, kept: map[string]*sql.Stmt{}}
	s.write = &statements{db: s.conn, n: &s.n, kept: map[string]*sql.Stmt{}}
	return s, nil
}

func (s *sqlite) reader() runner   { return s.read }
func (s *sqlite) dialect() dialect { return sqliteDialect }
func (s *sqlite) trips() int64     { return s.n.Load() }

// snapshot begins where a reader first reads, and nothing was read before it.
func (s *sqlite) snapshot(ctx context.Context) (*sql.Tx, error) { return s.r.BeginTx(ctx, nil) }

func (s *sqlite) durable() error { return s.log.wait() }

func (s *sqlite) soon() func() error { return s.log.soon() }

// flush has the log on the disk. When that fails nobody knows what of it is there, and a later flush that succeeds says
// nothing of it: no transaction succeeds any more until the process starts again and SQLite reads what there is.
func (s *sqlite) flush(path string) error {
	if s.lost != nil {
		return s.lost
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(unix.Fdatasync(int(f.Fd())), f.Close())
	}
	if err != nil {
		s.lost = fmt.Errorf("the disk did not take the database's log, and what was written since may be lost; see to the disk and start the hub again: %w", err)
	}
	return s.lost
}

// close ends the statements first: SQLite keeps a file open that one of them belongs to.
func (s *sqlite) close() error {
	return errors.Join(s.read.close(), s.write.close(), s.r.Close(), s.conn.Close(), s.w.Close())
}

func (s *sqlite) tx(ctx context.Context, f func(*Tx) error) error {
	for range maxTries {
		err := s.once(ctx, f)
		if !errors.Is(err, ErrRetry) {
			return err
		}
	}
	return ErrRetry
}

func (s *sqlite) once(ctx context.Context, f func(*Tx) error) error {
	b, err := s.turn(ctx, f)
	if b == nil {
		return err
	}
	<-b.done
	if b.err != nil { // what f saw of the others did not come to be
		return b.err
	}
	return err
}

// turn runs f when it is its turn, and commits if nobody waits behind. The batch is nil if f did not run.
func (s *sqlite) turn(ctx context.Context, f func(*Tx) error) (*batch, error) {
	s.waiting.Add(1)
	s.mu.Lock()
	s.waiting.Add(-1)
	defer s.mu.Unlock()
	b := s.open
	if b == nil {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := s.conn.ExecContext(context.WithoutCancel(ctx), "BEGIN IMMEDIATE"); err != nil {
			return nil, err
		}
		b = &batch{done: make(chan struct{})}
		s.open = b
	}
	defer func() { // also when f panics
		if s.waiting.Load() == 0 || b.n >= maxBatch || b.broken != nil {
			s.finish(b)
		}
	}()
	return b, s.run(ctx, b, f)
}

// run runs f so that it can be undone alone.
func (s *sqlite) run(ctx context.Context, b *batch, f func(*Tx) error) (err error) {
	b.n++
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if _, err := s.conn.ExecContext(ctx, "SAVEPOINT one"); err != nil {
		b.broken = err
		return err
	}
	kept := false
	defer func() {
		if b.broken != nil {
			return // all is rolled back
		}
		q := "RELEASE one"
		if !kept {
			q = "ROLLBACK TO one; RELEASE one"
		}
		if _, e := s.conn.ExecContext(ctx, q); e != nil {
			b.broken = errors.Join(err, e)
		}
	}()
	err = f(&Tx{ctx: ctx, run: s.write, d: sqliteDialect, broken: &b.broken})
	kept = err == nil
	return err
}

// finish ends the open transaction and tells those who share it.
func (s *sqlite) finish(b *batch) {
	ctx := context.Background()
	b.err = b.broken
	if b.err == nil {
		_, b.err = s.conn.ExecContext(ctx, "COMMIT")
	}
	if b.err != nil {
		// It may have been rolled back by SQLite already; then this fails and means nothing.
		_, _ = s.conn.ExecContext(ctx, "ROLLBACK")
	}
	s.open = nil
	close(b.done)
}
