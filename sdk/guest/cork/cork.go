// Package cork makes fewer and larger writes of what TLS writes. crypto/tls hands each record of 16 KB
// to the connection by itself; a bulk of them costs a system call, a pass through the network stack and a
// wake-up of the reader each, which a small or emulated processor feels.
package cork

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// record is what a full TLS record has at least: 16 KB (RFC 8446, section 5.1) and its header.
	record = 16<<10 + 5
	// limit is how much is collected.
	limit = 128 << 10
	// hold is how long a full record waits for another one. Most need not: a bulk ends with a record that
	// is not full.
	hold = 500 * time.Microsecond
)

var pool = sync.Pool{New: func() any { b := make([]byte, 0, limit); return &b }}

// Listener returns a listener whose connections collect full TLS records; TLS goes on top of it.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Conn(c), nil
}

// Conn returns a connection that collects the full TLS records that are written to it. Anything else is
// written at once, after them. An error of a write that was put off is that of the next one.
func Conn(c net.Conn) net.Conn { return &conn{Conn: c} }

type conn struct {
	net.Conn

	mu    sync.Mutex
	held  *[]byte // nil: nothing
	timer *time.Timer
	err   error
}

// Write implements net.Conn. The caller may use p again.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	full := len(p) >= record && len(p) <= limit/2
	if c.held == nil && !full {
		return c.Conn.Write(p)
	}
	if c.held != nil && len(*c.held)+len(p) > limit {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if c.held == nil {
		c.held = pool.Get().(*[]byte)
	}
	*c.held = append(*c.held, p...)
	if full && len(*c.held)+len(p) <= limit {
		c.arm()
		return len(p), nil
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *conn) arm() {
	if c.timer == nil {
		c.timer = time.AfterFunc(hold, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			_ = c.flush()
		})
		return
	}
	c.timer.Reset(hold)
}

// flush writes what is held; mu is held.
func (c *conn) flush() error {
	if c.held == nil || c.err != nil {
		return c.err
	}
	_, c.err = c.Conn.Write(*c.held)
	*c.held = (*c.held)[:0]
	pool.Put(c.held)
	c.held = nil
	return c.err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	// A write that hangs holds the lock: closing ends it.
	if c.mu.TryLock() {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(hold))
		_ = c.flush()
		if c.err == nil {
			c.err = net.ErrClosed
		}
		c.mu.Unlock()
	}
	return c.Conn.Close()
}

// CloseWrite ends the writing side, if the connection below can.
func (c *conn) CloseWrite() error {
	h, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.flush(); err != nil {
		return err
	}
	return h.CloseWrite()
}
