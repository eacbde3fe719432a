package admin

import (
	"bytes"
	"io"
	"sync"
)

// Ring keeps the last bytes that were written to it, for "the last lines of the log", and hands new
// ones to those who follow.
type Ring struct {
	mu        sync.Mutex
	size      int
	buf       []byte
	followers map[chan []byte]struct{}
}

// followed is how many writes a follower may be behind; then it misses some.
const followed = 256

// NewRing keeps at least size bytes.
func NewRing(size int) *Ring { return &Ring{size: size, followers: map[chan []byte]struct{}{}} }

// Write never fails.
func (r *Ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buf = append(r.buf, p...)
	for f := range r.followers {
		select {
		case f <- bytes.Clone(p):
		default: // too slow: the log does not wait
		}
	}
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
	return w.Write(tail(text, n))
}

// Follow returns the last n lines and a channel of what is written after them, until stop is called.
func (r *Ring) Follow(n int) (last []byte, next <-chan []byte, stop func()) {
	ch := make(chan []byte, followed)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.followers[ch] = struct{}{}
	return bytes.Clone(tail(r.buf, n)), ch, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.followers, ch)
	}
}

// tail returns the last n lines.
func tail(text []byte, n int) []byte {
	from := len(text)
	for ; n > 0 && from > 0; n-- {
		from = bytes.LastIndexByte(text[:from-1], '\n') + 1
	}
	return text[from:]
}
