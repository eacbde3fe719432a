package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	e2fsck   = "/sbin/e2fsck"
	resize2x = "/sbin/resize2fs"
	// checkFixed is the exit code of e2fsck that says that it has mended something.
	checkFixed = 1
	// shareWait bounds a mount of a share; shareOptions make calls to a server that is gone fail.
	shareWait    = time.Minute
	shareOptions = "soft,timeo=50,retrans=2"
)

// FormatVolume makes the ext4 of a volume: all of its space is the user's, and it is ready to grow.
func (h *Host) FormatVolume(ctx context.Context, dev string) error {
	return run(ctx, mke2fs, "-q", "-F", "-t", "ext4", "-m", "0",
		"-E", "lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1,nodiscard", dev)
}

// Size is a device's, in bytes.
func (h *Host) Size(dev string) (int64, error) {
	f, err := os.Open(dev)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", dev, err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", dev, err)
	}
	return size, nil
}

// Resize checks a device's ext4, which may come from a VM that died, and fits it to the device.
func (h *Host) Resize(ctx context.Context, dev string) error {
	err := run(ctx, e2fsck, "-f", "-p", dev)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > checkFixed) {
		return err
	}
	return run(ctx, resize2x, dev)
}

func run(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// MountShare mounts an NFS share and returns where. The kernel fetches its modules itself.
func (h *Host) MountShare(ctx context.Context, s config.Share) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, shareWait)
	defer cancel()
	host, port, err := net.SplitHostPort(s.Host)
	if err != nil {
		host, port = strings.Trim(s.Host, "[]"), ""
	}
	address, err := lookUp(ctx, host)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(h.work, "share")
	if err != nil {
		return "", fmt.Errorf("mount point: %w", err)
	}
	done := make(chan error, 1)
	go func() {
		done <- unix.Mount(host+":"+s.Path, dir, "nfs", unix.MS_NOATIME|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, shareData(s, address, port))
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		go func() { // the kernel does not let itself be called back
			if <-done == nil {
				_ = h.UnmountShare(dir)
			}
		}()
		return "", fmt.Errorf("mount %s:%s: the server does not answer: %w", s.Host, s.Path, errdef.ErrUnavailable)
	}
	if err != nil {
		_ = os.Remove(dir)
		return "", fmt.Errorf("mount %s:%s (NFS %s): %w", s.Host, s.Path, s.Version, err)
	}
	return dir, nil
}

func lookUp(ctx context.Context, host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("look up %s: %w", host, err)
	}
	return found[0].Unmap(), nil
}

// shareData is what the kernel reads of a mount that mount.nfs(8) would have prepared.
func shareData(s config.Share, a netip.Addr, port string) string {
	out := []string{shareOptions}
	for o := range strings.SplitSeq(s.Options, ",") {
		switch key, _, _ := strings.Cut(o, "="); key {
		case "", "soft", "hard", "timeo", "retrans", "proto", "lock", "nolock":
		default:
			out = append(out, o)
		}
	}
	proto := "tcp"
	if a.Is6() {
		proto = "tcp6"
	}
	out = append(out, "vers="+s.Version, "addr="+a.String(), "proto="+proto)
	if port != "" {
		out = append(out, "port="+port)
	}
	if strings.HasPrefix(s.Version, "3") {
		out = append(out, "nolock")
	}
	return strings.Join(out, ",")
}

// UnmountShare takes a share away.
func (h *Host) UnmountShare(dir string) error {
	if err := unix.Unmount(dir, 0); err != nil {
		if err := unix.Unmount(dir, unix.MNT_DETACH|unix.MNT_FORCE); err != nil {
			return fmt.Errorf("unmount share: %w", err)
		}
	}
	_ = os.Remove(dir)
	return nil
}
