package hub

import (
	"os"
	"path/filepath"
	"testing"
)

// A backup has secrets in it: nobody gets it by having made the file before, or a link in its place.
func TestABackupIsAFileOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(string) error{
		"a file":    func(path string) error { return os.Link(other, path) },
		"a symlink": func(path string) error { return os.Symlink(other, path) },
		"nothing":   func(string) error { return nil },
	} {
		to := filepath.Join(dir, "backup.tar")
		if err := make(to + ".unfinished"); err != nil {
			t.Fatal(err)
		}
		f, err := unfinished(to)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		info, err := f.Stat()
		theirs, err2 := os.Stat(other)
		if err != nil || err2 != nil || info.Mode() != 0o600 || os.SameFile(info, theirs) || theirs.Size() != 6 {
			t.Errorf("%s: %v %v, %v %v", name, info, theirs, err, err2)
		}
		if err := os.Remove(f.Name()); err != nil {
			t.Error(err)
		}
		_ = f.Close()
	}
}
