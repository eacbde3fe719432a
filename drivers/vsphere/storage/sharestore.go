package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

// shareStore keeps each volume as a directory volumes/<name> of an NFS share, with its description
// volumes/<name>.json beside it. The endpoint VM mounts the share for each call; the containers
// mount the volume's directory themselves.
type shareStore struct {
	label string
	vch   string
	share config.Share
	host  Host
}

var _ volumeStore = (*shareStore)(nil)

const shareMeta = ".json"

// mounted runs f with the folder of volumes.
func (s *shareStore) mounted(ctx context.Context, f func(dir string) error) error {
	root, err := s.host.MountShare(ctx, s.share)
	if err != nil {
		return fmt.Errorf("%w: %w", errdef.ErrUnavailable, err)
	}
	dir := filepath.Join(root, volumesDir)
	err = os.MkdirAll(dir, 0o755)
	if err == nil {
		err = f(dir)
	}
	return errors.Join(err, s.host.UnmountShare(root))
}

// disk is what the guest mounts.
func (s *shareStore) disk(name string) device.Disk {
	return device.Disk{Kind: device.KindNFS, Locator: s.share.At(path.Join(volumesDir, name))}
}

func (s *shareStore) read(dir, name string) (storage.Volume, error) {
	data, err := os.ReadFile(filepath.Join(dir, name+shareMeta))
	if errors.Is(err, fs.ErrNotExist) {
		return storage.Volume{}, fmt.Errorf("volume %s: %w", name, errdef.ErrNotFound)
	}
	if err != nil {
		return storage.Volume{}, err
	}
	r, err := parseRecord(data, name)
	return r.volume(s.label, s.disk(name)), err
}

func (s *shareStore) list(ctx context.Context) ([]storage.Volume, error) {
	var out []storage.Volume
	err := s.mounted(ctx, func(dir string) error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name, ok := strings.CutSuffix(e.Name(), shareMeta)
			if !ok || storage.CheckVolumeName(name) != nil {
				continue
			}
			v, err := s.read(dir, name)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return nil
	})
	return out, err
}

func (s *shareStore) find(ctx context.Context, name string) (v storage.Volume, err error) {
	err = s.mounted(ctx, func(dir string) error {
		v, err = s.read(dir, name)
		return err
	})
	return v, err
}

// create makes the directory; the description comes last and at one blow. A directory that is there
// without one is taken over if it is empty.
func (s *shareStore) create(ctx context.Context, v storage.Volume) (storage.Volume, error) {
	v.Capacity, v.Disk = 0, s.disk(v.Name)
	data, err := json.Marshal(recordOf(v))
	if err != nil {
		return v, err
	}
	return v, s.mounted(ctx, func(dir string) error {
		if err := s.makeDir(filepath.Join(dir, v.Name)); err != nil {
			return err
		}
		tmp := filepath.Join(dir, "."+v.Name+"."+s.vch)
		err := errors.Join(os.WriteFile(tmp, data, 0o644), os.Rename(tmp, filepath.Join(dir, v.Name+shareMeta)))
		if err != nil {
			_ = os.Remove(tmp)
			_ = os.Remove(filepath.Join(dir, v.Name))
		}
		return err
	})
}

func (s *shareStore) makeDir(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		entries, rerr := os.ReadDir(dir)
		if rerr != nil || len(entries) > 0 {
			return fmt.Errorf("the directory %s of the share holds files that are not a volume: %w", filepath.Base(dir), errdef.ErrConflict)
		}
		err = nil
	}
	if err != nil {
		return err
	}
	if s.share.UID < 0 && s.share.GID < 0 {
		return nil
	}
	return os.Chown(dir, s.share.UID, s.share.GID)
}

// remove takes the description first, so that what a crash leaves is no volume.
func (s *shareStore) remove(ctx context.Context, v storage.Volume) error {
	return s.mounted(ctx, func(dir string) error {
		trash := filepath.Join(dir, ".removed."+v.Name+"."+s.vch)
		if err := os.Rename(filepath.Join(dir, v.Name), trash); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Remove(filepath.Join(dir, v.Name+shareMeta)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.RemoveAll(trash)
	})
}

func (s *shareStore) grow(context.Context, storage.Volume, int64) (storage.Volume, error) {
	return storage.Volume{}, fmt.Errorf("it lies on an NFS share, whose size is the server's affair: %w", errdef.ErrUnsupported)
}

// tidy does nothing at the start: a server that does not answer must not hold the driver up. What a
// crash leaves is no volume and goes with the next that is made or removed under the same name.
func (s *shareStore) tidy(context.Context) error { return nil }
