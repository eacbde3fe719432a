// Package audit is the hub's log of who did what, from where, with what, on what, with what outcome. It is kept in the
// hub's database and answers searches; a line that was changed or removed shows.
//
// A line is written within the transaction of what it is about (Add), or by itself (Keep). A moment later one process
// seals it: it gets the next number of the chain, and a hash over itself and the hash before it. So writing a line costs
// no lock that other writers wait for, and from the seal on a line cannot be changed, removed or put between others
// without all later hashes being wrong; an administrator who notes the last hash elsewhere (Head) sees even that.
package audit

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the tables. audit_chain has one row: where the chain begins (what was before is no longer kept) and ends.
func Schema() store.Schema {
	return store.Schema{Name: "audit", Steps: []string{`
CREATE TABLE audit_line (
	id @id,
	seq BIGINT UNIQUE,
	at BIGINT NOT NULL,
	caller TEXT NOT NULL,
	caller_kind TEXT NOT NULL,
	address TEXT NOT NULL,
	agent TEXT NOT NULL,
	operation @ascii NOT NULL,
	resource_type @ascii NOT NULL,
	resource TEXT NOT NULL,
	project BIGINT NOT NULL,
	outcome BIGINT NOT NULL,
	detail TEXT NOT NULL,
	hash @bytes
);
CREATE INDEX audit_line_at ON audit_line (at, id);
CREATE INDEX audit_line_project ON audit_line (project, id);
CREATE TABLE audit_chain (
	id BIGINT PRIMARY KEY,
	first_seq BIGINT NOT NULL,
	first_hash @bytes NOT NULL,
	last_seq BIGINT NOT NULL,
	last_hash @bytes NOT NULL
)`, `
-- How far the log was forwarded, and which process does so until when.
CREATE TABLE audit_forward (id BIGINT PRIMARY KEY, last BIGINT NOT NULL, worker TEXT NOT NULL, until BIGINT NOT NULL)`,
		schemaTexts}}
}

// Line is one line of the log.
type Line struct {
	ID     int64
	Time   time.Time
	Caller access.Caller
	// Agent is what the program calls itself.
	Agent string
	// Operation is a word: create, update, delete, pull, push, untag, sign-in.
	Operation string
	// Type and Resource are what it was done to: "artifact" and "project/app@sha256:...", "member" and ...
	Type, Resource string
	// Project is the number of the project that it belongs to; 0: the whole hub.
	Project int64
	// Outcome is the HTTP status of the answer.
	Outcome int
	Detail  string
}

// Longest texts, in bytes; what is longer is cut. They come from clients.
const (
	maxText   = 512
	maxDetail = 2048
)

// cut also drops what a database does not take as text, whatever a client sends: bytes that are no UTF-8, and NUL.
func cut(s string, most int) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), most)], ""), "\x00", "")
}

// Log is the log. It may be used by several goroutines.
type Log struct {
	db   *store.Store
	log  *slog.Logger
	now  func() time.Time
	wake chan struct{} // there may be lines to seal

	texts texts
}

// New makes a Log over a store that was opened with Schema. now nil means time.Now. Seal must run for lines to be sealed.
func New(db *store.Store, log *slog.Logger, now func() time.Time) *Log {
	if now == nil {
		now = time.Now
	}
	return &Log{db: db, log: log, now: now, wake: make(chan struct{}, 1)}
}

// Add writes a line within a transaction: it is there if and only if what it is about is.
func (l *Log) Add(tx *store.Tx, x Line) error {
	x.tidy(l.now)
	err := tx.Do(insertOne, x.values()...)
	if err == nil {
		l.poke()
	}
	return err
}

// Keep writes a line by itself. A line that cannot be written is in the program's log instead.
func (l *Log) Keep(ctx context.Context, x Line) {
	err := l.db.Tx(ctx, func(tx *store.Tx) error { return l.Add(tx, x) })
	if err != nil {
		l.log.Error("audit line cannot be kept", "err", err, "caller", x.Caller.Name, "operation", x.Operation, "resource", x.Resource, "outcome", x.Outcome)
	}
}

// poke makes Seal look soon. The transaction may not be committed by then; Seal looks again later in any case.
func (l *Log) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// How often Seal looks without being told, how long it lets lines gather, how many it seals at a time, and how long it rests when
// there are more.
const (
	sealEvery  = 5 * time.Second
	sealPause  = 200 * time.Millisecond
	sealAtOnce = 200
	sealRest   = 3 // times what it took
)

// Seal seals lines until ctx ends. Several processes may run it on one database: they wait for one another.
func (l *Log) Seal(ctx context.Context) {
	for {
		select {
		case <-l.wake:
		case <-time.After(sealEvery):
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(sealPause):
		case <-ctx.Done():
			return
		}
		if _, err := l.SealNow(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("audit lines are not sealed yet", "err", err)
		}
	}
}

// SealNow seals all lines that are there, and returns how many.
func (l *Log) SealNow(ctx context.Context) (total int, err error) {
	for {
		n, began := 0, time.Now()
		err := l.db.Lazy(ctx, func(tx *store.Tx) (err error) { // a crash may unseal lines, which are sealed again
			n, err = l.sealSome(tx)
			return err
		})
		total += n
		if err != nil || n < sealAtOnce {
			return total, err
		}
		// There are many. Those who write to the database now are not to wait for all of them.
		select {
		case <-time.After(sealRest * time.Since(began)):
		case <-ctx.Done():
			return total, ctx.Err()
		}
	}
}

