package keep

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/errdef"
)

const passphrase = "correct horse battery"

// backup makes one into a folder or an archive, and gives what restores it.
func (w *world) backup(archive bool, o BackupOptions) (Report, func(context.Context, Place, RestoreOptions) (Report, error)) {
	w.t.Helper()
	if archive {
		var out bytes.Buffer
		a, err := NewArchive(w.t.Context(), &out, w.data)
		must(w.t, err)
		r, err := Backup(w.t.Context(), w.hub(), a, o)
		must(w.t, err)
		must(w.t, a.Close())
		return r, func(ctx context.Context, p Place, o RestoreOptions) (Report, error) {
			return RestoreArchive(ctx, bytes.NewReader(out.Bytes()), p, o)
		}
	}
	dir := filepath.Join(w.t.TempDir(), "backups")
	r := w.backupTo(dir, o)
	return r, func(ctx context.Context, p Place, o RestoreOptions) (Report, error) {
		f, err := OpenFolder(dir, false)
		must(w.t, err)
		return RestoreFolder(ctx, f, p, o)
	}
}

func (w *world) backupTo(dir string, o BackupOptions) Report {
	w.t.Helper()
	f, err := OpenFolder(dir, true)
	must(w.t, err)
	r, err := Backup(w.t.Context(), w.hub(), f, o)
	must(w.t, err)
	must(w.t, f.Close())
	return r
}

// TestWhatWasBackedUpIsRestored goes from each database to the other, by folder and by archive, onto files and S3.
func TestWhatWasBackedUpIsRestored(t *testing.T) {
	for _, c := range []struct {
		name, from, to    string
		archive, s3, keys bool
	}{
		{"sqlite to postgres and S3, folder", "sqlite", "postgres", false, true, true},
		{"postgres to sqlite, folder", "postgres", "sqlite", false, false, false},
		{"sqlite to sqlite, archive", "sqlite", "sqlite", true, false, true},
		{"postgres to postgres and S3, archive", "postgres", "postgres", true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.from, files(t))
			r, restore := w.backup(c.archive, BackupOptions{Keys: c.keys, Passphrase: passphrase})
			if r.Objects != 6 || r.Copied != 6 || r.Bytes != 3*100_300 || r.Faults.Count != 0 || r.Keys != c.keys {
				t.Errorf("%+v", r)
			}
			to := place(t, c.to, files(t))
			if c.s3 {
				to.Storage = bucket(t)
			}
			got, err := restore(t.Context(), to, RestoreOptions{Passphrase: passphrase})
			must(t, err)
			if !maps.Equal(got.Tables, r.Tables) || got.Rows != r.Rows || got.Objects != 6 || got.Faults.Count != 0 || got.Keys != c.keys {
				t.Errorf("%+v, want %+v", got, r)
			}
			leftovers(t, w.data, "seal.key", "tls")
			if c.keys {
				w.sameKeys(to.Data)
				leftovers(t, to.Data, "seal.key", "tls")
			} else {
				leftovers(t, to.Data)
			}
			n := at(t, to)
			if !maps.Equal(n.sums(), r.Tables) {
				t.Errorf("%v, want %v", n.sums(), r.Tables)
			}
			n.sound(6, 7)
			n.want(200, "GET", "/v2/p/a1/manifests/1", "", nil)
			n.push("p/later") // numbers go on
			n.sound(8, 9)
			_, err = restore(t.Context(), to, RestoreOptions{Passphrase: passphrase})
			if !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), "not empty") {
				t.Errorf("onto a hub with content: %v", err)
			}
		})
	}
}

// sameKeys fails if a data folder has not this hub's keys.
func (w *world) sameKeys(data string) {
	w.t.Helper()
	for _, name := range []string{SealKey, "tls/ca.pem"} {
		a, err := os.ReadFile(filepath.Join(w.data, name))
		must(w.t, err)
		b, err := os.ReadFile(filepath.Join(data, name))
		must(w.t, err)
		if !bytes.Equal(a, b) {
			w.t.Errorf("%s is another", name)
		}
	}
}

