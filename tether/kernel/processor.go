package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/guest/sysfs"
	"golang.org/x/sys/unix"
)

// Emulated says that the processor is QEMU's in software (TCG), where interrupts and changes of
// context cost a hundred times what they cost on a real one.
func Emulated() bool {
	b, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && emulated(string(b))
}

func emulated(cpuinfo string) bool {
	for _, line := range strings.Split(cpuinfo, "\n") {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.HasPrefix(strings.TrimSpace(value), "QEMU TCG")
		}
	}
	return false
}

// EmulatedTimerSlack is how late timers may be on an emulated processor. Go's runtime has a thread that
// sleeps 20 us at a time for as long as it sees system calls last longer than that, which under TCG
// they all do. Measured while a container's output went through a link: 26,000 sleeps for 67 MB, and
// with this slack 1,200, and 40 % less processor time in both VMs. The thread also takes the processor
// from system calls that block, so that this is the longest that one of them can hold up the rest.
const EmulatedTimerSlack = 5 * time.Millisecond

// SetTimerSlack sets how late the timers of this process's threads may be (proc(5), timerslack_ns).
// Threads and children that come later have it from those that make them.
func SetTimerSlack(d time.Duration) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	for _, t := range threads {
		err := sysfs.Write("/proc/"+t.Name()+"/timerslack_ns", strconv.FormatInt(d.Nanoseconds(), 10))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) { // it has ended, before or after the open
			return fmt.Errorf("timer slack: %w", err)
		}
	}
	return nil
}
