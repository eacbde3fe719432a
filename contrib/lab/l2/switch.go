package l2

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

const (
	headerLen = 4
	minFrame  = 12 // the two addresses
	maxFrame  = 1<<16 + 64
	bufSize   = 256 << 10
)

// ErrClosed is returned for a port on a switch that was closed.
var ErrClosed = errors.New("switch is closed")

type mac [6]byte

// multicast says that an address names a group (broadcast among them).
func (m mac) multicast() bool { return m[0]&1 == 1 }

// Switch is a learning Ethernet switch.
type Switch struct {
	mu     sync.RWMutex
	ports  map[*port]bool
	fdb    map[mac]*port
	closed bool
}

// Plug attaches a connection; the switch owns it from now on and lets go when the other end closes.
func (s *Switch) Plug(c net.Conn) error {
	p := newPort(c)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = c.Close()
		return ErrClosed
	}
	s.ports[p] = true
	s.mu.Unlock()
	go s.run(p)
	return nil
}

// Ports is the number of attached stations.
func (s *Switch) Ports() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.ports)
}

// Close takes all ports out.
func (s *Switch) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for p := range s.ports {
		_ = p.conn.Close()
	}
}

func (s *Switch) run(p *port) {
	defer s.unplug(p)
	go p.write()
	r := bufio.NewReaderSize(p.conn, bufSize)
	buf := make([]byte, headerLen+maxFrame)
	for {
		frame, err := readFrame(r, buf)
		if err != nil {
			return
		}
		if len(frame) >= headerLen+minFrame {
			s.forward(p, frame)
		}
	}
}

func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, buf[:headerLen]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(buf))
	if n > maxFrame {
		return nil, errors.New("frame too long")
	}
	if _, err := io.ReadFull(r, buf[headerLen:headerLen+n]); err != nil {
		return nil, err
	}
	return buf[:headerLen+n], nil
}

// forward sends one frame to where it belongs.
func (s *Switch) forward(from *port, frame []byte) {
	dst, src := mac(frame[headerLen:]), mac(frame[headerLen+6:])
	s.mu.RLock()
	known, to := s.fdb[src], s.fdb[dst]
	s.mu.RUnlock()
	if known != from && !src.multicast() {
		s.mu.Lock()
		s.fdb[src] = from
		s.mu.Unlock()
	}
	if to != nil && !dst.multicast() {
		if to != from {
			to.send(frame, true)
		}
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for q := range s.ports {
		if q != from {
			q.send(frame, false)
		}
	}
}

func (s *Switch) unplug(p *port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.close()
	delete(s.ports, p)
	for k, v := range s.fdb {
		if v == p {
			delete(s.fdb, k)
		}
	}
}