// end is where a chain begins or ends.
type end struct {
	seq  int64
	hash []byte
}

// chain reads both ends, and keeps other processes from sealing until the transaction ends.
func chain(tx *store.Tx) (first, last end, err error) {
	err = tx.Do(`INSERT INTO audit_chain (id, first_seq, first_hash, last_seq, last_hash) VALUES (1, 0, $1, 0, $1) ON CONFLICT (id) DO NOTHING`,
		make([]byte, sha256.Size))
	if err != nil {
		return first, last, err
	}
	err = tx.Lock(`SELECT first_seq, first_hash, last_seq, last_hash FROM audit_chain WHERE id = 1`).Scan(&first.seq, &first.hash, &last.seq, &last.hash)
	return first, last, err
}

func (l *Log) sealSome(tx *store.Tx) (int, error) {
	first, last, err := chain(tx)
	if err != nil {
		return 0, err
	}
	rows, err := tx.Query(tx.Context(), `SELECT `+columns+` FROM audit_line WHERE seq IS NULL ORDER BY id LIMIT $1`, sealAtOnce)
	if err != nil {
		return 0, err
	}
	lines, err := collect(rows)
	if err != nil || len(lines) == 0 {
		return 0, err
	}
	numbers := l.texts.within(tx, first)
	for _, x := range lines {
		actor, subject, err := numbers.of(x)
		if err != nil {
			return 0, err
		}
		last = end{last.seq + 1, sum(last.seq+1, last.hash, x)}
		err = tx.Do(`UPDATE audit_line SET seq = $1, hash = $2, actor = $3, subject = $4 WHERE id = $5`, last.seq, last.hash, actor, subject, x.ID)
		if err != nil {
			return 0, err
		}
	}
	return len(lines), setEnd(tx, last)
}

func setEnd(tx *store.Tx, last end) error {
	return tx.Do(`UPDATE audit_chain SET last_seq = $1, last_hash = $2 WHERE id = 1`, last.seq, last.hash)
}

// sum is the hash of a line at its place in the chain. Each text goes in with its length before it, so that no two lines
// have the same bytes.
func sum(seq int64, before []byte, x Line) []byte {
	b := make([]byte, 0, 1024)
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	number(seq)
	b = append(b, before...)
	number(x.ID)
	number(x.Time.UnixMilli())
	text := func(s string) {
		number(int64(len(s)))
		b = append(b, s...)
	}
	for _, s := range []string{x.Caller.Name, string(x.Caller.Method), x.Caller.Address, x.Agent, x.Operation, x.Type, x.Resource} {
		text(s)
	}
	number(x.Project)
	number(int64(x.Outcome))
	text(x.Detail)
	h := sha256.Sum256(b)
	return h[:]
}

const columns = `id, at, caller, caller_kind, address, agent, operation, resource_type, resource, project, outcome, detail`

func scan(r interface{ Scan(...any) error }, more ...any) (x Line, err error) {
	var at int64
	err = r.Scan(append([]any{&x.ID, &at, &x.Caller.Name, &x.Caller.Method, &x.Caller.Address, &x.Agent, &x.Operation, &x.Type, &x.Resource, &x.Project,
		&x.Outcome, &x.Detail}, more...)...)
	x.Time = time.UnixMilli(at)
	return x, err
}

func collect(rows *sql.Rows) ([]Line, error) {
	defer rows.Close()
	var all []Line
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, rows.Err()
}

// ErrBroken says that the log was changed behind the hub's back.
var ErrBroken = errors.New("the audit log was changed")

// Verified is what Verify has seen.
type Verified struct {
	Lines    int64 // that are right
	Unsealed int64 // too young to have a hash
	// Head is the number and the hash of the last line: who notes it elsewhere can tell later whether the chain was
	// made anew.
	Head string
}

// Holds says whether a head that Verify returned earlier is still the hash of its line: ErrBroken if the chain was made
// anew or is shorter. errdef.ErrInvalid for a text that is no head, errdef.ErrNotFound for a line that was forgotten by
// its age.
func (l *Log) Holds(ctx context.Context, head string) error {
	number, text, _ := strings.Cut(head, ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	want, err2 := hex.DecodeString(text)
	if err != nil || err2 != nil || seq < 0 || len(want) != sha256.Size {
		return fmt.Errorf("%.100q is not the head of an audit log, NUMBER:HASH: %w", head, errdef.ErrInvalid)
	}
	return l.db.Tx(ctx, func(tx *store.Tx) error {
		first, last, err := chain(tx)
		have := first.hash
		switch {
		case err != nil:
			return err
		case seq < first.seq:
			return fmt.Errorf("line %d was forgotten by its age, the first that is there is %d: %w", seq, first.seq+1, errdef.ErrNotFound)
		case seq > last.seq:
			return fmt.Errorf("%w: it ends with line %d, before the noted line %d", ErrBroken, last.seq, seq)
		case seq > first.seq:
			err := tx.Row(`SELECT hash FROM audit_line WHERE seq = $1`, seq).Scan(&have)
			if errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("%w: line %d is missing", ErrBroken, seq)
			}
			if err != nil {
				return err
			}
		}
		if string(have) != string(want) {
			return fmt.Errorf("%w: line %d is not the one whose hash was noted: the chain was made anew", ErrBroken, seq)
		}
		return nil
	})
}

func (l *Log) head(ctx context.Context) (e end, err error) {
	err = l.db.QueryRow(ctx, `SELECT last_seq, last_hash FROM audit_chain WHERE id = 1`).Scan(&e.seq, &e.hash)
	return e, err
}
