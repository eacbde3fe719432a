package storage

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/storage"
)

const loadParallel = 8

// WriteLayer implements storage.Driver.
func (d *Driver) WriteLayer(ctx context.Context, req storage.WriteLayerRequest, r io.Reader) (storage.Layer, error) {
	if err := validID(req.ID); err != nil {
		return storage.Layer{}, err
	}
	l, err := d.writeShared(ctx, req, r)
	if err != nil {
		return storage.Layer{}, err
	}
	return d.public(l), nil
}

// writeShared writes a layer or waits for the call that does.
func (d *Driver) writeShared(ctx context.Context, req storage.WriteLayerRequest, r io.Reader) (layer, error) {
	for {
		e, parent, mine, err := d.layers.begin(req.ID, req.Parent)
		if err != nil {
			return layer{}, err
		}
		if mine {
			l, err := d.write(ctx, layer{ID: req.ID, Parent: req.Parent, Depth: 1}, parent, r)
			d.layers.end(e, l, err)
			return l, err
		}
		if e.done != nil {
			select {
			case <-e.done:
			case <-ctx.Done():
				return layer{}, ctx.Err()
			}
		}
		if errors.Is(e.err, context.Canceled) || errors.Is(e.err, context.DeadlineExceeded) {
			continue // the other caller gave up; this one has not
		}
		if e.err != nil {
			return layer{}, e.err
		}
		_, err = io.Copy(io.Discard, r)
		return e.layer, err
	}
}

// write makes the disk of a layer and fills it. If that fails nothing is left.
func (d *Driver) write(ctx context.Context, l, parent layer, r io.Reader) (layer, error) {
	select {
	case d.writes <- struct{}{}:
		defer func() { <-d.writes }()
	case <-ctx.Done():
		return l, ctx.Err()
	}
	begun := time.Now()
	if err := d.freshDir(ctx, l.ID); err != nil {
		return l, err
	}
	err := d.fill(ctx, &l, parent, r)
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if rerr := d.store.remove(undo, layerDir(l.ID)); rerr != nil {
			d.log.Warn("files of a failed layer are left", "layer", l.ID, "err", rerr)
		}
		return l, fmt.Errorf("write layer %s: %w", l.ID, err)
	}
	l.Created = time.Now().UTC()
	d.log.Info("layer written", "layer", l.ID, "bytes", l.Size, "seconds", time.Since(begun).Seconds())
	return l, nil
}

// freshDir makes the layer's folder; what an earlier failure left in it goes.
func (d *Driver) freshDir(ctx context.Context, id string) error {
	err := d.store.mkdir(ctx, layerDir(id))
	if !errors.Is(err, errdef.ErrExists) {
		return err
	}
	if err := d.store.remove(ctx, layerDir(id)); err != nil {
		return err
	}
	return d.store.mkdir(ctx, layerDir(id))
}

// fill attaches the layer's disk, writes the tar stream to it and detaches it.
func (d *Driver) fill(ctx context.Context, l *layer, parent layer, r io.Reader) error {
	v := disk{file: d.store.path(diskFile(l.ID)), create: true, sizeKB: d.sizeKB}
	if l.Parent != "" {
		v.parent = d.store.path(diskFile(l.Parent))
		l.Depth = parent.Depth + 1
	}
	if l.Depth > maxDepth {
		if err := d.store.flatten(ctx, v.parent, v.file); err != nil {
			return err
		}
		v.create, v.parent, l.Depth = false, "", 1
	}
	return d.with(ctx, v, func(ctx context.Context, dev string) error {
		if l.Parent == "" {
			if err := d.host.Format(ctx, dev); err != nil {
				return err
			}
		}
		dir, err := d.host.Mount(dev)
		if err != nil {
			return err
		}
		l.Size, err = d.unpack(ctx, dir, l.Parent == "", r)
		return errors.Join(err, d.host.Unmount(dir, dev))
	})
}

