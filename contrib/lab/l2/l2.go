// Package l2 is the lab's Ethernet: one learning switch per port group, all in this process.
//
// A port is a stream connection from QEMU (`-netdev stream`). Frames travel with a 4-byte big-endian length before them, as
// QEMU's stream backend and gvisor-tap-vsock's QEMU protocol have it.
package l2

import (
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Fabric holds the switches by name. The zero value is ready to use.
type Fabric struct {
	mu       sync.Mutex
	switches map[string]*Switch
	closed   bool
}

// Switch returns the switch of that name and makes it when it is not there yet.
func (f *Fabric) Switch(name string) *Switch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.switches == nil {
		f.switches = map[string]*Switch{}
	}
	s := f.switches[name]
	if s == nil {
		s = &Switch{ports: map[*port]bool{}, fdb: map[mac]*port{}, closed: f.closed}
		f.switches[name] = s
	}
	return s
}

// Plug attaches a connection to the named switch, which owns it from now on.
func (f *Fabric) Plug(name string, c net.Conn) error { return f.Switch(name).Plug(c) }

// Close ends all switches; their ports see end of file.
func (f *Fabric) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, s := range f.switches {
		s.Close()
	}
}

// Pair makes a connected pair of stream sockets: a connection for this process and a file for
// another one.
func Pair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	near := os.NewFile(uintptr(fds[0]), "near")
	far := os.NewFile(uintptr(fds[1]), "far")
	c, err := net.FileConn(near)
	_ = near.Close() // FileConn works on a copy
	if err != nil {
		_ = far.Close()
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return c, far, nil
}

// Pipe makes a connected pair of stream sockets, both for this process.
func Pipe() (net.Conn, net.Conn, error) {
	near, file, err := Pair()
	if err != nil {
		return nil, nil, err
	}
	far, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		_ = near.Close()
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return near, far, nil
}
