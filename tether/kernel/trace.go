package kernel

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// TraceWord on the kernel's command line turns the trace on.
const TraceWord = "vic.trace"

// Trace writes when each step of the boot was reached, in milliseconds since the kernel started.
// The zero Trace writes nothing.
type Trace struct {
	w    io.Writer
	last time.Duration
}

// NewTrace writes to w.
func NewTrace(w io.Writer) *Trace { return &Trace{w: w} }

// Step marks a step as reached. Steps may come from several goroutines; the difference that a line
// tells is then to whichever came before.
func (t *Trace) Step(name string) {
	if t == nil || t.w == nil {
		return
	}
	now := Uptime()
	fmt.Fprintf(t.w, "vic.trace %d.%03d +%d us %s\n", now.Milliseconds(), now.Microseconds()%1000, (now - t.last).Microseconds(), name)
	t.last = now
}

// Uptime is the time since the kernel started.
func Uptime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
