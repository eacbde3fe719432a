package listen

import (
	"net"
	"net/netip"
	"sync"
)

// Limits bound connections; 0 is no bound.
type Limits struct {
	Total int
	// Each is for one source: an IPv4 address, or the /64 network of an IPv6 address, which one customer of a provider has.
	Each int
}

// Limit closes connections beyond the limits as soon as they come: who has them opens another, who is refused tries again.
// refused, if not nil, is told the source of each, and must not block.
func Limit(l net.Listener, limits Limits, refused func(source string)) net.Listener {
	return &limited{Listener: l, limits: limits, refused: refused, open: map[netip.Prefix]int{}}
}

type limited struct {
	net.Listener
	limits  Limits
	refused func(string)

	mu    sync.Mutex
	total int
	open  map[netip.Prefix]int
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := source(c.RemoteAddr())
		if l.take(from) {
			return &counted{Conn: c, give: sync.OnceFunc(func() { l.give(from) })}, nil
		}
		_ = c.Close()
		if l.refused != nil {
			l.refused(from.String())
		}
	}
}

// source is whom a connection is counted for. Those of a Unix socket are all of one.
func source(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	ip = ip.Unmap()
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // the zero one for an address that is none
	return p
}

func (l *limited) take(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limits.Total > 0 && l.total >= l.limits.Total || l.limits.Each > 0 && l.open[from] >= l.limits.Each {
		return false
	}
	l.total++
	l.open[from]++
	return true
}

func (l *limited) give(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

// counted is a connection that counts until it is closed.
type counted struct {
	net.Conn
	give func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	defer c.give()
	return c.Conn.Close()
}
