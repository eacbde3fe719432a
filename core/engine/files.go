package engine

import (
	"context"
	"errors"
	"io"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/rootfs"
	"github.com/openvic/vic/sdk/storage"
)

// The files of a container are reached over the link while its VM is on, and on its disk while it is
// off. What reads a disk is ended by a start; what writes to one holds the container meanwhile.

// CopyInRequest says where the files of an archive go.
type CopyInRequest struct {
	Path string // a directory
	// KeepKinds refuses to replace a directory by something else and the other way round.
	KeepKinds bool
	// AsUser gives all files to the container's user and group; else they are those of the archive.
	AsUser bool
}

// reach returns the run over whose link a container's files are reached, nil if its VM is off.
func (c *container) reach(ctx context.Context) (*run, error) {
	c.mu.Lock()
	r, going := c.run, c.going()
	closing := r != nil && (c.life.ended() || r.readersShut)
	c.mu.Unlock()
	switch {
	case going:
		return nil, errRemoving(c.id)
	case r == nil:
		return nil, nil
	}
	if closing { // the end of the run is near
		ctx, cancel := context.WithTimeout(ctx, logPatience)
		defer cancel()
		if c.await(ctx, func() bool { return r.off() }) == nil {
			return nil, nil
		}
		return nil, c.stillOn()
	}
	if err := r.awaitLink(ctx, logPatience); err != nil {
		return nil, fail(errdef.ErrUnavailable, "container %s: its VM does not answer, so its files cannot be reached now", c.id)
	}
	return r, nil
}

// during returns a context that ends with the run too, and a function that explains an error that is
// due to that end.
func (r *run) during(ctx context.Context) (context.Context, context.CancelFunc, func(error) error) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.ctx, cancel)
	return ctx, func() { stop(); cancel() }, func(err error) error {
		if err != nil && (r.ctx.Err() != nil || errors.Is(err, errdef.ErrUnavailable) && r.hasEnded()) {
			return fail(errdef.ErrConflict, "container %s has stopped while its files were in use", r.c.id)
		}
		return err
	}
}

// StatPath describes one file of a container.
func (e *Engine) StatPath(ctx context.Context, ref, name string) (rootfs.Stat, error) {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return rootfs.Stat{}, err
	}
	r, err := c.reach(ctx)
	if err != nil {
		return rootfs.Stat{}, err
	}
	if r == nil {
		mounts, err := e.Volumes.mountsOff(c, name)
		if err != nil {
			return rootfs.Stat{}, err
		}
		return e.opts.Storage.StatPath(ctx, storage.PathRequest{ID: c.id, Path: name, Mounts: mounts})
	}
	ctx, cancel, explain := r.during(ctx)
	defer cancel()
	st, err := r.link.StatPath(ctx, name)
	return st, explain(err)
}

// CopyOut streams a file or directory of a container as tar. The caller closes the stream.
func (e *Engine) CopyOut(ctx context.Context, ref, name string) (rootfs.Stat, io.ReadCloser, error) {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return rootfs.Stat{}, nil, err
	}
	st, stream, err := e.copyOut(ctx, c, name, false)
	if err == nil {
		e.emit(c, "archive-path")
	}
	return st, stream, err
}

func (e *Engine) copyOut(ctx context.Context, c *container, name string, whole bool) (rootfs.Stat, io.ReadCloser, error) {
	r, err := c.reach(ctx)
	if err != nil {
		return rootfs.Stat{}, nil, err
	}
	if r == nil {
		req := storage.CopyOutRequest{PathRequest: storage.PathRequest{ID: c.id, Path: name}, Whole: whole}
		if !whole {
			if req.Mounts, err = e.Volumes.mountsOff(c, name); err != nil {
				return rootfs.Stat{}, nil, err
			}
		}
		return e.opts.Storage.CopyOut(ctx, req)
	}
	ctx, cancel, explain := r.during(ctx)
	st, stream, err := r.link.CopyOut(ctx, name, whole)
	if err != nil {
		cancel()
		return st, nil, explain(err)
	}
	return st, &liveStream{ReadCloser: stream, cancel: cancel, explain: explain}, nil
}

// liveStream is a stream from a container that runs.
type liveStream struct {
	io.ReadCloser
	cancel  context.CancelFunc
	explain func(error) error
}

func (s *liveStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // one that wraps io.EOF is a stream that broke
		err = s.explain(err)
	}
	return n, err
}

func (s *liveStream) Close() error {
	s.cancel()
	return s.ReadCloser.Close()
}

// CopyIn unpacks a tar stream in a container.
func (e *Engine) CopyIn(ctx context.Context, ref string, req CopyInRequest, tar io.Reader) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	o := rootfs.UnpackOptions{Path: req.Path, KeepKinds: req.KeepKinds}
	if req.AsUser {
		o.Owner = c.definition().Process.User
	}
	if err := e.copyIn(ctx, c, o, tar); err != nil {
		return err
	}
	e.emit(c, "extract-to-dir")
	return nil
}

func (e *Engine) copyIn(ctx context.Context, c *container, o rootfs.UnpackOptions, tar io.Reader) error {
	r, err := c.reach(ctx)
	if err != nil {
		return err
	}
	if r == nil {
		return e.copyInOff(ctx, c, o, tar)
	}
	ctx, cancel, explain := r.during(ctx)
	defer cancel()
	return explain(r.link.CopyIn(ctx, o, tar))
}

// copyInOff writes to the disk of a container that is off, and keeps it off meanwhile.
func (e *Engine) copyInOff(ctx context.Context, c *container, o rootfs.UnpackOptions, tar io.Reader) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if r, err := c.reach(ctx); err != nil {
		return err
	} else if r != nil {
		return fail(errdef.ErrConflict, "container %s has been started meanwhile: try again", c.id)
	}
	mounts, err := e.Volumes.mountsOff(c, o.Path)
	if err != nil {
		return err
	}
	return e.opts.Storage.CopyIn(ctx, storage.CopyInRequest{ID: c.id, Mounts: mounts, ReadOnlyRoot: c.definition().ReadOnly,
		UnpackOptions: o}, tar)
}

// DiskUsage is how many bytes a container's own disk takes on its datastore.
func (e *Engine) DiskUsage(ctx context.Context, ref string) (int64, error) {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return 0, err
	}
	return e.opts.Storage.Usage(ctx, c.id)
}
