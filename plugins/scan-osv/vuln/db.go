package vuln

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/plugins/scan-osv/sqlite"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// A source is the archive of one ecosystem; a version is a state of all sources; a change is a package whose records a
// version changed.
const schema = `
CREATE TABLE source (ecosystem TEXT PRIMARY KEY, sha256 TEXT NOT NULL, records INTEGER NOT NULL, updated INTEGER NOT NULL, etag TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE advisory (source TEXT NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (source, id)) WITHOUT ROWID;
CREATE TABLE affected (ecosystem TEXT NOT NULL, package TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, hash INTEGER NOT NULL, data BLOB NOT NULL,
	PRIMARY KEY (ecosystem, package, source, id)) WITHOUT ROWID;
CREATE INDEX affected_source ON affected (source);
CREATE TABLE version (seq INTEGER PRIMARY KEY, version TEXT NOT NULL);
CREATE TABLE change (seq INTEGER NOT NULL, purl TEXT NOT NULL, PRIMARY KEY (seq, purl)) WITHOUT ROWID;`

const (
	schemaVersion = 1
	keepVersions  = 100 // Changes knows those
)

// DB is the database. It may be used by several goroutines.
type DB struct {
	db    *sql.DB
	dir   string // for archives, while they are read
	busy  chan struct{}
	mu    sync.Mutex
	known *memory
}

// Open opens the file, or makes it; dir is a folder for archives, each while it is read.
func Open(path, dir string) (*DB, error) {
	db, err := sqlite.Open(path, schemaVersion, schema)
	if err != nil {
		return nil, err
	}
	return &DB{db: db, dir: dir, busy: make(chan struct{}, 1)}, nil
}

// Close closes the file.
func (d *DB) Close() error { return d.db.Close() }

// Alone claims the right to import; release gives it back. ErrConflict: somebody else has it.
func (d *DB) Alone() (release func(), err error) {
	select {
	case d.busy <- struct{}{}:
		return func() { <-d.busy }, nil
	default:
		return nil, fmt.Errorf("another import or update is under way: %w", errdef.ErrConflict)
	}
}

// State says what there is.
func (d *DB) State(ctx context.Context) (scan.Database, error) {
	s, err := d.Snapshot(ctx)
	if err != nil {
		return scan.Database{}, err
	}
	defer s.Close()
	return s.State, nil
}

// Snapshot is the database as it is at one moment, whatever is imported meanwhile. It may be used by one goroutine at
// a time; Close gives it back.
type Snapshot struct {
	State scan.Database // Version is empty: there are no data
	tx    *sql.Tx
	mem   *memory
}

// Snapshot takes one.
func (d *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, wrap(ctx, err)
	}
	state, err := state(ctx, tx)
	if err != nil {
		_ = tx.Rollback()
		return nil, wrap(ctx, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || d.known.version != state.Version {
		d.known = newMemory(state.Version)
	}
	return &Snapshot{State: state, tx: tx, mem: d.known}, nil
}

// Close gives the snapshot back.
func (s *Snapshot) Close() { _ = s.tx.Rollback() }

// state reads the sources. The version is what they are, not when they came.
func state(ctx context.Context, tx *sql.Tx) (scan.Database, error) {
	var s scan.Database
	rows, err := tx.QueryContext(ctx, `SELECT ecosystem, sha256, records, updated FROM source ORDER BY ecosystem`)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	all := sha256.New()
	for rows.Next() {
		var e scan.Ecosystem
		var sum string
		var updated int64
		if err := rows.Scan(&e.Name, &sum, &e.Records, &updated); err != nil {
			return s, err
		}
		e.Updated = time.Unix(updated, 0).UTC()
		if s.Updated.IsZero() || e.Updated.Before(s.Updated) {
			s.Updated = e.Updated // as old as the oldest part
		}
		s.Ecosystems = append(s.Ecosystems, e)
		fmt.Fprintln(all, e.Name, sum)
	}
	if len(s.Ecosystems) > 0 {
		s.Version = hex.EncodeToString(all.Sum(nil))[:32]
	}
	return s, rows.Err()
}

// Has says whether there are data of an ecosystem, as inventory.Lookup names it.
func (s *Snapshot) Has(ecosystem string) bool {
	base, _, _ := strings.Cut(ecosystem, ":")
	return slices.ContainsFunc(s.State.Ecosystems, func(e scan.Ecosystem) bool {
		return e.Name == base || inventory.Ecosystem(e.Name) == ecosystem
	})
}

// Changes says whose records have changed since a version.
func (d *DB) Changes(ctx context.Context, since string) (scan.Changes, error) {
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return scan.Changes{}, wrap(ctx, err)
	}
	defer tx.Rollback() //nolint:errcheck // it reads
	c, err := changes(ctx, tx, since)
	return c, wrap(ctx, err)
}

func changes(ctx context.Context, tx *sql.Tx, since string) (scan.Changes, error) {
	now, err := state(ctx, tx)
	c := scan.Changes{Version: now.Version}
	switch {
	case err != nil:
		return c, err
	case now.Version == "":
		return c, fmt.Errorf("there are no data yet: %w", errdef.ErrConflict)
	case now.Version == since:
		return c, nil
	}
	var seq int64
	err = tx.QueryRowContext(ctx, `SELECT seq FROM version WHERE version = ? ORDER BY seq DESC LIMIT 1`, since).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		c.All = true
		return c, nil
	}
	if err != nil {
		return c, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT purl FROM change WHERE seq > ? ORDER BY purl LIMIT ?`, seq, scan.MaxChanges+1)
	if err != nil {
		return c, err
	}
	defer rows.Close()
	for rows.Next() {
		var purl string
		if err := rows.Scan(&purl); err != nil {
			return c, err
		}
		if len(c.Packages) == scan.MaxChanges || purl == everything {
			c.Packages, c.All = nil, true
			return c, nil
		}
		c.Packages = append(c.Packages, purl)
	}
	return c, rows.Err()
}

// everything stands for more changes than are worth a list.
const everything = "*"

func wrap(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	for _, class := range []error{errdef.ErrConflict, errdef.ErrInvalid, errdef.ErrUnsupported, errdef.ErrExhausted, errdef.ErrUnavailable} {
		if errors.Is(err, class) {
			return err
		}
	}
	return fmt.Errorf("the database of weaknesses: %w: %w", err, errdef.ErrUnavailable)
}
