// Package linkserver is the tether's end of the link: it dials the host, and serves the link protocol on
// the connection that it made.
package linkserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"golang.org/x/sys/unix"
)

// How long between attempts, and how fast a dead peer is noticed.
const (
	firstWait   = 50 * time.Millisecond
	maxWait     = 2 * time.Second
	dialTimeout = 3 * time.Second
	deadPeer    = 5 * time.Second
	// goodAge is the age at which a connection counts as a good one, and the next attempt after it
	// is quick again.
	goodAge = 3 * time.Second
)

// Dialer makes one connection.
type Dialer func(ctx context.Context) (net.Conn, error)

// NewDialer dials address; device is the interface for a link-local host without a zone, and in,
// if set, runs the dial in the link's own network namespace.
func NewDialer(address, device string, in func(func() error) error) (Dialer, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("link address %q: %w: %w", address, errdef.ErrInvalid, err)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLinkLocalUnicast() && ip.Is6() && ip.Zone() == "" {
		host = ip.WithZone(device).String()
	}
	if in == nil {
		in = func(f func() error) error { return f() }
	}
	d := &net.Dialer{Timeout: dialTimeout, Control: control, FallbackDelay: -1,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}}
	target := net.JoinHostPort(host, port)
	return func(ctx context.Context) (net.Conn, error) {
		var c net.Conn
		err := in(func() error {
			var err error
			c, err = d.DialContext(ctx, "tcp", target)
			return err
		})
		return c, err
	}, nil
}

// control makes the kernel give up on a peer that does not acknowledge.
func control(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeer.Milliseconds()))
	})
}

// listener is a net.Listener that dials: Accept returns a connection that it made, and makes the
// next one when that one is closed. gRPC calls Accept from one goroutine, which alone uses current and wait;
// it closes the connection from another.
type listener struct {
	dial    Dialer
	preface string
	log     *slog.Logger
	ctx     context.Context // of the link, since Accept has none
	cancel  context.CancelFunc

	current *conn         // the one that was accepted last; nil when it is over
	wait    time.Duration // before the next attempt
}

var _ net.Listener = (*listener)(nil)

func newListener(ctx context.Context, dial Dialer, id string, log *slog.Logger) *listener {
	ctx, cancel := context.WithCancel(ctx)
	return &listener{dial: dial, preface: guest.PrefacePrefix + id + "\n", log: log, ctx: ctx, cancel: cancel, wait: firstWait}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	if l.current != nil {
		if err := l.awaitEnd(); err != nil {
			return nil, err
		}
	}
	said := ""
	for {
		c, err := l.connect()
		if err == nil {
			l.current = c
			return c, nil
		}
		if l.ctx.Err() != nil {
			return nil, net.ErrClosed
		}
		if said != err.Error() {
			said = err.Error()
			l.log.Info("link not up yet", "err", err)
		}
		if err := l.pause(); err != nil {
			return nil, err
		}
	}
}

// awaitEnd returns when the present connection is over.
func (l *listener) awaitEnd() error {
	select {
	case <-l.current.closed:
	case <-l.ctx.Done():
		return net.ErrClosed
	}
	if time.Since(l.current.born) > goodAge {
		l.wait = firstWait
	}
	l.current = nil
	return l.pause()
}

func (l *listener) pause() error {
	select {
	case <-time.After(l.wait):
		l.wait = min(2*l.wait, maxWait)
		return nil
	case <-l.ctx.Done():
		return net.ErrClosed
	}
}

func (l *listener) connect() (*conn, error) {
	c, err := l.dial(l.ctx)
	if err != nil {
		return nil, err
	}
	c.SetWriteDeadline(time.Now().Add(dialTimeout))
	if _, err := io.WriteString(c, l.preface); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.SetWriteDeadline(time.Time{})
	return &conn{Conn: c, closed: make(chan struct{}), born: time.Now()}, nil
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.cancel()
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "link" }
func (addr) String() string  { return "link" }

// conn tells when it is closed. Close may be called several times and at once.
type conn struct {
	net.Conn
	closed chan struct{}
	born   time.Time
	once   sync.Once
}

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
