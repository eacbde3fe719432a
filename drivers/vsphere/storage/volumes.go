package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

const (
	mib = 1 << 20
	// minVolume is what ext4 with a journal needs to be of any use.
	minVolume = 16 * mib
	// maxVolume is vSphere's largest virtual disk.
	maxVolume = 62 << 40
)

// volumeStore is one place of volumes: a datastore folder or an NFS share.
type volumeStore interface {
	// list returns the volumes that are whole.
	list(ctx context.Context) ([]storage.Volume, error)
	// find returns one of them; ErrNotFound.
	find(ctx context.Context, name string) (storage.Volume, error)
	// create makes a volume, or leaves nothing that counts as one.
	create(ctx context.Context, v storage.Volume) (storage.Volume, error)
	remove(ctx context.Context, v storage.Volume) error
	grow(ctx context.Context, v storage.Volume, capacity int64) (storage.Volume, error)
	// tidy removes what an earlier process of this VCH left half made.
	tidy(ctx context.Context) error
}

// volumes is what the driver knows of its volumes. The stores are the truth; all is a copy that
// ListVolumes renews.
type volumes struct {
	stores   map[string]volumeStore
	capacity int64 // of volumes whose maker asks for none

	// mu guards the two tables, not the volumes: whoever changes a volume holds its place in busy meanwhile,
	// see lock. Volumes of different names are changed side by side.
	mu   sync.Mutex
	all  map[string]storage.Volume
	busy map[string]chan struct{} // volumes that are being made, removed or grown; closed at the end
}

// openStores makes the volume stores; nothing of them is asked yet.
func (d *Driver) openStores(cfg *config.Config) {
	d.vols = &volumes{stores: map[string]volumeStore{}, capacity: cfg.Storage.VolumeSizeMB * mib,
		all: map[string]storage.Volume{}, busy: map[string]chan struct{}{}}
	for label, place := range cfg.Storage.VolumeStores {
		if share, ok, _ := config.ParseShare(place); ok {
			d.vols.stores[label] = &shareStore{label: label, share: share, host: d.host, vch: cfg.VCH.Name}
		} else {
			d.vols.stores[label] = &diskStore{label: label, place: place, driver: d, vch: cfg.VCH.Name, datacenter: cfg.VCH.Datacenter}
		}
	}
}

// tidyVolumes removes what an earlier process left half made.
func (d *Driver) tidyVolumes(ctx context.Context) {
	for label, s := range d.vols.stores {
		// A store that is away is no reason not to run containers.
		if err := s.tidy(ctx); err != nil {
			d.log.Warn("volume store cannot be used now", "store", label, "err", err)
		}
	}
}

// isVolume says that a disk lies in one of the volume stores.
func (v *volumes) isVolume(file string) bool {
	for _, s := range v.stores {
		if ds, ok := s.(*diskStore); ok && under(file, ds.place) {
			return true
		}
	}
	return false
}

// lock takes the right to change one volume.
func (v *volumes) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		v.mu.Lock()
		other := v.busy[name]
		if other == nil {
			mine := make(chan struct{})
			v.busy[name] = mine
			v.mu.Unlock()
			return func() {
				v.mu.Lock()
				defer v.mu.Unlock()
				delete(v.busy, name)
				close(mine)
			}, nil
		}
		v.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (v *volumes) known(name string) (storage.Volume, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	x, ok := v.all[name]
	return x, ok
}

func (v *volumes) put(x storage.Volume) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all[x.Name] = x
}

func (v *volumes) forget(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.all, name)
}

