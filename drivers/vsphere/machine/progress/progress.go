// Package progress tells what a long operation is doing, one line at a time, with the time since the
// operation began.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Event is the begin of a step, or a line about what was done in it.
type Event struct {
	After time.Duration // since the operation began
	Step  string        // its name; empty in a line
	Text  string
}

// Log tells events. It is safe for concurrent use; a nil *Log tells nobody.
type Log struct {
	mu    sync.Mutex // held while tell runs: events come one after the other
	tell  func(Event)
	start time.Time
	now   func() time.Time
}

// New makes a Log that prints lines, and whose clock starts now.
func New(w io.Writer) *Log {
	return To(func(e Event) {
		if e.Step == "" {
			fmt.Fprintf(w, "%7.1fs  %s\n", e.After.Seconds(), e.Text)
		}
	})
}

// To makes a Log that calls tell for each event, one after the other, and whose clock starts now.
func To(tell func(Event)) *Log { return &Log{tell: tell, start: time.Now(), now: time.Now} }

// Printf tells one line.
func (l *Log) Printf(format string, args ...any) { l.send("", fmt.Sprintf(format, args...)) }

// Step says that a step begins, and the one before has ended.
func (l *Log) Step(name string) { l.send(name, "") }

func (l *Log) send(step, text string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(Event{After: l.now().Sub(l.start), Step: step, Text: text})
}

// Elapsed is the time since New.
func (l *Log) Elapsed() time.Duration {
	if l == nil {
		return 0
	}
	return l.now().Sub(l.start)
}

// minBytes is the size from which a transfer shows its quarters.
const minBytes = 8 << 20

// Reader counts the bytes that pass through r and prints a line at each quarter of total.
func (l *Log) Reader(r io.Reader, name string, total int64) io.Reader {
	if l == nil || total < minBytes {
		return r
	}
	return &reader{r: r, log: l, name: name, total: total}
}

type reader struct {
	r           io.Reader
	log         *Log
	name        string
	total, done int64
	quarter     int64
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.done += int64(n)
	if q := r.done * 4 / r.total; q > r.quarter && q < 4 {
		r.quarter = q
		r.log.Printf("  %s: %d %% of %d MiB", r.name, q*25, r.total>>20)
	}
	return n, err
}
