package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/rootfs"
	"github.com/openvic/vic/sdk/storage"
)

// openRequest names a container whose VM is off and the volumes that are needed with it.
type openRequest struct {
	id           string
	mounts       []storage.Mount
	write        bool
	readOnlyRoot bool
}

// opened are a container's disks, mounted in the endpoint VM.
type opened struct {
	dir     string // of the container's disk
	view    rootfs.View
	ctx     context.Context // ends when the VM needs its disk
	release func() error    // unmounts; may be called twice
}

// open mounts a container's disk and its volumes.
func (d *Driver) open(ctx context.Context, req openRequest) (*opened, error) {
	m, ok := d.inv.Get(req.id)
	if !ok {
		return nil, fmt.Errorf("disk of container %s: %w", req.id, errdef.ErrNotFound)
	}
	if m.State != types.VirtualMachinePowerStatePoweredOff {
		return nil, fmt.Errorf("disk of container %s: VM %s is not off: %w", req.id, m.Name, errdef.ErrConflict)
	}
	o := &opened{}
	var undo []func() error
	o.release = sync.OnceValue(func() error {
		var errs []error
		for _, fn := range slices.Backward(undo) {
			errs = append(errs, fn())
		}
		return errors.Join(errs...)
	})
	slots := []chan struct{}{d.exports}
	if len(req.mounts) > 0 {
		slots = append(slots, d.several)
	}
	for _, slot := range slots {
		select {
		case slot <- struct{}{}:
			undo = append(undo, func() error { <-slot; return nil })
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), o.release())
		}
	}
	hold := func(w want) (*lease, error) {
		l, err := d.acquire(ctx, w)
		if err == nil {
			undo = append(undo, func() error { return d.drop(w.key, l) })
		}
		return l, err
	}
	l, err := hold(d.own(m, req.write))
	if err == nil {
		o.dir, o.ctx = l.dir, l.ctx
		o.view = rootfs.View{Root: filepath.Join(l.dir, guest.RootfsDir), ReadOnly: req.readOnlyRoot}
		o.view.Binds, err = d.binds(req, hold)
	}
	if err != nil {
		return nil, errors.Join(err, o.release())
	}
	return o, nil
}

// binds mounts the volumes; a disk that is named twice is mounted once.
func (d *Driver) binds(req openRequest, hold func(want) (*lease, error)) ([]rootfs.Bind, error) {
	dirs := map[string]string{}
	var binds []rootfs.Bind
	for _, v := range req.mounts {
		if v.Disk.Kind != device.KindVMDK {
			return nil, fmt.Errorf("the volume at %s is a share (%s), which only a running container can reach: %w", v.Target, v.Disk.Kind, errdef.ErrUnsupported)
		}
		dir, ok := dirs[v.Disk.Locator]
		if !ok {
			file := func(context.Context) (string, error) { return v.Disk.Locator, nil }
			l, err := hold(want{key: v.Disk.Locator, write: req.write, file: file})
			if err != nil {
				return nil, fmt.Errorf("volume at %s: %w", v.Target, err)
			}
			dir = l.dir
			dirs[v.Disk.Locator] = dir
		}
		source := filepath.Join(dir, path.Clean("/"+v.SubDir))
		if err := os.MkdirAll(source, 0o755); err != nil {
			return nil, fmt.Errorf("volume at %s: %w", v.Target, err)
		}
		binds = append(binds, rootfs.Bind{Source: source, Target: v.Target, ReadOnly: v.ReadOnly})
	}
	return binds, nil
}

// stream runs fn in the background and returns what it writes; at the end of fn the disks are
// released, and then the stream ends.
func (o *opened) stream(fn func(io.Writer) error) io.ReadCloser {
	pr, pw := io.Pipe()
	stop := context.AfterFunc(o.ctx, func() { pw.CloseWithError(context.Cause(o.ctx)) })
	go func() {
		err := fn(pw)
		stop()
		_ = o.release() // nothing was written, and it is logged
		pw.CloseWithError(err)
	}()
	return pr
}

// end releases the disks after something that has ended with err. That they were wanted elsewhere
// explains any other error.
func (o *opened) end(err error) error {
	if err != nil && o.ctx.Err() != nil {
		err = context.Cause(o.ctx)
	}
	return errors.Join(err, o.release())
}
