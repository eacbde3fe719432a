package storage

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/rootfs"
)

// The fake's disks hold regular files alone; a directory is there if something is in it. All they
// hold below guest.RootfsDir has been added to the image.

// disk returns a disk; the caller holds the lock.
func (f *Fake) disk(id string) (*fakeDisk, error) {
	if d, ok := f.disks[id]; ok {
		return d, nil
	}
	return nil, fmt.Errorf("disk of container %s: %w", id, errdef.ErrNotFound)
}

// below returns the names at and below a path of the root file system, and whether it is a directory.
func (d *fakeDisk) below(name string) (names []string, dir bool) {
	at := path.Join(guest.RootfsDir, path.Clean("/"+name))
	for n := range d.files {
		if n == at || strings.HasPrefix(n, at+"/") {
			names = append(names, n)
			dir = dir || n != at
		}
	}
	sort.Strings(names)
	return names, dir || at == guest.RootfsDir
}

func (d *fakeDisk) stat(name string) (rootfs.Stat, []string, error) {
	names, dir := d.below(name)
	st := rootfs.Stat{Name: path.Base(path.Clean("/" + name)), Mode: 0o644, ModTime: time.Unix(1700000000, 0).UTC()}
	switch {
	case dir:
		st.Mode = fs.ModeDir | 0o755
	case len(names) == 0:
		return st, nil, fmt.Errorf("lstat %s: no such file or directory: %w", name, errdef.ErrNotFound)
	default:
		st.Size = int64(len(d.files[names[0]]))
	}
	return st, names, nil
}

// StatPath describes a file.
func (f *Fake) StatPath(ctx context.Context, req PathRequest) (rootfs.Stat, error) {
	err := f.enter(ctx, "StatPath")
	defer f.mu.Unlock()
	if err != nil {
		return rootfs.Stat{}, err
	}
	d, err := f.disk(req.ID)
	if err != nil {
		return rootfs.Stat{}, err
	}
	st, _, err := d.stat(req.Path)
	return st, err
}

// CopyOut streams files.
func (f *Fake) CopyOut(ctx context.Context, req CopyOutRequest) (rootfs.Stat, io.ReadCloser, error) {
	err := f.enter(ctx, "CopyOut")
	defer f.mu.Unlock()
	if err != nil {
		return rootfs.Stat{}, nil, err
	}
	d, err := f.disk(req.ID)
	if err != nil {
		return rootfs.Stat{}, nil, err
	}
	if req.Whole {
		req.Path = "/"
	}
	st, names, err := d.stat(req.Path)
	if err != nil {
		return st, nil, err
	}
	parent := path.Join(guest.RootfsDir, path.Dir(path.Clean("/"+req.Path)))
	r, err := d.tar(names, parent)
	return st, r, err
}

func (d *fakeDisk) tar(names []string, parent string) (io.ReadCloser, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, n := range names {
		h := &tar.Header{Name: strings.TrimPrefix(n, parent+"/"), Mode: 0o644, Size: int64(len(d.files[n]))}
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := tw.Write(d.files[n]); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(&buf), tw.Close()
}

// CopyIn keeps the regular files of a tar stream.
func (f *Fake) CopyIn(ctx context.Context, req CopyInRequest, r io.Reader) error {
	err := f.enter(ctx, "CopyIn")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	d, err := f.disk(req.ID)
	if err != nil {
		return err
	}
	switch _, dir := d.below(req.Path); {
	case req.ReadOnlyRoot:
		return fmt.Errorf("container rootfs is marked read-only: %w", errdef.ErrInvalid)
	case !dir:
		_, _, err := d.stat(req.Path)
		if err == nil {
			err = fmt.Errorf("extraction point is not a directory: %w", errdef.ErrInvalid)
		}
		return err
	}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF { //nolint:errorlint // one that wraps io.EOF is a stream that broke
			return nil
		}
		if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("not a whole tar stream: %w: %w", errdef.ErrInvalid, err)
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			return err
		}
		d.files[path.Join(guest.RootfsDir, path.Clean("/"+req.Path), path.Clean("/"+h.Name))] = b
	}
}

// Changes lists the files of a disk.
func (f *Fake) Changes(ctx context.Context, req ChangesRequest) ([]rootfs.Change, error) {
	err := f.enter(ctx, "Changes")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	d, err := f.disk(req.ID)
	if err != nil {
		return nil, err
	}
	names, _ := d.below("/")
	var all []rootfs.Change
	for _, n := range names {
		all = append(all, rootfs.Change{Kind: rootfs.Added, Path: strings.TrimPrefix(n, guest.RootfsDir)})
	}
	return all, nil
}

// Diff streams the files of a disk.
func (f *Fake) Diff(ctx context.Context, req ChangesRequest) (io.ReadCloser, error) {
	err := f.enter(ctx, "Diff")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	d, err := f.disk(req.ID)
	if err != nil {
		return nil, err
	}
	names, _ := d.below("/")
	return d.tar(names, guest.RootfsDir)
}

// Tree streams the names of a layer; it cannot be compared with.
func (f *Fake) Tree(ctx context.Context, layer string) (io.ReadCloser, error) {
	err := f.enter(ctx, "Tree")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	l, ok := f.layers[layer]
	if !ok && layer != "" {
		return nil, fmt.Errorf("layer %s: %w", layer, errdef.ErrNotFound)
	}
	var names []string
	if l != nil {
		names = slices.Clone(l.names)
	}
	return io.NopCloser(strings.NewReader(strings.Join(names, "\n") + "\n")), nil
}

// Usage is the size of the files of a disk.
func (f *Fake) Usage(ctx context.Context, id string) (int64, error) {
	err := f.enter(ctx, "Usage")
	defer f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	d, err := f.disk(id)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, b := range d.files {
		n += int64(len(b))
	}
	return n, nil
}
