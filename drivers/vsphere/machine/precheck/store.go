package precheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

const checkStoreName = "image store"

// firstData is the room, in MiB, that the thin disks get for a beginning: the state disk's file
// system and a few image layers.
const firstData = 1024

// checkStore finds the datastore, and checks that it can be written and has room.
func (c *checker) checkStore(ctx context.Context) {
	name, dir, err := splitStore(c.ImageStore)
	if err != nil {
		c.fail(checkStoreName, err, "give --image-store datastore or datastore/path")
		return
	}
	ds, err := c.findStore(ctx, name)
	if err != nil {
		c.fail(checkStoreName, err, "give another --image-store")
		return
	}
	var m mo.Datastore
	_, _ = methods.RefreshDatastore(ctx, c.Session.Client(), &types.RefreshDatastore{This: ds.Reference()}) // else the figures are old
	if err := property.DefaultCollector(c.Session.Client()).RetrieveOne(ctx, ds.Reference(), []string{"summary", "host"}, &m); err != nil {
		c.fail(checkStoreName, vsphere.Classify(err), "check the account's privileges on the datastore")
		return
	}
	if err := c.usable(ds.Name(), m); err != nil {
		c.fail(checkStoreName, err, "give another --image-store")
		return
	}
	c.hostsWithout(checkStoreName, ds.Name(), m)
	files := session.Files{Datacenter: c.out.Resources.Datacenter, Datastore: ds}
	if !c.checkSpace(ds.Name(), m.Summary.FreeSpace) {
		return
	}
	if err := c.others.Folder(files, dir); err != nil {
		c.fail(checkStoreName, err, "give --image-store another path")
		return
	}
	if err := probe(ctx, files); err != nil {
		c.fail(checkStoreName, fmt.Errorf("datastore %s cannot be written: %w", ds.Name(), err),
			"give the account the privileges Datastore.FileManagement and Datastore.AllocateSpace on it, or mend the datastore")
		return
	}
	c.out.Resources.Files, c.out.Resources.StorePath = files, dir
	c.ok(checkStoreName, "%s can be written, %d MiB free of %d MiB", ds.Name(), m.Summary.FreeSpace>>20, m.Summary.Capacity>>20)
}

// splitStore reads ds, ds/path, [ds] path or ds://ds/path.
func splitStore(s string) (name, dir string, err error) {
	var p object.DatastorePath
	if p.FromString(s) {
		s = p.Datastore + "/" + p.Path
	}
	s = strings.TrimPrefix(s, "ds://")
	name, dir, _ = strings.Cut(s, "/")
	dir = strings.Trim(path.Clean("/"+dir), "/")
	if name == "" && s != "" {
		return "", "", fmt.Errorf("--image-store %q: %w: it names no datastore", s, errdef.ErrInvalid)
	}
	return name, dir, nil
}

func (c *checker) findStore(ctx context.Context, name string) (*object.Datastore, error) {
	all, err := c.finder.DatastoreList(ctx, "*")
	if err != nil && !isNotFound(err) {
		return nil, vsphere.Classify(err)
	}
	var names []string
	for _, ds := range all {
		if ds.Name() == name || (name == "" && len(all) == 1) {
			return ds, nil
		}
		names = append(names, ds.Name())
	}
	slices.Sort(names)
	what := fmt.Errorf("datastore %q: %w", name, errdef.ErrNotFound)
	if name == "" {
		what = fmt.Errorf("--image-store names no datastore: %w", errdef.ErrInvalid)
	}
	return nil, advice.Wrap(what, "give one of: %s", list(names))
}

func (c *checker) usable(name string, m mo.Datastore) error {
	if !m.Summary.Accessible {
		return fmt.Errorf("datastore %s is not accessible: %w", name, errdef.ErrUnavailable)
	}
	if s := m.Summary.MaintenanceMode; s != "" && s != string(types.DatastoreSummaryMaintenanceModeStateNormal) {
		return fmt.Errorf("datastore %s is in maintenance (%s): %w", name, s, errdef.ErrUnavailable)
	}
	return nil
}

// hostsWithout warns of hosts that do not have the datastore: DRS cannot place container VMs there.
func (c *checker) hostsWithout(check, name string, m mo.Datastore) {
	if c.compute == nil {
		return
	}
	var missing []string
	for _, h := range c.compute.hosts {
		if !slices.ContainsFunc(m.Host, func(x types.DatastoreHostMount) bool { return x.Key == h.ref }) {
			missing = append(missing, h.name)
		}
	}
	switch {
	case len(missing) == len(c.compute.hosts) && len(missing) > 0:
		c.fail(check, fmt.Errorf("no host of %s has the datastore %s: %w", c.compute.name, name, errdef.ErrInvalid),
			"mount it on them, or give another datastore")
	case len(missing) > 0:
		c.warn(check, "mount it there too", "datastore %s is not on %s: no container will run there", name, list(missing))
	}
}

// checkSpace compares what the VCH needs to begin with to what is free.
func (c *checker) checkSpace(name string, free int64) bool {
	var isos int64
	for _, p := range []string{c.Spec.ApplianceISO, c.Spec.BootstrapISO} {
		if fi, err := os.Stat(p); err == nil {
			isos += mib(fi.Size())
		}
	}
	need := isos + c.Spec.EndpointMemoryMB + firstData
	if free>>20 >= need {
		return true
	}
	c.fail(checkStoreName, fmt.Errorf("datastore %s has %d MiB free, %d MiB are needed: %d for the ISO images, %d for the endpoint VM's swap file, %d "+
		"for disks to begin with: %w",
		name, free>>20, need, isos, c.Spec.EndpointMemoryMB, firstData, errdef.ErrExhausted),
		"free some space, give another --image-store, or a smaller --endpoint-memory")
	return false
}

// probeFile has always the same name: one that a killed vic-machine left is taken away by the next.
const probeFile = ".vic-machine-probe"

// probe writes a file and removes it.
func probe(ctx context.Context, f session.Files) error {
	if err := f.Put(ctx, []byte("written by vic-machine to see whether it may; can be removed\n"), probeFile); err != nil {
		return err
	}
	ctx, cancel := session.Detached(ctx)
	defer cancel()
	if err := f.Delete(ctx, probeFile); err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return fmt.Errorf("a file was written but cannot be removed: %w", err)
	}
	return nil
}
