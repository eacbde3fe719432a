// Package endpoint is the storage driver's hands inside the endpoint VM: it finds hot-added disks,
// makes file systems, mounts them and unpacks layers. It needs root and Linux.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/pkg/archive"
	"golang.org/x/sys/unix"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/sysfs"
)

const (
	deviceTimeout = 2 * time.Minute // a host may be very busy
	rescanAfter   = time.Second     // a hot-added disk that did not show by then is asked for
	mke2fs        = "/sbin/mke2fs"
	// A layer that was not written to its end is thrown away, so nothing has to be safe meanwhile.
	writeOptions = "noinit_itable,barrier=0,data=writeback,noauto_da_alloc"
)

// Host works on the machine that the driver runs on.
type Host struct {
	work string // private directory for mounts
	sys  string // "/sys"
	dev  string // "/dev"
}

// New returns a Host whose mounts are below work; mounts that an earlier process left there are
// taken away.
func New(work string) (*Host, error) {
	h := &Host{work: work, sys: "/sys", dev: "/dev"}
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, fmt.Errorf("directory for mounts: %w", err)
	}
	return h, h.unmountAll()
}

// unmountAll takes away what an earlier process left mounted.
func (h *Host) unmountAll() error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.HasPrefix(f[4], h.work+"/") {
			continue
		}
		if err := unix.Unmount(f[4], unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", f[4], err)
		}
		_ = os.Remove(f[4])
	}
	return nil
}

// Device returns the block device at a SCSI target of the first pvscsi controller as soon as the
// kernel has it and it can be opened. errdef.ErrUnavailable if it does not come up in two minutes.
func (h *Host) Device(ctx context.Context, target int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deviceTimeout)
	defer cancel()
	host, err := h.controller()
	if err != nil {
		return "", err
	}
	events, err := sysfs.Subscribe(ctx) // before the first look, so that nothing is missed
	if err != nil {
		return "", err
	}
	return h.device(ctx, events, host, target)
}

func (h *Host) device(ctx context.Context, events *sysfs.Events, host, target int) (string, error) {
	asked := make(chan error, 1)
	look := time.AfterFunc(rescanAfter, func() {
		asked <- events.Write(ctx, filepath.Join(h.sys, fmt.Sprintf("class/scsi_host/host%d/scan", host)), fmt.Sprintf("0 %d 0", target))
	})
	defer look.Stop()
	var dev string
	var opened error
	err := events.Wait(ctx, fmt.Sprintf("a disk at SCSI target %d", target), func() bool {
		dev, opened = h.open(host, target)
		return dev != ""
	})
	if err == nil {
		return dev, opened
	}
	select { // why the kernel would not look for it is worth more than that it is not there
	case aerr := <-asked:
		err = errors.Join(err, aerr)
	default:
	}
	return "", fmt.Errorf("%w: %w", err, errdef.ErrUnavailable)
}

// open returns the device at a target, or "" as long as there is none or it cannot be opened yet: it
// has its name some time before. err is why it never will.
func (h *Host) open(host, target int) (dev string, err error) {
	name := h.find(host, target)
	if name == "" {
		return "", nil
	}
	dev = filepath.Join(h.dev, name)
	f, err := os.Open(dev)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return dev, fmt.Errorf("open the disk at SCSI target %d: %w", target, err)
	}
	return dev, f.Close()
}

// find returns the name of the device at target, or "" if there is none yet.
func (h *Host) find(host, target int) string {
	names, _ := filepath.Glob(filepath.Join(h.sys, "bus/scsi/devices", fmt.Sprintf("%d:0:%d:0", host, target), "block", "*"))
	if len(names) == 0 {
		return ""
	}
	return filepath.Base(names[0])
}

// controller returns the number of the first pvscsi controller's SCSI host, in PCI order.
func (h *Host) controller() (int, error) {
	type found struct {
		path   string
		number int
	}
	var all []found
	names, _ := filepath.Glob(filepath.Join(h.sys, "class/scsi_host/host*"))
	for _, n := range names {
		proc, err := os.ReadFile(filepath.Join(n, "proc_name"))
		if err != nil || strings.TrimSpace(string(proc)) != "vmw_pvscsi" {
			continue
		}
		path, err := filepath.EvalSymlinks(n)
		if err != nil {
			continue
		}
		number, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(n), "host"))
		if err != nil {
			continue
		}
		all = append(all, found{path, number})
	}
	if len(all) == 0 {
		return 0, fmt.Errorf("this machine has no pvscsi controller: %w", errdef.ErrUnavailable)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].path < all[j].path })
	return all[0].number, nil
}

// Format makes an empty ext4. The disk is new and thin: what is not written reads as zero, so
// nothing is cleared now or later.
func (h *Host) Format(ctx context.Context, dev string) error {
	cmd := exec.CommandContext(ctx, mke2fs, "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-J", "size=16",
		"-E", "lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1,nodiscard", dev)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs %s: %w: %s", dev, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Mount mounts a device for writing a layer and returns where.
func (h *Host) Mount(dev string) (string, error) {
	return h.mount(dev, unix.MS_NOATIME|unix.MS_NODEV|unix.MS_NOSUID, writeOptions)
}

// MountWrite mounts a container's disk so that a crash leaves it sound.
func (h *Host) MountWrite(dev string) (string, error) {
	return h.mount(dev, unix.MS_NOATIME|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, "")
}

// MountRead mounts a device for reading only. The journal is played if the device can be written.
func (h *Host) MountRead(dev string) (string, error) {
	const flags = unix.MS_RDONLY | unix.MS_NOATIME | unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOEXEC
	dir, err := h.mount(dev, flags, "")
	if err == nil {
		return dir, nil
	}
	return h.mount(dev, flags, "noload")
}

func (h *Host) mount(dev string, flags uintptr, options string) (string, error) {
	dir, err := os.MkdirTemp(h.work, "disk")
	if err != nil {
		return "", fmt.Errorf("mount point: %w", err)
	}
	if err := unix.Mount(dev, dir, "ext4", flags, options); err != nil {
		_ = os.Remove(dir)
		return "", fmt.Errorf("mount %s: %w", dev, err)
	}
	return dir, nil
}

// Unmount unmounts and returns when all is on the disk.
func (h *Host) Unmount(dir, dev string) error {
	if err := unix.Unmount(dir, 0); err != nil {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		return fmt.Errorf("unmount %s: %w", dev, err)
	}
	_ = os.Remove(dir)
	f, err := os.Open(dev)
	if err != nil {
		return fmt.Errorf("flush %s: %w", dev, err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", dev, err)
	}
	return nil
}

// Forget makes the kernel let go of a device before it is detached.
func (h *Host) Forget(dev string) error {
	file := filepath.Join(h.sys, "block", filepath.Base(dev), "device/delete")
	if err := sysfs.Write(file, "1"); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("let go of %s: %w", dev, err)
	}
	return nil
}

// Unpack applies a layer's tar stream to dir and returns the bytes of its files.
func (h *Host) Unpack(ctx context.Context, dir string, tar io.Reader) (int64, error) {
	return archive.Apply(ctx, dir, tar)
}
