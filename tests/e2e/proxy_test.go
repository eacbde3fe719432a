package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// guestsView is the URL at which the lab's guests reach what listens on this machine's loopback.
func guestsView(t *testing.T, scheme string, a net.Addr) string {
	t.Helper()
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	return scheme + "://" + harness.LabHost + ":" + port
}

// proxy is an HTTP proxy that remembers what was asked of it: "GET http://host/..." and "CONNECT host:443".
type proxy struct {
	url string

	mu   sync.Mutex
	seen []string
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	p := &proxy{}
	forward := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}} // a proxy's request names its host itself
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.seen = append(p.seen, r.Method+" "+r.RequestURI)
		p.mu.Unlock()
		if r.Method == http.MethodConnect {
			tunnel(w, r.Host)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	p.url = guestsView(t, "http", s.Listener.Addr())
	return p
}

// tunnel joins the client with host.
func tunnel(w http.ResponseWriter, host string) {
	up, err := net.Dial("tcp", host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(up, buffered)
		up.Close()
	}()
	_, _ = io.Copy(down, up)
}

// asked says that a request of that beginning went through the proxy.
func (p *proxy) asked(prefix string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.seen, func(s string) bool { return strings.HasPrefix(s, prefix) })
}

// syslogServer receives messages over UDP and over TCP.
type syslogServer struct {
	udp, tcp string // URLs for guests

	mu       sync.Mutex
	messages map[string][]string // by protocol
}

func newSyslogServer(t *testing.T) *syslogServer {
	t.Helper()
	s := &syslogServer{messages: map[string][]string{}}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	streams, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close(); streams.Close() })
	s.udp, s.tcp = guestsView(t, "udp", packets.LocalAddr()), guestsView(t, "tcp", streams.Addr())
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, _, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			s.add("udp", string(b[:n]))
		}
	}()
	go func() {
		for {
			c, err := streams.Accept()
			if err != nil {
				return
			}
			go s.counted(c)
		}
	}()
	return s
}

// counted reads messages that begin with their length, as RFC 6587 has them ("octet counting").
func (s *syslogServer) counted(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		word, err := r.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			s.add("tcp", "no length: "+word)
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		s.add("tcp", string(b))
	}
}

func (s *syslogServer) add(proto, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages[proto] = append(s.messages[proto], message)
}

// rfc5424 is a message of vicd on the VCH "acc": facility daemon, severity info, version 1, time, host, program.
var rfc5424 = regexp.MustCompile(`^<30>1 20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z acc vicd - - - .*msg=`)

// wrong says what is wrong with the messages that came over proto; "" if there are some of vicd, and all
// are as RFC 5424 has them.
func (s *syslogServer) wrong(proto string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	for _, m := range s.messages[proto] {
		if !strings.HasPrefix(m, "<30>1 20") || !strings.Contains(m, " acc ") {
			return "not as in RFC 5424: " + m
		}
		found = found || rfc5424.MatchString(m)
	}
	if !found {
		return "no message of vicd over " + proto
	}
	return ""
}

// sample is one message.
func (s *syslogServer) sample(proto string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.messages[proto], rfc5424.MatchString)
	if i < 0 {
		return ""
	}
	return s.messages[proto][i]
}
