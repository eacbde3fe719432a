package storagetest

import (
	"archive/tar"
	"io"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/rootfs"
	"github.com/openvic/vic/sdk/storage"
)

// files: what goes in comes out, is seen as a change, and takes space. The disk must be one that a
// driver can read, so a fixture that cannot write to one leaves this out.
func files(t *testing.T, s *suite) {
	if s.PutFile == nil {
		t.Skip("the fixture cannot write to a disk")
	}
	layer := s.layer(t, "", Dir("d"), File("d/old", "1"))
	id, _ := s.prepared(t, layer.ID)
	s.PutFile(t, id, "rootfs/d/put", []byte("put"))
	in := storage.CopyInRequest{ID: id, UnpackOptions: rootfs.UnpackOptions{Path: "/d"}}
	if err := s.Driver.CopyIn(s.ctx(t), in, Tar(File("new", "hello"))); err != nil {
		t.Fatalf("CopyIn: %v", err)
	}
	st, err := s.Driver.StatPath(s.ctx(t), storage.PathRequest{ID: id, Path: "/d/new"})
	if err != nil || st.Name != "new" || st.Size != 5 || !st.Mode.IsRegular() {
		t.Errorf("StatPath: %+v, %v", st, err)
	}
	st, r, err := s.Driver.CopyOut(s.ctx(t), storage.CopyOutRequest{PathRequest: storage.PathRequest{ID: id, Path: "/d"}})
	if err != nil || !st.Mode.IsDir() {
		t.Fatalf("CopyOut: %+v, %v", st, err)
	}
	if got := content(t, r); got["d/new"] != "hello" || got["d/put"] != "put" {
		t.Errorf("CopyOut streams %v", got)
	}
	_, r, err = s.Driver.CopyOut(s.ctx(t), storage.CopyOutRequest{PathRequest: storage.PathRequest{ID: id}, Whole: true})
	if err != nil {
		t.Fatalf("CopyOut of the whole: %v", err)
	}
	if got := content(t, r); got["d/new"] != "hello" {
		t.Errorf("CopyOut of the whole streams %v", got)
	}
	changed(t, s, id, layer.ID)
	missing(t, s, id)
}

func changed(t *testing.T, s *suite, id, layer string) {
	t.Helper()
	all, err := s.Driver.Changes(s.ctx(t), storage.ChangesRequest{ID: id, Layer: layer})
	if err != nil {
		t.Fatalf("Changes: %v", err)
	}
	lines := map[string]bool{}
	for _, c := range all {
		lines[c.String()] = true
	}
	if !lines["A /d/new"] || lines["A /d/old"] || lines["C /d/old"] {
		t.Errorf("Changes: %v", all)
	}
	r, err := s.Driver.Diff(s.ctx(t), storage.ChangesRequest{ID: id, Layer: layer})
	if err != nil {
		t.Fatalf("Diff: %v", err)
	}
	got := content(t, r)
	if _, old := got["d/old"]; got["d/new"] != "hello" || old {
		t.Errorf("Diff streams %v", got)
	}
	if n, err := s.Driver.Usage(s.ctx(t), id); err != nil || n <= 0 {
		t.Errorf("Usage: %d, %v", n, err)
	}
	tree, err := s.Driver.Tree(s.ctx(t), layer)
	if err != nil {
		t.Fatalf("Tree: %v", err)
	}
	defer tree.Close()
	if b, err := io.ReadAll(tree); err != nil || len(b) == 0 {
		t.Errorf("Tree: %d bytes, %v", len(b), err)
	}
}

func missing(t *testing.T, s *suite, id string) {
	t.Helper()
	_, err := s.Driver.StatPath(s.ctx(t), storage.PathRequest{ID: id, Path: "/none"})
	want(t, "StatPath of what is not there", err, errdef.ErrNotFound)
	_, err = s.Driver.StatPath(s.ctx(t), storage.PathRequest{ID: newID(), Path: "/"})
	want(t, "StatPath of no container", err, errdef.ErrNotFound)
	_, _, err = s.Driver.CopyOut(s.ctx(t), storage.CopyOutRequest{PathRequest: storage.PathRequest{ID: id, Path: "/none"}})
	want(t, "CopyOut of what is not there", err, errdef.ErrNotFound)
	in := storage.CopyInRequest{ID: id, UnpackOptions: rootfs.UnpackOptions{Path: "/none"}}
	want(t, "CopyIn to what is not there", s.Driver.CopyIn(s.ctx(t), in, Tar(File("x", ""))), errdef.ErrNotFound)
	in.Path = "/d/new"
	want(t, "CopyIn into a file", s.Driver.CopyIn(s.ctx(t), in, Tar(File("x", ""))), errdef.ErrInvalid)
	in.Path = "/d"
	err = s.Driver.CopyIn(s.ctx(t), in, strings.NewReader(strings.Repeat("not a tar stream ", 100)))
	want(t, "CopyIn of what is not tar", err, errdef.ErrInvalid)
	_, err = s.Driver.Tree(s.ctx(t), newID())
	want(t, "Tree of no layer", err, errdef.ErrNotFound)
}

// content reads a tar stream: name to content.
func content(t *testing.T, r io.ReadCloser) map[string]string {
	t.Helper()
	defer r.Close()
	found := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatalf("the stream is not tar: %v", err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatalf("the stream is not tar: %v", err)
		}
		found[h.Name] = string(b)
	}
}
