package hubvm

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	findobj "github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// DeleteOptions name the hub that goes; Force takes its data too, NoSSO leaves its solution user.
type DeleteOptions struct {
	Query
	Force, NoSSO bool
}

// Delete removes a hub's solution user, VM and files, or what is left of them; the data disk stays unless Force is given, and is named in the
// answer. It can be run again. errdef.ErrNotFound if there is nothing.
func Delete(ctx context.Context, s *session.Session, o DeleteOptions, log *progress.Log) (kept string, err error) {
	h, all, err := find(ctx, s, o.Query)
	if err != nil {
		return "", err
	}
	var record *Record
	var files session.Files
	if h != nil {
		record = h.Record
		files, err = vch.FilesByName(ctx, s, record.Datacenter, record.Datastore)
	} else {
		record, files, err = byFolder(ctx, s, o.Name)
	}
	if err != nil {
		return "", err
	}
	if record == nil {
		return "", missing(o.Query, all)
	}
	if !o.NoSSO {
		if err := unregisterDeleted(ctx, s, record.SSO); err != nil {
			return "", err
		}
	}
	if h != nil {
		vm := object.NewVirtualMachine(s.Client(), types.ManagedObjectReference{Type: "VirtualMachine", Value: h.ID})
		if err := destroy(ctx, vm, record, files); err != nil {
			return "", advice.Wrap(err, "mend the cause and run the same command again: it goes on with what is left")
		}
		log.Printf("removed the VM %s", record.Name)
	}
	return removeFolder(ctx, files, record, o.Force, log)
}

// removeFolder removes the folder, but for the data unless that is forced.
func removeFolder(ctx context.Context, files session.Files, r *Record, force bool, log *progress.Log) (kept string, err error) {
	names, err := files.List(ctx, r.Folder)
	if errors.Is(err, errdef.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, n := range names {
		if n == path.Base(r.dataDisk()) && !force {
			return files.Path(r.dataDisk()), removeAllBut(ctx, files, r)
		}
	}
	if err := ignoreMissing(files.Delete(ctx, r.Folder)); err != nil {
		return "", err
	}
	log.Printf("removed the folder %s", files.Path(r.Folder))
	return "", nil
}

// removeAllBut empties the folder but for the data disk and the marker, by which the next hub of the name knows it.
func removeAllBut(ctx context.Context, files session.Files, r *Record) error {
	names, err := files.List(ctx, r.Folder)
	if err != nil {
		return ignoreMissing(err)
	}
	var errs []error
	for _, n := range names {
		if n == MarkerFile || strings.HasPrefix(n, strings.TrimSuffix(path.Base(r.dataDisk()), ".vmdk")) {
			continue
		}
		errs = append(errs, ignoreMissing(files.Delete(ctx, path.Join(r.Folder, n))))
	}
	return errors.Join(errs...)
}

// byFolder looks for a hub's folder on every datastore; nil if there is none.
func byFolder(ctx context.Context, s *session.Session, name string) (*Record, session.Files, error) {
	if name == "" || strings.Trim(name, ".") == "" || strings.ContainsAny(name, `/\`) {
		return nil, session.Files{}, nil
	}
	dcs, err := s.Datacenters(ctx)
	if err != nil {
		return nil, session.Files{}, err
	}
	for _, dc := range dcs {
		stores, err := findobj.NewFinder(s.Client(), true).SetDatacenter(dc).DatastoreList(ctx, "*")
		var none *findobj.NotFoundError
		if err != nil && !errors.As(err, &none) {
			return nil, session.Files{}, fmt.Errorf("list datastores: %w", vsphere.Classify(err))
		}
		for _, ds := range stores {
			files := session.Files{Datacenter: dc, Datastore: ds}
			if r, err := readMarker(ctx, files, name); r != nil || err != nil {
				return r, files, err
			}
		}
	}
	return nil, session.Files{}, nil
}

// destroy takes a hub's VM away, without its data disk.
func destroy(ctx context.Context, vm *object.VirtualMachine, r *Record, files session.Files) error {
	if err := vch.PowerOff(ctx, vm); err != nil {
		return ignoreMissing(fmt.Errorf("power off: %w", err))
	}
	if err := vch.Detach(ctx, vm); err != nil {
		return err
	}
	if r.Data != "" { // it lies in the VM's home
		if err := detachData(ctx, vm, files.Path(r.dataDisk())); err != nil {
			return err
		}
	}
	task, err := vm.Destroy(ctx)
	return ignoreMissing(session.Wait(ctx, task, err))
}

func ignoreMissing(err error) error {
	if errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	return err
}
