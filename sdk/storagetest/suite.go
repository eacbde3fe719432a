// Package storagetest is the conformance suite for storage drivers: what storage.Driver promises, as
// tests. A driver's author calls Suite with a factory.
package storagetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

// Fixture is a driver and what its platform needs. Fields that are nil leave their cases out.
type Fixture struct {
	Driver storage.Driver
	// Entries returns what is in the root file system that the layer makes: path to content. It
	// checks whiteouts; nil for drivers that cannot be looked into.
	Entries func(t *testing.T, layer string) map[string]string
	// PutFile puts a file on a prepared disk, as a guest does, and leaves the disk unused.
	PutFile func(t *testing.T, disk, path string, data []byte)
	// AttachVolume attaches a volume's disk to a running VM, or detaches it.
	AttachVolume func(t *testing.T, v storage.Volume, attached bool)
	// Restart, if set, makes the driver anew, as after a crash.
	Restart func(t *testing.T) storage.Driver
	// Timeout of one call; 0 means 10 s.
	Timeout time.Duration
}

// Factory makes a fixture for one test; what it makes ends with t.
type Factory func(t *testing.T) Fixture

// Suite runs all cases.
func Suite(t *testing.T, factory Factory) {
	cases := []testCase{
		{"what is not there is ErrNotFound", unknown},
		{"a layer is there when it is committed", life},
		{"a written layer is written once", writeTwice},
		{"two writers of one layer share one write", writeTogether},
		{"a layer needs its parent", parent},
		{"layers apply with whiteouts", whiteouts},
		{"what is not tar is ErrInvalid and leaves nothing", notTar},
		{"a stream that breaks leaves nothing", brokenStream},
		{"a megabyte goes through", bulk},
		{"a layer that others stand on stays", removeOrder},
		{"a disk over a layer", disk},
		{"a disk without a layer", emptyDisk},
		{"Export streams what is below a path", export},
		{"files go in and out of a disk, and are seen as changes", files},
		{"an uncommitted layer is gone after a restart", restart},
	}
	for _, c := range volumeCases() {
		cases = append(cases, testCase{c.name, volumeCase(c.run)})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := factory(t)
			if f.Timeout == 0 {
				f.Timeout = 10 * time.Second
			}
			c.run(t, &suite{Fixture: f})
		})
	}
}

type testCase struct {
	name string
	run  func(t *testing.T, s *suite)
}

type suite struct{ Fixture }

func newID() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func (s *suite) ctx(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	t.Cleanup(cancel)
	return ctx
}

func want(t *testing.T, call string, err, class error) {
	t.Helper()
	if class == nil && err != nil || class != nil && !errors.Is(err, class) {
		t.Errorf("%s: got %v, want %v", call, err, class)
	}
}

// removeLater removes a layer when the test ends; layers made later go first.
func (s *suite) removeLater(t *testing.T, id string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
		defer cancel()
		if err := s.Driver.RemoveLayer(ctx, id); err != nil {
			t.Errorf("RemoveLayer after the test: %v", err)
		}
	})
}

// layer writes and commits a layer.
func (s *suite) layer(t *testing.T, parent string, entries ...Entry) storage.Layer {
	t.Helper()
	id := newID()
	s.removeLater(t, id)
	l, err := s.Driver.WriteLayer(s.ctx(t), storage.WriteLayerRequest{ID: id, Parent: parent}, Tar(entries...))
	if err != nil {
		t.Fatalf("WriteLayer: %v", err)
	}
	if err := s.Driver.CommitLayer(s.ctx(t), id); err != nil {
		t.Fatalf("CommitLayer: %v", err)
	}
	return l
}

func (s *suite) prepared(t *testing.T, layer string) (string, storage.Root) {
	t.Helper()
	id := newID()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
		defer cancel()
		if err := s.Driver.RemoveDisk(ctx, id); err != nil {
			t.Errorf("RemoveDisk after the test: %v", err)
		}
	})
	root, err := s.Driver.PrepareDisk(s.ctx(t), storage.PrepareDiskRequest{ID: id, Layer: layer})
	if err != nil {
		t.Fatalf("PrepareDisk: %v", err)
	}
	return id, root
}

func (s *suite) listed(t *testing.T, id string) bool {
	t.Helper()
	ls, err := s.Driver.ListLayers(s.ctx(t))
	if err != nil {
		t.Fatalf("ListLayers: %v", err)
	}
	return slices.ContainsFunc(ls, func(l storage.Layer) bool { return l.ID == id })
}

func unknown(t *testing.T, s *suite) {
	id, d := newID(), s.Driver
	_, err := d.StatLayer(s.ctx(t), id)
	want(t, "StatLayer", err, errdef.ErrNotFound)
	want(t, "CommitLayer", d.CommitLayer(s.ctx(t), id), errdef.ErrNotFound)
	want(t, "RemoveLayer", d.RemoveLayer(s.ctx(t), id), nil)
	want(t, "RemoveDisk", d.RemoveDisk(s.ctx(t), id), nil)
	_, err = d.PrepareDisk(s.ctx(t), storage.PrepareDiskRequest{ID: newID(), Layer: id})
	want(t, "PrepareDisk", err, errdef.ErrNotFound)
	_, err = d.Export(s.ctx(t), storage.ExportRequest{ID: id, Path: "vic/log"})
	want(t, "Export", err, errdef.ErrNotFound)
}

