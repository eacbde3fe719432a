// Package storage keeps each image layer as a VMDK that is a child of the layer below. The endpoint
// VM, in which the driver runs, writes them: a disk is hot-added, mounted, filled, unmounted and
// detached. A container's own disk is made by the compute driver, as one more child.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

const (
	maxWrites  = 4         // layers that are written at the same time
	maxExports = 6         // containers whose disks are read at the same time
	maxDepth   = 30        // disks in a chain; vSphere supports 32 with the container's own
	scratch    = "scratch" // the layer below containers of images without layers
)

// Host is the machine that disks are attached to: package endpoint, or a fake.
type Host interface {
	Device(ctx context.Context, target int) (string, error)
	Format(ctx context.Context, dev string) error
	Mount(dev string) (string, error)
	MountRead(dev string) (string, error)
	MountWrite(dev string) (string, error)
	Unmount(dir, dev string) error
	Forget(dev string) error
	Unpack(ctx context.Context, dir string, tar io.Reader) (int64, error)
	// FormatVolume makes the file system of a volume, without a lost+found in it.
	FormatVolume(ctx context.Context, dev string) error
	// Size is a device's, in bytes; Resize fits its file system to it.
	Size(dev string) (int64, error)
	Resize(ctx context.Context, dev string) error
	MountShare(ctx context.Context, s config.Share) (string, error)
	UnmountShare(dir string) error
}

// Driver implements storage.Driver.
type Driver struct {
	session *session.Session
	inv     *inventory.Inventory
	host    Host
	store   *store
	bay     *bay
	sizeKB  int64
	log     *slog.Logger

	vols   *volumes
	layers layers
	leases leases
	// Each of these holds a token for every call that is at it.
	writes  chan struct{} // layers that are written
	exports chan struct{} // disks of containers that are read
	several chan struct{} // the right to hold more than one disk: only one may wait for a second
	trees   chan struct{} // one layer is described at a time
}

var _ storage.Driver = (*Driver)(nil)

// New opens the image store, detaches what an earlier process left in the endpoint VM and removes
// the layers that it did not complete. The inventory must be filled.
func New(ctx context.Context, s *session.Session, inv *inventory.Inventory, host Host, cfg *config.Config, log *slog.Logger) (*Driver, error) {
	st, err := openStore(ctx, s, cfg.VCH.Datacenter, cfg.Storage.ImageStore)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		session: s, inv: inv, host: host, store: st, bay: newBay(s, cfg.VCH.EndpointVM), sizeKB: cfg.Storage.LayerSizeGB << 20, log: log,
		writes: make(chan struct{}, maxWrites), exports: make(chan struct{}, maxExports),
		several: make(chan struct{}, 1), trees: make(chan struct{}, 1),
	}
	d.layers.init()
	d.leases.init()
	d.openStores(cfg)
	if err := d.bay.open(ctx, d.isOurs); err != nil {
		return nil, err
	}
	d.tidyVolumes(ctx)
	return d, d.load(ctx)
}

// isOurs says that a disk in the endpoint VM is a layer, a volume or a container's: nobody else attaches
// those.
func (d *Driver) isOurs(file string) bool {
	if under(file, d.store.path(imagesDir)) || d.vols.isVolume(file) {
		return true
	}
	for _, m := range d.inv.List() {
		if under(file, m.Dir()) {
			return true
		}
	}
	return false
}

// validID keeps IDs from being paths.
func validID(id string) error {
	if !regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_.-]{0,127}$`).MatchString(id) || id == scratch {
		return fmt.Errorf("layer ID %.140q: %w", id, errdef.ErrInvalid)
	}
	return nil
}

// StatLayer implements storage.Driver.
func (d *Driver) StatLayer(_ context.Context, id string) (storage.Layer, error) {
	l, ok := d.layers.complete(id)
	if !ok || id == scratch {
		return storage.Layer{}, fmt.Errorf("layer %s: %w", id, errdef.ErrNotFound)
	}
	return d.public(l), nil
}

// ListLayers implements storage.Driver.
func (d *Driver) ListLayers(context.Context) ([]storage.Layer, error) {
	var out []storage.Layer
	for _, l := range d.layers.allComplete() {
		if l.ID != scratch {
			out = append(out, d.public(l))
		}
	}
	return out, nil
}

func (d *Driver) public(l layer) storage.Layer {
	return storage.Layer{ID: l.ID, Parent: l.Parent, Size: l.Size, Created: l.Created, Locator: d.store.path(diskFile(l.ID))}
}

// PrepareDisk implements storage.Driver. Nothing is made here: the compute driver makes the disk with
// the VM.
func (d *Driver) PrepareDisk(ctx context.Context, req storage.PrepareDiskRequest) (storage.Root, error) {
	id := req.Layer
	if id == "" {
		id = scratch
		if err := d.ensureScratch(ctx); err != nil {
			return storage.Root{}, err
		}
	}
	if !d.layers.pin(req.ID, id) {
		return storage.Root{}, fmt.Errorf("layer %s: %w", id, errdef.ErrNotFound)
	}
	return storage.Root{
		Kind:  storage.RootSingle,
		Disks: []device.Disk{{Kind: device.KindVMDKDelta, Locator: d.store.path(diskFile(id))}},
	}, nil
}

// RemoveDisk implements storage.Driver: the disk goes with the VM.
func (d *Driver) RemoveDisk(ctx context.Context, id string) error {
	d.layers.unpin(id)
	return d.Release(ctx, id)
}

// RemoveLayer implements storage.Driver.
func (d *Driver) RemoveLayer(ctx context.Context, id string) error {
	if err := validID(id); err != nil {
		return err
	}
	inUse := map[string]string{} // disk to the VM on it
	alive := map[string]bool{}
	for _, m := range d.inv.List() {
		alive[m.ID()] = true
		for _, l := range m.Layers() {
			inUse[l] = m.Name
		}
	}
	if vm, ok := inUse[d.store.path(diskFile(id))]; ok {
		return fmt.Errorf("layer %s: VM %s stands on it: %w", id, vm, errdef.ErrConflict)
	}
	there, err := d.layers.beginRemove(id, alive)
	if err != nil || !there {
		return err
	}
	err = d.deleteFiles(ctx, id)
	d.layers.endRemove(id, err == nil)
	return err
}

// deleteFiles removes the mark of completeness first: what is left after a crash is then removed at
// the next start.
func (d *Driver) deleteFiles(ctx context.Context, id string) error {
	return errors.Join(d.store.remove(ctx, metaFile(id)), d.store.remove(ctx, layerDir(id)))
}
