package vch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// remover takes objects away. It goes on after errors and keeps them, so that one stubborn object
// does not make the others stay; what is gone already is no error.
type remover struct {
	sess       *session.Session
	log        *progress.Log
	datacenter string // managed object id; empty: any of the session's

	mu   sync.Mutex // guards errs: VMs are removed side by side
	errs []error
}

// parallel bounds the tasks under way at once.
const parallel = 8

func (r *remover) keep(err error) {
	if err == nil || errors.Is(err, errdef.ErrNotFound) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *remover) err() error { return errors.Join(r.errs...) }

// each runs f for every VM, a few at a time.
func (r *remover) each(vms []VM, f func(VM, *object.VirtualMachine) error) {
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, v := range vms {
		g.Go(func() error {
			r.keep(f(v, object.NewVirtualMachine(r.sess.Client(), v.Ref)))
			return nil
		})
	}
	_ = g.Wait()
}

func (r *remover) powerOff(ctx context.Context, vms []VM) {
	r.each(vms, func(v VM, vm *object.VirtualMachine) error {
		task, err := vm.PowerOff(ctx)
		if err = session.Wait(ctx, task, err); vsphere.Is(err, &types.InvalidPowerState{}) {
			return nil // it is off
		}
		if err != nil {
			return fmt.Errorf("power off VM %s: %w", v.Name, err)
		}
		return nil
	})
}

// vms destroys VMs: the endpoint goes off first, so that it does not look after containers that
// are being taken away. Files in a VM's home that are not the VM's, as its console log, go too;
// homes in folder are left to whoever removes folder.
func (r *remover) vms(ctx context.Context, vms []VM, folder string) {
	r.powerOff(ctx, slices.DeleteFunc(slices.Clone(vms), func(v VM) bool { return v.Record == nil }))
	r.powerOff(ctx, slices.DeleteFunc(slices.Clone(vms), func(v VM) bool { return v.Record != nil || !v.On }))
	r.each(vms, func(v VM, vm *object.VirtualMachine) error {
		if v.Record == nil { // a volume is not to go with a container
			if err := detach(ctx, vm); err != nil {
				return fmt.Errorf("VM %s: %w", v.Name, err)
			}
		}
		task, err := vm.Destroy(ctx)
		if err := session.Wait(ctx, task, err); err != nil && !errors.Is(err, errdef.ErrNotFound) {
			return fmt.Errorf("remove VM %s: %w", v.Name, err)
		}
		r.log.Printf("removed the VM %s", v.Name)
		datastore, home := homeOf(v.Path)
		if home == "" || home == "." || home == folder || strings.HasPrefix(home, folder+"/") {
			return nil
		}
		f, err := filesByName(ctx, r.sess, r.datacenter, datastore)
		if err != nil {
			return err
		}
		return f.Delete(ctx, home)
	})
}

// filesByName finds a datastore in a datacenter, or in any of the session's.
func filesByName(ctx context.Context, s *session.Session, datacenter, name string) (session.Files, error) {
	dcs, err := s.Datacenters(ctx)
	if err != nil {
		return session.Files{}, err
	}
	for _, dc := range dcs {
		if datacenter != "" && dc.Reference().Value != datacenter {
			continue
		}
		ds, err := find.NewFinder(s.Client(), true).SetDatacenter(dc).Datastore(ctx, name)
		if err == nil {
			return session.Files{Datacenter: dc, Datastore: ds}, nil
		}
	}
	return session.Files{}, fmt.Errorf("datastore %s: %w", name, errdef.ErrNotFound)
}

// pool destroys a vApp or resource pool, which must be empty.
func (r *remover) pool(ctx context.Context, ref types.ManagedObjectReference) {
	task, err := object.NewResourcePool(r.sess.Client(), ref).Destroy(ctx)
	if err := session.Wait(ctx, task, err); err != nil {
		r.keep(fmt.Errorf("remove %s %s: %w", ref.Type, ref.Value, err))
		return
	}
	r.log.Printf("removed the %s", poolWord(ref.Type))
}

// poolWord is what people call a kind of pool.
func poolWord(kind string) string {
	if kind == config.PoolResourcePool {
		return "resource pool"
	}
	return "vApp"
}

// dir removes a folder with all that is in it.
func (r *remover) dir(ctx context.Context, f session.Files, dir string) {
	if err := f.Delete(ctx, dir); err != nil {
		r.keep(err)
		return
	}
	r.log.Printf("removed the folder %s", f.Path(dir))
}

// storeDirs removes the image store outside the VCH's folder, and the folders around it that create
// made, unless somebody has put something there.
func (r *remover) storeDirs(ctx context.Context, f session.Files, dirs []string) {
	for i := len(dirs) - 1; i >= 0; i-- {
		if i < len(dirs)-1 {
			names, err := f.List(ctx, dirs[i])
			if errors.Is(err, errdef.ErrNotFound) {
				continue // an interrupted removal came this far
			}
			if err != nil || len(names) > 0 {
				r.keep(err)
				return
			}
		}
		r.dir(ctx, f, dirs[i])
	}
}
