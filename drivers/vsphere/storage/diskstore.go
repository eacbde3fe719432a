package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/storage"
)

// The files of a volume, in volumes/<name>/ of its store.
const (
	volumeMeta = "volume.json" // makes it whole
	// volumeMark is there while a volume is made or removed; it names the VCH that is at it, since
	// stores may be shared.
	volumeMark = "working.json"
	// volumeFormat is the version of volume.json.
	volumeFormat = 1
)

func volumeDir(name string) string { return path.Join(config.VolumesDir, name) }
func volumeDisk(name string) string {
	return path.Join(config.VolumesDir, name, name+".vmdk")
}

// volumeRecord is the content of volume.json.
type volumeRecord struct {
	Version  int               `json:"version"`
	Name     string            `json:"name"`
	Capacity int64             `json:"capacity"`
	Created  time.Time         `json:"created"`
	Labels   map[string]string `json:"labels,omitempty"`
	Options  map[string]string `json:"options,omitempty"`
}

func recordOf(v storage.Volume) volumeRecord {
	return volumeRecord{Version: volumeFormat, Name: v.Name, Capacity: v.Capacity, Created: v.Created, Labels: v.Labels, Options: v.Options}
}

func (r volumeRecord) volume(store string, disk device.Disk) storage.Volume {
	return storage.Volume{Name: r.Name, Store: store, Capacity: r.Capacity, Used: -1, Created: r.Created,
		Labels: r.Labels, Options: r.Options, Disk: disk}
}

func parseRecord(data []byte, name string) (volumeRecord, error) {
	var r volumeRecord
	if err := json.Unmarshal(data, &r); err != nil || r.Name != name {
		return r, fmt.Errorf("the description of volume %s is damaged: %w", name, errdef.ErrInternal)
	}
	if r.Version > volumeFormat {
		return r, fmt.Errorf("volume %s was made by a newer driver: %w", name, errdef.ErrUnsupported)
	}
	return r, nil
}

// diskStore keeps each volume as a VMDK in a folder of its own on a datastore.
type diskStore struct {
	label, place    string // "[ds] folder"
	vch, datacenter string
	driver          *Driver

	mu    sync.Mutex // guards files, and is held while the datastore is looked for: once is enough
	files *store     // nil until the datastore was found
}

var _ volumeStore = (*diskStore)(nil)

// open finds the datastore; one that is not there is looked for again at the next call.
func (s *diskStore) open(ctx context.Context) (*store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files != nil {
		return s.files, nil
	}
	files, err := openStore(ctx, s.driver.session, s.datacenter, s.place)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errdef.ErrUnavailable, err)
	}
	if err := files.mkdir(ctx, config.VolumesDir); err != nil && !errors.Is(err, errdef.ErrExists) {
		return nil, err
	}
	s.files = files
	return files, nil
}

// scan returns the folders of volumes, each with its files.
func (s *diskStore) scan(ctx context.Context) (*store, map[string]fileSizes, error) {
	files, err := s.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	found, err := files.list(ctx, config.VolumesDir, volumeMeta, volumeMark, "*.vmdk")
	delete(found, "")
	return files, found, err
}

func whole(dir string, names fileSizes) bool {
	return names.has(volumeMeta) && names.has(dir+".vmdk")
}