func TestKeysOpenByTheirPassphraseAlone(t *testing.T) {
	w := newWorld(t, "sqlite", files(t))
	_, restore := w.backup(false, BackupOptions{Keys: true, Passphrase: passphrase})
	to := place(t, "sqlite", files(t))
	_, err := restore(t.Context(), to, RestoreOptions{})
	wrong(t, "without the passphrase", err, "give the file with their passphrase")
	if _, err = restore(t.Context(), to, RestoreOptions{Passphrase: "something else"}); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	leftovers(t, to.Data)
	got, err := restore(t.Context(), to, RestoreOptions{WithoutKeys: true})
	must(t, err)
	if id, err := sealKeyID(w.data); err != nil || got.Keys || id == "" || got.Needs != id {
		t.Errorf("%+v, want to be told that the key %s is needed (%v)", got, id, err)
	}
	leftovers(t, to.Data)
	to = place(t, "sqlite", files(t))
	if got, err = restore(t.Context(), to, RestoreOptions{Passphrase: passphrase}); err != nil || !got.Keys || got.Needs != "" {
		t.Errorf("with the keys: %+v %v", got, err)
	}
}

// leftovers fails if a data folder has other files than these.
func leftovers(t *testing.T, dir string, want ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range list {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s has %v, want %v", dir, got, want)
	}
}

func TestALaterBackupCopiesWhatIsNew(t *testing.T) {
	w := newWorld(t, "sqlite", files(t))
	dir := filepath.Join(t.TempDir(), "backups")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := BackupOptions{Now: func() time.Time { return now }}
	first := w.backupTo(dir, o)
	w.push("p/b")
	second := w.backupTo(dir, o) // in the same second
	if first.Copied != 6 || second.Copied != 2 || second.Objects != 8 || first.Name != "20260102T030405Z" || second.Name != "20260102T030406Z" {
		t.Errorf("%+v %+v", first, second)
	}
	// The first is restored by its name, as it was.
	f, err := OpenFolder(dir, false)
	must(t, err)
	p := place(t, "sqlite", files(t))
	got, err := RestoreFolder(t.Context(), f, p, RestoreOptions{Snapshot: first.Name})
	must(t, err)
	if !maps.Equal(got.Tables, first.Tables) || got.Objects != 6 {
		t.Errorf("%+v, want %+v", got, first)
	}
	at(t, p).sound(6, 7)

	// Only the last is kept: what only the first had goes, once it is gone from the hub.
	must(t, w.db.Tx(t.Context(), func(tx *store.Tx) error { return drop(tx) }))
	w.push("p/c")
	third := w.backupTo(dir, o)
	count := func() (n int) {
		must(t, filepath.WalkDir(filepath.Join(dir, objectsFolder), func(_ string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				n++
			}
			return err
		}))
		return n
	}
	if third.Objects != 2 || count() != 10 {
		t.Errorf("%+v, %d objects", third, count())
	}
	f, err = OpenFolder(dir, true)
	must(t, err)
	_, err = OpenFolder(dir, true)
	wrong(t, "two backups at once", err, "under way")
	removed, err := f.Keep(t.Context(), 1)
	must(t, err)
	must(t, f.Close())
	if !slices.Equal(removed, []string{first.Name, second.Name}) || count() != 2 {
		t.Errorf("removed %v, %d objects stay", removed, count())
	}
	p = place(t, "sqlite", files(t))
	_, err = RestoreFolder(t.Context(), f, p, RestoreOptions{})
	must(t, err)
	at(t, p).sound(2, 3)
	_, err = RestoreFolder(t.Context(), f, p, RestoreOptions{Snapshot: first.Name})
	wrong(t, "a backup that went", err, third.Name)
}

// drop takes everything out of the registry but the project.
func drop(tx *store.Tx) error {
	for _, table := range []string{"tag", "manifest", "project_blob", "repo_blob", "blob", "review", "upload", "repo"} {
		if _, err := tx.Exec(`DELETE FROM ` + table); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`UPDATE project SET used = 0, repos = 0`)
	return err
}

