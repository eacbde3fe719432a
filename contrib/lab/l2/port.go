package l2

import (
	"net"
	"sync"
	"time"
)

const (
	// maxQueue bounds what waits for a station.
	maxQueue = 1 << 20
	// patience is how long a sender waits for a station whose queue is full. A guest that only is
	// slow gets every frame, which TCP is glad of; one that does not read at all (its driver is not
	// loaded, its interface is down) must not hold up the others.
	patience = 100 * time.Millisecond
)

// port is one attached station. Frames for it are gathered while the last lot is being written, so
// that a burst costs one system call.
type port struct {
	conn net.Conn

	mu     sync.Mutex
	queue  []byte
	stuck  bool // nothing was read for the time of patience: frames are dropped
	closed bool
	filled chan struct{} // the queue has something
	room   chan struct{} // the queue was emptied
}

func newPort(c net.Conn) *port {
	return &port{conn: c, filled: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// send queues a frame. A frame that does not fit is dropped, at once or after some patience.
func (p *port) send(frame []byte, patient bool) {
	if p.put(frame) || !patient || p.isStuck() {
		return
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	for {
		select {
		case <-p.room:
			if p.put(frame) {
				return
			}
		case <-t.C:
			p.mu.Lock()
			p.stuck = true
			p.mu.Unlock()
			return
		}
	}
}

// put queues a frame if it fits; for a port that is closed everything fits.
func (p *port) put(frame []byte) bool {
	p.mu.Lock()
	fits := len(p.queue)+len(frame) <= maxQueue
	if fits && !p.closed {
		p.queue = append(p.queue, frame...)
	}
	done := fits || p.closed
	p.mu.Unlock()
	if fits {
		notify(p.filled)
	}
	return done
}

func (p *port) isStuck() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stuck
}

// write sends what is queued until the port closes.
func (p *port) write() {
	var out []byte
	for range p.filled {
		p.mu.Lock()
		out, p.queue = p.queue, out[:0]
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return
		}
		if len(out) == 0 {
			continue
		}
		notify(p.room)
		if _, err := p.conn.Write(out); err != nil {
			return // the reader sees it, too, and takes the port out
		}
		p.mu.Lock()
		p.stuck = false
		p.mu.Unlock()
	}
}

func (p *port) close() {
	_ = p.conn.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	notify(p.filled)
	notify(p.room)
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
