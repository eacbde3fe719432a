package public

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const dialTimeout = 10 * time.Second

// ErrForward is returned for a forward that cannot be.
var ErrForward = errors.New("forward")

// Forward makes a port of a VM reachable on the host's loopback.
type Forward struct {
	VM     string `json:"vm"`
	Listen string `json:"listen"` // 127.0.0.1:port
	Port   int    `json:"port"`   // the VM's
	// Network is the port group on which the VM is dialled; empty: public.
	Network string `json:"network,omitempty"`
}

// ParseForward reads "127.0.0.1:2376:2376": address and port here, port there.
func ParseForward(vm, spec string) (Forward, error) {
	i := strings.LastIndexByte(spec, ':')
	if i < 0 {
		return Forward{}, fmt.Errorf("%w %q: want ADDRESS:PORT:VMPORT, for example 127.0.0.1:2376:2376", ErrForward, spec)
	}
	host, _, err := net.SplitHostPort(spec[:i])
	port, perr := strconv.ParseUint(spec[i+1:], 10, 16)
	if err != nil || perr != nil || port == 0 {
		return Forward{}, fmt.Errorf("%w %q: want ADDRESS:PORT:VMPORT, for example 127.0.0.1:2376:2376", ErrForward, spec)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return Forward{}, fmt.Errorf("%w %q: the address must be of the loopback interface", ErrForward, spec)
	}
	return Forward{VM: vm, Listen: spec[:i], Port: int(port)}, nil
}

// Dialer connects to guests of one network, as Network does.
type Dialer interface {
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// Forwarder runs forwards. A VM's address is looked up for each connection.
type Forwarder struct {
	// Find returns the network that the forward names, and the VM's address on it ("": none now).
	Find func(Forward) (n Dialer, ip string)
	Log  *slog.Logger

	mu   sync.Mutex
	list []active
}

type active struct {
	Forward
	listener net.Listener
	failing  *atomic.Bool // the last connection found no VM: it was logged
}

// Add starts a forward; it ends with ctx or with Remove.
func (f *Forwarder) Add(ctx context.Context, fw Forward) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.list {
		if a.Forward == fw {
			return nil
		}
	}
	l, err := net.Listen("tcp", fw.Listen)
	if err != nil {
		return fmt.Errorf("%w %s for %s: %w", ErrForward, fw.Listen, fw.VM, err)
	}
	a := active{fw, l, &atomic.Bool{}}
	f.list = append(f.list, a)
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go f.serve(ctx, a)
	return nil
}

// Remove ends the forwards of a VM; with listen set only the one at that address.
func (f *Forwarder) Remove(vm, listen string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.list)
	f.list = slices.DeleteFunc(f.list, func(a active) bool {
		gone := a.VM == vm && (listen == "" || a.Listen == listen)
		if gone {
			_ = a.listener.Close()
		}
		return gone
	})
	return n - len(f.list)
}

// List returns the forwards.
func (f *Forwarder) List() []Forward {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := make([]Forward, len(f.list))
	for i, a := range f.list {
		l[i] = a.Forward
	}
	return l
}

func (f *Forwarder) serve(ctx context.Context, a active) {
	for {
		c, err := a.listener.Accept()
		if err != nil {
			return
		}
		go f.connect(ctx, c, a)
	}
}

func (f *Forwarder) connect(ctx context.Context, c net.Conn, a active) {
	defer func() { _ = c.Close() }()
	up, err := f.dial(ctx, a.Forward)
	if err != nil {
		if !a.failing.Swap(true) { // clients try again and again: say it once
			f.Log.Warn("forward finds no VM", "vm", a.VM, "port", a.Port, "err", err)
		}
		return
	}
	a.failing.Store(false)
	defer func() { _ = up.Close() }()
	stop := context.AfterFunc(ctx, func() { _, _ = c.Close(), up.Close() })
	defer stop()
	join(c, up)
}

func (f *Forwarder) dial(ctx context.Context, fw Forward) (net.Conn, error) {
	n, ip := f.Find(fw)
	if ip == "" {
		return nil, errors.New("the VM has no address on the network")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return n.Dial(ctx, net.JoinHostPort(ip, strconv.Itoa(fw.Port)))
}

// join copies both ways and passes half-closes on: docker's attach depends on them.
func join(a, b net.Conn) {
	var wg sync.WaitGroup
	for _, p := range [][2]net.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			_, err := io.Copy(p[0], p[1])
			if cw, ok := p[0].(interface{ CloseWrite() error }); ok && err == nil {
				_ = cw.CloseWrite()
				return
			}
			_, _ = a.Close(), b.Close()
		})
	}
	wg.Wait()
}
