package network

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// server answers every question with n TXT records.
func server(t *testing.T, n int) string {
	t.Helper()
	pc, l := bothProtocols(t)
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for i := range n {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET},
				Txt: []string{fmt.Sprint(i, strings.Repeat("x", 40))}})
		}
		_ = w.WriteMsg(m)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		go func() { _ = s.ActivateAndServe() }()
	}
	t.Cleanup(func() { _, _ = pc.Close(), l.Close() })
	return pc.LocalAddr().String()
}

// noNames knows nobody.
type noNames struct{}

func (noNames) Upstream(netip.Addr) []netip.Addr { return nil }

func (noNames) Resolve(netip.Addr, *dns.Msg) (*dns.Msg, bool) { return nil, false }

// forwarder returns the address of a forwarder that knows an upstream server.
func forwarder(t *testing.T, upstream string) string {
	t.Helper()
	f := NewForwarder(noNames{}, slog.New(slog.DiscardHandler))
	f.conf = filepath.Join(t.TempDir(), "resolv.conf")
	host, port, _ := net.SplitHostPort(upstream)
	if err := os.WriteFile(f.conf, []byte("nameserver "+host+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.upstream()
	f.servers = []string{net.JoinHostPort(host, port)} // resolv.conf cannot say the port
	pc, l := bothProtocols(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = f.serve(ctx, pc, l); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return pc.LocalAddr().String()
}

// bothProtocols listens on one port. The kernel chooses it for one protocol; for the other it may be
// anyone's, so what is not had whole is held, that it is not chosen again, and given up at the end.
func bothProtocols(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var last error
	for range 100 {
		pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp4", pc.LocalAddr().String())
		if err == nil {
			return pc, l
		}
		defer pc.Close()
		last = err
	}
	t.Fatal(last)
	return nil, nil
}

// silent is an address where nobody answers, and nobody else can begin to: its socket takes packets
// of its peer's alone, and the kernel refuses all others.
func silent(t *testing.T) string {
	t.Helper()
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

func ask(t *testing.T, proto, addr string) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion("web.example.", dns.TypeTXT)
	m, _, err := (&dns.Client{Net: proto}).ExchangeContext(t.Context(), q, addr)
	if err != nil {
		t.Fatal(err)
	}
	if m.Id != q.Id {
		t.Error("another question's answer")
	}
	return m
}

func TestQuestionsAreForwarded(t *testing.T) {
	addr := forwarder(t, server(t, 2))
	for _, proto := range []string{"udp", "tcp"} {
		if m := ask(t, proto, addr); len(m.Answer) != 2 || m.Truncated {
			t.Errorf("%s: %v", proto, m)
		}
	}
}

func TestLargeAnswersAreTruncatedOverUDPOnly(t *testing.T) {
	addr := forwarder(t, server(t, 60))
	if m := ask(t, "udp", addr); !m.Truncated {
		t.Error("the answer over UDP is not marked as truncated")
	}
	if m := ask(t, "tcp", addr); len(m.Answer) != 60 {
		t.Errorf("%d answers over TCP", len(m.Answer))
	}
}

func TestNoServerIsServfail(t *testing.T) {
	if m := ask(t, "udp", forwarder(t, silent(t))); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %s", dns.RcodeToString[m.Rcode])
	}
}
