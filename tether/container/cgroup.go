package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/sysfs"
	"github.com/openvic/vic/tether/kernel"
	"golang.org/x/sys/unix"
)

const (
	groupsDir = "/sys/fs/cgroup"
	// quotaPeriod is the length of time that a share of a processor is given for; Docker's.
	quotaPeriod = 100 * time.Millisecond
	// freezeWait is how long processes may take to freeze: one that waits for a disk does so first.
	freezeWait = 30 * time.Second
)

// controlGroup is the directory of the container's control group; empty if there is none, and then
// the container runs without what it serves for.
type controlGroup string

// controlGroup makes the container's control group.
func (m *Machine) controlGroup() {
	err := kernel.MountControlGroups()
	if err == nil {
		err = sysfs.Write(groupsDir+"/cgroup.subtree_control", "+memory +pids")
	}
	if err == nil {
		err = os.Mkdir(groupsDir+"/container", 0o755)
	}
	if err != nil {
		m.Log.Warn("no control group", "err", err)
		return
	}
	m.group = groupsDir + "/container"
	m.space.Cgroup = string(m.group)
}

// Renew undoes what an earlier process of the container has made in its group, as a group that passes
// controllers on takes no processes. Those of the earlier process have all ended.
func (g controlGroup) Renew() error {
	if g == "" {
		return nil
	}
	entries, err := os.ReadDir(string(g))
	if err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroup(filepath.Join(string(g), e.Name())); err != nil {
				return fmt.Errorf("control group: %w", err)
			}
		}
	}
	return g.withdraw()
}

// removeGroup removes a group and those in it. Its files go with it.
func removeGroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}

// withdraw passes no controllers on.
func (g controlGroup) withdraw() error {
	b, err := os.ReadFile(filepath.Join(string(g), "cgroup.subtree_control"))
	if err != nil || len(strings.TrimSpace(string(b))) == 0 {
		return err
	}
	return g.write("cgroup.subtree_control", "-"+strings.Join(strings.Fields(string(b)), " -"))
}

// Delegate makes all controllers there are available to groups that the container makes.
func (g controlGroup) Delegate() error {
	if g == "" {
		return nil
	}
	b, err := os.ReadFile(groupsDir + "/cgroup.controllers")
	if err != nil || len(strings.TrimSpace(string(b))) == 0 {
		return err
	}
	return sysfs.Write(groupsDir+"/cgroup.subtree_control", "+"+strings.Join(strings.Fields(string(b)), " +"))
}

func (g controlGroup) write(name, value string) error {
	if g == "" {
		return fmt.Errorf("no control group: %w", errdef.ErrUnsupported)
	}
	return sysfs.Write(filepath.Join(string(g), name), value)
}

// Limit sets the limits that are not 0.
func (g controlGroup) Limit(l guest.Limits) error {
	var errs []error
	if l.Memory > 0 {
		errs = append(errs, g.LimitMemory(l.Memory))
	}
	if l.NanoCPUs > 0 {
		errs = append(errs, g.LimitCPU(l.NanoCPUs))
	}
	if l.Pids > 0 {
		errs = append(errs, g.LimitPids(l.Pids))
	}
	return errors.Join(errs...)
}

// LimitMemory bounds the memory, in bytes; 0 for no bound.
func (g controlGroup) LimitMemory(n int64) error { return g.write("memory.max", limitText(n)) }

// LimitPids bounds the number of tasks; 0 for no bound.
func (g controlGroup) LimitPids(n int64) error { return g.write("pids.max", limitText(n)) }

// LimitCPU bounds the processor time, in 1e-9 processors; 0 for no bound.
func (g controlGroup) LimitCPU(nano int64) error {
	// The controller is not enabled before it is needed: it costs each switch of tasks a little.
	if err := sysfs.Write(groupsDir+"/cgroup.subtree_control", "+cpu"); err != nil {
		return err
	}
	quota := "max"
	if nano > 0 {
		quota = strconv.FormatInt(nano*quotaPeriod.Microseconds()/1e9, 10)
	}
	return g.write("cpu.max", fmt.Sprintf("%s %d", quota, quotaPeriod.Microseconds()))
}

func limitText(n int64) string {
	if n <= 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// Kills counts the container's processes that the kernel has killed because memory ran out.
func (g controlGroup) Kills() int {
	n, _ := strconv.Atoi(g.value("memory.events", "oom_kill"))
	return n
}

// value reads one line of a file of lines "key value".
func (g controlGroup) value(file, key string) string {
	b, err := os.ReadFile(filepath.Join(string(g), file))
	if err != nil {
		return ""
	}
	return valueIn(b, key)
}

func valueIn(text []byte, key string) string {
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, key+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Freeze stops all processes, or lets them go on, and returns when it is so.
func (g controlGroup) Freeze(frozen bool) error {
	want := "0"
	if frozen {
		want = "1"
	}
	if err := g.write("cgroup.freeze", want); err != nil {
		return err
	}
	return g.await("cgroup.events", "frozen", want, freezeWait)
}

// await waits until a line "key value" of a file has the value. The kernel wakes those who poll the file
// when it changes.
func (g controlGroup) await(file, key, want string, limit time.Duration) error {
	f, err := os.Open(filepath.Join(string(g), file))
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 4096)
	for end := time.Now().Add(limit); ; {
		n, err := f.ReadAt(b, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if valueIn(b[:n], key) == want {
			return nil
		}
		left := time.Until(end)
		if left <= 0 {
			return fmt.Errorf("%s of the processes is not %s after %v: %w", key, want, limit, errdef.ErrUnavailable)
		}
		// A change since the read of this descriptor ends the poll at once.
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for %s: %w", file, err)
		}
	}
}
