package storage

import (
	"context"
	"fmt"
	"io"

	"github.com/openvic/vic/sdk/guest/rootfs"
	"github.com/openvic/vic/sdk/storage"
)

// Export implements storage.Driver.
func (d *Driver) Export(ctx context.Context, req storage.ExportRequest) (io.ReadCloser, error) {
	o, err := d.open(ctx, openRequest{id: req.ID})
	if err != nil {
		return nil, err
	}
	o.view = rootfs.View{Root: o.dir} // all of the disk, with what the tether keeps
	err = o.view.Do(func() error { _, err := rootfs.StatPath(req.Path); return err })
	if err != nil {
		return nil, fmt.Errorf("disk of container %s: %w", req.ID, o.end(err))
	}
	return o.stream(func(w io.Writer) error {
		return o.view.Do(func() error { return rootfs.Pack(w, req.Path) })
	}), nil
}
