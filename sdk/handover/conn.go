package handover

import (
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/openvic/vic/sdk/errdef"
)

// Conn is a socket that can be given to the host. After that the driver can only close it, which
// ends it for the host too.
type Conn struct {
	net.Conn

	mu     sync.Mutex
	kept   int // our duplicate of what was given; -1: still ours
	closed bool
}

// NewConn makes a Conn of a connection that nobody else uses any more.
func NewConn(c net.Conn) *Conn { return &Conn{Conn: c, kept: -1} }

// Handover gives the socket away. errdef.ErrUnsupported if the connection is no socket.
func (c *Conn) Handover(to *Sink) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.Conn.(syscall.Conn)
	if !ok || c.closed || c.kept >= 0 {
		return errdef.ErrUnsupported
	}
	fd := -1
	if err := control(s, func(own int) (err error) { fd, err = dup(own); return err }); err != nil {
		return fmt.Errorf("handover: duplicate: %w", err)
	}
	if err := to.Give(fd); err != nil {
		_ = closeFD(fd)
		return fmt.Errorf("handover: %w", err)
	}
	c.kept = fd
	// Out of the runtime's poller, which would wake this process for every packet.
	_ = c.Conn.Close()
	return nil
}

// Close ends the connection, wherever it is.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	if c.kept < 0 {
		return c.Conn.Close()
	}
	return shutdown(c.kept)
}

// CloseWrite ends the sending direction, where the connection can.
func (c *Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
