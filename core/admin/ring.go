package admin

import (
	"bytes"
	"io"
	"sync"
)

// Ring keeps the last bytes that were written to it, for "the last lines of the log".
type Ring struct {
	mu   sync.Mutex
	size int
	buf  []byte
}

// NewRing keeps at least size bytes.
func NewRing(size int) *Ring { return &Ring{size: size} }

// Write never fails.
func (r *Ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buf = append(r.buf, p...)
	if len(r.buf) > 2*r.size {
		r.buf = append([]byte(nil), r.buf[len(r.buf)-r.size:]...)
	}
	return len(p), nil
}

// WriteLast writes the last n lines to w.
func (r *Ring) WriteLast(w io.Writer, n int) (int, error) {
	r.mu.Lock()
	text := bytes.Clone(r.buf)
	r.mu.Unlock()
	from := len(text)
	for ; n > 0 && from > 0; n-- {
		from = bytes.LastIndexByte(text[:from-1], '\n') + 1
	}
	return w.Write(text[from:])
}
