package container

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"golang.org/x/sys/unix"
)

const patience = time.Minute

// newGroup makes a control group of this machine's with a process that sleeps.
func newGroup(t *testing.T) controlGroup {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount control groups")
	}
	mount := t.TempDir()
	if err := unix.Mount("cgroup2", mount, "cgroup2", 0, ""); err != nil {
		t.Skipf("control groups cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(mount, 0) })
	dir := filepath.Join(mount, "vic-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("no control group can be made here: %v", err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	sleeper := exec.Command("sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sleeper.Process.Kill()
		sleeper.Wait()
	})
	g := controlGroup(dir)
	if err := g.write("cgroup.procs", strconv.Itoa(sleeper.Process.Pid)); err != nil {
		t.Skipf("processes cannot be moved here: %v", err)
	}
	return g
}

func TestAGroupIsFrozenWhenFreezeReturns(t *testing.T) {
	g := newGroup(t)
	for _, frozen := range []bool{true, true, false, false, true, false} {
		if err := g.Freeze(frozen); err != nil {
			t.Fatal(err)
		}
		want := "0"
		if frozen {
			want = "1"
		}
		if got := g.value("cgroup.events", "frozen"); got != want {
			t.Errorf("frozen %v: the kernel says %q", frozen, got)
		}
	}
}

// The kernel wakes who waits; nobody looks again and again.
func TestAChangeOfTheGroupIsWaitedForAndNotAskedFor(t *testing.T) {
	g := newGroup(t)
	const limit = 500 * time.Millisecond
	before := cpuTime(t)
	if err := g.await("cgroup.events", "frozen", "1", limit); !errors.Is(err, errdef.ErrUnavailable) {
		t.Fatal(err)
	}
	if used := cpuTime(t) - before; used > limit/2 {
		t.Errorf("waiting for %v took %v of the processor", limit, used)
	}
	done := make(chan error, 1)
	go func() { done <- g.await("cgroup.events", "frozen", "1", patience) }()
	if err := g.write("cgroup.freeze", "1"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := g.Freeze(false); err != nil {
		t.Error(err)
	}
}

// cpuTime is what this process has used of the processor.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestWithoutAGroupThereIsNothingToLimitOrFreeze(t *testing.T) {
	var g controlGroup
	for what, err := range map[string]error{"memory": g.LimitMemory(1), "pids": g.LimitPids(1), "freeze": g.Freeze(true)} {
		if !errors.Is(err, errdef.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
