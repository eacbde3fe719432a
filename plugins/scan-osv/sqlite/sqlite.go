// Package sqlite opens the files that the plugin keeps its data in.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	_ "modernc.org/sqlite" // the driver
)

// Open opens or makes a file of the schema of that number. A file of another schema is made anew: all that the plugin
// keeps can be fetched again.
func Open(path string, version int, schema string) (*sql.DB, error) {
	db, err := open(path)
	if err != nil {
		return nil, err
	}
	var have int
	err = db.QueryRow("PRAGMA user_version").Scan(&have)
	if err == nil && have == version {
		return db, nil
	}
	if err != nil || have != 0 {
		_ = db.Close()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
		if db, err = open(path); err != nil {
			return nil, err
		}
	}
	if _, err := db.Exec(schema + fmt.Sprintf("; PRAGMA user_version = %d", version)); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return db, nil
}

func open(path string) (*sql.DB, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	q := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(30000)", "cache_size(-16384)"}}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
}

// Write runs f in a transaction that writes.
func Write(ctx context.Context, db *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}
