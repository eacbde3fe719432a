package kernel

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// TraceWord on the kernel's command line turns the trace on.
const TraceWord = "vic.trace"

// Trace notes when each step of the boot was reached, in milliseconds since the kernel started. The
// lines are written at Flush, since a serial console takes longer than most of the steps. The zero
// Trace notes nothing.
type Trace struct {
	w     io.Writer
	mu    sync.Mutex
	steps []step
}

type step struct {
	name string
	at   time.Duration
}

// NewTrace writes to w.
func NewTrace(w io.Writer) *Trace { return &Trace{w: w} }

// Step marks a step as reached.
func (t *Trace) Step(name string) {
	if t.w == nil {
		return
	}
	now := Uptime()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = append(t.steps, step{name, now})
}

// Flush writes the steps since the last time: when each was reached, and how long after the one
// before, which may have been another goroutine's.
func (t *Trace) Flush() {
	if t.w == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var b bytes.Buffer
	last := time.Duration(0)
	for _, s := range t.steps {
		fmt.Fprintf(&b, "vic.trace %d.%03d +%d us %s\n", s.at.Milliseconds(), s.at.Microseconds()%1000, (s.at - last).Microseconds(), s.name)
		last = s.at
	}
	t.steps = nil
	_, _ = t.w.Write(b.Bytes())
}

// Uptime is the time since the kernel started.
func Uptime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
