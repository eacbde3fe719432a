package keep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/openvic/vic/sdk/errdef"
)

// Folder is a folder with backups:
//
//	objects/sha256/ab/abcd...    content, once for all backups
//	snapshots/20260102T150405Z   the database, the keys and the manifest of one backup
//
// What is not whole has another name, and goes with the next backup.
type Folder struct {
	path string
	lock *os.File
	work string // of the backup that is being made
}

const (
	objectsFolder   = "objects"
	snapshotsFolder = "snapshots"
	unfinished      = "unfinished"
	snapshotName    = "20060102T150405Z"
)

// OpenFolder opens a folder with backups. With write it makes the folder if it is not there, and keeps other backups away
// until Close; errdef.ErrConflict if one is under way, or if the folder holds something else.
func OpenFolder(path string, write bool) (*Folder, error) {
	f := &Folder{path: path, work: filepath.Join(path, unfinished)}
	if !write {
		if _, err := os.Stat(filepath.Join(path, snapshotsFolder)); err != nil {
			return nil, fmt.Errorf("%s holds no backup of a hub: %w", path, err)
		}
		return f, nil
	}
	if list, err := os.ReadDir(path); err == nil && len(list) > 0 {
		if _, err := os.Stat(filepath.Join(path, snapshotsFolder)); err != nil {
			return nil, fmt.Errorf("%s holds other files and no backup of a hub: name a new or an empty folder: %w", path, errdef.ErrConflict)
		}
	}
	for _, dir := range []string{path, filepath.Join(path, snapshotsFolder), filepath.Join(path, objectsFolder)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("folder of the backup: %w", err)
		}
	}
	lock, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("folder of the backup: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("another backup into %s is under way: %w: %w", path, err, errdef.ErrConflict)
	}
	f.lock = lock
	if err := errors.Join(os.RemoveAll(f.work), os.MkdirAll(f.work, 0o700)); err != nil {
		return nil, errors.Join(fmt.Errorf("folder of the backup: %w", err), f.Close())
	}
	return f, nil
}

// Close lets other backups in.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	return errors.Join(os.RemoveAll(f.work), f.lock.Close())
}

func (f *Folder) object(d digest.Digest) string {
	return filepath.Join(f.path, objectsFolder, d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
}

// has implements target: an object got its name when all of it was on the disk.
func (f *Folder) has(_ context.Context, o object) (bool, error) {
	info, err := os.Stat(f.object(o.digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Size() == o.size, err
}

// put implements target.
func (f *Folder) put(_ context.Context, o object, r io.Reader) error {
	in, err := check(r, o)
	if err != nil {
		return err
	}
	path := f.object(o.digest)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeFile(f.work, path, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

// writeFile writes a file so that it has its name only when all of it is on the disk.
func writeFile(dir, path string, write func(io.Writer) error) error {
	t, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	if err := errors.Join(write(t), t.Sync(), t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}

// database implements target.
func (f *Folder) database(_ context.Context, write func(io.Writer) error) (opener, error) {
	path := filepath.Join(f.work, databaseFile)
	if err := writeFile(f.work, path, write); err != nil {
		return nil, err
	}
	return func() (io.ReadCloser, error) { return os.Open(path) }, nil
}

// finish implements target. The backup is there when its folder has its name.
func (f *Folder) finish(_ context.Context, m *Manifest, keys []byte) (string, error) {
	m.Database = databaseFile
	if keys != nil {
		m.Keys = keysFile
		err := writeFile(f.work, filepath.Join(f.work, keysFile), func(w io.Writer) error {
			_, err := w.Write(keys)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	if err := writeFile(f.work, filepath.Join(f.work, manifestFile), m.write); err != nil {
		return "", err
	}
	at := m.Made
	for {
		name := at.UTC().Format(snapshotName)
		if err := f.sync(); err != nil { // the names of all files, also of objects, before that of the whole
			return "", err
		}
		err := os.Rename(f.work, filepath.Join(f.path, snapshotsFolder, name))
		if err == nil {
			return name, f.sync()
		}
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) {
			return "", err
		}
		at = at.Add(time.Second) // two backups in one second
	}
}

// sync has all names and files of the folder on the disk.
func (f *Folder) sync() error {
	if err := unix.Syncfs(int(f.lock.Fd())); err != nil {
		return fmt.Errorf("flush of %s: %w", f.path, err)
	}
	return nil
}

// Snapshots are the names of the backups, the oldest first.
func (f *Folder) Snapshots() ([]string, error) {
	list, err := os.ReadDir(filepath.Join(f.path, snapshotsFolder))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range list {
		if _, err := time.Parse(snapshotName, e.Name()); err == nil && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil // ReadDir sorts them
}

// snapshot is one backup in a folder.
type snapshot struct {
	f        *Folder
	path     string
	manifest Manifest
}

// snapshot finds a backup by its name; "": the last.
func (f *Folder) snapshot(name string) (*snapshot, error) {
	names, err := f.Snapshots()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s holds no backup that is whole: %w", f.path, errdef.ErrNotFound)
	}
	if name == "" {
		name = names[len(names)-1]
	}
	if !slices.Contains(names, name) {
		return nil, fmt.Errorf("%s has no backup %q; it has %s: %w", f.path, name, strings.Join(names, ", "), errdef.ErrNotFound)
	}
	s := &snapshot{f: f, path: filepath.Join(f.path, snapshotsFolder, name)}
	r, err := os.Open(filepath.Join(s.path, manifestFile))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	s.manifest, err = readManifest(r)
	return s, err
}

func (s *snapshot) open() (io.ReadCloser, error) { return os.Open(filepath.Join(s.path, databaseFile)) }

// keys are the sealed keys; nil: none.
func (s *snapshot) keys() ([]byte, error) {
	if s.manifest.Keys == "" {
		return nil, nil
	}
	r, err := os.Open(filepath.Join(s.path, keysFile))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxKeys))
}

// Keep removes all backups but the last n, and the content that none of the others names.
func (f *Folder) Keep(ctx context.Context, n int) (removed []string, err error) {
	names, err := f.Snapshots()
	if err != nil || len(names) <= n {
		return nil, err
	}
	named, err := openIndex(ctx, filepath.Join(f.path, unfinished+".db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, named.remove()) }()
	cut := len(names) - n
	for _, name := range names[cut:] {
		s, err := f.snapshot(name)
		if err != nil {
			return nil, err
		}
		if err := objects(ctx, s.open, func(list []object) error { return named.add(ctx, list) }); err != nil {
			return nil, fmt.Errorf("backup %s: %w", name, err)
		}
	}
	for _, name := range names[:cut] {
		if err := os.RemoveAll(filepath.Join(f.path, snapshotsFolder, name)); err != nil {
			return removed, err
		}
		removed = append(removed, name)
	}
	return removed, f.sweep(ctx, named)
}

// sweep removes content that the index does not have.
func (f *Folder) sweep(ctx context.Context, named *index) error {
	root := filepath.Join(f.path, objectsFolder)
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		algorithm := filepath.Base(filepath.Dir(filepath.Dir(path)))
		_, _, ok, err := named.find(ctx, digest.NewDigestFromEncoded(digest.Algorithm(algorithm), e.Name()))
		if err != nil || ok {
			return err
		}
		return os.Remove(path)
	})
}