func life(t *testing.T, s *suite) {
	id := newID()
	s.removeLater(t, id)
	before := time.Now().Add(-time.Minute)
	l, err := s.Driver.WriteLayer(s.ctx(t), storage.WriteLayerRequest{ID: id}, Tar(File("etc/motd", "hello")))
	if err != nil {
		t.Fatalf("WriteLayer: %v", err)
	}
	if l.ID != id || l.Parent != "" || l.Size < int64(len("hello")) || l.Locator == "" || l.Created.Before(before) {
		t.Errorf("WriteLayer returned %+v", l)
	}
	_, err = s.Driver.StatLayer(s.ctx(t), id)
	want(t, "StatLayer before CommitLayer", err, errdef.ErrNotFound)
	if s.listed(t, id) {
		t.Error("ListLayers shows a layer before CommitLayer")
	}
	want(t, "CommitLayer", s.Driver.CommitLayer(s.ctx(t), id), nil)
	want(t, "CommitLayer again", s.Driver.CommitLayer(s.ctx(t), id), nil)
	got, err := s.Driver.StatLayer(s.ctx(t), id)
	if err != nil || got.ID != id || got.Size != l.Size {
		t.Errorf("StatLayer: %+v, %v; written was %+v", got, err, l)
	}
	if !s.listed(t, id) {
		t.Error("ListLayers does not show the layer")
	}
	want(t, "RemoveLayer", s.Driver.RemoveLayer(s.ctx(t), id), nil)
	if s.listed(t, id) {
		t.Error("ListLayers shows a removed layer")
	}
}

func writeTwice(t *testing.T, s *suite) {
	l := s.layer(t, "", File("a", "first"))
	again, err := s.Driver.WriteLayer(s.ctx(t), storage.WriteLayerRequest{ID: l.ID}, Tar(File("a", "the second one")))
	if err != nil || again.ID != l.ID || again.Size != l.Size {
		t.Errorf("second WriteLayer: %+v, %v; first %+v", again, err, l)
	}
}

func writeTogether(t *testing.T, s *suite) {
	id := newID()
	s.removeLater(t, id)
	var wg sync.WaitGroup
	sizes := make([]int64, 2)
	for i := range sizes {
		ctx := s.ctx(t)
		wg.Go(func() {
			l, err := s.Driver.WriteLayer(ctx, storage.WriteLayerRequest{ID: id}, Tar(File("a", "the same")))
			want(t, "WriteLayer", err, nil)
			sizes[i] = l.Size
		})
	}
	wg.Wait()
	if sizes[0] != sizes[1] {
		t.Errorf("two writers, two results: %v", sizes)
	}
	want(t, "CommitLayer", s.Driver.CommitLayer(s.ctx(t), id), nil)
}

func parent(t *testing.T, s *suite) {
	_, err := s.Driver.WriteLayer(s.ctx(t), storage.WriteLayerRequest{ID: newID(), Parent: newID()}, Tar())
	want(t, "WriteLayer on a parent that is not there", err, errdef.ErrNotFound)
	base := s.layer(t, "", File("a", "1"))
	top := s.layer(t, base.ID, File("b", "2"))
	got, err := s.Driver.StatLayer(s.ctx(t), top.ID)
	if err != nil || got.Parent != base.ID {
		t.Errorf("StatLayer: %+v, %v; the parent is %s", got, err, base.ID)
	}
}

func whiteouts(t *testing.T, s *suite) {
	if s.Entries == nil {
		t.Skip("the fixture cannot look into layers")
	}
	base := s.layer(t, "", Dir("d"), File("d/one", "1"), File("d/two", "2"), Dir("e"), File("e/old", "o"), File("keep", "k"))
	top := s.layer(t, base.ID, Dir("d"), File("d/.wh.one", ""), Dir("e"), File("e/.wh..wh..opq", ""), File("e/new", "n"), File("d/two", "changed"))
	got := s.Entries(t, top.ID)
	for path, content := range map[string]string{"d/two": "changed", "e/new": "n", "keep": "k"} {
		if got[path] != content {
			t.Errorf("%s holds %q, want %q", path, got[path], content)
		}
	}
	for _, path := range []string{"d/one", "e/old", "d/.wh.one", "e/.wh..wh..opq"} {
		if _, ok := got[path]; ok {
			t.Errorf("%s is there", path)
		}
	}
	if got := s.Entries(t, base.ID); got["d/one"] != "1" || got["d/two"] != "2" {
		t.Errorf("the lower layer has changed: %v", got)
	}
}
