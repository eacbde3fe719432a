package keep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// index remembers digests on disk, so that memory is bounded whatever the number of objects: where each belongs, and which
// are done.
type index struct {
	db   *store.Store
	file string
}

var indexSchema = store.Schema{Name: "index", Steps: []string{
	`CREATE TABLE object (digest @ascii PRIMARY KEY, size BIGINT NOT NULL, location TEXT NOT NULL,
		done BOOLEAN NOT NULL, stale BOOLEAN NOT NULL DEFAULT FALSE) @clustered`}}

// openIndex opens the index of a file, which is made if it is not there.
func openIndex(ctx context.Context, file string) (*index, error) {
	db, err := store.Open(ctx, "sqlite:"+file, indexSchema)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return &index{db, file}, nil
}

// close keeps the file.
func (x *index) close() error { return x.db.Close() }

// remove closes the index and removes its file.
func (x *index) remove() error {
	err := x.db.Close()
	for _, end := range []string{"", "-wal", "-shm"} {
		if e := os.Remove(x.file + end); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// add remembers objects; those that are known stay as they are, and are no longer stale.
func (x *index) add(ctx context.Context, list []object) error {
	return x.db.Tx(ctx, func(tx *store.Tx) error {
		for _, o := range list {
			_, err := tx.Exec(`INSERT INTO object (digest, size, location, done) VALUES ($1, $2, $3, FALSE)
				ON CONFLICT (digest) DO UPDATE SET stale = FALSE`, o.digest.String(), o.size, o.location)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (x *index) done(ctx context.Context, d digest.Digest) error {
	return x.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE object SET done = TRUE WHERE digest = $1`, d.String())
		return err
	})
}

// find tells what is known of a digest; ok is false if nothing is.
func (x *index) find(ctx context.Context, d digest.Digest) (o object, done, ok bool, err error) {
	o.digest = d
	err = x.db.QueryRow(ctx, `SELECT size, location, done FROM object WHERE digest = $1`, d.String()).Scan(&o.size, &o.location, &done)
	if errors.Is(err, sql.ErrNoRows) {
		return o, false, false, nil
	}
	return o, done, err == nil, err
}

// age makes all that is known stale, until it is added again.
func (x *index) age(ctx context.Context) error {
	return x.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE object SET stale = TRUE`)
		return err
	})
}

// stale hands out what is done and stale.
func (x *index) stale(ctx context.Context, each func(object) error) error {
	last := ""
	for more := true; more; {
		var list []object
		var err error
		list, more, err = store.List(ctx, x.db, 500, func(r *sql.Rows) (o object, err error) { return o, r.Scan(&o.digest, &o.size, &o.location) },
			`SELECT digest, size, location FROM object WHERE done AND stale AND digest > $1 ORDER BY digest LIMIT $2`, last)
		if err != nil {
			return err
		}
		for _, o := range list {
			last = o.digest.String()
			if err := each(o); err != nil {
				return err
			}
		}
	}
	return nil
}
