// Package progress prints what a long operation is doing, one line a step, with the seconds since
// the operation began.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Log prints lines. It is safe for concurrent use; a nil *Log prints nothing.
type Log struct {
	mu    sync.Mutex
	w     io.Writer
	start time.Time
	now   func() time.Time
}

// New makes a Log whose clock starts now.
func New(w io.Writer) *Log { return &Log{w: w, start: time.Now(), now: time.Now} }

// Printf prints one line.
func (l *Log) Printf(format string, args ...any) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "%7.1fs  %s\n", l.now().Sub(l.start).Seconds(), fmt.Sprintf(format, args...))
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
