package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

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

	mu     sync.Mutex                // guards what follows, and is held while the share is listed: who asks meanwhile gets that list
	names  map[string]storage.Volume // as last listed; nil: never
	listed time.Time
	failed time.Time // when the server did not answer
}

const (
	// shareFresh is how long a list serves to find volumes in.
	shareFresh = 10 * time.Second
	// sharePause is how long a server that did not answer is not asked for single volumes again.
	sharePause = 30 * time.Second
)

var _ volumeStore = (*shareStore)(nil)

const shareMeta = ".json"

// mounted runs f with the folder of volumes.
func (s *shareStore) mounted(ctx context.Context, f func(dir string) error) error {
	root, err := s.host.MountShare(ctx, s.share)
	if err != nil {
		return fmt.Errorf("%w: %w", errdef.ErrUnavailable, err)
	}
	dir := filepath.Join(root, config.VolumesDir)
	err = os.MkdirAll(dir, 0o755)
	if err == nil {
		err = f(dir)
	}
	return errors.Join(err, s.host.UnmountShare(root))
}

// disk is what the guest mounts.
func (s *shareStore) disk(name string) device.Disk {
	return device.Disk{Kind: device.KindNFS, Locator: s.share.At(path.Join(config.VolumesDir, name))}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.renew(ctx); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Values(s.names)), nil
}

// renew reads the share; s.mu is held.
func (s *shareStore) renew(ctx context.Context) error {
	now := map[string]storage.Volume{}
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
			now[name] = v
		}
		return nil
	})
	if err != nil {
		s.failed = time.Now()
		return err
	}
	s.names, s.listed, s.failed = now, time.Now(), time.Time{}
	return nil
}

// find looks into a list that is not old. One that was never read is read, or the answer is the error:
// to say that a volume is not there would have another made in its place.
func (s *shareStore) find(ctx context.Context, name string) (storage.Volume, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := time.Since(s.listed) < shareFresh || s.names != nil && time.Since(s.failed) < sharePause
	if !fresh {
		if err := s.renew(ctx); err != nil && s.names == nil {
			return storage.Volume{}, err
		}
	}
	v, ok := s.names[name]
	if !ok {
		return v, fmt.Errorf("volume %s: %w", name, errdef.ErrNotFound)
	}
	return v, nil
}

// note keeps what was changed.
func (s *shareStore) note(change func(names map[string]storage.Volume)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names != nil {
		change(s.names)
	}
}

// create makes the directory; the description comes last and at one blow. A directory that is there
// without one is taken over if it is empty; a volume that another VCH has made meanwhile is returned.
func (s *shareStore) create(ctx context.Context, v storage.Volume) (storage.Volume, error) {
	v.Capacity, v.Disk = 0, s.disk(v.Name)
	data, err := json.Marshal(recordOf(v))
	if err != nil {
		return v, err
	}
	err = s.mounted(ctx, func(dir string) error {
		if there, err := s.read(dir, v.Name); err == nil {
			v = there
			return nil
		}
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
	if err == nil {
		s.note(func(names map[string]storage.Volume) { names[v.Name] = v })
	}
	return v, err
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
	err := s.mounted(ctx, func(dir string) error {
		trash := filepath.Join(dir, ".removed."+v.Name+"."+s.vch)
		if err := os.Rename(filepath.Join(dir, v.Name), trash); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Remove(filepath.Join(dir, v.Name+shareMeta)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.RemoveAll(trash)
	})
	if err == nil {
		s.note(func(names map[string]storage.Volume) { delete(names, v.Name) })
	}
	return err
}

func (s *shareStore) grow(context.Context, storage.Volume, int64) (storage.Volume, error) {
	return storage.Volume{}, fmt.Errorf("it lies on an NFS share, whose size is the server's affair: %w", errdef.ErrUnsupported)
}

// tidy does nothing at the start: a server that does not answer must not hold the driver up. What a
// crash leaves is no volume and goes with the next that is made or removed under the same name.
func (s *shareStore) tidy(context.Context) error { return nil }
