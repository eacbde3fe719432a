package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	resolvConf  = "/etc/resolv.conf"
	askTimeout  = 3 * time.Second // of one upstream server
	maxQuestion = 512             // questions that are on their way at the same time
	rereadAfter = 2 * time.Second
)

// Names answers questions about containers; Driver does.
type Names interface {
	// Resolve answers a question from an address. handled is false for what others have to answer; a
	// nil answer to a question that is handled means that nobody may be asked.
	Resolve(from netip.Addr, q *dns.Msg) (answer *dns.Msg, handled bool)
	// Upstream returns the servers that are to be asked for who asks from an address; none: the host's.
	Upstream(from netip.Addr) []netip.Addr
}

// Forwarder answers the containers' DNS questions: with what is known of other containers, else with
// what the endpoint VM's own servers say.
type Forwarder struct {
	names Names
	conf  string
	log   *slog.Logger
	busy  chan struct{} // one token for each question that is on its way; a question that finds none is dropped

	mu      sync.Mutex // guards what was read of conf, and when
	servers []string
	read    time.Time
}

// NewForwarder returns a forwarder that asks the servers of this machine's resolv.conf.
func NewForwarder(names Names, log *slog.Logger) *Forwarder {
	return &Forwarder{names: names, conf: resolvConf, log: log, busy: make(chan struct{}, maxQuestion)}
}

// Serve answers on all addresses of an interface, UDP and TCP, until ctx ends.
func (f *Forwarder) Serve(ctx context.Context, iface string) error {
	const address = "0.0.0.0:53"
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var bind error
		err := c.Control(func(fd uintptr) { bind = unix.BindToDevice(int(fd), iface) })
		return errors.Join(err, bind)
	}}
	pc, err := lc.ListenPacket(ctx, "udp4", address)
	if err != nil {
		return fmt.Errorf("listen for DNS: %w", err)
	}
	l, err := lc.Listen(ctx, "tcp4", address)
	if err != nil {
		_ = pc.Close()
		return fmt.Errorf("listen for DNS: %w", err)
	}
	return f.serve(ctx, pc, l)
}

func (f *Forwarder) serve(ctx context.Context, pc net.PacketConn, l net.Listener) error {
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { f.answer(ctx, w, q) })
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		g.Go(s.ActivateAndServe)
	}
	g.Go(func() error {
		<-ctx.Done()
		_, _ = pc.Close(), l.Close()
		return ctx.Err()
	})
	return g.Wait()
}

// answer says what is known, or asks one upstream server after the other.
func (f *Forwarder) answer(ctx context.Context, w dns.ResponseWriter, q *dns.Msg) {
	fail := func() {
		m := new(dns.Msg)
		_ = w.WriteMsg(m.SetRcode(q, dns.RcodeServerFailure))
	}
	var servers []string
	if from, err := netip.ParseAddrPort(w.RemoteAddr().String()); err == nil {
		for _, s := range f.names.Upstream(from.Addr()) {
			servers = append(servers, net.JoinHostPort(s.String(), "53"))
		}
		m, handled := f.names.Resolve(from.Addr(), q)
		switch {
		case m != nil:
			if w.RemoteAddr().Network() == "udp" {
				m.Truncate(udpSize(q))
			}
			_ = w.WriteMsg(m)
			return
		case handled:
			fail()
			return
		}
	}
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	default:
		fail()
		return
	}
	proto := w.RemoteAddr().Network()
	if len(servers) == 0 {
		servers = f.upstream()
	}
	for _, s := range servers {
		c := &dns.Client{Net: proto, Timeout: askTimeout, UDPSize: dns.MaxMsgSize}
		m, _, err := c.ExchangeContext(ctx, q, s)
		if err != nil || m == nil {
			continue
		}
		m.Id = q.Id
		if proto == "udp" {
			m.Truncate(udpSize(q))
		}
		_ = w.WriteMsg(m)
		return
	}
	fail()
}

// udpSize is the largest answer that the asker takes.
func udpSize(q *dns.Msg) int {
	if o := q.IsEdns0(); o != nil && o.UDPSize() > dns.MinMsgSize {
		return int(o.UDPSize())
	}
	return dns.MinMsgSize
}

// upstream returns the servers of resolv.conf, which DHCP may change at any time.
func (f *Forwarder) upstream() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.read) < rereadAfter && len(f.servers) > 0 {
		return f.servers
	}
	c, err := dns.ClientConfigFromFile(f.conf)
	if err != nil {
		f.log.Warn("no DNS servers are known", "err", err)
		return f.servers
	}
	f.servers, f.read = nil, time.Now()
	for _, s := range c.Servers {
		f.servers = append(f.servers, net.JoinHostPort(s, c.Port))
	}
	return f.servers
}
