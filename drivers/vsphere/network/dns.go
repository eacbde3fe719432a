package network

import (
	"context"
	"fmt"
	"log/slog"
	"net"
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

// Forwarder answers the containers' DNS questions with what the endpoint VM's own servers say.
type Forwarder struct {
	conf string
	log  *slog.Logger
	busy chan struct{}

	mu      sync.Mutex
	servers []string
	read    time.Time
}

// NewForwarder returns a forwarder that asks the servers of this machine's resolv.conf.
func NewForwarder(log *slog.Logger) *Forwarder {
	return &Forwarder{conf: resolvConf, log: log, busy: make(chan struct{}, maxQuestion)}
}

// Serve answers on address ("172.16.0.1:53"), UDP and TCP, until ctx ends. The address may come to
// its interface later.
func (f *Forwarder) Serve(ctx context.Context, address string) error {
	lc := net.ListenConfig{Control: freeBind}
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

func freeBind(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	})
}

// answer asks one upstream server after the other.
func (f *Forwarder) answer(ctx context.Context, w dns.ResponseWriter, q *dns.Msg) {
	fail := func() {
		m := new(dns.Msg)
		_ = w.WriteMsg(m.SetRcode(q, dns.RcodeServerFailure))
	}
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	default:
		fail()
		return
	}
	proto := w.RemoteAddr().Network()
	for _, s := range f.upstream() {
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
