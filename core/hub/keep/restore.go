package keep

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"

	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Place is where a hub's data goes: an empty database, a storage, a data folder. The caller keeps hubs from serving it.
type Place struct {
	URL     string // of the database
	Schemas []store.Schema
	Storage storagedriver.StorageDriver
	Data    string // it is there
}

// RestoreOptions say what of a backup is restored.
type RestoreOptions struct {
	Snapshot string // the name of a backup in a folder; "": the last
	// Passphrase opens the keys of a backup that has them.
	Passphrase string
	// WithoutKeys leaves the keys of a backup where they are.
	WithoutKeys bool
}

// RestoreFolder restores a backup from a folder. What it did before it was stopped, it does not do again.
func RestoreFolder(ctx context.Context, f *Folder, p Place, o RestoreOptions) (Report, error) {
	s, err := f.snapshot(o.Snapshot)
	if err != nil {
		return Report{}, err
	}
	sealed, err := s.keys()
	if err != nil {
		return Report{}, err
	}
	keys, err := readyKeys(p, s.manifest, sealed, o)
	if err != nil {
		return Report{}, err
	}
	d, err := p.openDatabase(ctx, s.manifest.Versions)
	if err != nil {
		return Report{}, err
	}
	r := Report{Faults: s.manifest.Faults}
	var copied atomic.Int64
	err = parallel(ctx, s.open, func(ctx context.Context, o object) error {
		if ok, err := there(ctx, p.Storage, o); err != nil || ok {
			return err
		}
		in, err := os.Open(f.object(o.digest))
		if errors.Is(err, fs.ErrNotExist) {
			r.Faults.add("%s: the backup does not have it", o.digest)
			return nil
		}
		if err != nil {
			return err
		}
		defer in.Close()
		if err := put(ctx, p.Storage, o, in); errors.Is(err, errContent) {
			r.Faults.add("%s: the backup has other content", o.digest)
			return nil
		} else if err != nil {
			return err
		}
		copied.Add(1)
		return nil
	})
	if err == nil {
		err = d.fill(ctx, s.manifest, s.open, keys, &r)
	}
	r.Copied = copied.Load()
	return r, errors.Join(err, d.db.Close())
}

// database is the one that is filled.
type database struct {
	p      Place
	db     *store.Store
	tables []table
}

// openDatabase opens an empty one with the schemas as a copy has them.
func (p Place) openDatabase(ctx context.Context, written map[string]int) (*database, error) {
	cut, err := asWritten(p.Schemas, written)
	if err != nil {
		return nil, err
	}
	d := &database{p: p}
	if d.tables, err = catalogue(ctx, cut); err != nil {
		return nil, err
	}
	if d.db, err = store.Open(ctx, p.URL, cut...); err != nil {
		return nil, err
	}
	if err := empty(ctx, d.db, d.tables); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	return d, nil
}

// fill is the end of a restore: keys and rows.
func (d *database) fill(ctx context.Context, m Manifest, open opener, keys map[string][]byte, r *Report) (err error) {
	if err := complete(d.tables, m.Tables); err != nil {
		return err
	}
	if err := writeKeys(d.p.Data, keys); err != nil {
		return err
	}
	if r.Tables, err = load(ctx, d.db, d.tables, open, nil); err != nil {
		return err
	}
	for name, want := range m.Tables {
		if r.Tables[name] != want {
			return fmt.Errorf("table %s is not the one of the backup: %+v, want %+v", name, r.Tables[name], want)
		}
	}
	r.Objects, r.Bytes, r.Rows, r.Keys = m.Objects, m.Bytes, rowsOf(m.Tables), len(keys) > 0
	have, err := sealKeyID(d.p.Data)
	if have == "" {
		r.Needs = m.SealKey
	}
	return err
}

// readyKeys opens the keys of a backup, before anything is copied, and looks whether the place can have them.
func readyKeys(p Place, m Manifest, sealed []byte, o RestoreOptions) (map[string][]byte, error) {
	switch {
	case sealed == nil || o.WithoutKeys:
		have, err := sealKeyID(p.Data)
		if err == nil && have != "" && have != m.SealKey {
			err = fmt.Errorf("%s is not the key that the backup's secrets were sealed with (%s, want %s): %w",
				filepath.Join(p.Data, SealKey), have, m.SealKey, errdef.ErrConflict)
		}
		return nil, err
	case o.Passphrase == "":
		return nil, fmt.Errorf("the backup has keys: give the file with their passphrase, or leave them out: %w", errdef.ErrInvalid)
	}
	keys, err := openKeys(sealed, o.Passphrase)
	if err != nil {
		return nil, err
	}
	return keys, conflicting(p.Data, keys)
}

// sealKeyID tells which key a data folder has; "": none.
func sealKeyID(data string) (string, error) {
	file := filepath.Join(data, SealKey)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	s, err := seal.Open(file)
	if err != nil {
		return "", err
	}
	return s.ID(), nil
}

