package vch

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

// VolumeStore is a place of volumes: a folder on a datastore, or an NFS share.
type VolumeStore struct {
	Label string        // what users call it; "default" is taken if they name none
	Files session.Files // the datastore; zero for a share
	Path  string        // folder on the datastore
	Share string        // nfs://host/path?options
}

// Location is the store as the driver's configuration names it.
func (s VolumeStore) Location() string {
	if s.Share != "" {
		return s.Share
	}
	return s.Files.Path(s.Path)
}

func volumeStores(stores []VolumeStore) map[string]string {
	var m map[string]string
	for _, s := range stores {
		if m == nil {
			m = map[string]string{}
		}
		m[s.Label] = s.Location()
	}
	return m
}

// makeVolumeStores makes the folders of the volume stores and remembers those that were not there.
func (c *creator) makeVolumeStores(ctx context.Context) error {
	for _, s := range c.Res.VolumeStores {
		err := s.make(ctx, &c.Record, func() error { return c.Record.writeMarker(ctx, c.Res.Files) })
		if err != nil {
			return err
		}
	}
	return nil
}

// make makes the folders of a store. The record has those that were not there, and is kept by save,
// before they are made: whoever is killed here leaves nothing that a delete does not find.
func (s VolumeStore) make(ctx context.Context, record *Record, save func() error) error {
	if s.Share != "" {
		return nil
	}
	dirs := foldersTo(path.Join(s.Path, config.VolumesDir))
	fresh, err := missing(ctx, s.Files, dirs)
	if err != nil {
		return err
	}
	for _, d := range fresh {
		record.VolumeDirs = append(record.VolumeDirs, s.Files.Path(d))
	}
	if err := save(); err != nil {
		return err
	}
	return makeAll(ctx, s.Files, dirs)
}

// missing are those of dirs that are not there.
func missing(ctx context.Context, f session.Files, dirs []string) (out []string, err error) {
	for _, d := range dirs {
		if _, err := f.List(ctx, d); errors.Is(err, errdef.ErrNotFound) {
			out = append(out, d)
		} else if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// makeAll makes the folders that are not there.
func makeAll(ctx context.Context, f session.Files, dirs []string) error {
	for _, d := range dirs {
		if err := f.MakeDir(ctx, d); err != nil && !errors.Is(err, errdef.ErrExists) {
			return err
		}
	}
	return nil
}

// foldersTo are a folder and those around it, outermost first.
func foldersTo(dir string) []string {
	var dirs []string
	for d := path.Clean(dir); d != "." && d != "/"; d = path.Dir(d) {
		dirs = append([]string{d}, dirs...)
	}
	return dirs
}

// volumes removes all volumes in the VCH's stores, also those of a VCH that had a store before. A store
// that another VCH has too stays, as do shares, which vic-machine does not reach.
func (r *remover) volumes(ctx context.Context, record *Record) {
	all, err := endpoints(ctx, r.sess)
	if err != nil {
		r.keep(err)
		return
	}
	for _, label := range slices.Sorted(maps.Keys(record.VolumeStores)) {
		at := record.VolumeStores[label]
		var p object.DatastorePath
		if !p.FromString(at) {
			r.log.Printf("left the volumes on the share %s: remove them there", at)
			continue
		}
		other := slices.IndexFunc(all, func(e endpoint) bool {
			return e.Record.ID != record.ID && e.Record.Datacenter == record.Datacenter && hasStore(e.Record, at)
		})
		if other >= 0 {
			r.log.Printf("left the volumes in %s: the VCH %s has that store too", at, all[other].Record.Name)
			continue
		}
		f, err := filesByName(ctx, r.sess, record.Datacenter, p.Datastore)
		if err != nil {
			r.keep(err)
			continue
		}
		r.dir(ctx, f, path.Join(p.Path, config.VolumesDir))
	}
}

func hasStore(r *Record, location string) bool {
	for _, at := range r.VolumeStores {
		if at == location {
			return true
		}
	}
	return false
}

// volumeDirs removes the folders that create made for volume stores if nothing is in them: volumes
// outlive their VCH.
func (r *remover) volumeDirs(ctx context.Context, record *Record) {
	for i := len(record.VolumeDirs) - 1; i >= 0; i-- {
		var p object.DatastorePath
		if !p.FromString(record.VolumeDirs[i]) || strings.Trim(p.Path, "/") == "" {
			continue
		}
		f, err := filesByName(ctx, r.sess, record.Datacenter, p.Datastore)
		if err != nil {
			r.keep(err)
			continue
		}
		names, err := f.List(ctx, p.Path)
		r.keep(err)
		if err == nil && len(names) == 0 {
			r.dir(ctx, f, p.Path)
		} else if err == nil && path.Base(p.Path) == config.VolumesDir {
			r.log.Printf("left the volumes in %s", f.Path(p.Path))
		}
	}
}
