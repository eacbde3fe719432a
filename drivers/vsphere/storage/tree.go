package storage

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/rootfs"
)

// treeName is the file beside a layer's disk that describes its file system (package rootfs). It is
// made when it is first asked for: most layers are never the top one of a container that is compared.
const treeName = "tree-2.gz"

// maxTree bounds a description: some ten million files.
const maxTree = 512 << 20

func treeFile(id string) string { return path.Join(imagesDir, id, treeName) }

// Tree implements storage.Files.
func (d *Driver) Tree(ctx context.Context, id string) (io.ReadCloser, error) {
	data, err := d.tree(ctx, id)
	return io.NopCloser(bytes.NewReader(data)), err
}

func (d *Driver) tree(ctx context.Context, id string) ([]byte, error) {
	if id == "" {
		id = scratch
		if err := d.ensureScratch(ctx); err != nil {
			return nil, err
		}
	}
	if _, ok := d.layers.complete(id); !ok {
		return nil, fmt.Errorf("layer %s: %w", id, errdef.ErrNotFound)
	}
	select {
	case d.trees <- struct{}{}:
		defer func() { <-d.trees }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if data, err := d.readTree(ctx, id); err == nil {
		return data, nil
	} else if !errors.Is(err, errdef.ErrNotFound) {
		d.log.Info("the description of a layer cannot be read and is made again", "layer", id, "err", err)
	}
	return d.makeTree(ctx, id)
}

func (d *Driver) readTree(ctx context.Context, id string) ([]byte, error) {
	files, err := d.store.list(ctx, layerDir(id), treeName)
	if err != nil {
		return nil, err
	}
	if len(files[""]) == 0 {
		return nil, fmt.Errorf("%s of layer %s: %w", treeName, id, errdef.ErrNotFound)
	}
	packed, err := d.store.read(ctx, treeFile(id), maxTree)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%s of layer %s: %w", treeName, id, err)
	}
	return io.ReadAll(z) // the sum at the end tells a file that was cut
}

// makeTree mounts a layer and walks it. A description that cannot be kept is made again next time.
func (d *Driver) makeTree(ctx context.Context, id string) ([]byte, error) {
	w := want{key: "layer " + id, file: func(context.Context) (string, error) { return d.store.path(diskFile(id)), nil }}
	l, err := d.acquire(ctx, w)
	if err != nil {
		return nil, err
	}
	var tree bytes.Buffer
	err = rootfs.View{Root: filepath.Join(l.dir, guest.RootfsDir)}.Do(func() error { return rootfs.WriteTree(&tree) })
	err = errors.Join(err, d.drop(w.key, l))
	if err != nil {
		return nil, fmt.Errorf("describe layer %s: %w", id, err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(tree.Bytes())
	if err = errors.Join(err, z.Close()); err == nil {
		err = d.store.put(ctx, treeFile(id), packed.Bytes())
	}
	if err != nil {
		d.log.Warn("the description of a layer is not kept", "layer", id, "err", err)
	}
	return tree.Bytes(), nil
}
