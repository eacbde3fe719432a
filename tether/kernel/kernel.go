// Package kernel is what the tether asks of the kernel at boot and at the end: file systems,
// modules, device events, the console and power.
package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// RunDir is where the tether keeps its own mounts.
const RunDir = "/run"

type mountPoint struct {
	source, target, fstype, data string
	flags                        uintptr
}

// MountEssential mounts what everything else needs. The initramfs may already hold /dev.
func MountEssential() error {
	const quiet = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	return mountAll([]mountPoint{
		{"proc", "/proc", "proc", "", quiet},
		{"sysfs", "/sys", "sysfs", "", quiet},
		{"devtmpfs", "/dev", "devtmpfs", "mode=0755", unix.MS_NOSUID},
		{"tmpfs", RunDir, "tmpfs", "mode=0755", unix.MS_NOSUID | unix.MS_NODEV},
	})
}

// MountControlGroups mounts the unified control group hierarchy. Namespaces are boundaries of delegation:
// a container that may write to its hierarchy still does not change its own limits.
func MountControlGroups() error {
	return mountAll([]mountPoint{
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", "nsdelegate", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV},
	})
}

// MountServices mounts what services expect beyond the essential (appliance).
func MountServices() error {
	return mountAll([]mountPoint{
		{"devpts", "/dev/pts", "devpts", "mode=0620,gid=5,ptmxmode=0666", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"tmpfs", "/dev/shm", "tmpfs", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
		{"tmpfs", "/tmp", "tmpfs", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	})
}

func mountAll(points []mountPoint) error {
	for _, m := range points {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
		err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data)
		if err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

// CommandLine returns the words of the kernel's command line: "a=b" as a to b, "a" as a to "".
func CommandLine() map[string]string {
	b, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return nil
	}
	return parseCommandLine(string(b))
}

func parseCommandLine(s string) map[string]string {
	words := map[string]string{}
	for _, w := range strings.Fields(s) {
		k, v, _ := strings.Cut(w, "=")
		words[k] = v
	}
	return words
}

// Release returns the running kernel's release.
func Release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// PowerOff writes everything to the disks and turns the machine off. It returns only on failure.
func PowerOff() error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
