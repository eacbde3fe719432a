package boottest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// rpciHost is the host's side of the RPCI port.
type rpciHost struct {
	t    *testing.T
	path string

	mu      sync.Mutex
	keys    map[string]string
	changed chan struct{}
	conn    net.Conn
}

func newRPCIHost(t *testing.T, path string) *rpciHost {
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	h := &rpciHost{t: t, path: path, keys: map[string]string{}, changed: make(chan struct{})}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conn = c
			h.mu.Unlock()
			go h.serve(c)
		}
	}()
	return h
}

func (h *rpciHost) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(c, h.answer(strings.TrimSuffix(line, "\n"))+"\n")
	}
}

func (h *rpciHost) answer(line string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k, ok := strings.CutPrefix(line, "info-get "); ok {
		if v, ok := h.keys[k]; ok {
			return "1 " + v
		}
		return "0 No value found"
	}
	if kv, ok := strings.CutPrefix(line, "info-set "); ok {
		k, v, _ := strings.Cut(kv, " ")
		h.keys[k] = v
		close(h.changed)
		h.changed = make(chan struct{})
		return "1 "
	}
	if line == guest.TimeCommand {
		now := time.Now()
		return fmt.Sprintf("1 %d %d", now.Unix(), now.Nanosecond()/1000)
	}
	return "0 Unknown command"
}

func (h *rpciHost) set(key string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys[key] = string(b)
}

// halt asks the guest to shut down.
func (h *rpciHost) halt() {
	h.mu.Lock()
	defer h.mu.Unlock()
	io.WriteString(h.conn, "tclo OS_Halt\n")
}

func (h *rpciHost) get(key string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[key]
}

// wait returns a key's value once the guest has set it.
func (h *rpciHost) wait(key string) string {
	h.t.Helper()
	return h.await(key, func(string) bool { return true })
}

// await returns a key's value once the guest has set one that is good.
func (h *rpciHost) await(key string, good func(string) bool) string {
	h.t.Helper()
	timeout := time.After(patience)
	for {
		h.mu.Lock()
		v, ok := h.keys[key]
		changed := h.changed
		h.mu.Unlock()
		if ok && good(v) {
			return v
		}
		select {
		case <-changed:
		case <-timeout:
			h.t.Fatalf("%s is %q", key, v)
		}
	}
}

// authority issues the certificates of both ends.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

func (a *authority) issue(name string) guest.Identity {
	a.t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	kb, _ := x509.MarshalECPrivateKey(key)
	return guest.Identity{CA: a.pem, Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key: string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: kb}))}
}

// linkHost listens for a tether and calls it.
type linkHost struct {
	t     *testing.T
	l     net.Listener
	conns chan net.Conn
}

func newLinkHost(t *testing.T) *linkHost {
	t.Helper()
	return listenLink(t, "127.0.0.1:0")
}

func listenLink(t *testing.T, address string) *linkHost {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip("cannot listen on " + address)
	}
	h := &linkHost{t: t, l: l, conns: make(chan net.Conn, 16)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.conns <- c
		}
	}()
	return h
}

// guestAddress is where the guest finds the host.
func (h *linkHost) guestAddress() string {
	return fmt.Sprintf("10.0.2.2:%d", h.l.Addr().(*net.TCPAddr).Port)
}

// overIPv6 is where a guest finds a host that listens on ::1: QEMU's own network announces itself,
// and the link's NIC, which gets no addresses from us, has one of that.
func (h *linkHost) overIPv6() string {
	return fmt.Sprintf("[fec0::2]:%d", h.l.Addr().(*net.TCPAddr).Port)
}

// connect takes the next connection of the tether named id.
func (h *linkHost) connect(a *authority, id string) (linkv1.LinkClient, *grpc.ClientConn) {
	h.t.Helper()
	var c net.Conn
	select {
	case c = <-h.conns:
	case <-time.After(patience):
		h.t.Fatal("the tether did not dial")
	}
	line := make([]byte, len(guest.PrefacePrefix)+len(id)+1)
	if _, err := io.ReadFull(c, line); err != nil || string(line) != guest.PrefacePrefix+id+"\n" {
		h.t.Fatalf("preface %q, %v", line, err)
	}
	host := a.issue(guest.HostName)
	pair, err := tls.X509KeyPair([]byte(host.Cert), []byte(host.Key))
	if err != nil {
		h.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	used := false
	cc, err := grpc.NewClient("passthrough:///"+id,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{ServerName: id, RootCAs: pool, Certificates: []tls.Certificate{pair}})),
		grpc.WithInitialWindowSize(4<<20), grpc.WithInitialConnWindowSize(4<<20),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(8<<20)),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used {
				return nil, errors.New("this connection is over")
			}
			used = true
			return c, nil
		}))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { cc.Close() })
	return linkv1.NewLinkClient(cc), cc
}