// find looks for a volume in the copy, then in the stores.
func (v *volumes) find(ctx context.Context, name string) (storage.Volume, error) {
	if err := storage.CheckVolumeName(name); err != nil {
		return storage.Volume{}, fmt.Errorf("volume %.80q: %w", name, errdef.ErrNotFound)
	}
	if x, ok := v.known(name); ok {
		return x, nil
	}
	var errs []error
	for _, label := range slices.Sorted(maps.Keys(v.stores)) {
		x, err := v.stores[label].find(ctx, name)
		if err == nil {
			v.put(x)
			return x, nil
		}
		if !errors.Is(err, errdef.ErrNotFound) {
			errs = append(errs, fmt.Errorf("whether volume store %s has a volume %s cannot be told: %w", label, name, err))
		}
	}
	if len(errs) > 0 {
		return storage.Volume{}, errors.Join(errs...)
	}
	return storage.Volume{}, fmt.Errorf("volume %s: %w", name, errdef.ErrNotFound)
}

// existing looks for the volume that a request may have made already.
func (v *volumes) existing(ctx context.Context, req storage.CreateVolumeRequest) (storage.Volume, error) {
	if !req.Fresh {
		return v.find(ctx, req.Name)
	}
	s, x, err := v.plan(req)
	if err != nil {
		return x, err
	}
	return s.find(ctx, req.Name)
}

// GetVolume implements storage.Driver.
func (d *Driver) GetVolume(ctx context.Context, name string) (storage.Volume, error) {
	return d.vols.find(ctx, name)
}

// ListVolumes implements storage.Driver. Volumes of a store that is away are shown as they were.
func (d *Driver) ListVolumes(ctx context.Context) ([]storage.Volume, error) {
	now := map[string]storage.Volume{}
	for label, s := range d.vols.stores {
		found, err := s.list(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			d.log.Warn("volume store cannot be listed", "store", label, "err", err)
			found = d.vols.of(label)
		}
		for _, x := range found {
			now[x.Name] = x
		}
	}
	d.vols.replace(now)
	return slices.SortedFunc(maps.Values(now), func(a, b storage.Volume) int { return strings.Compare(a.Name, b.Name) }), nil
}

// of returns the known volumes of a store.
func (v *volumes) of(label string) []storage.Volume {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []storage.Volume
	for _, x := range v.all {
		if x.Store == label {
			out = append(out, x)
		}
	}
	return out
}

// replace takes over a new list, but for volumes that were changed meanwhile.
func (v *volumes) replace(now map[string]storage.Volume) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name := range v.busy {
		if x, ok := v.all[name]; ok {
			now[name] = x
		}
	}
	v.all = maps.Clone(now)
}

// CreateVolume implements storage.Driver.
func (d *Driver) CreateVolume(ctx context.Context, req storage.CreateVolumeRequest) (storage.Volume, error) {
	if err := storage.CheckVolumeName(req.Name); err != nil {
		return storage.Volume{}, err
	}
	unlock, err := d.vols.lock(ctx, req.Name)
	if err != nil {
		return storage.Volume{}, err
	}
	defer unlock()
	v, err := d.vols.existing(ctx, req)
	if err == nil || !errors.Is(err, errdef.ErrNotFound) {
		return v, err
	}
	s, v, err := d.vols.plan(req)
	if err != nil {
		return storage.Volume{}, err
	}
	begun := time.Now()
	v.Created = begun.UTC()
	if v, err = s.create(ctx, v); err != nil {
		return storage.Volume{}, fmt.Errorf("make volume %s: %w", req.Name, err)
	}
	d.vols.put(v)
	d.log.Info("volume made", "volume", v.Name, "store", v.Store, "bytes", v.Capacity, "seconds", time.Since(begun).Seconds())
	return v, nil
}

