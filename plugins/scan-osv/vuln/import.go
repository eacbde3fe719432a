package vuln

import (
	"archive/zip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/plugins/scan-osv/sqlite"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// Source is the archive of an ecosystem.
type Source struct {
	Ecosystem string
	SHA256    string
	Data      io.Reader // ends with io.EOF only if the data are those of SHA256
	ETag      string    // of the mirror; may be empty
}

// The bounds of an archive.
const (
	maxRecords  = 2_000_000
	maxUnpacked = 32 << 30 // bytes
)

// Import replaces the data of an ecosystem in one step. The caller has the right of Alone. ErrInvalid: the archive cannot
// be read, or has no record of the ecosystem. ErrUnsupported: an ecosystem whose versions cannot be compared.
func (d *DB) Import(ctx context.Context, s Source) (scan.Database, error) {
	if err := supported(s.Ecosystem); err != nil {
		return scan.Database{}, err
	}
	f, size, err := d.spool(ctx, s.Data)
	if err != nil {
		return scan.Database{}, err
	}
	defer f.Close()
	err = sqlite.Write(ctx, d.db, func(tx *sql.Tx) error {
		var have string
		err := tx.QueryRowContext(ctx, `SELECT sha256 FROM source WHERE ecosystem = ?`, s.Ecosystem).Scan(&have)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if have == s.SHA256 {
			return confirm(ctx, tx, s.Ecosystem, s.ETag)
		}
		archive, err := zip.NewReader(f, size)
		if err != nil {
			return fmt.Errorf("data: %v: %w", err, errdef.ErrInvalid) //nolint:errorlint // one class
		}
		return replace(ctx, tx, s, archive)
	})
	if err != nil {
		return scan.Database{}, wrap(ctx, err)
	}
	return d.State(ctx)
}

// spool puts the data into a file that has no name any more.
func (d *DB) spool(ctx context.Context, from io.Reader) (f *os.File, size int64, err error) {
	f, err = os.CreateTemp(d.dir, "import-")
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", err, errdef.ErrUnavailable)
	}
	if err = os.Remove(f.Name()); err == nil {
		size, err = io.Copy(f, from)
	}
	if err != nil {
		_ = f.Close()
		if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
			err = fmt.Errorf("the data cannot be kept while they are read: %w: %w", err, errdef.ErrUnavailable)
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, 0, err
	}
	return f, size, nil
}

// Confirm notes that the data of an ecosystem are still the newest.
func (d *DB) Confirm(ctx context.Context, ecosystem, etag string) error {
	return wrap(ctx, sqlite.Write(ctx, d.db, func(tx *sql.Tx) error { return confirm(ctx, tx, ecosystem, etag) }))
}

func confirm(ctx context.Context, tx *sql.Tx, ecosystem, etag string) error {
	_, err := tx.ExecContext(ctx, `UPDATE source SET updated = ?, etag = ? WHERE ecosystem = ?`, time.Now().Unix(), etag, ecosystem)
	return err
}

// ETag is what the mirror called the data of an ecosystem; empty: there are none.
func (d *DB) ETag(ctx context.Context, ecosystem string) (string, error) {
	var tag string
	err := d.db.QueryRowContext(ctx, `SELECT etag FROM source WHERE ecosystem = ?`, ecosystem).Scan(&tag)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return tag, wrap(ctx, err)
}

