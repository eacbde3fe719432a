package layer

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

func write(t *testing.T, dir, name, data string) {
	t.Helper()
	full := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDiffFindsChangesAndWhatIsGone(t *testing.T) {
	lower, upper := t.TempDir(), t.TempDir()
	for _, dir := range []string{lower, upper} {
		write(t, dir, "same/file", "unchanged")
	}
	write(t, lower, "etc/conf", "old!")
	write(t, upper, "etc/conf", "new!")
	write(t, upper, "opt/tool/bin", "added")
	write(t, lower, "gone/a/b", "removed")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(lower, "same/file"), old, old); err != nil {
		t.Fatal(err)
	}
	changed, gone, err := Diff(Tree{Dir: lower}, Tree{Dir: upper})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(changed, " "), "etc etc/conf opt opt/tool opt/tool/bin"; got != want {
		t.Errorf("changed = %s, want %s", got, want)
	}
	if got, want := strings.Join(gone, " "), "gone"; got != want {
		t.Errorf("gone = %s, want %s (one mark removes all below it)", got, want)
	}
}

func TestLayerDependsOnContentAlone(t *testing.T) {
	tree := t.TempDir()
	write(t, tree, "a/file", "hello")
	if err := os.Link(filepath.Join(tree, "a/file"), filepath.Join(tree, "a/other")); err != nil {
		t.Fatal(err)
	}
	make := func(how Compression) Layer {
		l, err := Create(t.TempDir(), "test", how, func(tw *tar.Writer) error {
			names, err := Tree{Dir: tree}.Names()
			if err != nil {
				return err
			}
			if err := (Tree{Dir: tree}).Write(tw, names); err != nil {
				return err
			}
			return Whiteouts(tw, []string{"b/c"})
		})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := make(Gzip)
	now := time.Now()
	if err := os.Chtimes(filepath.Join(tree, "a/file"), now, now); err != nil {
		t.Fatal(err)
	}
	second, zst := make(Gzip), make(Zstd)
	if first.Digest != second.Digest {
		t.Error("the same tree gave two digests")
	}
	if first.DiffID != zst.DiffID || first.Digest == zst.Digest {
		t.Error("gzip and zstd must share the diff ID and differ in the digest")
	}
	if got, want := entries(t, first), "a/ a/file a/other=a/file b/.wh.c"; got != want {
		t.Errorf("entries = %s, want %s", got, want)
	}
	entries(t, zst)
}

// entries lists a layer's entries and checks its digests on the way.
func entries(t *testing.T, l Layer) string {
	t.Helper()
	packed, err := os.ReadFile(l.Path)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(packed)) != l.Size || digest.FromBytes(packed) != l.Digest {
		t.Error("size or digest does not match the file")
	}
	var r io.Reader
	if l.Compression == Zstd {
		r, err = zstd.NewReader(bytes.NewReader(packed))
	} else {
		r, err = gzip.NewReader(bytes.NewReader(packed))
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if digest.FromBytes(plain) != l.DiffID {
		t.Error("diff ID does not match the archive")
	}
	var names []string
	for tr := tar.NewReader(bytes.NewReader(plain)); ; {
		hdr, err := tr.Next()
		if err != nil {
			break
		}
		if hdr.Typeflag == tar.TypeLink {
			hdr.Name += "=" + hdr.Linkname
		}
		names = append(names, hdr.Name)
	}
	return strings.Join(names, " ")
}
