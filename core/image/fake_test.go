package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

// fakeLayers is a storage driver in memory. It reads every tar, as a driver must.
type fakeLayers struct {
	mu      sync.Mutex
	layers  map[string]*fakeLayer
	writes  []string
	calls   []string        // what was asked of the driver, without the layer
	pinned  map[string]bool // containers stand on these
	onWrite func(id string, r io.Reader) error
}

type fakeLayer struct {
	storage.Layer
	names    []string
	complete bool
}

var _ storage.Layers = (*fakeLayers)(nil)

func newFakeLayers() *fakeLayers {
	return &fakeLayers{layers: map[string]*fakeLayer{}, pinned: map[string]bool{}}
}

func (f *fakeLayers) StatLayer(_ context.Context, id string) (storage.Layer, error) {
	f.mu.Lock()
	f.calls = append(f.calls, "StatLayer")
	defer f.mu.Unlock()
	if l, ok := f.layers[id]; ok && l.complete {
		return l.Layer, nil
	}
	return storage.Layer{}, fmt.Errorf("layer %s: %w", id, errdef.ErrNotFound)
}

func (f *fakeLayers) WriteLayer(ctx context.Context, req storage.WriteLayerRequest, r io.Reader) (storage.Layer, error) {
	f.mu.Lock()
	f.calls = append(f.calls, "WriteLayer")
	if _, ok := f.layers[req.Parent]; req.Parent != "" && !ok {
		f.mu.Unlock()
		return storage.Layer{}, fmt.Errorf("parent %s: %w", req.Parent, errdef.ErrNotFound)
	}
	l := &fakeLayer{Layer: storage.Layer{ID: req.ID, Parent: req.Parent}}
	f.layers[req.ID] = l
	f.writes = append(f.writes, req.ID)
	hook := f.onWrite
	f.mu.Unlock()
	if hook != nil {
		if err := hook(req.ID, r); err != nil {
			return storage.Layer{}, err
		}
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return storage.Layer{}, fmt.Errorf("%w: %w", errdef.ErrInvalid, err)
		}
		l.names = append(l.names, h.Name)
		l.Size += h.Size
	}
	_, err := io.Copy(io.Discard, r)
	return l.Layer, err
}

func (f *fakeLayers) CommitLayer(_ context.Context, id string) error {
	f.mu.Lock()
	f.calls = append(f.calls, "CommitLayer")
	defer f.mu.Unlock()
	l, ok := f.layers[id]
	if !ok {
		return errdef.ErrNotFound
	}
	l.complete = true
	return nil
}

func (f *fakeLayers) ListLayers(context.Context) (all []storage.Layer, _ error) {
	f.mu.Lock()
	f.calls = append(f.calls, "ListLayers")
	defer f.mu.Unlock()
	for _, l := range f.layers {
		if l.complete {
			all = append(all, l.Layer)
		}
	}
	return all, nil
}

func (f *fakeLayers) RemoveLayer(_ context.Context, id string) error {
	f.mu.Lock()
	f.calls = append(f.calls, "RemoveLayer")
	defer f.mu.Unlock()
	for _, l := range f.layers {
		if l.Parent == id {
			return fmt.Errorf("layer %s has a child: %w", id, errdef.ErrConflict)
		}
	}
	if f.pinned[id] {
		return fmt.Errorf("a container stands on layer %s: %w", id, errdef.ErrConflict)
	}
	delete(f.layers, id)
	return nil
}

// ids lists the layers, written or complete, sorted.
func (f *fakeLayers) ids() (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.layers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (f *fakeLayers) writeCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.writes)
}

func (f *fakeLayers) pin(id string, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pinned[id] = on
}

func (f *fakeLayers) lose(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.layers, id)
}

// want checks that exactly these are there.
func (f *fakeLayers) want(t *testing.T, ids ...string) {
	t.Helper()
	ids = slices.Sorted(slices.Values(ids))
	if got := f.ids(); !slices.Equal(got, ids) {
		t.Errorf("layers in storage: got %v, want %v", got, ids)
	}
}

// lockedBuffer takes the progress of a pull, for which a test can wait.
type lockedBuffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	written chan struct{} // closed at the next write; nil until somebody waits
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written != nil {
		close(l.written)
		l.written = nil
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// await returns when what was written holds a match, or with an error when ctx ends.
func (l *lockedBuffer) await(ctx context.Context, pattern string) error {
	re := regexp.MustCompile(pattern)
	for {
		l.mu.Lock()
		found := re.Match(l.b.Bytes())
		if l.written == nil {
			l.written = make(chan struct{})
		}
		written := l.written
		l.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-written:
		case <-ctx.Done():
			return fmt.Errorf("no %s: %w", pattern, ctx.Err())
		}
	}
}
