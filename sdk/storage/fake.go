package storage

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
)

// Fake is a driver in memory for tests. It reads layers as a driver does and keeps a list of their
// entries and the sum of their bytes; disks hold the files that a test puts there.
type Fake struct {
	mu       sync.Mutex
	layers   map[string]*fakeLayer
	writing  map[string]*fakeWrite
	disks    map[string]*fakeDisk
	failures map[string]error
	writes   int
	volumes  map[string]Volume
	attached map[string]bool // volumes that a VM has
}

var _ Driver = (*Fake)(nil)

type fakeLayer struct {
	layer    Layer
	complete bool
	names    []string
	digest   string
}

// fakeWrite is a write under way; done is closed when err and the layer are there.
type fakeWrite struct {
	done  chan struct{}
	layer Layer
	err   error
}

type fakeDisk struct {
	layer string
	files map[string][]byte
}

// NewFake makes an empty driver.
func NewFake() *Fake {
	return &Fake{
		layers: map[string]*fakeLayer{}, writing: map[string]*fakeWrite{}, disks: map[string]*fakeDisk{},
		failures: map[string]error{}, volumes: map[string]Volume{}, attached: map[string]bool{},
	}
}

// Fail makes the next call of a method ("PrepareDisk") fail.
func (f *Fake) Fail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[method] = err
}

// enter locks and returns the failure that a test asked for. The caller unlocks.
func (f *Fake) enter(ctx context.Context, method string) error {
	f.mu.Lock()
	if err := f.failures[method]; err != nil {
		delete(f.failures, method)
		return err
	}
	return ctx.Err()
}

// StatLayer returns a complete layer.
func (f *Fake) StatLayer(ctx context.Context, id string) (Layer, error) {
	err := f.enter(ctx, "StatLayer")
	defer f.mu.Unlock()
	if err != nil {
		return Layer{}, err
	}
	l, ok := f.layers[id]
	if !ok || !l.complete {
		return Layer{}, fmt.Errorf("layer %s: %w", id, errdef.ErrNotFound)
	}
	return l.layer, nil
}

// WriteLayer reads a tar stream.
func (f *Fake) WriteLayer(ctx context.Context, req WriteLayerRequest, r io.Reader) (Layer, error) {
	err := f.enter(ctx, "WriteLayer")
	if err == nil && req.Parent != "" && f.layers[req.Parent] == nil {
		err = fmt.Errorf("parent layer %s: %w", req.Parent, errdef.ErrNotFound)
	}
	if err != nil {
		f.mu.Unlock()
		return Layer{}, err
	}
	if l, ok := f.layers[req.ID]; ok {
		f.mu.Unlock()
		return l.layer, nil
	}
	if w, ok := f.writing[req.ID]; ok {
		f.mu.Unlock()
		select {
		case <-w.done:
			return w.layer, w.err
		case <-ctx.Done():
			return Layer{}, ctx.Err()
		}
	}
	w := &fakeWrite{done: make(chan struct{})}
	f.writing[req.ID] = w
	f.writes++
	f.mu.Unlock()

	l, err := readLayer(req, r)

	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.writing, req.ID)
	defer close(w.done)
	if err != nil {
		w.err = err
		return Layer{}, err
	}
	w.layer = l.layer
	f.layers[req.ID] = l
	return l.layer, nil
}

func readLayer(req WriteLayerRequest, r io.Reader) (*fakeLayer, error) {
	sum := sha256.New()
	in := io.TeeReader(r, sum)
	tr := tar.NewReader(in)
	l := &fakeLayer{layer: Layer{ID: req.ID, Parent: req.Parent, Locator: "[fake] " + req.ID, Created: time.Now().UTC()}}
	for {
		h, err := tr.Next()
		if err == io.EOF { //nolint:errorlint // one that wraps io.EOF is a stream that broke
			break
		}
		if err != nil {
			return nil, notTar(req.ID, err)
		}
		l.names = append(l.names, h.Name)
		n, err := io.Copy(io.Discard, tr)
		if err != nil {
			return nil, notTar(req.ID, err)
		}
		l.layer.Size += n
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return nil, err
	}
	l.digest = hex.EncodeToString(sum.Sum(nil))
	return l, nil
}

