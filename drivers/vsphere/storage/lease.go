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

// leases are the disks of containers that are mounted in the endpoint VM: a container's own under its
// ID, a volume under its file. Those who read share a mount, one who writes has it alone; a start or
// removal of a container's VM ends them.
type leases struct {
	mu  sync.Mutex // guards all, and users of each lease in it; not held while a disk is attached or mounted
	all map[string]*lease
}

// lease is one mount. Whoever makes it mounts, and closes ready; dir, unhook and err are theirs until then
// and nobody changes them after. The last user unmounts, takes the lease out of the table and closes
// closed: only then can the next one of that disk begin.
type lease struct {
	write  bool
	users  int           // those who hold it or wait for it to be ready
	closed chan struct{} // detached
	ready  chan struct{} // mounted, or err
	err    error
	dir    string
	ctx    context.Context // ends when the disk is wanted elsewhere
	cancel context.CancelCauseFunc
	unhook func(context.Context) error
}

// want is what acquire is to mount: the disk that file returns.
type want struct {
	key   string
	write bool
	file  func(context.Context) (string, error)
}

func (l *leases) init() { l.all = map[string]*lease{} }

// errWanted ends exports whose VM is started or removed.
func errWanted(id string) error {
	return fmt.Errorf("the VM of container %s needs its disk: %w", id, errdef.ErrConflict)
}

// own is a container's own disk.
func (d *Driver) own(m *inventory.Machine, write bool) want {
	return want{key: m.ID(), write: write, file: func(ctx context.Context) (string, error) { return d.rootDisk(ctx, m) }}
}

// acquire mounts a disk, or shares the mount.
func (d *Driver) acquire(ctx context.Context, w want) (*lease, error) {
	for {
		d.leases.mu.Lock()
		l := d.leases.all[w.key]
		if l == nil {
			l = &lease{write: w.write, users: 1, closed: make(chan struct{}), ready: make(chan struct{})}
			l.ctx, l.cancel = context.WithCancelCause(context.Background())
			d.leases.all[w.key] = l
			d.leases.mu.Unlock()
			l.dir, l.unhook, l.err = d.hook(l.ctx, ctx, w)
			close(l.ready)
		} else if l.users > 0 && l.ctx.Err() == nil && !l.write && !w.write {
			l.users++
			d.leases.mu.Unlock()
		} else { // on its way out, or not to be shared
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
			_ = d.drop(w.key, l)
			return nil, ctx.Err()
		}
		if l.err != nil {
			err := l.err
			if l.ctx.Err() != nil {
				err = context.Cause(l.ctx)
			}
			_ = d.drop(w.key, l)
			return nil, err
		}
		return l, nil
	}
}

// drop ends one use; the last one unmounts, and returns what went wrong with that.
func (d *Driver) drop(key string, l *lease) error {
	d.leases.mu.Lock()
	l.users--
	last := l.users == 0
	d.leases.mu.Unlock()
	if !last {
		return nil
	}
	<-l.ready
	var err error
	if l.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
		defer cancel()
		if err = l.unhook(ctx); err != nil {
			d.log.Warn("a container's disk could not be detached from the endpoint VM", "disk", key, "err", err)
		}
	}
	l.cancel(nil)
	d.leases.mu.Lock()
	delete(d.leases.all, key)
	d.leases.mu.Unlock()
	close(l.closed)
	return err
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

// hook attaches and mounts a disk. The disk may be wanted elsewhere (lctx) and the caller may give up
// (ctx). What is written to a disk that is mounted for reading is thrown away.
func (d *Driver) hook(lctx, ctx context.Context, w want) (string, func(context.Context) error, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(lctx, cancel)()
	file, err := w.file(ctx)
	if err != nil {
		return "", nil, err
	}
	target, err := d.bay.attach(ctx, disk{file: file, readOnly: !w.write})
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
		dir, err = d.mountLease(dev, w.write)
	}
	if err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		return "", nil, errors.Join(err, unhook(end))
	}
	return dir, unhook, nil
}

// mountLease mounts a container's disk. For reading too it is mounted so that it can be written, for
// the journal and for mount points; a file system that cannot be is read as it is.
func (d *Driver) mountLease(dev string, write bool) (string, error) {
	dir, err := d.host.MountWrite(dev)
	if err != nil && !write {
		return d.host.MountRead(dev)
	}
	return dir, err
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
