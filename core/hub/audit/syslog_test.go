package audit

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/sdk/errdef"
)

// server is a syslog server over TCP or TLS: it takes messages until close.
type server struct {
	t        *testing.T
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	messages chan string
}

func serve(t *testing.T, l net.Listener, messages chan string) *server {
	s := &server{t: t, listener: l, messages: messages}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			go s.read(c)
		}
	}()
	t.Cleanup(s.close)
	return s
}

func (s *server) read(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		n, err := r.ReadString(' ')
		if err != nil {
			return
		}
		length, err := strconv.Atoi(strings.TrimSpace(n))
		if err != nil {
			s.t.Errorf("frame %q", n)
			return
		}
		b := make([]byte, length)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		s.messages <- string(b)
	}
}

func (s *server) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
}

// forward runs a forwarder until the test ends.
func (r *rig) forward(to Syslog) {
	r.t.Helper()
	f, err := NewForwarder(r.Log, to)
	must(r.t, err)
	_, err = f.some(r.t.Context()) // so that it begins here
	must(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	r.t.Cleanup(func() { cancel(); <-done })
}

// expect takes messages until each of n lines from the first on has come, in order; some may come twice.
func (r *rig) expect(messages chan string, first, n int) {
	r.t.Helper()
	for i := first; i < first+n; {
		select {
		case m := <-messages:
			_, rest, _ := strings.Cut(m, ` seq="`)
			text, _, _ := strings.Cut(rest, `"`)
			seq, err := strconv.Atoi(text)
			if err != nil || seq > i {
				r.t.Fatalf("%q came, want line %d", m, i)
			}
			if seq == i {
				i++
			}
		case <-time.After(time.Minute):
			r.t.Fatalf("line %d does not come", i)
		}
	}
}

func TestForwardingOverTCP(t *testing.T) {
	each(t, func(r *rig) {
		r.write(5) // before it is switched on
		messages := make(chan string, 1000)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		s := serve(t, l, messages)
		address := l.Addr().String()
		r.forward(Syslog{Address: "tcp://" + address, Host: "hub"})
		r.write(7)
		r.expect(messages, 6, 7)

		// The server goes, lines are written meanwhile, it comes back at the same place: none is missing.
		s.close()
		r.write(450)
		l, err = net.Listen("tcp", address)
		must(t, err)
		serve(t, l, messages)
		r.expect(messages, 13, 450)
	})
}

func TestTwoHubsForwardOnce(t *testing.T) {
	each(t, func(r *rig) {
		messages := make(chan string, 1000)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		serve(t, l, messages)
		to := Syslog{Address: "tcp://" + l.Addr().String(), Host: "hub"}
		one, err := NewForwarder(r.Log, to)
		must(t, err)
		two, err := NewForwarder(r.Log, to)
		must(t, err)
		for _, f := range []*Forwarder{one, two} {
			if n, err := f.some(t.Context()); err != nil || n != 0 {
				r.t.Fatal(n, err)
			}
		}
		r.write(3)
		for i, f := range []*Forwarder{one, two} { // in writing, time has passed: whoever comes first is the one that sends
			if n, err := f.some(t.Context()); err != nil || n != []int{3, 0}[i] {
				r.t.Errorf("%d lines, %v", n, err)
			}
		}
		// The one that sent is gone.
		one.hangUp()
		r.now = r.now.Add(2 * forwardLease)
		r.write(2)
		if n, err := two.some(t.Context()); err != nil || n != 2 {
			r.t.Errorf("%d lines, %v", n, err)
		}
		two.hangUp()
		r.expect(messages, 1, 5)
	})
}

func TestForwardingOverTLSAndUDP(t *testing.T) {
	h := httptest.NewTLSServer(nil)
	defer h.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600))
	each(t, func(r *rig) {
		messages := make(chan string, 10)
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: h.TLS.Certificates})
		must(t, err)
		serve(t, l, messages)
		stranger, err := NewForwarder(r.Log, Syslog{Address: "tls://" + l.Addr().String()})
		must(t, err)
		if err := stranger.dial(t.Context()); err == nil {
			r.t.Error("an unknown authority is taken")
		}
		r.forward(Syslog{Address: "tls://" + l.Addr().String(), CA: ca, Host: "hub"})
		r.write(2)
		r.expect(messages, 1, 2)
	})
	each(t, func(r *rig) {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		must(t, err)
		defer c.Close()
		r.forward(Syslog{Address: "udp://" + c.LocalAddr().String(), Host: "hub"})
		r.write(1)
		b := make([]byte, 1<<16)
		must(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
		n, _, err := c.ReadFrom(b)
		if err != nil || !strings.HasPrefix(string(b[:n]), "<109>1 2027-01-15T08:01:00.000Z hub vic-hub - push [vic@6876 seq=\"1\" user=\"user0\"") {
			r.t.Errorf("%s %v", b[:n], err)
		}
	})
}

func TestMessagesAreOneLine(t *testing.T) {
	x := Line{Time: time.Unix(0, 0), Caller: access.Caller{Name: "a\"] \\b\n<1>1 x"}, Operation: "si gn\n-in", Agent: strings.Repeat("x", 512), Outcome: 401, Detail: "d"}
	got := Syslog{Host: "my hub"}.message(x, 7)
	const want = `<108>1 1970-01-01T00:00:00.000Z myhub vic-hub - sign-in [vic@6876 seq="7" user="a\"\] \\b <1>1 x" project="0" outcome="401" agent="`
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `x" detail="d"]`) || strings.Contains(got, "\n") {
		t.Error(got)
	}
	x.Detail = strings.Repeat(`"`, maxDetail*4)
	if got := (Syslog{}).message(x, 7); len(got) > maxSyslog || !strings.HasSuffix(got, `"]`) || !strings.Contains(got, "Z - vic-hub") {
		t.Error(len(got), got)
	}
}

func TestAddressesOfSyslogServers(t *testing.T) {
	for _, s := range []Syslog{{Address: ""}, {Address: "tcp://host"}, {Address: "http://host:1"}, {Address: "tcp://u@host:1"}, {Address: "tcp://host:1/x"},
		{Address: "tcp://host:1", CA: "x"}, {Address: "tls://host:1", CA: "/dev/null"}} {
		if _, err := NewForwarder(&Log{}, s); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
