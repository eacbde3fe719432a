package engine

import (
	"context"
	"fmt"
	"io"

	"github.com/openvic/vic/sdk/guest/rootfs"
	"github.com/openvic/vic/sdk/storage"
)

// Changes lists what a container has changed of its image.
func (e *Engine) Changes(ctx context.Context, ref string) ([]rootfs.Change, error) {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return nil, err
	}
	r, err := c.reach(ctx)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return e.opts.Storage.Changes(ctx, storage.ChangesRequest{ID: c.id, Layer: c.definition().Image.Layer})
	}
	base, err := e.tree(ctx, c)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	ctx, cancel, explain := r.during(ctx)
	defer cancel()
	var all []rootfs.Change
	err = r.link.Changes(ctx, base, func(ch rootfs.Change) { all = append(all, ch) })
	return all, explain(err)
}

// Diff writes what a container has changed of its image as an OCI layer.
func (e *Engine) Diff(ctx context.Context, ref string, w io.Writer) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	r, err := c.reach(ctx)
	if err != nil {
		return err
	}
	if r == nil {
		stream, err := e.opts.Storage.Diff(ctx, storage.ChangesRequest{ID: c.id, Layer: c.definition().Image.Layer})
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = io.Copy(w, stream)
		return err
	}
	base, err := e.tree(ctx, c)
	if err != nil {
		return err
	}
	defer base.Close()
	ctx, cancel, explain := r.during(ctx)
	defer cancel()
	return explain(r.link.Diff(ctx, base, w))
}

// tree is what a container that runs is compared with.
func (e *Engine) tree(ctx context.Context, c *container) (io.ReadCloser, error) {
	base, err := e.opts.Storage.Tree(ctx, c.definition().Image.Layer)
	if err != nil {
		return nil, fmt.Errorf("image of container %s: %w", c.id, err)
	}
	return base, nil
}