// The collector removes content that a backup is about to copy: the backup takes a later state, and is whole.
func TestContentIsCollectedDuringABackup(t *testing.T) {
	for _, archive := range []bool{false, true} {
		d := &faulty{StorageDriver: files(t)}
		d.writes.Store(-1)
		w := newWorld(t, "sqlite", d)
		reads := 0
		d.read = func(path string) error {
			if reads++; reads > 1 {
				return nil
			}
			must(t, w.db.Tx(t.Context(), drop))
			w.push("p/new")
			return storagedriver.PathNotFoundError{Path: path}
		}
		// One copier: the first object that is read is gone.
		r, restore := w.backup(archive, BackupOptions{})
		if r.Objects != 2 || r.Faults.Count != 0 {
			t.Errorf("%+v", r)
		}
		p := place(t, "sqlite", files(t))
		got, err := restore(t.Context(), p, RestoreOptions{})
		must(t, err)
		if !maps.Equal(got.Tables, r.Tables) {
			t.Errorf("%+v, want %+v", got, r)
		}
		at(t, p).sound(2, 3)
	}
}

func TestDamagedContentIsToldAndTheRestIsKept(t *testing.T) {
	for _, archive := range []bool{false, true} {
		d := files(t)
		w := newWorld(t, "sqlite", d)
		var first, second, third string
		must(t, w.db.QueryRow(t.Context(), `SELECT min(location), max(location) FROM blob WHERE size = 100000`).Scan(&first, &second))
		must(t, w.db.QueryRow(t.Context(), `SELECT min(location) FROM blob WHERE size = 300`).Scan(&third))
		must(t, d.PutContent(t.Context(), first, make([]byte, 100_000)))
		must(t, d.Delete(t.Context(), second))
		must(t, d.PutContent(t.Context(), third, make([]byte, 301)))
		r, restore := w.backup(archive, BackupOptions{})
		if r.Faults.Count != 3 || len(r.Faults.First) != 3 {
			t.Errorf("%+v", r.Faults)
		}
		p := place(t, "sqlite", files(t))
		got, err := restore(t.Context(), p, RestoreOptions{})
		must(t, err)
		if got.Faults.Count < 3 || !maps.Equal(got.Tables, r.Tables) || got.Copied != 3 {
			t.Errorf("%+v", got)
		}
	}
}

func TestARestoreThatWasStoppedGoesOn(t *testing.T) {
	for _, archive := range []bool{false, true} {
		w := newWorld(t, "sqlite", files(t))
		r, restore := w.backup(archive, BackupOptions{})
		d := &faulty{StorageDriver: files(t)}
		d.writes.Store(4)
		p := place(t, "postgres", d)
		_, err := restore(t.Context(), p, RestoreOptions{})
		wrong(t, "the first run", err, "the power is off")
		got, err := restore(t.Context(), p, RestoreOptions{})
		must(t, err)
		if !maps.Equal(got.Tables, r.Tables) || got.Copied < 1 || got.Copied > 5 {
			t.Errorf("%+v", got)
		}
		at(t, p).sound(6, 7)
	}
}

// A backup of an older version is restored as it was, and the next start brings it to this one.
func TestAnOlderBackupIsBroughtToThisVersion(t *testing.T) {
	w := newWorld(t, "sqlite", files(t))
	_, restore := w.backup(false, BackupOptions{})
	p := place(t, "postgres", files(t))
	p.Schemas = append(schemas(), store.Schema{Name: "new", Steps: []string{`CREATE TABLE later (n BIGINT)`}})
	p.Schemas[0].Steps = append(slices.Clone(p.Schemas[0].Steps), `ALTER TABLE project ADD COLUMN color TEXT NOT NULL DEFAULT 'red'`)
	_, err := restore(t.Context(), p, RestoreOptions{})
	must(t, err)
	var color string
	db := storetest.Open(t, p.URL, p.Schemas...)
	must(t, db.QueryRow(t.Context(), `SELECT color FROM project WHERE name = 'p'`).Scan(&color))
	if color != "red" {
		t.Error(color)
	}
	// And a newer one is refused.
	p = place(t, "sqlite", files(t))
	p.Schemas = p.Schemas[:2]
	_, err = restore(t.Context(), p, RestoreOptions{})
	wrong(t, "a newer backup", err, "newer version")
}