// with attaches a disk, runs f with its device and detaches it, whatever happens.
func (d *Driver) with(ctx context.Context, v disk, f func(ctx context.Context, dev string) error) (err error) {
	target, err := d.bay.attach(ctx, v)
	if err != nil {
		return err
	}
	dev := ""
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if dev != "" {
			err = errors.Join(err, d.host.Forget(dev))
		}
		err = errors.Join(err, d.bay.detach(end, target))
	}()
	if dev, err = d.host.Device(ctx, target); err != nil {
		return err
	}
	return f(ctx, dev)
}

// unpack writes the layer's files below guest.RootfsDir.
func (d *Driver) unpack(ctx context.Context, dir string, base bool, r io.Reader) (int64, error) {
	root := filepath.Join(dir, guest.RootfsDir)
	if base {
		for _, x := range []string{root, filepath.Join(dir, guest.StateDir)} {
			if err := os.Mkdir(x, 0o755); err != nil {
				return 0, fmt.Errorf("new file system: %w", err)
			}
		}
	}
	src := &source{r: r}
	size, err := d.host.Unpack(ctx, root, src)
	if err == nil {
		_, err = io.Copy(io.Discard, src)
	}
	return size, classify(err, src.err)
}

// source remembers its own error, which is not the archive's fault.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func classify(err, reading error) error {
	switch {
	case err == nil:
		return nil
	case reading != nil:
		return fmt.Errorf("read the layer's stream: %w", reading)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("the layer does not fit (storage.layer_size_gb): %w: %w", errdef.ErrExhausted, err)
	case errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the layer is not a tar stream: %w: %w", errdef.ErrInvalid, err)
	}
	return err
}

// CommitLayer implements storage.Driver.
func (d *Driver) CommitLayer(ctx context.Context, id string) error {
	l, done, err := d.layers.commitable(id)
	if err != nil || done {
		return err
	}
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("layer %s: %w", id, err)
	}
	if err := d.store.put(ctx, metaFile(id), data); err != nil {
		return err
	}
	d.layers.commit(id)
	return nil
}

// ensureScratch makes the empty layer if it is not there.
func (d *Driver) ensureScratch(ctx context.Context) error {
	if _, ok := d.layers.complete(scratch); ok {
		return nil
	}
	if _, err := d.writeShared(ctx, storage.WriteLayerRequest{ID: scratch}, bytes.NewReader(nil)); err != nil {
		return err
	}
	return d.CommitLayer(ctx, scratch)
}

// load learns which layers are complete and removes the others.
func (d *Driver) load(ctx context.Context) error {
	if err := d.store.mkdir(ctx, imagesDir); err != nil && !errors.Is(err, errdef.ErrExists) {
		return err
	}
	files, err := d.store.list(ctx, imagesDir, metaName, "*.vmdk")
	if err != nil {
		return err
	}
	found := make([]*layer, 0, len(files))
	var remove []string
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(loadParallel)
	for dir, names := range files {
		if dir == "" {
			continue
		}
		if !names.has(metaName) || !names.has(dir+".vmdk") {
			remove = append(remove, dir)
			continue
		}
		l := &layer{}
		found = append(found, l)
		g.Go(func() error { return d.readMeta(gctx, dir, l) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	byID := map[string]layer{}
	for _, l := range found {
		byID[l.ID] = *l
	}
	good, bad := sound(byID)
	for _, l := range good {
		d.layers.add(l)
	}
	for _, l := range bad {
		remove = append(remove, l.ID)
	}
	return d.removeAll(ctx, remove)
}

func (d *Driver) readMeta(ctx context.Context, dir string, l *layer) error {
	data, err := d.store.get(ctx, metaFile(dir))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, l); err != nil || l.ID != dir {
		d.log.Warn("a layer's description is damaged; the layer counts as incomplete", "layer", dir)
		*l = layer{ID: dir, Parent: dir}
	}
	return nil
}

// removeAll removes incomplete layers.
func (d *Driver) removeAll(ctx context.Context, ids []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(loadParallel)
	for _, id := range ids {
		g.Go(func() error {
			d.log.Info("removing an incomplete layer", "layer", id)
			return d.deleteFiles(ctx, id)
		})
	}
	return g.Wait()
}
