// Package output holds what a process wrote until those who read it have it: on the container's disk
// and, for what is new, in memory.
package output

import (
	"context"
	"errors"
	"io"
	"sort"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/guest/outlog"
)

// The bounds of the records in memory. What is older is read from the log; without a log there is
// more of it, so that what is on its way when a link breaks can be asked for again.
const (
	limitWithLog    = 1 << 20
	limitWithoutLog = 8 << 20
)

// orphanWait is how long a process without a log is held back for a reader that does not come. The
// output of one whose user wants none kept may be for nobody.
const (
	orphanWait  = time.Minute
	unkeptPause = 2 * time.Second
)

// Buffer is the output of one process and of those that follow it. Writers append: one goroutine for each
// stream of the process, one after another. Readers follow with offsets of their own, each in a goroutine of
// its own. All may happen at once.
//
// An append goes to the log first and then to memory, so that what leaves memory is in the log. A reader
// takes from memory what is there, from the log what has left it, and from memory again when it has caught
// up. An attached reader is never overtaken: an append waits for it, first where the log would
// remove a file (release), then where memory would drop a record (makeRoom).
type Buffer struct {
	// wmu is held over an append, from the log to memory: offsets grow in the order of the log. It comes
	// before mu. Waiting for readers happens under it and not under mu, so that the process is held back and
	// readers are not.
	wmu sync.Mutex
	log *outlog.Writer // written under wmu; nil: in memory only
	dir string         // of the log

	mu      sync.Mutex      // guards what follows, and every Reader's next; not held over disk or waits
	recent  []outlog.Record // oldest first; the data of a record is never changed, so that readers share it
	size    int             // bytes in recent
	start   int64           // offset of the first byte in recent
	end     int64           // offset after the last byte
	closed  bool
	changed chan struct{} // closed and replaced at each change, if anybody waits
	waiting int           // goroutines that wait for changed
	readers map[*Reader]bool
	idle    time.Time // when the last reader went

	limit  int           // bytes in memory
	orphan time.Duration // how long the process waits for a reader that does not come
	logErr func(error)   // is told, under wmu, when the log takes nothing
}

// NewMemory returns a buffer that keeps the newest output only, and holds the process back rather
// than let an attached reader, or one that is still to come, miss some.
func NewMemory() *Buffer {
	return &Buffer{changed: make(chan struct{}), readers: map[*Reader]bool{}, idle: time.Now(), limit: limitWithoutLog, orphan: orphanWait, logErr: func(error) {}}
}

// NewUnkept is NewMemory for output that is for attached readers alone.
func NewUnkept() *Buffer {
	b := NewMemory()
	b.orphan = unkeptPause
	return b
}

// Open returns a buffer over the log in dir. logErr is told when output cannot be kept.
func Open(dir string, maxSize int64, maxFiles int, logErr func(error)) (*Buffer, error) {
	b := NewMemory()
	b.dir, b.logErr, b.limit = dir, logErr, limitWithLog
	w, err := outlog.Open(dir, outlog.Options{MaxSize: maxSize, MaxFiles: maxFiles, Release: b.release})
	if err != nil {
		return nil, err
	}
	b.log = w
	b.start, b.end = w.End(), w.End()
	return b, nil
}