// replace puts the archive in the place of what the source had, and notes which packages that changes.
func replace(ctx context.Context, tx *sql.Tx, s Source, archive *zip.Reader) error {
	before, err := hashes(ctx, tx, s.Ecosystem)
	if err != nil {
		return err
	}
	for _, q := range []string{`DELETE FROM affected WHERE source = ?`, `DELETE FROM advisory WHERE source = ?`} {
		if _, err := tx.ExecContext(ctx, q, s.Ecosystem); err != nil {
			return err
		}
	}
	records, err := insert(ctx, tx, s.Ecosystem, archive)
	if err != nil {
		return err
	}
	if records == 0 {
		return fmt.Errorf("data: there is no record of %q in them: %w", s.Ecosystem, errdef.ErrInvalid)
	}
	after, err := hashes(ctx, tx, s.Ecosystem)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO source VALUES (?, ?, ?, ?, ?)`, s.Ecosystem, s.SHA256, records, time.Now().Unix(), s.ETag)
	if err != nil {
		return err
	}
	return note(ctx, tx, before, after)
}

// pkg is a package of an ecosystem.
type pkg struct{ ecosystem, name string }

// hashes sums the hashes of each package's records up.
func hashes(ctx context.Context, tx *sql.Tx, source string) (map[pkg]int64, error) {
	rows, err := tx.QueryContext(ctx, `SELECT ecosystem, package, hash FROM affected WHERE source = ?`, source)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[pkg]int64{}
	for rows.Next() {
		var p pkg
		var hash int64
		if err := rows.Scan(&p.ecosystem, &p.name, &hash); err != nil {
			return nil, err
		}
		all[p] += hash
	}
	return all, rows.Err()
}

// note writes the new version down, and what it changed.
func note(ctx context.Context, tx *sql.Tx, before, after map[pkg]int64) error {
	purls := map[string]bool{}
	for p, hash := range after {
		if old, ok := before[p]; !ok || old != hash {
			purls[inventory.Base(p.ecosystem, p.name)] = true
		}
	}
	for p := range before {
		if _, ok := after[p]; !ok {
			purls[inventory.Base(p.ecosystem, p.name)] = true
		}
	}
	if purls[""] || len(purls) > scan.MaxChanges {
		purls = map[string]bool{everything: true}
	}
	now, err := state(ctx, tx)
	if err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO version (version) VALUES (?)`, now.Version)
	if err != nil {
		return err
	}
	seq, err := res.LastInsertId()
	if err != nil {
		return err
	}
	for purl := range purls {
		if len(purl) > scan.MaxPURL {
			purl = everything
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO change VALUES (?, ?)`, seq, purl); err != nil {
			return err
		}
	}
	for _, q := range []string{`DELETE FROM version WHERE seq <= ?`, `DELETE FROM change WHERE seq <= ?`} {
		if _, err := tx.ExecContext(ctx, q, seq-keepVersions); err != nil {
			return err
		}
	}
	return nil
}

// insert writes the records and returns how many there are.
func insert(ctx context.Context, tx *sql.Tx, source string, archive *zip.Reader) (records int64, err error) {
	advisories, err := tx.PrepareContext(ctx, `INSERT OR REPLACE INTO advisory VALUES (?, ?, ?)`)
	if err != nil {
		return 0, err
	}
	defer advisories.Close()
	packages, err := tx.PrepareContext(ctx, `INSERT OR REPLACE INTO affected VALUES (?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return 0, err
	}
	defer packages.Close()
	return records, walk(ctx, archive, func(name string, data []byte) error {
		id, a, rows, hash, err := parse(data, source)
		if err != nil {
			return fmt.Errorf("data: %.200q: %w", name, err)
		}
		if len(rows) == 0 {
			return nil
		}
		records++
		text, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if _, err := advisories.ExecContext(ctx, source, id, text); err != nil {
			return err
		}
		for _, r := range rows {
			text, err := json.Marshal(r.affected)
			if err != nil {
				return err
			}
			if _, err := packages.ExecContext(ctx, r.ecosystem, r.name, source, id, int64(hash), text); err != nil { //nolint:gosec // the bits alone matter
				return err
			}
		}
		return nil
	})
}

// walk reads the records of an archive.
func walk(ctx context.Context, archive *zip.Reader, take func(name string, data []byte) error) error {
	if len(archive.File) > maxRecords {
		return fmt.Errorf("data: there are %d records, more than %d: %w", len(archive.File), maxRecords, errdef.ErrInvalid)
	}
	left := int64(maxUnpacked)
	for _, f := range archive.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		data, err := one(f)
		if err != nil {
			return fmt.Errorf("data: %.200q: %v: %w", f.Name, err, errdef.ErrInvalid) //nolint:errorlint // one class
		}
		if left -= int64(len(data)); left < 0 {
			return fmt.Errorf("data: they unpack to more than %d bytes: %w", int64(maxUnpacked), errdef.ErrInvalid)
		}
		if err := take(f.Name, data); err != nil {
			return err
		}
	}
	return nil
}

// one reads a record; how large the archive says it is counts for nothing.
func one(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxRecord+1))
	if err == nil && len(data) > maxRecord {
		err = fmt.Errorf("has more than %d bytes", maxRecord)
	}
	return data, err
}
