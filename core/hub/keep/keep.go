// Package keep keeps a hub's data: it makes backups while the hub serves, restores them onto any database and storage,
// and moves a hub from one kind of database and storage to the other.
//
// A copy of the database is the same whichever database it came from: rows as JSON, table by table, with a sum of each
// table (dump.go). The content of images is kept by its digest, which is compared whenever content is copied. What dies
// at any moment leaves nothing that looks whole: the same command, run again, goes on where it can.
package keep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"

	"github.com/openvic/vic/core/store"
)

// Hub is what there is to keep of one. The caller owns the parts.
type Hub struct {
	DB      *store.Store
	Schemas []store.Schema
	Storage storagedriver.StorageDriver
	Data    string // the data folder, with the keys; what is needed on the way lies there too
	Name    string
	Version string // of vic-hub
}

// target takes a backup: a folder or an archive.
type target interface {
	// has says whether the target has an object already.
	has(ctx context.Context, o object) (bool, error)
	// put reads all of r; errContent if it is not the object.
	put(ctx context.Context, o object, r io.Reader) error
	// database takes a copy of the database, in place of an earlier one.
	database(ctx context.Context, write func(io.Writer) error) (opener, error)
	// finish makes the backup whole and tells its name.
	finish(ctx context.Context, m *Manifest, keys []byte) (string, error)
}

var (
	_ target = (*Folder)(nil)
	_ target = (*Archive)(nil)
)

// BackupOptions say what is kept beside the database and the content.
type BackupOptions struct {
	// Keys has the sealing key and the hub's own authority kept, sealed by Passphrase.
	Keys       bool
	Passphrase string
	Now        func() time.Time // nil: time.Now
}

// Report is what was done.
type Report struct {
	Name    string         `json:"name,omitempty"` // of the backup
	Objects int            `json:"objects"`        // live content
	Bytes   int64          `json:"bytes"`
	Copied  int64          `json:"copied"` // objects that were not there yet
	Rows    int64          `json:"rows"`
	Tables  map[string]Sum `json:"tables"`
	Keys    bool           `json:"keys"` // the hub's keys are part of it
	// Needs is the ID of the key that the restored secrets are sealed with, if the data folder has none; "": all open.
	Needs  string  `json:"needs_seal_key,omitempty"`
	Faults *Faults `json:"faults"`
}

// tries bounds how often a backup begins anew because the collector removed what it was about to copy.
const tries = 10

// Backup makes a backup while the hub serves: a state of the database and the content that it names. Content that is
// missing in the storage or damaged is told as a fault, and all else is kept.
func Backup(ctx context.Context, h Hub, t target, o BackupOptions) (Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Manifest{Format: format, Hub: h.Name, Version: h.Version, Versions: versions(h.Schemas)}
	var keys []byte
	var err error
	if o.Keys {
		if keys, err = sealKeys(h.Data, o.Passphrase); err != nil {
			return Report{}, fmt.Errorf("keys: %w", err)
		}
	}
	if m.SealKey, err = sealKeyID(h.Data); err != nil {
		return Report{}, err
	}
	b := &backup{h: h, t: t}
	for n := 1; ; n++ {
		m.Made = o.Now().UTC().Truncate(time.Second)
		again, err := b.once(ctx, m)
		if err != nil {
			return Report{}, err
		}
		if !again {
			break
		}
		if n == tries {
			return Report{}, errors.New("content is collected faster than it is copied: run the backup again when fewer images are deleted")
		}
	}
	r := Report{Objects: m.Objects, Bytes: m.Bytes, Copied: b.copied.Load(), Tables: m.Tables, Rows: rowsOf(m.Tables), Keys: keys != nil, Faults: m.Faults}
	r.Name, err = t.finish(ctx, m, keys)
	return r, err
}

func rowsOf(tables map[string]Sum) (n int64) {
	for _, s := range tables {
		n += s.Rows
	}
	return n
}

// backup is one under way.
type backup struct {
	h      Hub
	t      target
	copied atomic.Int64
}

// once copies a state of the database, and the content that it names. again: the collector took some of that meanwhile,
// so that a later state is needed.
func (b *backup) once(ctx context.Context, m *Manifest) (again bool, err error) {
	m.Faults, m.Objects, m.Bytes = &Faults{First: []string{}}, 0, 0
	open, err := b.t.database(ctx, func(w io.Writer) error {
		return b.h.DB.Snapshot(ctx, func(q store.Querier) (err error) {
			m.Tables, err = dump(ctx, q, b.h.DB.Kind(), b.h.Schemas, w)
			return err
		})
	})
	if err != nil {
		return false, fmt.Errorf("copy of the database: %w", err)
	}
	var collected atomic.Bool
	var count, bytes atomic.Int64
	err = parallel(ctx, open, func(ctx context.Context, o object) error {
		count.Add(1)
		bytes.Add(o.size)
		gone, err := b.object(ctx, o, m.Faults)
		if gone {
			collected.Store(true)
		}
		return err
	})
	m.Objects, m.Bytes = int(count.Load()), bytes.Load()
	return collected.Load(), err
}

// object copies one object. collected: no row names it there any more.
func (b *backup) object(ctx context.Context, o object, faults *Faults) (collected bool, err error) {
	if ok, err := b.t.has(ctx, o); err != nil || ok {
		return false, err
	}
	r, err := b.h.Storage.Reader(ctx, o.location, 0)
	if err == nil {
		err = b.t.put(ctx, o, r)
		_ = r.Close()
	}
	switch {
	case err == nil:
		b.copied.Add(1)
		return false, nil
	case errors.Is(err, errContent):
		faults.add("%s at %s: its content is another", o.digest, o.location)
		return false, nil
	case !gone(err):
		return false, fmt.Errorf("content: %w", err)
	}
	var still int
	err = b.h.DB.QueryRow(ctx, `SELECT count(*) FROM blob WHERE digest = $1 AND location = $2`, o.digest.String(), o.location).Scan(&still)
	if err != nil || still == 0 {
		return still == 0, err
	}
	faults.add("%s at %s: it is missing", o.digest, o.location)
	return false, nil
}

// scratch names a file in a data folder for what is needed on the way.
func scratch(data, name string) string { return filepath.Join(data, ".keep-"+name) }

// spool is a file of a data folder that goes with close.
func spool(data, name string, write func(io.Writer) error) (_ opener, remove func() error, err error) {
	path := scratch(data, name)
	if err := writeFile(data, path, write); err != nil {
		return nil, nil, err
	}
	return func() (io.ReadCloser, error) { return os.Open(path) }, func() error { return os.Remove(path) }, nil
}
