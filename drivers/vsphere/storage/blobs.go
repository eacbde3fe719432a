package storage

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// blobsDir is the folder of small files beside the layers.
const blobsDir = "kv"

// Blobs are small files in the image store, for what must outlive the endpoint VM and its disk.
type Blobs struct {
	store  *store
	folder string
}

// Blobs returns those of one folder.
func (d *Driver) Blobs(folder string) *Blobs {
	return &Blobs{store: d.store, folder: path.Join(blobsDir, folder)}
}

// List returns the names that end so.
func (b *Blobs) List(ctx context.Context, suffix string) ([]string, error) {
	files, err := b.store.list(ctx, b.folder, "*"+suffix)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for name := range files[""] {
		if strings.HasSuffix(name, suffix) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Get reads one.
func (b *Blobs) Get(ctx context.Context, name string) ([]byte, error) {
	return b.store.get(ctx, path.Join(b.folder, name))
}

// Put writes one, and makes the folder if it is not there.
func (b *Blobs) Put(ctx context.Context, name string, data []byte) error {
	if err := b.store.mkdir(ctx, b.folder); err != nil && !errors.Is(err, errdef.ErrExists) {
		return err
	}
	return b.store.put(ctx, path.Join(b.folder, name), data)
}

// Remove removes one; that it is gone is no error.
func (b *Blobs) Remove(ctx context.Context, name string) error {
	return b.store.remove(ctx, path.Join(b.folder, name))
}
