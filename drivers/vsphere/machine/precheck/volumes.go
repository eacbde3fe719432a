package precheck

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

const checkVolumesName = "volume store"

// checkVolumeStores finds the datastores of the volume stores and checks that they can be written.
func (c *checker) checkVolumeStores(ctx context.Context) {
	seen, places := map[string]bool{}, map[string]bool{}
	for _, given := range c.VolumeStores {
		s, datastore, err := splitVolumeStore(given, c.Spec.Name)
		if err == nil && seen[s.Label] {
			err = fmt.Errorf("--volume-store %q: the label %s is there twice: %w", given, s.Label, errdef.ErrInvalid)
		}
		seen[s.Label] = true
		if err == nil && s.Share == "" {
			s.Files, err = c.volumeFiles(ctx, datastore)
		}
		if err == nil && s.Share == "" {
			err = c.others.Folder(s.Files, s.Path)
		}
		if err == nil {
			if places[s.Location()] {
				err = fmt.Errorf("--volume-store %q: %s has another label already: %w", given, s.Location(), errdef.ErrInvalid)
			}
			places[s.Location()] = true
		}
		if err != nil {
			c.fail(checkVolumesName, err, "give --volume-store datastore/path:label or nfs://host/path?options:label")
			continue
		}
		c.out.Resources.VolumeStores = append(c.out.Resources.VolumeStores, s)
		c.ok(checkVolumesName, "%s is %s", s.Label, s.Location())
	}
}

// splitVolumeStore reads "ds/path:label", "ds:label" (a folder named after the VCH), "[ds] path:label"
// and "nfs://host/path?options:label".
func splitVolumeStore(given, name string) (s vch.VolumeStore, datastore string, err error) {
	wrong := func(why string) error {
		return fmt.Errorf("--volume-store %q: %s: %w", given, why, errdef.ErrInvalid)
	}
	i := strings.LastIndex(given, ":")
	if i < 0 {
		return s, "", wrong("it does not end in :label")
	}
	place := given[:i]
	s.Label = given[i+1:]
	if err := config.CheckVolumeStore(s.Label); err != nil {
		return s, "", fmt.Errorf("--volume-store %q: it does not end in :label: %w", given, err)
	}
	if _, nfs, err := config.ParseShare(place); nfs {
		if err != nil {
			return s, "", fmt.Errorf("--volume-store: %w", err)
		}
		s.Share = place
		return s, "", nil
	}
	var p object.DatastorePath
	if p.FromString(place) {
		place = p.Datastore + "/" + p.Path
	}
	datastore, dir, _ := strings.Cut(strings.TrimPrefix(place, "ds://"), "/")
	s.Path = strings.Trim(path.Clean("/"+dir), "/")
	if datastore == "" {
		return s, "", wrong("it names no datastore")
	}
	if s.Path == "" {
		s.Path = name + "-volumes"
	}
	if s.Path == name || strings.HasPrefix(s.Path, name+"/") {
		return s, "", wrong("the folder " + name + " is the VCH's own and goes with it; volumes stay")
	}
	return s, datastore, nil
}

func (c *checker) volumeFiles(ctx context.Context, name string) (session.Files, error) {
	ds, err := c.findStore(ctx, name)
	if err != nil {
		return session.Files{}, err
	}
	var m mo.Datastore
	if err := property.DefaultCollector(c.Session.Client()).RetrieveOne(ctx, ds.Reference(), []string{"summary", "host"}, &m); err != nil {
		return session.Files{}, vsphere.Classify(err)
	}
	if err := c.usable(ds.Name(), m); err != nil {
		return session.Files{}, err
	}
	c.hostsWithout(checkVolumesName, ds.Name(), m)
	f := session.Files{Datacenter: c.out.Resources.Datacenter, Datastore: ds}
	if err := probe(ctx, f); err != nil {
		return f, fmt.Errorf("datastore %s cannot be written: %w", ds.Name(), err)
	}
	return f, nil
}
