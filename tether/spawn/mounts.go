package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/sysfs"
	"golang.org/x/sys/unix"
)

// mount is something that will be mounted in the container: a clone of a mount of the tether's, or a
// tmpfs.
type mount struct {
	target string
	fd     int // of the clone; -1 for a tmpfs
	dir    bool
	tmpfs  []string // its options
}

// openMounts takes hold of what will be mounted, while the tether's own mounts are still in sight;
// what lies deeper comes later.
func (c *Container) openMounts() ([]mount, error) {
	var all []mount
	binds := c.Binds
	if c.Cgroup != "" { // first, so that what is asked for at the same place lies over it
		binds = append([]Bind{c.hierarchy()}, binds...)
	}
	for _, b := range binds {
		m, err := openBind(b)
		if err != nil {
			closeMounts(all)
			return nil, fmt.Errorf("mount %s: %w", b.Target, err)
		}
		all = append(all, m)
	}
	for _, t := range c.Tmpfs {
		all = append(all, mount{target: filepath.Clean(t.Target), fd: -1, dir: true, tmpfs: t.Options})
	}
	slices.SortStableFunc(all, func(a, b mount) int {
		return strings.Count(a.target, "/") - strings.Count(b.target, "/")
	})
	return all, nil
}

func openBind(b Bind) (mount, error) {
	fd, err := cloneTree(b.Source, b.ReadOnly)
	if err != nil {
		return mount{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return mount{}, err
	}
	return mount{target: filepath.Clean(b.Target), fd: fd, dir: st.Mode&unix.S_IFMT == unix.S_IFDIR}, nil
}

func closeMounts(all []mount) {
	for _, m := range all {
		if m.fd >= 0 {
			unix.Close(m.fd)
		}
	}
}

// attach puts a mount at its target, which is made if it is not there. It runs inside the
// container's root, so that links in the image lead nowhere else.
func (m mount) attach() error {
	before, err := os.Stat(m.target)
	if err != nil {
		if err := makeTarget(m.target, m.dir); err != nil {
			return err
		}
	}
	if m.fd < 0 {
		return mountTmpfs(m.target, m.tmpfs, before)
	}
	return unix.MoveMount(m.fd, "", unix.AT_FDCWD, m.target, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS)
}

// mountTmpfs mounts a tmpfs. A directory of the image keeps its mode, as runc has it, unless the
// options give one.
func mountTmpfs(target string, options []string, before fs.FileInfo) error {
	flags, data := mountOptions(options)
	if err := unix.Mount("tmpfs", target, "tmpfs", flags&^unix.MS_RDONLY, data); err != nil {
		return err
	}
	given := slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, "mode=") })
	if before != nil && !given {
		if err := unix.Chmod(target, unixMode(before.Mode())); err != nil {
			return err
		}
	}
	if flags&unix.MS_RDONLY == 0 {
		return nil
	}
	return unix.Mount("", target, "", unix.MS_REMOUNT|flags, data)
}

func unixMode(m fs.FileMode) uint32 {
	n := uint32(m.Perm())
	if m&fs.ModeSticky != 0 {
		n |= unix.S_ISVTX
	}
	if m&fs.ModeSetgid != 0 {
		n |= unix.S_ISGID
	}
	return n
}

// mountOptions sorts options of mount(8) into flags and what the file system reads itself.
func mountOptions(options []string) (flags uintptr, data string) {
	set := map[string]uintptr{"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
		"noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME,
		"strictatime": unix.MS_STRICTATIME, "sync": unix.MS_SYNCHRONOUS, "dirsync": unix.MS_DIRSYNC}
	clear := map[string]uintptr{"rw": unix.MS_RDONLY, "suid": unix.MS_NOSUID, "dev": unix.MS_NODEV, "exec": unix.MS_NOEXEC,
		"atime": unix.MS_NOATIME, "diratime": unix.MS_NODIRATIME, "norelatime": unix.MS_RELATIME,
		"nostrictatime": unix.MS_STRICTATIME, "async": unix.MS_SYNCHRONOUS, "defaults": 0,
		// Where mounts are passed on to: nowhere, the container's are its own.
		"private": 0, "rprivate": 0, "shared": 0, "rshared": 0, "slave": 0, "rslave": 0, "unbindable": 0, "runbindable": 0}
	var rest []string
	for _, o := range options {
		on, isOn := set[o]
		off, isOff := clear[o]
		switch {
		case isOn:
			flags |= on
		case isOff:
			flags &^= off
		case o != "":
			rest = append(rest, o)
		}
	}
	return flags, strings.Join(rest, ",")
}

