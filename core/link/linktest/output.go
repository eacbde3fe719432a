package linktest

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// Record is one write of a process.
type Record struct {
	Offset, Next int64
	Stream       int
	Time         time.Time
	Data         []byte
}

// Output is what a process wrote: a log with offsets, kept over boots of a VM as its disk is.
type Output struct {
	mu      sync.Mutex
	records []Record
	end     int64
	closed  bool
	changed chan struct{}
}

// NewOutput returns an empty Output.
func NewOutput() *Output { return &Output{changed: make(chan struct{})} }

// Write appends; stream is 1 or 2.
func (o *Output) Write(stream int, p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := Record{Offset: o.end, Next: o.end + int64(len(p)), Stream: stream, Time: time.Now(), Data: bytes.Clone(p)}
	o.records, o.end = append(o.records, r), r.Next
	o.notify()
}

// Records returns all records.
func (o *Output) Records() []Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Record(nil), o.records...)
}

// End is the offset of the end.
func (o *Output) End() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.end
}

func (o *Output) notify() {
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *Output) setClosed(closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = closed
	o.notify()
}

// tail is the offset of the last n records that end a line.
func (o *Output) tail(n int64) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := len(o.records) - int(n); i > 0 {
		return o.records[i].Offset
	}
	return 0
}

// read calls fn for each record from an offset on.
func (o *Output) read(ctx context.Context, from int64, follow bool, fn func(Record) error) error {
	for {
		o.mu.Lock()
		var next []Record
		for _, r := range o.records {
			if r.Offset >= from {
				next = append(next, r)
			}
		}
		closed, changed := o.closed, o.changed
		o.mu.Unlock()
		for _, r := range next {
			if err := fn(r); err != nil {
				return err
			}
			from = r.Next
		}
		if len(next) > 0 {
			continue
		}
		if !follow || closed {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
