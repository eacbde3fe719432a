package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/openvic/vic/sdk/guest"
	"golang.org/x/sys/unix"
)

// Bind is a file or directory of the tether's that appears in the container.
type Bind struct {
	Source   string
	Target   string
	ReadOnly bool
}

// Container is what a container's namespaces are made of.
type Container struct {
	Root       string // directory of the root file system
	ReadOnly   bool
	Hostname   string
	Domainname string
	Binds      []Bind
	Tmpfs      []guest.Tmpfs
	ShmSize    int64 // bytes of /dev/shm; 0 means 64 MiB
	Sysctl     map[string]string
	Security   guest.Security
	// Init is the program that is put before a process that asks for one.
	Init string
	// Hide are the tether's mounts that the container must not see; all of them, since the
	// container's mounts begin as a copy of the tether's.
	Hide []string
	// Cgroup is the directory of the control group; empty for none. The container has it as the root
	// of its hierarchy at /sys/fs/cgroup, in a namespace of its own.
	Cgroup string
	// Score, if set, is the tether's own oom_score_adj. The tether is not to be killed when memory
	// runs out; its children, which inherit that, are.
	Score *os.File
	// Step, if set, is told of each step of the start.
	Step func(name string)
}

func (c *Container) step(name string) {
	if c.Step != nil {
		c.Step(name)
	}
}

// defaultShmSize is Docker's.
const defaultShmSize = 64 << 20

// Values of oom_score_adj.
const (
	protected = "-1000"
	ordinary  = "0"
)

// Protect keeps the tether from being killed when memory runs out.
func (c *Container) Protect() error {
	if c.Score == nil {
		return nil
	}
	_, err := c.Score.WriteAt([]byte(protected), 0)
	return err
}

// spawner returns run with the score of children during it.
func (c *Container) spawner(run func() (int, error)) func() (int, error) {
	if c.Score == nil {
		return run
	}
	return func() (int, error) {
		if _, err := c.Score.WriteAt([]byte(ordinary), 0); err != nil {
			return 0, fmt.Errorf("start the process: %w", err)
		}
		pid, err := run()
		return pid, errors.Join(err, c.Protect())
	}
}

// thread runs f on a thread that ends with it, so that f may change the thread's namespaces.
func thread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// Start makes the container's namespaces and starts its process, PID 1 of them.
func (c *Container) Start(r *Reaper, p guest.Process) (*Process, error) {
	var started *Process
	err := thread(func() error {
		o := c.options(c.step, c.Cgroup)
		o.flags, o.proc, o.console, o.masks = unix.CLONE_NEWPID, true, true, procMasks(c.Security)
		defer unix.Close(o.cgroup)
		if err := c.enter(); err != nil {
			return err
		}
		c.step("container entered")
		var err error
		started, err = start(r, p, c.Hostname, o)
		return err
	})
	return started, err
}

// Exec starts a further process in the namespaces of the container whose PID 1 is pid.
func (c *Container) Exec(r *Reaper, pid int, p guest.Process) (*Process, error) {
	var started *Process
	err := thread(func() error {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return fmt.Errorf("the container's process: %w", err)
		}
		defer unix.Close(fd)
		o := c.options(func(string) {}, c.cgroupOf(pid))
		o.peer = fd
		defer unix.Close(o.cgroup)
		// A thread that shares its root directory with others cannot enter a mount namespace.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		const spaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID
		if err := unix.Setns(fd, spaces); err != nil {
			return fmt.Errorf("enter the container: %w", err)
		}
		started, err = start(r, p, c.Hostname, o)
		return err
	})
	return started, err
}

func (c *Container) options(step func(string), group string) startOptions {
	return startOptions{cgroup: openCgroup(group), peer: -1, spawner: c.spawner, step: step, security: c.Security, init: c.Init}
}

