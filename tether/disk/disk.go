// Package disk finds the VM's disks by their SCSI target and mounts them.
package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/sysfs"
	"github.com/openvic/vic/tether/kernel"
	"golang.org/x/sys/unix"
)

// adapter is the driver of the SCSI adapter that carries the disks.
const adapter = "vmw_pvscsi"

// Finder finds disks below /sys and /dev.
type Finder struct {
	Sys    string // "/sys" but for tests
	Dev    string // "/dev" but for tests
	Events *sysfs.Events
	Trace  *kernel.Trace
}

// Find returns the device of the i-th disk, waiting until it is there.
func (f *Finder) Find(ctx context.Context, i int) (string, error) {
	if i < 0 || i >= guest.MaxDisks {
		return "", fmt.Errorf("disk %d: %w", i, errdef.ErrInvalid)
	}
	target := guest.SCSITarget(i)
	what := fmt.Sprintf("disk %d (SCSI target %d)", i, target)
	host := ""
	if err := f.Events.Wait(ctx, what, func() bool { host = f.host(); return host != "" }); err != nil {
		return "", err
	}
	f.Trace.Step("SCSI adapter found")
	if err := f.scan(ctx, host, target); err != nil {
		return "", err
	}
	f.Trace.Step("SCSI target asked for")
	dev := ""
	err := f.Events.Wait(ctx, what, func() bool { dev = f.device(host, target); return dev != "" })
	f.Trace.Step("disk found")
	return dev, err
}

// host returns the first adapter, such as "host0".
func (f *Finder) host() string {
	dir := filepath.Join(f.Sys, "class/scsi_host")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var hosts []int
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name(), "proc_name"))
		n, nerr := strconv.Atoi(strings.TrimPrefix(e.Name(), "host"))
		if err == nil && nerr == nil && strings.TrimSpace(string(b)) == adapter {
			hosts = append(hosts, n)
		}
	}
	if len(hosts) == 0 {
		return ""
	}
	return "host" + strconv.Itoa(slices.Min(hosts))
}

func (f *Finder) deviceDir(host string, target int) string {
	n := strings.TrimPrefix(host, "host")
	return filepath.Join(f.Sys, "class/scsi_device", fmt.Sprintf("%s:0:%d:0", n, target), "device/block")
}

// scan asks the adapter for one target: it was told not to look for all of them.
func (f *Finder) scan(ctx context.Context, host string, target int) error {
	if _, err := os.Stat(filepath.Dir(f.deviceDir(host, target))); err == nil {
		return nil
	}
	err := f.Events.Write(ctx, filepath.Join(f.Sys, "class/scsi_host", host, "scan"), fmt.Sprintf("0 %d 0", target))
	if err != nil {
		return fmt.Errorf("scan SCSI target %d: %w", target, err)
	}
	return nil
}

func (f *Finder) device(host string, target int) string {
	entries, err := os.ReadDir(f.deviceDir(host, target))
	if err != nil || len(entries) == 0 {
		return ""
	}
	// A disk has its name some time before it can be opened.
	dev := filepath.Join(f.Dev, entries[0].Name())
	fd, err := unix.Open(dev, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	unix.Close(fd)
	return dev
}

// Mount mounts the ext4 on dev.
func Mount(dev, target string, readOnly bool) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("mount %s: %w", dev, err)
	}
	flags, data := uintptr(unix.MS_NOATIME), ""
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	err := unix.Mount(dev, target, "ext4", flags, data)
	if readOnly && (errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES)) {
		// A read-only device whose journal was not closed.
		err = unix.Mount(dev, target, "ext4", flags, "noload")
	}
	if err != nil {
		return fmt.Errorf("mount %s on %s: %w", dev, target, err)
	}
	return nil
}

// Overlay mounts overlayfs: lower directories, lowest first, below upper.
func Overlay(lower []string, upper, work, target string) error {
	for _, d := range []string{upper, work, target} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("overlay: %w", err)
		}
	}
	top := slices.Clone(lower)
	slices.Reverse(top)
	data := "lowerdir=" + strings.Join(top, ":") + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("overlay", target, "overlay", 0, data); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	return nil
}

// blankSize is how much of a disk has to be zero for it to count as blank: more than any
// partition table or super block reaches.
const blankSize = 256 << 10

// Blank tells whether a disk holds nothing yet.
func Blank(dev string) (bool, error) {
	f, err := os.Open(dev)
	if err != nil {
		return false, fmt.Errorf("look at disk: %w", err)
	}
	defer f.Close()
	return blank(f)
}

func blank(r io.Reader) (bool, error) {
	b := make([]byte, blankSize)
	n, err := io.ReadFull(r, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("look at disk: %w", err)
	}
	return len(bytes.Trim(b[:n], "\x00")) == 0, nil
}