func (s *diskStore) list(ctx context.Context) ([]storage.Volume, error) {
	_, found, err := s.scan(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var out []storage.Volume
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(loadParallel)
	for dir, names := range found {
		if !whole(dir, names) || storage.CheckVolumeName(dir) != nil {
			continue
		}
		g.Go(func() error {
			v, err := s.find(gctx, dir)
			if errors.Is(err, errdef.ErrNotFound) {
				return nil // removed meanwhile
			}
			if err != nil {
				s.driver.log.Warn("a volume cannot be read", "volume", dir, "store", s.label, "err", err)
				return gctx.Err()
			}
			v.Used = names.disks()
			mu.Lock()
			defer mu.Unlock()
			out = append(out, v)
			return nil
		})
	}
	return out, g.Wait()
}

func (s *diskStore) find(ctx context.Context, name string) (storage.Volume, error) {
	files, err := s.open(ctx)
	if err != nil {
		return storage.Volume{}, err
	}
	data, err := files.get(ctx, path.Join(volumeDir(name), volumeMeta))
	if err != nil {
		return storage.Volume{}, err
	}
	r, err := parseRecord(data, name)
	return r.volume(s.label, device.Disk{Kind: device.KindVMDK, Locator: files.path(volumeDisk(name))}), err
}

// mark notes that this VCH is at work on a volume: what is left of it after a crash is its to remove.
func (s *diskStore) mark(ctx context.Context, files *store, name string) error {
	data, err := json.Marshal(map[string]string{"vch": s.vch})
	if err != nil {
		return err
	}
	return files.put(ctx, path.Join(volumeDir(name), volumeMark), data)
}

// marked names the VCH whose mark is in a folder.
func (s *diskStore) marked(ctx context.Context, files *store, name string) (string, error) {
	data, err := files.get(ctx, path.Join(volumeDir(name), volumeMark))
	if err != nil {
		return "", err
	}
	var m struct {
		VCH string `json:"vch"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return s.vch, nil // cut off when it was written
	}
	return m.VCH, nil
}

// create makes the disk and its file system; volume.json comes last and makes the volume whole.
func (s *diskStore) create(ctx context.Context, v storage.Volume) (storage.Volume, error) {
	files, err := s.open(ctx)
	if err != nil {
		return v, err
	}
	v.Disk = device.Disk{Kind: device.KindVMDK, Locator: files.path(volumeDisk(v.Name))}
	if err := s.freshDir(ctx, files, v.Name); err != nil {
		return v, err
	}
	if err := s.fill(ctx, files, v); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if rerr := files.remove(undo, volumeDir(v.Name)); rerr != nil {
			s.driver.log.Warn("files of a failed volume are left", "volume", v.Name, "err", rerr)
		}
		return v, err
	}
	return v, nil
}

// freshDir makes the volume's folder; what an earlier failure of this VCH left in it goes.
func (s *diskStore) freshDir(ctx context.Context, files *store, name string) error {
	dir := volumeDir(name)
	err := files.mkdirIn(ctx, dir)
	if errors.Is(err, errdef.ErrExists) {
		if err = s.clear(ctx, files, name); err == nil {
			err = files.mkdirIn(ctx, dir)
		}
	}
	if err != nil {
		return err
	}
	return s.mark(ctx, files, name)
}

// clear removes a folder that holds no whole volume, if it is ours to remove.
func (s *diskStore) clear(ctx context.Context, files *store, name string) error {
	vch, err := s.marked(ctx, files, name)
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		found, err := files.list(ctx, volumeDir(name), "*")
		if err != nil {
			return err
		}
		if n := len(found[""]); n > 0 {
			return fmt.Errorf("the folder %s holds %d files that are not a volume: %w", files.path(volumeDir(name)), n, errdef.ErrConflict)
		}
	case err != nil:
		return err
	case vch != s.vch:
		return fmt.Errorf("virtual container host %s is making or removing it: %w", vch, errdef.ErrConflict)
	}
	return files.remove(ctx, volumeDir(name))
}

func (s *diskStore) fill(ctx context.Context, files *store, v storage.Volume) error {
	d := s.driver
	err := d.with(ctx, disk{file: v.Disk.Locator, create: true, sizeKB: v.Capacity >> 10}, func(ctx context.Context, dev string) error {
		if err := d.host.FormatVolume(ctx, dev); err != nil {
			return err
		}
		dir, err := d.host.Mount(dev)
		if err != nil {
			return err
		}
		return errors.Join(os.Mkdir(filepath.Join(dir, guest.VolumeDir), 0o755), d.host.Unmount(dir, dev))
	})
	if err != nil {
		return err
	}
	data, err := json.Marshal(recordOf(v))
	if err != nil {
		return err
	}
	if err := files.put(ctx, path.Join(volumeDir(v.Name), volumeMeta), data); err != nil {
		return err
	}
	return files.remove(ctx, path.Join(volumeDir(v.Name), volumeMark))
}

// remove begins with the disk: one that a VM elsewhere runs with is locked, and nothing has happened.
func (s *diskStore) remove(ctx context.Context, v storage.Volume) error {
	files, err := s.open(ctx)
	if err != nil {
		return err
	}
	if err := s.mark(ctx, files, v.Name); err != nil {
		return err
	}
	_, err = files.run(ctx, "delete disk "+v.Disk.Locator, func(ctx context.Context) (*object.Task, error) {
		return object.NewVirtualDiskManager(s.driver.session.Client()).DeleteVirtualDisk(ctx, v.Disk.Locator, files.dc)
	})
	if err != nil && !session.Is(err, &types.FileNotFound{}) {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		return errors.Join(err, files.remove(undo, path.Join(volumeDir(v.Name), volumeMark)))
	}
	return files.remove(ctx, volumeDir(v.Name))
}

// grow makes the disk larger, then its file system, then notes it. After a crash in between the same
// call goes on where that one ended.
func (s *diskStore) grow(ctx context.Context, v storage.Volume, capacity int64) (storage.Volume, error) {
	files, err := s.open(ctx)
	if err != nil {
		return v, err
	}
	_, extend := files.run(ctx, "extend disk "+v.Disk.Locator, func(ctx context.Context) (*object.Task, error) {
		return object.NewVirtualDiskManager(s.driver.session.Client()).ExtendVirtualDisk(ctx, v.Disk.Locator, files.dc, capacity>>10, types.NewBool(false))
	})
	if extend != nil && !errors.Is(extend, errdef.ErrInvalid) {
		return v, extend
	}
	// One that has the size already cannot be extended to it: then only the rest is to do.
	d := s.driver
	err = d.with(ctx, disk{file: v.Disk.Locator}, func(ctx context.Context, dev string) error {
		size, err := d.host.Size(dev)
		if err != nil {
			return err
		}
		if extend != nil && size < capacity {
			return extend
		}
		return d.host.Resize(ctx, dev)
	})
	if err != nil {
		return v, err
	}
	v.Capacity = capacity
	data, err := json.Marshal(recordOf(v))
	if err != nil {
		return v, err
	}
	return v, files.put(ctx, path.Join(volumeDir(v.Name), volumeMeta), data)
}

// tidy removes what this VCH left half made, and folders with nothing in them.
func (s *diskStore) tidy(ctx context.Context) error {
	files, found, err := s.scan(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for dir, names := range found {
		marked := names.has(volumeMark)
		switch {
		case whole(dir, names) && marked:
			errs = append(errs, s.unmark(ctx, files, dir))
		case whole(dir, names):
		default:
			if err := s.clear(ctx, files, dir); errors.Is(err, errdef.ErrConflict) {
				s.driver.log.Info("left alone in a volume store", "store", s.label, "folder", dir, "err", err)
			} else if err == nil {
				s.driver.log.Info("removed a volume that was not whole", "volume", dir, "store", s.label)
			} else {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// unmark takes our mark from a whole volume: its removal did not begin, or its making had ended.
func (s *diskStore) unmark(ctx context.Context, files *store, name string) error {
	vch, err := s.marked(ctx, files, name)
	if err != nil || vch != s.vch {
		return err
	}
	return files.remove(ctx, path.Join(volumeDir(name), volumeMark))
}