// plan checks a request and says what it comes to.
func (v *volumes) plan(req storage.CreateVolumeRequest) (volumeStore, storage.Volume, error) {
	x := storage.Volume{Name: req.Name, Store: req.Store, Capacity: req.Capacity, Used: -1, Labels: req.Labels, Options: req.Options}
	if x.Store == "" {
		x.Store = config.DefaultVolumeStore
	}
	s := v.stores[x.Store]
	switch {
	case len(v.stores) == 0:
		return nil, x, fmt.Errorf("this virtual container host has no volume stores (vic-machine create --volume-store): %w", errdef.ErrUnsupported)
	case s == nil && req.Store == "":
		return nil, x, fmt.Errorf("no volume store is named %q: name one of %s with the option VolumeStore: %w",
			x.Store, v.labels(), errdef.ErrInvalid)
	case s == nil:
		return nil, x, fmt.Errorf("volume store %q; there are %s: %w", x.Store, v.labels(), errdef.ErrNotFound)
	}
	for key := range req.Options {
		if !storage.CommonVolumeOption(key) {
			return nil, x, fmt.Errorf("volume option %q is not known; known are %s and %s: %w",
				key, storage.OptionCapacity, storage.OptionVolumeStore, errdef.ErrInvalid)
		}
	}
	switch {
	case x.Capacity == 0:
		x.Capacity = v.capacity
	case x.Capacity < minVolume || x.Capacity > maxVolume:
		return nil, x, fmt.Errorf("capacity of %d bytes: it must be between %d MB and %d TB: %w", x.Capacity, minVolume/mib, maxVolume>>40, errdef.ErrInvalid)
	}
	x.Capacity = (x.Capacity + mib - 1) / mib * mib
	return s, x, nil
}

func (v *volumes) labels() string { return strings.Join(slices.Sorted(maps.Keys(v.stores)), ", ") }

// RemoveVolume implements storage.Driver.
func (d *Driver) RemoveVolume(ctx context.Context, name string) error {
	unlock, err := d.vols.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	v, err := d.vols.find(ctx, name)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if vm := d.holder(v, false); vm != "" {
		return fmt.Errorf("volume %s: VM %s has it attached: %w", name, vm, errdef.ErrConflict)
	}
	s := d.vols.stores[v.Store]
	if err := s.remove(ctx, v); err != nil {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	d.vols.forget(name)
	return nil
}

// GrowVolume implements storage.Driver.
func (d *Driver) GrowVolume(ctx context.Context, req storage.GrowVolumeRequest) (storage.Volume, error) {
	unlock, err := d.vols.lock(ctx, req.Name)
	if err != nil {
		return storage.Volume{}, err
	}
	defer unlock()
	v, err := d.vols.find(ctx, req.Name)
	if err != nil {
		return v, err
	}
	want := (req.Capacity + mib - 1) / mib * mib
	switch vm := d.holder(v, true); {
	case want < v.Capacity:
		return v, fmt.Errorf("volume %s has %d MB already and cannot shrink to %d: %w", v.Name, v.Capacity/mib, want/mib, errdef.ErrInvalid)
	case want > maxVolume:
		return v, fmt.Errorf("volume %s: %d MB are more than vSphere's %d TB: %w", v.Name, want/mib, maxVolume>>40, errdef.ErrInvalid)
	case vm != "":
		return v, fmt.Errorf("volume %s: VM %s runs with it; it grows when that is off: %w", v.Name, vm, errdef.ErrConflict)
	}
	grown, err := d.vols.stores[v.Store].grow(ctx, v, want)
	if err != nil {
		return v, fmt.Errorf("grow volume %s: %w", v.Name, err)
	}
	d.vols.put(grown)
	d.log.Info("volume grown", "volume", v.Name, "bytes", grown.Capacity, "before", v.Capacity)
	return grown, nil
}

// holder names a VM of this VCH that has a volume's disk attached; "" if none has. running asks for
// VMs that are on.
func (d *Driver) holder(v storage.Volume, running bool) string {
	for _, m := range d.inv.List() {
		if holds(m, v, running) {
			return m.Name
		}
	}
	return ""
}

func holds(m *inventory.Machine, v storage.Volume, running bool) bool {
	return slices.Contains(m.Volumes(), v.Disk.Locator) && (!running || m.State != types.VirtualMachinePowerStatePoweredOff)
}
