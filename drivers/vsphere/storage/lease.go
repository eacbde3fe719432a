package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/sdk/errdef"
)

// leases are the containers' disks that are mounted in the endpoint VM. Exports of one container
// share a mount; a start or removal of its VM ends them.
type leases struct {
	mu  sync.Mutex
	all map[string]*lease
}

type lease struct {
	users  int
	closed chan struct{} // detached
	ready  chan struct{} // mounted, or err
	err    error
	dir    string
	ctx    context.Context // ends when the disk is wanted elsewhere
	cancel context.CancelCauseFunc
	unhook func(context.Context) error
}

func (l *leases) init() { l.all = map[string]*lease{} }

// errWanted ends exports whose VM is started or removed.
func errWanted(id string) error {
	return fmt.Errorf("the VM of container %s needs its disk: %w", id, errdef.ErrConflict)
}

// acquire mounts a container's disk, or shares the mount.
func (d *Driver) acquire(ctx context.Context, m *inventory.Machine) (*lease, error) {
	id := m.ID()
	for {
		d.leases.mu.Lock()
		l := d.leases.all[id]
		if l == nil {
			l = &lease{users: 1, closed: make(chan struct{}), ready: make(chan struct{})}
			l.ctx, l.cancel = context.WithCancelCause(context.Background())
			d.leases.all[id] = l
			d.leases.mu.Unlock()
			l.dir, l.unhook, l.err = d.hook(l.ctx, ctx, m)
			close(l.ready)
		} else if l.users > 0 && l.ctx.Err() == nil {
			l.users++
			d.leases.mu.Unlock()
		} else { // on its way out
			d.leases.mu.Unlock()
			select {
			case <-l.closed:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			continue
		}
		select {
		case <-l.ready:
		case <-ctx.Done():
			d.drop(id, l)
			return nil, ctx.Err()
		}
		if l.err != nil {
			err := l.err
			if l.ctx.Err() != nil {
				err = context.Cause(l.ctx)
			}
			d.drop(id, l)
			return nil, err
		}
		return l, nil
	}
}

// drop ends one use; the last one unmounts.
func (d *Driver) drop(id string, l *lease) {
	d.leases.mu.Lock()
	l.users--
	last := l.users == 0
	d.leases.mu.Unlock()
	if !last {
		return
	}
	<-l.ready
	if l.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
		defer cancel()
		if err := l.unhook(ctx); err != nil {
			d.log.Warn("a container's disk could not be detached from the endpoint VM", "container", id, "err", err)
		}
	}
	l.cancel(nil)
	d.leases.mu.Lock()
	delete(d.leases.all, id)
	d.leases.mu.Unlock()
	close(l.closed)
}

// Release ends the exports of a container and returns when its disk is detached.
func (d *Driver) Release(ctx context.Context, id string) error {
	d.leases.mu.Lock()
	l := d.leases.all[id]
	d.leases.mu.Unlock()
	if l == nil {
		return nil
	}
	l.cancel(errWanted(id))
	select {
	case <-l.closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hook attaches and mounts a container's disk for reading. The disk may be wanted elsewhere (lctx)
// and the caller may give up (ctx).
func (d *Driver) hook(lctx, ctx context.Context, m *inventory.Machine) (string, func(context.Context) error, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(lctx, cancel)()
	file, err := d.rootDisk(ctx, m)
	if err != nil {
		return "", nil, err
	}
	target, err := d.bay.attach(ctx, disk{file: file, readOnly: true})
	if err != nil {
		return "", nil, err
	}
	dev, dir := "", ""
	unhook := func(ctx context.Context) error {
		var errs []error
		if dir != "" {
			errs = append(errs, d.host.Unmount(dir, dev))
		}
		if dev != "" {
			errs = append(errs, d.host.Forget(dev))
		}
		return errors.Join(append(errs, d.bay.detach(ctx, target))...)
	}
	if dev, err = d.host.Device(ctx, target); err == nil {
		dir, err = d.host.MountRead(dev)
	}
	if err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		return "", nil, errors.Join(err, unhook(end))
	}
	return dir, unhook, nil
}

// rootDisk finds the container's own disk among the VM's: in its folder, at the lowest target.
func (d *Driver) rootDisk(ctx context.Context, m *inventory.Machine) (string, error) {
	devs, err := devicesOf(ctx, d.session, m.Ref)
	if err != nil {
		return "", err
	}
	file, lowest := "", int32(1<<30)
	for _, dev := range devs.SelectByType((*types.VirtualDisk)(nil)) {
		v := dev.GetVirtualDevice()
		if f := fileOf(dev); under(f, m.Dir()) && strings.HasSuffix(f, ".vmdk") && v.UnitNumber != nil && *v.UnitNumber < lowest {
			file, lowest = f, *v.UnitNumber
		}
	}
	if file == "" {
		return "", fmt.Errorf("VM %s has no disk of its own: %w", m.Name, errdef.ErrNotFound)
	}
	return file, nil
}