// RestoreArchive restores a backup from a stream, which it reads once. If it is stopped, the next run begins anew; content
// that is there already is compared and not written again.
func RestoreArchive(ctx context.Context, in io.Reader, p Place, o RestoreOptions) (_ Report, err error) {
	u := &unpacker{p: p, in: tar.NewReader(in), states: map[string]opener{}, report: Report{Faults: &Faults{First: []string{}}}}
	defer func() { err = errors.Join(err, u.close()) }()
	whole := false
	for !whole {
		h, err := u.in.Next()
		if errors.Is(err, io.EOF) {
			return Report{}, fmt.Errorf("the archive ends before its manifest: it is not whole: %w", errdef.ErrInvalid)
		}
		if err != nil {
			return Report{}, fmt.Errorf("archive: %w: %w", err, errdef.ErrInvalid)
		}
		if whole, err = u.entry(ctx, h); err != nil {
			return Report{}, err
		}
	}
	return u.finish(ctx, o)
}

// unpacker reads an archive. What it names by its content goes to its place as it comes.
type unpacker struct {
	p        Place
	in       *tar.Reader
	states   map[string]opener
	last     string
	removes  []func() error
	wanted   *index
	db       *database
	keys     []byte
	manifest Manifest
	report   Report
}

func (u *unpacker) close() (err error) {
	for _, remove := range u.removes {
		err = errors.Join(err, remove())
	}
	return err
}

func (u *unpacker) entry(ctx context.Context, h *tar.Header) (whole bool, err error) {
	kind, d, err := entry(h.Name)
	if err != nil {
		return false, err
	}
	switch kind {
	case databaseFile:
		return false, u.state(ctx, h.Name)
	case keysFile:
		u.keys, err = io.ReadAll(io.LimitReader(u.in, maxKeys))
		return false, err
	case manifestFile:
		u.manifest, err = readManifest(u.in)
		return true, err
	}
	if u.wanted == nil {
		return false, fmt.Errorf("the archive begins with content, not with a copy of the database: %w", errdef.ErrInvalid)
	}
	o, done, ok, err := u.wanted.find(ctx, d)
	if err != nil || !ok || done || o.size != h.Size {
		return false, err
	}
	if there, err := there(ctx, u.p.Storage, o); err != nil {
		return false, err
	} else if !there {
		if err := put(ctx, u.p.Storage, o, u.in); errors.Is(err, errContent) {
			return false, nil // it counts as missing
		} else if err != nil {
			return false, err
		}
		u.report.Copied++
	}
	return false, u.wanted.done(ctx, d)
}

// state keeps a copy of the database and notes the content that it names.
func (u *unpacker) state(ctx context.Context, name string) error {
	open, remove, err := spool(u.p.Data, fmt.Sprintf("restore-%d-%d", os.Getpid(), len(u.states)), func(w io.Writer) error {
		_, err := io.Copy(w, u.in)
		return err
	})
	if err != nil {
		return err
	}
	u.removes = append(u.removes, remove)
	u.states[name], u.last = open, name
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	d, err := newReader(r)
	if err != nil {
		return err
	}
	d.close()
	if u.db == nil {
		if u.db, err = u.p.openDatabase(ctx, d.head.Versions); err != nil {
			return err
		}
		u.removes = append(u.removes, u.db.db.Close)
		if u.wanted, err = openIndex(ctx, scratch(u.p.Data, fmt.Sprintf("wanted-%d.db", os.Getpid()))); err != nil {
			return err
		}
		u.removes = append(u.removes, u.wanted.remove)
	}
	if err := u.wanted.age(ctx); err != nil {
		return err
	}
	return objects(ctx, open, func(list []object) error { return u.wanted.add(ctx, list) })
}

func (u *unpacker) finish(ctx context.Context, o RestoreOptions) (Report, error) {
	open := u.states[u.manifest.Database]
	if open == nil || u.manifest.Database != u.last {
		return Report{}, fmt.Errorf("the archive lacks the copy of the database that its manifest names: %w", errdef.ErrInvalid)
	}
	keys, err := readyKeys(u.p, u.manifest, u.keys, o)
	if err != nil {
		return Report{}, err
	}
	err = objects(ctx, open, func(list []object) error {
		for _, x := range list {
			_, done, _, err := u.wanted.find(ctx, x.digest)
			if err != nil {
				return err
			}
			if !done {
				u.report.Faults.add("%s: the archive does not have it, or has other content", x.digest)
			}
		}
		return nil
	})
	if err != nil {
		return Report{}, err
	}
	// What a state of before named and the last does not belongs to no row.
	err = u.wanted.stale(ctx, func(x object) error {
		if err := u.p.Storage.Delete(ctx, x.location); !gone(err) {
			return err
		}
		return nil
	})
	if err == nil {
		err = u.db.fill(ctx, u.manifest, open, keys, &u.report)
	}
	return u.report, err
}
