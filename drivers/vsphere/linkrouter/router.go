// Package linkrouter takes the connections that tethers make and hands each to who asks for its
// container. It reads the preface line and nothing else: TLS runs between the core and the tether.
package linkrouter

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/handover"
)

const (
	prefaceTimeout = 5 * time.Second
	prefaceLimit   = 256
	maxHandshakes  = 256         // connections that have not sent their preface yet
	grace          = time.Second // to read what a VM that went off had sent
)

// Router holds at most one waiting connection for each container: the newest.
type Router struct {
	known func(id string) bool // whose prefaces are taken
	log   *slog.Logger
	slots chan struct{} // limits handshakes

	// mu guards ports and what is in them. It is held for moments: never while a connection is read, written
	// or waited for.
	mu    sync.Mutex
	ports map[string]*port
}

// port is one container's place. Of parked and wanted at most one is set. A connection belongs to the port
// while it is parked, and to the stream once it is handed out: whoever takes it away closes it.
type port struct {
	parked net.Conn      // came and was not asked for yet
	active *stream       // handed out
	wanted chan net.Conn // who waits; closed when another Connect takes the place
}

// NewRouter returns a router that takes connections of containers that known knows.
func NewRouter(known func(id string) bool, log *slog.Logger) *Router {
	return &Router{known: known, log: log, slots: make(chan struct{}, maxHandshakes), ports: map[string]*port{}}
}

// Serve accepts connections from l until ctx ends.
func (r *Router) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("accept links: %w", err)
		}
		select {
		case r.slots <- struct{}{}:
			go func() {
				defer func() { <-r.slots }()
				r.take(c)
			}()
		default:
			_ = c.Close()
		}
	}
}

// take reads the preface and puts the connection where it belongs.
func (r *Router) take(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(prefaceTimeout))
	id, err := readPreface(c)
	if err == nil && !r.known(id) {
		err = fmt.Errorf("container %.64q: %w", id, errdef.ErrNotFound)
	}
	if err != nil {
		r.log.Warn("a link was refused", "from", c.RemoteAddr().String(), "err", err)
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	tune(c)
	r.deliver(id, c)
}

// readPreface reads byte by byte: what follows the line is not ours.
func readPreface(c io.Reader) (string, error) {
	line := make([]byte, 0, 80)
	var b [1]byte
	for len(line) < prefaceLimit {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return "", fmt.Errorf("read the preface: %w", err)
		}
		if b[0] == '\n' {
			id, ok := strings.CutPrefix(string(line), guest.PrefacePrefix)
			if !ok || id == "" {
				return "", fmt.Errorf("not a preface: %.32q: %w", line, errdef.ErrInvalid)
			}
			return id, nil
		}
		line = append(line, b[0])
	}
	return "", fmt.Errorf("preface longer than %d bytes: %w", prefaceLimit, errdef.ErrInvalid)
}

func (r *Router) deliver(id string, c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.port(id)
	if p.parked != nil {
		_ = p.parked.Close()
		p.parked = nil
	}
	if p.active != nil { // the tether has given that one up
		_ = p.active.Conn.Close()
		p.active = nil
	}
	if p.wanted != nil {
		p.wanted <- c // has room for one
		p.wanted = nil
		return
	}
	p.parked = c
}

func (r *Router) port(id string) *port {
	p := r.ports[id]
	if p == nil {
		p = &port{}
		r.ports[id] = p
	}
	return p
}

// Connect returns the container's connection; it waits for one. The stream of an earlier Connect is
// closed, an earlier Connect that still waits fails.
func (r *Router) Connect(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	r.mu.Lock()
	p := r.port(id)
	if p.active != nil {
		_ = p.active.Conn.Close()
		p.active = nil
	}
	if p.wanted != nil {
		close(p.wanted)
		p.wanted = nil
	}
	if c := p.parked; c != nil {
		p.parked = nil
		s := r.activate(id, p, c)
		r.mu.Unlock()
		return s, nil
	}
	w := make(chan net.Conn, 1)
	p.wanted = w
	r.mu.Unlock()

	select {
	case c, ok := <-w:
		return r.arrived(id, c, ok)
	case <-ctx.Done():
		r.giveUp(id, w)
		return nil, fmt.Errorf("wait for the link of container %s: %w", id, ctx.Err())
	}
}

func (r *Router) arrived(id string, c net.Conn, ok bool) (io.ReadWriteCloser, error) {
	if !ok {
		return nil, fmt.Errorf("link of container %s: another caller took it, or the VM is gone: %w", id, errdef.ErrConflict)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.activate(id, r.port(id), c), nil
}

// giveUp takes a waiting Connect back; a connection that came in the same moment is kept.
func (r *Router) giveUp(id string, w chan net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.port(id)
	if p.wanted == w {
		p.wanted = nil
	}
	select {
	case c, ok := <-w:
		if ok && p.parked == nil {
			p.parked = c
		} else if ok {
			_ = c.Close()
		}
	default:
	}
	r.tidy(id, p)
}

func (r *Router) activate(id string, p *port, c net.Conn) *stream {
	s := &stream{Conn: handover.NewConn(c), router: r, id: id}
	p.active = s
	return s
}

// Drop ends what there is of a container: its VM is off, and what it had sent can be read for a
// moment longer, or it is gone, and a Connect that waits fails.
func (r *Router) Drop(id string, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.ports[id]
	if p == nil {
		return
	}
	if p.parked != nil {
		_ = p.parked.Close()
		p.parked = nil
	}
	if p.active != nil {
		c := p.active.Conn
		p.active = nil
		if gone {
			_ = c.Close()
		} else {
			time.AfterFunc(grace, func() { _ = c.Close() })
		}
	}
	if gone && p.wanted != nil {
		close(p.wanted)
		p.wanted = nil
	}
	r.tidy(id, p)
}

func (r *Router) tidy(id string, p *port) {
	if p.parked == nil && p.active == nil && p.wanted == nil {
		delete(r.ports, id)
	}
}

// stream is a connection that was handed out. The SDK gives its socket to the host, so that the bytes
// do not pass this process.
type stream struct {
	*handover.Conn
	router *Router
	id     string
}

// Close closes the connection; the tether dials again.
func (s *stream) Close() error {
	s.router.mu.Lock()
	if p := s.router.ports[s.id]; p != nil && p.active == s {
		p.active = nil
		s.router.tidy(s.id, p)
	}
	s.router.mu.Unlock()
	return s.Conn.Close()
}