// Append adds output; data is the buffer's afterwards. It waits while an attached reader would be
// overtaken.
func (b *Buffer) Append(s outlog.Stream, data []byte) {
	if len(data) == 0 {
		return
	}
	b.wmu.Lock()
	defer b.wmu.Unlock()
	r := outlog.Record{Time: time.Now(), Stream: s, Data: data}
	if b.log != nil {
		var err error
		if r, err = b.log.Append(s, r.Time, data); err != nil {
			b.logErr(err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.makeRoom(len(data))
	if b.log == nil {
		r.Offset = b.end
	}
	b.recent = append(b.recent, r)
	b.size += len(data)
	b.end = r.Next()
	b.wake()
}

// makeRoom drops the oldest records; called with mu held, which it gives up while it waits.
func (b *Buffer) makeRoom(n int) {
	for len(b.recent) > 0 && b.size+n > b.limit {
		next := b.recent[0].Next()
		if b.log == nil && b.wanted(next) {
			b.wait()
			continue
		}
		b.size -= len(b.recent[0].Data)
		b.recent[0].Data = nil
		b.recent = b.recent[1:]
		b.start = next
	}
}

// wanted tells whether output below next is still to be read. With a log, and nobody attached,
// nothing is held back.
func (b *Buffer) wanted(next int64) bool {
	attached := false
	for r := range b.readers {
		if r.attached {
			attached = true
			if r.next < next {
				return true
			}
		}
	}
	return b.log == nil && !attached && time.Since(b.idle) < b.orphan
}

// release is called before the log removes output below next.
func (b *Buffer) release(next int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.wanted(next) {
		b.wait()
	}
}

// wait waits for a change, or a second, with mu held before and after, but not meanwhile.
func (b *Buffer) wait() {
	c := b.changed
	b.waiting++
	b.mu.Unlock()
	select {
	case <-c:
	case <-time.After(time.Second): // the wait for a reader may be over
	}
	b.mu.Lock()
	b.waiting--
}

// wake has all who wait look again; mu is held.
func (b *Buffer) wake() {
	if b.waiting == 0 {
		return
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

// Cut ends those who follow: the process has ended and all of it is here. The process that may come
// after it has readers of its own.
func (b *Buffer) Cut() {
	b.wmu.Lock()
	defer b.wmu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut()
}

// cut is Cut with both locks held.
func (b *Buffer) cut() {
	for r := range b.readers {
		if r.follow {
			r.follow, r.limit = false, b.end
		}
	}
	b.wake()
}

// Close marks the end of the output: nothing comes after it.
func (b *Buffer) Close() {
	b.wmu.Lock()
	defer b.wmu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.cut()
	if b.log != nil {
		b.log.Close()
	}
}

// Forget frees the memory of a closed buffer that has no log.
func (b *Buffer) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.log == nil {
		b.recent, b.size, b.start = nil, 0, b.end
	}
}

// End is the offset after the last byte.
func (b *Buffer) End() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end
}

// Attached tells whether an attached reader is there.
func (b *Buffer) Attached() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for r := range b.readers {
		if r.attached {
			return true
		}
	}
	return false
}

// Options says what a reader wants.
type Options struct {
	outlog.Query
	// FromEnd starts at the present end; the query's offset is ignored.
	FromEnd  bool
	Follow   bool // go on until the buffer is closed
	Attached bool // the process waits for this reader
}

// Reader reads records in order. It is used by one goroutine.
type Reader struct {
	b        *Buffer
	query    outlog.Query
	follow   bool
	attached bool
	limit    int64          // without follow: the end as it was; guarded by b.mu, as follow is
	next     int64          // guarded by b.mu
	cursor   *outlog.Cursor // the reader's goroutine's alone
}

// NewReader registers a reader; the caller closes it.
func (b *Buffer) NewReader(o Options) (*Reader, error) {
	r := &Reader{b: b, query: o.Query, follow: o.Follow, attached: o.Attached, next: o.Offset}
	if o.TailLines > 0 {
		next, err := b.tail(o.TailLines)
		if err != nil {
			return nil, err
		}
		r.next = next
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.FromEnd || r.next > b.end {
		r.next = b.end
	}
	r.limit = b.end
	b.readers[r] = true
	return r, nil
}

func (b *Buffer) tail(lines int64) (int64, error) {
	if b.log != nil {
		return outlog.TailOffset(b.dir, lines)
	}
	return b.start, nil // an exec's output is never asked for by lines
}

// Close unregisters the reader.
func (r *Reader) Close() error {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.readers, r)
	b.idle = time.Now()
	b.wake()
	if r.cursor != nil {
		return r.cursor.Close()
	}
	return nil
}

// Next returns the next record. It waits for one if the reader follows; io.EOF is the end.
func (r *Reader) Next(ctx context.Context) (outlog.Record, error) {
	for {
		rec, err := r.any(ctx)
		if err != nil {
			return rec, err
		}
		if r.query.Wants(rec) {
			return rec, nil
		}
	}
}

func (r *Reader) any(ctx context.Context) (outlog.Record, error) {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case !r.follow && r.next >= r.limit:
			return outlog.Record{}, io.EOF
		case r.next < b.start && b.log != nil:
			if rec, ok, err := r.fromLog(); ok || err != nil {
				return rec, err
			}
		case r.next < b.end:
			return r.fromMemory(), nil
		case b.closed:
			return outlog.Record{}, io.EOF
		default:
			if err := r.await(ctx); err != nil {
				return outlog.Record{}, err
			}
		}
	}
}

// await waits for a change with mu held before and after.
func (r *Reader) await(ctx context.Context) error {
	b := r.b
	c := b.changed
	b.waiting++
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.waiting--
	}()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Reader) fromMemory() outlog.Record {
	b := r.b
	i := sort.Search(len(b.recent), func(i int) bool { return b.recent[i].Next() > r.next })
	rec := b.recent[i].From(r.next)
	r.advance(rec.Next())
	return rec
}

// advance moves the reader; those whom it held back look again.
func (r *Reader) advance(next int64) {
	r.next = next
	if r.attached {
		r.b.wake()
	}
}

// fromLog reads a record that is not in memory any more, with mu given up meanwhile.
func (r *Reader) fromLog() (outlog.Record, bool, error) {
	b, from := r.b, r.next
	b.mu.Unlock()
	if r.cursor == nil {
		r.cursor = outlog.NewCursor(b.dir, from)
	}
	rec, err := r.cursor.Next()
	b.mu.Lock()
	if errors.Is(err, io.EOF) {
		// The rest could not be written to the log.
		r.advance(b.start)
		return rec, false, nil
	}
	if err != nil {
		return rec, false, err
	}
	if from >= b.end || rec.Offset >= b.start {
		// The cursor has come to what memory holds.
		r.dropCursor()
		if rec.Offset > r.next {
			r.advance(rec.Offset)
		}
		return rec, false, nil
	}
	r.advance(rec.Next())
	if r.next >= b.start {
		r.dropCursor()
	}
	return rec, true, nil
}

func (r *Reader) dropCursor() {
	r.cursor.Close()
	r.cursor = nil
}