func TestMovesThereAndBack(t *testing.T) {
	w := newWorld(t, "sqlite", files(t))
	large := place(t, "postgres", bucket(t))
	r, err := Move(t.Context(), w.hub(), large, true)
	must(t, err)
	if r.Objects != 6 || r.Copied != 6 || r.Rows != 0 {
		t.Errorf("%+v", r)
	}
	w.push("p/while")
	want := w.sums()
	r, err = Move(t.Context(), w.hub(), large, false)
	must(t, err)
	if r.Objects != 8 || r.Copied != 2 || !maps.Equal(r.Tables, want) {
		t.Errorf("%+v, want %v", r, want)
	}
	if !maps.Equal(w.sums(), want) {
		t.Error("the source changed")
	}
	leftovers(t, large.Data, "seal.key", "tls")
	n := at(t, large)
	n.sound(8, 9)
	n.push("p/there")

	small := place(t, "sqlite", files(t))
	r, err = Move(t.Context(), n.hub(), small, false)
	must(t, err)
	if !maps.Equal(r.Tables, n.sums()) || r.Objects != 10 {
		t.Errorf("%+v", r)
	}
	b := at(t, small)
	b.sound(10, 11)
	b.push("p/back")
	_, err = Move(t.Context(), w.hub(), small, false)
	wrong(t, "onto a hub with content", err, "not empty")
}

func TestAMoveThatWasStoppedGoesOn(t *testing.T) {
	w := newWorld(t, "postgres", files(t))
	d := &faulty{StorageDriver: files(t)}
	d.writes.Store(3)
	p := place(t, "sqlite", d)
	_, err := Move(t.Context(), w.hub(), p, false)
	wrong(t, "the first run", err, "the power is off")
	r, err := Move(t.Context(), w.hub(), p, false)
	must(t, err)
	if !maps.Equal(r.Tables, w.sums()) || r.Copied < 3 {
		t.Errorf("%+v", r)
	}
	at(t, p).sound(6, 7)
}

func TestAMoveOfAHubThatGoesOnIsRefused(t *testing.T) {
	d := &faulty{StorageDriver: files(t)}
	d.writes.Store(-1)
	w := newWorld(t, "sqlite", d)
	once := false
	d.read = func(string) error {
		if !once {
			once = true
			w.push("p/meanwhile")
		}
		return nil
	}
	p := place(t, "postgres", files(t))
	_, err := Move(t.Context(), w.hub(), p, false)
	if !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), "stop the hub") {
		t.Errorf("%v", err)
	}
	r, err := Move(t.Context(), w.hub(), p, false)
	must(t, err)
	if r.Objects != 8 || r.Copied != 2 {
		t.Errorf("%+v", r)
	}
}

func TestWhatIsNoBackup(t *testing.T) {
	w := newWorld(t, "sqlite", files(t))
	other := t.TempDir()
	must(t, os.WriteFile(filepath.Join(other, "letter.txt"), nil, 0o600))
	_, err := OpenFolder(other, true)
	wrong(t, "a folder with other files", err, "holds other files")
	_, err = OpenFolder(other, false)
	wrong(t, "a folder without backups", err, "holds no backup")
	_, err = Backup(t.Context(), w.hub(), nil, BackupOptions{Keys: true, Passphrase: "short"})
	wrong(t, "a short passphrase", err, "12 characters")

	dir := filepath.Join(t.TempDir(), "b")
	w.backupTo(dir, BackupOptions{})
	f, err := OpenFolder(dir, false)
	must(t, err)
	names, err := f.Snapshots()
	must(t, err)
	copyOf := filepath.Join(dir, snapshotsFolder, names[0], databaseFile)
	text, err := os.ReadFile(copyOf)
	must(t, err)
	must(t, os.WriteFile(copyOf, text[:len(text)-20], 0o600))
	p := place(t, "sqlite", files(t))
	_, err = RestoreFolder(t.Context(), f, p, RestoreOptions{})
	wrong(t, "half of a database", err, "copy of the database")
	must(t, os.WriteFile(copyOf, text, 0o600))

	must(t, os.WriteFile(filepath.Join(p.Data, SealKey), []byte("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600))
	_, err = RestoreFolder(t.Context(), f, p, RestoreOptions{})
	wrong(t, "another sealing key", err, "is not the key that the backup's secrets were sealed with")

	for text, want := range map[string]string{"": "ends before its manifest", "no tar": "archive"} {
		_, err = RestoreArchive(t.Context(), strings.NewReader(text), place(t, "sqlite", files(t)), RestoreOptions{})
		wrong(t, text, err, want)
	}
}
