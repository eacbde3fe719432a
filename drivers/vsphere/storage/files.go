package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/rootfs"
	"github.com/openvic/vic/sdk/storage"
)

// StatPath implements storage.Files.
func (d *Driver) StatPath(ctx context.Context, req storage.PathRequest) (rootfs.Stat, error) {
	var st rootfs.Stat
	o, err := d.open(ctx, openRequest{id: req.ID, mounts: req.Mounts})
	if err != nil {
		return st, err
	}
	err = o.view.Do(func() (err error) {
		st, err = rootfs.StatPath(req.Path)
		return err
	})
	return st, o.end(err)
}

// CopyOut implements storage.Files.
func (d *Driver) CopyOut(ctx context.Context, req storage.CopyOutRequest) (rootfs.Stat, io.ReadCloser, error) {
	var st rootfs.Stat
	if req.Whole {
		req.Path, req.Mounts = "/", nil
	}
	o, err := d.open(ctx, openRequest{id: req.ID, mounts: req.Mounts})
	if err != nil {
		return st, nil, err
	}
	err = o.view.Do(func() (err error) {
		st, err = rootfs.StatPath(req.Path)
		return err
	})
	if err != nil {
		return st, nil, o.end(err)
	}
	return st, o.stream(func(w io.Writer) error {
		return o.view.Do(func() error {
			if req.Whole {
				return rootfs.PackAll(w)
			}
			return rootfs.Pack(w, req.Path)
		})
	}), nil
}

// CopyIn implements storage.Files. The files are on the disk when it is unmounted.
func (d *Driver) CopyIn(ctx context.Context, req storage.CopyInRequest, tar io.Reader) error {
	o, err := d.open(ctx, openRequest{id: req.ID, mounts: req.Mounts, write: true, readOnlyRoot: req.ReadOnlyRoot})
	if err != nil {
		return err
	}
	src := &source{r: tar}
	err = o.view.Do(func() error { return rootfs.Unpack(src, req.UnpackOptions) })
	if err != nil && src.err != nil {
		err = fmt.Errorf("read the archive: %w", src.err)
	}
	return o.end(err)
}

// Changes implements storage.Files.
func (d *Driver) Changes(ctx context.Context, req storage.ChangesRequest) ([]rootfs.Change, error) {
	base, err := d.tree(ctx, req.Layer)
	if err != nil {
		return nil, err
	}
	o, err := d.open(ctx, openRequest{id: req.ID})
	if err != nil {
		return nil, err
	}
	var all []rootfs.Change
	err = o.view.Do(func() error {
		return rootfs.Compare(bytes.NewReader(base), func(c rootfs.Change) error {
			all = append(all, c)
			return ctx.Err()
		})
	})
	return all, o.end(err)
}

// Diff implements storage.Files.
func (d *Driver) Diff(ctx context.Context, req storage.ChangesRequest) (io.ReadCloser, error) {
	base, err := d.tree(ctx, req.Layer)
	if err != nil {
		return nil, err
	}
	o, err := d.open(ctx, openRequest{id: req.ID})
	if err != nil {
		return nil, err
	}
	return o.stream(func(w io.Writer) error {
		return o.view.Do(func() error { return rootfs.WriteLayer(w, bytes.NewReader(base)) })
	}), nil
}

// Usage implements storage.Files: the disks in the VM's folder; volumes and layers have their own.
func (d *Driver) Usage(ctx context.Context, id string) (int64, error) {
	m, ok := d.inv.Get(id)
	if !ok {
		return 0, fmt.Errorf("disk of container %s: %w", id, errdef.ErrNotFound)
	}
	info, err := d.store.run(ctx, "list "+m.Dir(), func(ctx context.Context) (*object.Task, error) {
		b := object.NewHostDatastoreBrowser(d.session.Client(), d.store.browser)
		return b.SearchDatastore(ctx, m.Dir(), &types.HostDatastoreBrowserSearchSpec{MatchPattern: []string{"*.vmdk"},
			Details: &types.FileQueryFlags{FileSize: true}})
	})
	if err != nil {
		return 0, err
	}
	res, ok := info.Result.(types.HostDatastoreBrowserSearchResults)
	if !ok {
		return 0, fmt.Errorf("list %s: the task's result is %T: %w", m.Dir(), info.Result, errdef.ErrInternal)
	}
	files := fileSizes{}
	files.add(res.File)
	return files.disks(), nil
}
