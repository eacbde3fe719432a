// Package sso is vCenter Single Sign-On as the lab serves it, over the lab's own accounts: the security token service
// (passwords and certificates for signed SAML assertions), its administration (users, groups in groups, solution users), the
// lookup service that tells where both are, and what browsers sign in to: the OpenID provider, and the page
// of SAML 2.0.
//
// It checks what govmomi's simulators do not: passwords, signatures of requests, times, roles. Faults can be asked for: the
// service away, its clock wrong, its key rolled over.
package sso

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// clockTolerance is how far a client's clock may be off, as vCenter is set by default.
const clockTolerance = 10 * time.Minute

// maxRequest bounds a request's body, in bytes.
const maxRequest = 1 << 20

// Config configures a Server.
type Config struct {
	Directory *Directory
	// Dir keeps the key of the token service.
	Dir string
	// Key is used instead of one kept in Dir.
	Key *tls.Certificate
	// TLS is the certificate of the server, in DER, for the lookup service to tell.
	TLS []byte
	Log *slog.Logger
	// Old makes it a vCenter without OpenID Connect.
	Old bool
}

// Server is the service. Mount puts it on an HTTP server.
type Server struct {
	cfg Config

	mu       sync.Mutex
	signer   *signer
	faults   Faults
	sessions map[string]session // of the administration, by cookie
	logins   map[string]login   // of browsers, by cookie
	codes    map[string]code    // of the OpenID provider
}

// Faults are what goes wrong.
type Faults struct {
	Away bool          `json:"away"` // every request is answered with 503
	Skew time.Duration `json:"skew"` // the service's clock is that far ahead
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, sessions: map[string]session{}, logins: map[string]login{}, codes: map[string]code{}}
	if cfg.Key != nil {
		s.signer = &signer{key: *cfg.Key, trusted: []*x509.Certificate{cfg.Key.Leaf}}
		return s, nil
	}
	var err error
	s.signer, err = loadSigner(cfg.Dir)
	return s, err
}

// Mount registers the service's paths, which are vCenter's.
func (s *Server) Mount(mux *http.ServeMux) {
	handle := func(pattern string, h http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if s.Faults().Away {
				http.Error(w, "503 Service Unavailable (Failed to connect to endpoint)", http.StatusServiceUnavailable)
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
			h(w, r)
		})
	}
	for _, path := range []string{"/sts/STSService", "/sts/STSService/" + Domain} {
		handle("POST "+path, s.serveSTS)
	}
	for _, path := range []string{"/sso-adminserver/sdk", "/sso-adminserver/sdk/" + Domain} {
		handle("POST "+path, s.serveAdmin)
	}
	handle("POST /lookupservice/sdk", s.serveLookup)
	s.mountWebSSO(handle)
	if s.cfg.Old {
		handle("GET /openidconnect/", http.NotFound)
		return
	}
	s.mountOpenID(handle)
}

// base is the service's address by the name that the client used.
func base(r *http.Request) string {
	if r.TLS == nil {
		return "http://" + r.Host
	}
	return "https://" + r.Host
}

// Faults returns the faults of now.
func (s *Server) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// SetFaults replaces the faults.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// RollOver gives the token service a new key. What the old one signed is still trusted.
func (s *Server) RollOver() error {
	key, err := NewCertificate("ssoserverSign")
	if err != nil {
		return err
	}
	if s.cfg.Key == nil {
		if err := saveKey(s.cfg.Dir, key); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signer = &signer{key: key, trusted: append([]*x509.Certificate{key.Leaf}, s.signer.trusted...)}
	return nil
}

// now is the service's time.
func (s *Server) now() time.Time { return time.Now().Add(s.Faults().Skew).UTC() }

func (s *Server) keys() signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.signer
}
