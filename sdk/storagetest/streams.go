package storagetest

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

// Entry is one entry of a tar stream.
type Entry struct {
	Header tar.Header
	Data   string
}

// File is a regular file.
func File(name, data string) Entry {
	return Entry{Data: data, Header: tar.Header{
		Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: time.Unix(1700000000, 0),
	}}
}

// Dir is a directory.
func Dir(name string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: time.Unix(1700000000, 0)}}
}

// Tar makes a tar stream.
func Tar(entries ...Entry) io.Reader {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		// A bytes.Buffer takes everything; a header that cannot be written shows in the driver's error.
		_ = w.WriteHeader(&e.Header)
		_, _ = io.WriteString(w, e.Data)
	}
	_ = w.Close()
	return &buf
}

func notTar(t *testing.T, s *suite) {
	id := newID()
	s.removeLater(t, id)
	_, err := s.Driver.WriteLayer(s.ctx(t), storage.WriteLayerRequest{ID: id}, strings.NewReader(strings.Repeat("not a tar stream ", 100)))
	want(t, "WriteLayer", err, errdef.ErrInvalid)
	want(t, "CommitLayer", s.Driver.CommitLayer(s.ctx(t), id), errdef.ErrNotFound)
}

func brokenStream(t *testing.T, s *suite) {
	id := newID()
	s.removeLater(t, id)
	mine := errors.New("the download broke")
	r := io.MultiReader(Tar(File("a", "1")), &brokenReader{mine})
	// The caller sees its own reader's error.
	if _, err := s.Driver.WriteLayer(s.ctx(t), storage.WriteLayerRequest{ID: id}, r); !errors.Is(err, mine) {
		t.Errorf("WriteLayer: %v, want the reader's error", err)
	}
	deadline := time.Now().Add(s.Timeout)
	for {
		// Over a wire the driver learns of it a moment later.
		l, err := s.Driver.WriteLayer(s.ctx(t), storage.WriteLayerRequest{ID: id}, Tar(File("a", "12345678")))
		if err == nil {
			if l.Size < 8 {
				t.Errorf("the broken write was taken for a layer: %+v", l)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the layer cannot be written after a broken stream: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

type brokenReader struct{ err error }

func (r *brokenReader) Read([]byte) (int, error) { return 0, r.err }

func bulk(t *testing.T, s *suite) {
	data := make([]byte, 1<<20)
	_, _ = rand.Read(data)
	l := s.layer(t, "", File("bulk", string(data)))
	if l.Size < int64(len(data)) {
		t.Errorf("size %d, want at least %d", l.Size, len(data))
	}
}

func removeOrder(t *testing.T, s *suite) {
	base := s.layer(t, "", File("a", "1"))
	top := s.layer(t, base.ID, File("b", "2"))
	want(t, "RemoveLayer below another", s.Driver.RemoveLayer(s.ctx(t), base.ID), errdef.ErrConflict)
	want(t, "RemoveLayer", s.Driver.RemoveLayer(s.ctx(t), top.ID), nil)
	want(t, "RemoveLayer", s.Driver.RemoveLayer(s.ctx(t), base.ID), nil)
	want(t, "RemoveLayer again", s.Driver.RemoveLayer(s.ctx(t), base.ID), nil)
}

func disk(t *testing.T, s *suite) {
	base := s.layer(t, "", File("a", "1"))
	top := s.layer(t, base.ID, File("b", "2"))
	id, root := s.prepared(t, top.ID)
	checkRoot(t, root)
	again, err := s.Driver.PrepareDisk(s.ctx(t), storage.PrepareDiskRequest{ID: id, Layer: top.ID})
	if err != nil || again.Kind != root.Kind || len(again.Disks) != len(root.Disks) || again.Disks[0] != root.Disks[0] {
		t.Errorf("PrepareDisk again: %+v, %v; first %+v", again, err, root)
	}
	want(t, "RemoveDisk", s.Driver.RemoveDisk(s.ctx(t), id), nil)
	want(t, "RemoveDisk again", s.Driver.RemoveDisk(s.ctx(t), id), nil)
}

func emptyDisk(t *testing.T, s *suite) {
	_, root := s.prepared(t, "")
	checkRoot(t, root)
}

func checkRoot(t *testing.T, root storage.Root) {
	t.Helper()
	if root.Kind != storage.RootSingle && root.Kind != storage.RootOverlay {
		t.Errorf("root kind %q", root.Kind)
	}
	if len(root.Disks) == 0 || root.Kind == storage.RootSingle && len(root.Disks) != 1 {
		t.Fatalf("root %+v", root)
	}
	last := root.Disks[len(root.Disks)-1]
	if last.Kind == "" || last.Locator == "" || last.ReadOnly {
		t.Errorf("the writable disk is %+v", last)
	}
}

func export(t *testing.T, s *suite) {
	if s.PutFile == nil {
		t.Skip("the fixture cannot write to a disk")
	}
	id, _ := s.prepared(t, s.layer(t, "", File("a", "1")).ID)
	s.PutFile(t, id, "vic/log/0", []byte("line\n"))
	r, err := s.Driver.Export(s.ctx(t), storage.ExportRequest{ID: id, Path: "vic/log"})
	if err != nil {
		t.Fatalf("Export: %v", err)
	}
	defer r.Close()
	found := ""
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the stream is not tar: %v", err)
		}
		if strings.TrimPrefix(h.Name, "./") == "log/0" {
			b, _ := io.ReadAll(tr)
			found = string(b)
		}
	}
	if found != "line\n" {
		t.Errorf("log/0 holds %q", found)
	}
	_, err = s.Driver.Export(s.ctx(t), storage.ExportRequest{ID: id, Path: "vic/none"})
	want(t, "Export of a path that is not there", err, errdef.ErrNotFound)
}

func restart(t *testing.T, s *suite) {
	if s.Restart == nil {
		t.Skip("the fixture cannot restart")
	}
	whole, half := newID(), newID()
	for _, id := range []string{whole, half} {
		if _, err := s.Driver.WriteLayer(s.ctx(t), storage.WriteLayerRequest{ID: id}, Tar(File("a", "1"))); err != nil {
			t.Fatalf("WriteLayer: %v", err)
		}
	}
	want(t, "CommitLayer", s.Driver.CommitLayer(s.ctx(t), whole), nil)
	s.Driver = s.Restart(t)
	s.removeLater(t, whole)
	s.removeLater(t, half)
	if !s.listed(t, whole) {
		t.Error("a committed layer is gone")
	}
	want(t, "CommitLayer of a layer from before the restart", s.Driver.CommitLayer(s.ctx(t), half), errdef.ErrNotFound)
}
