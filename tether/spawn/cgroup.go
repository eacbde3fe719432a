package spawn

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupMount is where a container sees its control group.
const cgroupMount = "/sys/fs/cgroup"

// openCgroup opens a control group's directory. Without one (-1) a process stays in the tether's.
func openCgroup(dir string) int {
	if dir == "" {
		return -1
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// cgroupOf is the directory of the group that the container's process is in now. It is not the
// container's own if the process has made groups in it, as runtimes in containers do: a group that
// passes controllers on takes no processes, and runc, too, puts an exec where the first process is.
func (c *Container) cgroupOf(pid int) string {
	if c.Cgroup == "" {
		return ""
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return c.Cgroup
	}
	return cgroupPath(string(b), c.Cgroup)
}

// cgroupPath finds the group in the text of /proc/N/cgroup; own is the answer if it is not in own.
func cgroupPath(text, own string) string {
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		dir := filepath.Join(cgroupMount, name)
		if ok && strings.HasPrefix(dir, own+"/") {
			return dir
		}
	}
	return own
}

// hierarchy is the mount of the container's own control group. In the container's namespace it looks
// as a mount of cgroup2 does: its root is the namespace's.
func (c *Container) hierarchy() Bind {
	return Bind{Source: c.Cgroup, Target: cgroupMount, ReadOnly: !c.Security.Privileged}
}

// enterCgroupNamespace makes the namespace of the control group that the child was created in, or
// enters the one of the process whose pidfd is peer. It is the child's affair: a namespace's root is
// the group of who makes it, and whoever is in it cannot put processes elsewhere.
func (p *Program) enterCgroupNamespace(peer int) {
	if peer < 0 {
		p.add("unshare the control groups", unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
		return
	}
	p.add("enter the container's control groups", unix.SYS_SETNS, uintptr(peer), unix.CLONE_NEWCGROUP)
}