// notTar keeps the class of an error that came from the stream itself.
func notTar(id string, err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("layer %s: %w: %w", id, err, errdef.ErrInvalid)
	}
	return fmt.Errorf("layer %s: %w", id, err)
}

// CommitLayer marks a layer complete.
func (f *Fake) CommitLayer(ctx context.Context, id string) error {
	err := f.enter(ctx, "CommitLayer")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	l, ok := f.layers[id]
	if !ok {
		return fmt.Errorf("layer %s: %w", id, errdef.ErrNotFound)
	}
	l.complete = true
	return nil
}

// ListLayers returns all complete layers, sorted by ID.
func (f *Fake) ListLayers(ctx context.Context) ([]Layer, error) {
	err := f.enter(ctx, "ListLayers")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var out []Layer
	for _, l := range f.layers {
		if l.complete {
			out = append(out, l.layer)
		}
	}
	slices.SortFunc(out, func(a, b Layer) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// RemoveLayer removes a layer that nothing stands on.
func (f *Fake) RemoveLayer(ctx context.Context, id string) error {
	err := f.enter(ctx, "RemoveLayer")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	for _, l := range f.layers {
		if l.layer.Parent == id {
			return fmt.Errorf("layer %s: layer %s stands on it: %w", id, l.layer.ID, errdef.ErrConflict)
		}
	}
	for disk, d := range f.disks {
		if d.layer == id {
			return fmt.Errorf("layer %s: container %s stands on it: %w", id, disk, errdef.ErrConflict)
		}
	}
	delete(f.layers, id)
	return nil
}

// PrepareDisk says what a container's root is made of.
func (f *Fake) PrepareDisk(ctx context.Context, req PrepareDiskRequest) (Root, error) {
	err := f.enter(ctx, "PrepareDisk")
	defer f.mu.Unlock()
	if err != nil {
		return Root{}, err
	}
	base := "[fake] scratch"
	if req.Layer != "" {
		l, ok := f.layers[req.Layer]
		if !ok || !l.complete {
			return Root{}, fmt.Errorf("layer %s: %w", req.Layer, errdef.ErrNotFound)
		}
		base = l.layer.Locator
	}
	if f.disks[req.ID] == nil {
		f.disks[req.ID] = &fakeDisk{layer: req.Layer, files: map[string][]byte{}}
	}
	return Root{Kind: RootSingle, Disks: []device.Disk{{Kind: device.KindVMDKDelta, Locator: base}}}, nil
}

// RemoveDisk forgets a container's disk.
func (f *Fake) RemoveDisk(ctx context.Context, id string) error {
	err := f.enter(ctx, "RemoveDisk")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	delete(f.disks, id)
	return nil
}

// Export streams the files at and below a path that PutFile put on a disk.
func (f *Fake) Export(ctx context.Context, req ExportRequest) (io.ReadCloser, error) {
	err := f.enter(ctx, "Export")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	d, ok := f.disks[req.ID]
	if !ok {
		return nil, fmt.Errorf("disk %s: %w", req.ID, errdef.ErrNotFound)
	}
	path := strings.Trim(req.Path, "/")
	parent := path[:strings.LastIndex(path, "/")+1]
	var names []string
	for name := range d.files {
		if name == path || strings.HasPrefix(name, path+"/") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("disk %s: %s: %w", req.ID, req.Path, errdef.ErrNotFound)
	}
	sort.Strings(names)
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, name := range names {
		h := &tar.Header{Name: strings.TrimPrefix(name, parent), Mode: 0o644, Size: int64(len(d.files[name]))}
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := tw.Write(d.files[name]); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(&buf), tw.Close()
}

// PutFile puts a file on a container's disk, as a guest does: "vic/log/0".
func (f *Fake) PutFile(disk, path string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.disks[disk]; d != nil {
		d.files[strings.Trim(path, "/")] = slices.Clone(data)
	}
}

// Writes is the number of layers that were really written.
func (f *Fake) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// Content returns the names in a layer and the sha256 of its tar stream.
func (f *Fake) Content(layer string) (names []string, digest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l, ok := f.layers[layer]; ok {
		return slices.Clone(l.names), l.digest
	}
	return nil, ""
}

// HasDisk tells whether a container's disk is prepared.
func (f *Fake) HasDisk(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.disks[id] != nil
}

// DiskCount is the number of containers whose disk is prepared.
func (f *Fake) DiskCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.disks)
}
