// Package tlsfiles is a TLS server's configuration that is read from files, and read again while the
// server serves: connections that are open stay, unless their client is revoked; new ones see the new certificate,
// authorities and revocation list.
package tlsfiles

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"sync"
	"sync/atomic"

	"github.com/openvic/vic/sdk/errdef"
)

// Files are what the server reads; all PEM.
type Files struct {
	Cert, Key string
	// CA holds the authorities whose client certificates are let in; empty: every client is.
	CA string
	// Optional lets clients in that show no certificate; what they may do is the handler's to say.
	Optional bool
	// CRL holds revocation lists of those authorities; empty: none is revoked. A file that is not
	// there is an empty list: it comes with the first revocation.
	CRL string
}

// Server is one listener's TLS. It is safe for concurrent use.
type Server struct {
	files   Files
	current atomic.Pointer[tls.Config]

	mu   sync.Mutex // guards open
	open map[*conn]*tls.Conn
}

// Open reads the files; ErrInvalid says which one is wrong.
func Open(f Files) (*Server, error) {
	s := &Server{files: f}
	return s, s.Reload()
}

// Reload reads the files again, and closes the connections of a Listener whose clients are not let in any more. After an
// error what was read before stays in use.
func (s *Server) Reload() error {
	c, err := s.files.load()
	if err != nil {
		return err
	}
	s.current.Store(c)
	s.expel()
	return nil
}

// Config is for a server that does not use Listener: its connections stay whatever Reload reads.
func (s *Server) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return s.current.Load(), nil
	}}
}

func (f Files) load() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("tls.cert %s, tls.key %s: %w: %w", f.Cert, f.Key, errdef.ErrInvalid, err)
	}
	// Attach and exec take the connection over, which HTTP/2 does not allow.
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if f.CA == "" {
		return c, nil
	}
	authorities, err := f.authorities()
	if err != nil {
		return nil, err
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if f.Optional {
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	for _, a := range authorities {
		c.ClientCAs.AddCert(a)
	}
	revoked, err := f.revoked(authorities)
	if err != nil {
		return nil, err
	}
	c.VerifyConnection = revoked.verify // of resumed sessions too
	return c, nil
}

func (f Files) authorities() ([]*x509.Certificate, error) {
	b, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("tls_ca: %w: %w", errdef.ErrInvalid, err)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("tls_ca %s: %w: %w", f.CA, errdef.ErrInvalid, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("tls_ca %s holds no certificate: %w", f.CA, errdef.ErrInvalid)
	}
	return all, nil
}

// list is what is revoked.
type list []entry

type entry struct {
	issuer []byte // raw subject of the authority
	serial *big.Int
}

func (f Files) revoked(authorities []*x509.Certificate) (list, error) {
	if f.CRL == "" {
		return nil, nil
	}
	b, err := os.ReadFile(f.CRL)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tls_crl: %w", err)
	}
	var all list
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		crl, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("tls_crl %s: %w: %w", f.CRL, errdef.ErrInvalid, err)
		}
		if !signed(crl, authorities) {
			return nil, fmt.Errorf("tls_crl %s: %w: no authority of tls_ca has signed the list of %s", f.CRL, errdef.ErrInvalid, crl.Issuer)
		}
		for _, e := range crl.RevokedCertificateEntries {
			all = append(all, entry{crl.RawIssuer, e.SerialNumber})
		}
	}
	return all, nil
}

func signed(crl *x509.RevocationList, authorities []*x509.Certificate) bool {
	for _, a := range authorities {
		if bytes.Equal(a.RawSubject, crl.RawIssuer) && crl.CheckSignatureFrom(a) == nil {
			return true
		}
	}
	return false
}

// verify refuses a client one of whose certificates is revoked.
func (l list) verify(cs tls.ConnectionState) error {
	for _, c := range cs.PeerCertificates {
		for _, e := range l {
			if c.SerialNumber.Cmp(e.serial) == 0 && bytes.Equal(c.RawIssuer, e.issuer) {
				return fmt.Errorf("the certificate of %q is revoked: %w", c.Subject.CommonName, errdef.ErrDenied)
			}
		}
	}
	return nil
}
