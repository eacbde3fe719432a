package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// Listener speaks TLS on what l accepts; its connections are *tls.Conn, as http.Server wants them. A connection stays open
// over Reload, unless its client would not be let in any more: that one is closed, whatever goes over it.
func (s *Server) Listener(l net.Listener) net.Listener {
	return listener{l, s, s.Config()}
}

type listener struct {
	net.Listener
	s      *Server
	config *tls.Config
}

func (l listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, s: l.s}
	t := tls.Server(c, l.config)
	l.s.opened(c, t)
	return t, nil
}

// conn is what TLS goes over; the server forgets it when it is closed.
type conn struct {
	net.Conn
	s    *Server
	once sync.Once
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() { c.s.closed(c) })
	return c.Conn.Close()
}

func (s *Server) opened(c *conn, t *tls.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*conn]*tls.Conn{}
	}
	s.open[c] = t
}

func (s *Server) closed(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// expel closes the connections whose clients would not be let in now. A handshake that is under way may have begun before
// the files changed: it is looked at when it has ended, which nobody waits for.
func (s *Server) expel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.current.Load()
	for c, t := range s.open {
		go func() {
			if cs := t.ConnectionState(); cs.HandshakeComplete && admits(now, cs) != nil {
				_ = c.Close() // not the TLS connection: its farewell would wait for a peer that reads nothing
			}
		}()
	}
}

// admits says whether a server with the configuration c lets a client in that has been let in before. A certificate that
// has run out meanwhile ends no connection.
func admits(c *tls.Config, cs tls.ConnectionState) error {
	if c.ClientCAs == nil {
		return nil
	}
	if len(cs.PeerCertificates) == 0 {
		if c.ClientAuth == tls.VerifyClientCertIfGiven {
			return nil
		}
		return fmt.Errorf("the client shows no certificate: %w", errdef.ErrDenied)
	}
	leaf, others := cs.PeerCertificates[0], x509.NewCertPool()
	for _, o := range cs.PeerCertificates[1:] {
		others.AddCert(o)
	}
	at := time.Now()
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: c.ClientCAs, Intermediates: others, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return errors.Join(err, c.VerifyConnection(cs))
}