// enter makes the thread's mount, UTS and IPC namespaces the container's.
func (c *Container) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := errors.Join(unix.Sethostname([]byte(c.Hostname)), setDomain(c.Domainname)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if err := setSysctl(c.Sysctl); err != nil {
		return err
	}
	mounts, err := c.openMounts()
	if err != nil {
		return err
	}
	defer closeMounts(mounts)
	nodes, err := c.deviceNodes()
	if err != nil {
		return err
	}
	c.step("namespaces made")
	if err := c.switchRoot(); err != nil {
		return err
	}
	c.step("root switched")
	if err := errors.Join(c.mountSystem(), makeNodes(nodes)); err != nil {
		return err
	}
	c.step("system mounted")
	if err := mark("/"); err != nil {
		return err
	}
	for _, m := range mounts {
		if err := m.attach(); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := c.hideSys(); err != nil {
		return err
	}
	if c.ReadOnly {
		attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, attr); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	return nil
}

// mark makes the file by which programs see that they run in a container, as Docker does.
func mark(root string) error {
	f, err := os.OpenFile(filepath.Join(root, ".dockerenv"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func setDomain(name string) error {
	if name == "" {
		return nil
	}
	return unix.Setdomainname([]byte(name))
}

func cloneTree(path string, readOnly bool) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if readOnly {
		attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, attr); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

// switchRoot makes the container's root the namespace's. An initramfs cannot be pivoted away; as
// switch_root does, the new root is moved over it. The tether's own mounts are gone before, so
// that nothing but the initramfs itself lies underneath, and no path leads there.
func (c *Container) switchRoot() error {
	const stage = "/newroot"
	if err := os.MkdirAll(stage, 0o755); err != nil {
		return fmt.Errorf("switch root: %w", err)
	}
	fd, err := cloneTree(c.Root, false)
	if err != nil {
		return fmt.Errorf("root file system %s: %w", c.Root, err)
	}
	defer unix.Close(fd)
	for _, m := range c.Hide {
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("hide %s: %w", m, err)
		}
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, stage, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("switch root: %w", err)
	}
	err = errors.Join(unix.Chdir(stage), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), unix.Chdir("/"))
	if err != nil {
		return fmt.Errorf("switch root: %w", err)
	}
	return nil
}

// mountSystem mounts what a container has besides its image; /proc is the process's own affair.
func (c *Container) mountSystem() error {
	const quiet = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	sys := uintptr(quiet | unix.MS_RDONLY)
	if c.Security.Privileged {
		sys = quiet
	}
	shm := c.ShmSize
	if shm <= 0 {
		shm = defaultShmSize
	}
	for _, m := range []struct {
		fstype, target string
		flags          uintptr
		data           string
	}{
		{"", "/proc", 0, ""},
		{"sysfs", "/sys", sys, ""},
		{"tmpfs", "/dev", unix.MS_NOSUID | unix.MS_STRICTATIME, "mode=755,size=65536k"},
		{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"tmpfs", "/dev/shm", quiet, "mode=1777,size=" + strconv.FormatInt(shm, 10)},
		{"mqueue", "/dev/mqueue", quiet, ""},
	} {
		if err := os.Mkdir(m.target, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
		if m.fstype == "" {
			continue
		}
		if err := unix.Mount(m.fstype, m.target, m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return devices()
}

func devices() error {
	old := unix.Umask(0)
	defer unix.Umask(old)
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		if err := unix.Mknod("/dev/"+name, unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))); err != nil {
			return fmt.Errorf("/dev/%s: %w", name, err)
		}
	}
	if err := unix.Mknod("/dev/tty", unix.S_IFCHR|0o666, int(unix.Mkdev(5, 0))); err != nil {
		return fmt.Errorf("/dev/tty: %w", err)
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
		"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"} {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

func makeTarget(target string, dir bool) error {
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	// A link to a file that is not there yet (resolv.conf to /run/...) is replaced, as an image
	// does not depend on where it leads.
	if st, err := os.Lstat(target); err == nil && st.Mode()&fs.ModeSymlink != 0 {
		os.Remove(target)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
