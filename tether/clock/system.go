package clock

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/guest/sysfs"
	"golang.org/x/sys/unix"
)

const (
	nominalTick = 10000 // microseconds; a unit of it is 100 ppm
	tickUnit    = 100e-6
	sourceDir   = "/sys/devices/system/clocksource/clocksource0"
)

// kernelClock is the clock of this machine.
type kernelClock struct{}

// now returns the clock, and the oscillator at the same moment.
func (kernelClock) now() (wall time.Time, raw time.Duration) {
	before := read(unix.CLOCK_MONOTONIC_RAW)
	wall = time.Unix(0, int64(read(unix.CLOCK_REALTIME)))
	after := read(unix.CLOCK_MONOTONIC_RAW)
	return wall, (before + after) / 2
}

// origin is the moment that the monotonic clock began, by this clock. It moves when somebody sets the
// clock, and at no other time: a slew moves both.
func (kernelClock) origin() (at, bound time.Duration) {
	bound = math.MaxInt64
	for range 4 {
		before := read(unix.CLOCK_MONOTONIC)
		wall := read(unix.CLOCK_REALTIME)
		after := read(unix.CLOCK_MONOTONIC)
		if after-before < bound {
			at, bound = wall-(before+after)/2, after-before
		}
	}
	return at, bound
}

func read(id int32) time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(id, &ts) // fails for unknown clocks alone
	return time.Duration(ts.Nano())
}

// step adds to the clock.
func (kernelClock) step(by time.Duration) error {
	ts := unix.NsecToTimespec(int64(read(unix.CLOCK_REALTIME) + by))
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

// split says how the kernel is told a rate: a whole number of ticks, and the rest as a frequency in
// ppm with 16 bits behind the point.
func split(rate float64) (tick, freq int64) {
	units := math.Round(rate / tickUnit)
	return nominalTick + int64(units), int64(math.Round((rate - units*tickUnit) * 1e6 * 65536))
}

// setRate runs the clock faster than its oscillator.
func (kernelClock) setRate(rate float64) error {
	tick, freq := split(rate)
	if _, err := unix.Adjtimex(&unix.Timex{Modes: unix.ADJ_TICK | unix.ADJ_FREQUENCY, Tick: tick, Freq: freq}); err != nil {
		return fmt.Errorf("the clock's rate: %w", err)
	}
	return nil
}

// setBound has the kernel tell by how much the clock may be off. It does not call the clock synchronised:
// then it would write it to the hardware's, which is the hypervisor's.
func (kernelClock) setBound(d time.Duration) error {
	us := d.Microseconds() + 1
	if _, err := unix.Adjtimex(&unix.Timex{Modes: unix.ADJ_MAXERROR | unix.ADJ_ESTERROR, Maxerror: us, Esterror: us}); err != nil {
		return fmt.Errorf("the clock's error: %w", err)
	}
	return nil
}

// hasRate says whether the clock runs as setRate told it to: nobody else has adjusted it.
func (kernelClock) hasRate(rate float64) bool {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return true
	}
	tick, freq := split(rate)
	return t.Tick == tick && t.Freq >= freq-2 && t.Freq <= freq+2 && t.Status&unix.STA_PLL == 0 // the kernel rounds
}

// replace has the kernel use another oscillator than the TSC, and returns its name.
func (kernelClock) replace() (string, error) { return replaceSource(sourceDir) }

func replaceSource(dir string) (string, error) {
	current, err := os.ReadFile(filepath.Join(dir, "current_clocksource"))
	if err != nil {
		return "", fmt.Errorf("clock sources: %w", err)
	}
	available, err := os.ReadFile(filepath.Join(dir, "available_clocksource"))
	if err != nil {
		return "", fmt.Errorf("clock sources: %w", err)
	}
	if now := strings.TrimSpace(string(current)); !isTSC(now) {
		return now, nil // the kernel has found out by itself just now
	}
	for _, name := range strings.Fields(string(available)) { // best first
		if isTSC(name) {
			continue
		}
		if err := sysfs.Write(filepath.Join(dir, "current_clocksource"), name); err != nil {
			return "", fmt.Errorf("clock source %s: %w", name, err)
		}
		return name, nil
	}
	return "", fmt.Errorf("no other clock source than %s", strings.TrimSpace(string(current)))
}

func isTSC(source string) bool { return strings.HasPrefix(source, "tsc") }