// setSysctl writes kernel parameters, as seen from the namespaces of this thread.
func setSysctl(params map[string]string) error {
	for name, value := range params {
		path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		if err := sysfs.Write(path, value); err != nil {
			return &Failure{CodeTether, fmt.Sprintf("sysctl %q: %v", name, err)}
		}
	}
	return nil
}

// hideSys masks what is listed of the container's file system, but for /proc, which is mounted by
// the process itself.
func (c *Container) hideSys() error {
	for _, path := range c.Security.Masked {
		if inProc(path) {
			continue
		}
		if err := mask(path); err != nil {
			return fmt.Errorf("mask %s: %w", path, err)
		}
	}
	return nil
}

func inProc(path string) bool { return strings.HasPrefix(path, "/proc/") }

// mask makes a path look empty.
func mask(path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.IsDir():
		return unix.Mount("tmpfs", path, "tmpfs", unix.MS_RDONLY, "")
	}
	return unix.Mount("/dev/null", path, "", unix.MS_BIND, "")
}

// procMask is a path in /proc that the process hides or protects when it has mounted it.
type procMask struct {
	path          string
	dir, readOnly bool
}

// procMasks says how to confine a /proc: the container's will show the same names as the tether's,
// which is in sight as long as the namespaces are not entered.
func procMasks(s guest.Security) []procMask {
	var all []procMask
	add := func(paths []string, readOnly bool) {
		for _, path := range paths {
			if st, err := os.Stat(path); err == nil && inProc(path) {
				all = append(all, procMask{path, st.IsDir(), readOnly})
			}
		}
	}
	add(s.ReadOnly, true)
	add(s.Masked, false)
	return all
}

// confineProc adds to a program what hides and protects parts of the /proc that it has mounted.
func (p *Program) confineProc(masks []procMask) error {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	var err error
	for _, m := range masks {
		switch {
		case m.readOnly:
			err = errors.Join(err, p.mount(m.path, m.path, "", unix.MS_BIND|unix.MS_REC),
				p.mount("", m.path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|quiet))
		case m.dir:
			err = errors.Join(err, p.mount("tmpfs", m.path, "tmpfs", unix.MS_RDONLY))
		default:
			err = errors.Join(err, p.mount("/dev/null", m.path, "", unix.MS_BIND))
		}
	}
	return err
}

// node is a device of the VM that a privileged container sees.
type node struct {
	path string
	mode uint32
	dev  int
}

// deviceNodes lists the VM's devices for a privileged container.
func (c *Container) deviceNodes() ([]node, error) {
	if !c.Security.Privileged {
		return nil, nil
	}
	var all []node
	err := filepath.WalkDir("/dev", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeDevice == 0 || strings.HasPrefix(path, "/dev/pts/") {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return nil // gone meanwhile
		}
		all = append(all, node{path, st.Mode, int(st.Rdev)})
		return nil
	})
	return all, err
}

// makeNodes makes devices in the container's own /dev; those that it has stay.
func makeNodes(nodes []node) error {
	old := unix.Umask(0)
	defer unix.Umask(old)
	for _, n := range nodes {
		if n.path == "/dev/console" || n.path == "/dev/ptmx" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(n.path), 0o755); err != nil {
			return err
		}
		if err := unix.Mknod(n.path, n.mode, n.dev); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: %w", n.path, err)
		}
	}
	return nil
}
