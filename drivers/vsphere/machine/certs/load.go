package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// loadCA returns nil if neither of its files is there.
func (m *maker) loadCA(certFile, keyFile string) (*authority, error) {
	cert, err := m.o.read(certFile)
	if errors.Is(err, os.ErrNotExist) {
		if m.o.exists(keyFile) {
			return nil, fmt.Errorf("%s: %w: it is there, but not %s", keyFile, errdef.ErrInvalid, certFile)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a := &authority{Pair: Pair{Cert: cert}}
	if a.cert, err = parse(cert); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", certFile, errdef.ErrInvalid, err)
	}
	if !a.cert.IsCA {
		return nil, fmt.Errorf("%s: %w: it is not the certificate of an authority", certFile, errdef.ErrInvalid)
	}
	if err := m.valid(certFile, a.cert); err != nil {
		return nil, err
	}
	m.set.Reused = append(m.set.Reused, certFile)
	key, err := m.o.read(keyFile)
	if errors.Is(err, os.ErrNotExist) {
		return a, nil // good for all but new certificates
	}
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", keyFile, errdef.ErrInvalid, err)
	}
	a.Key = key
	a.signer, _ = pair.PrivateKey.(crypto.Signer)
	return a, nil
}

// loadLeaf reads a certificate and its key and checks all that a client or server would check.
func (m *maker) loadLeaf(ca *authority, l *leaf) (Pair, error) {
	var p Pair
	var err error
	if p.Cert, err = m.o.read(l.cert); err != nil {
		return p, fmt.Errorf("%s: %w", l.cert, err)
	}
	if p.Key, err = m.o.read(l.key); err != nil {
		return p, fmt.Errorf("%s: %w", l.key, err)
	}
	if _, err = tls.X509KeyPair(p.Cert, p.Key); err != nil {
		return p, fmt.Errorf("%s, %s: %w: %w", l.cert, l.key, errdef.ErrInvalid, err)
	}
	cert, err := parse(p.Cert)
	if err != nil {
		return p, fmt.Errorf("%s: %w: %w", l.cert, errdef.ErrInvalid, err)
	}
	if err := m.valid(l.cert, cert); err != nil {
		return p, err
	}
	for _, n := range l.names {
		if cert.VerifyHostname(n) != nil && !slices.Contains(cert.DNSNames, n) {
			return p, fmt.Errorf("%s: %w: it is not for the name %s that --tls-cname gives; it is for %v %v",
				l.cert, errdef.ErrInvalid, n, cert.DNSNames, cert.IPAddresses)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: m.now, KeyUsages: []x509.ExtKeyUsage{l.usage}}); err != nil {
		return p, fmt.Errorf("%s: %w: %w", l.cert, errdef.ErrInvalid, err)
	}
	return p, nil
}

// valid checks the dates; what ends soon is a warning.
func (m *maker) valid(name string, c *x509.Certificate) error {
	switch {
	case m.now.After(c.NotAfter):
		return fmt.Errorf("%s: %w: it expired on %s", name, errdef.ErrInvalid, c.NotAfter.Format(time.DateOnly))
	case m.now.Before(c.NotBefore):
		return fmt.Errorf("%s: %w: it is not valid before %s; is the clock right?", name, errdef.ErrInvalid, c.NotBefore.Format(time.DateTime))
	case m.now.Add(soon).After(c.NotAfter):
		m.set.Warnings = append(m.set.Warnings, fmt.Sprintf("%s expires on %s", name, c.NotAfter.Format(time.DateOnly)))
	}
	return nil
}

func parse(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("it holds no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// Info is what an administrator wants to know of a certificate.
type Info struct {
	Subject  string    `json:"subject"`
	Names    []string  `json:"names,omitempty"`
	NotAfter time.Time `json:"notAfter"`
	Serial   string    `json:"serial"` // hexadecimal
}

// First is the first certificate of a PEM file.
func First(b []byte) (*x509.Certificate, error) { return parse(b) }

// Describe reads a PEM certificate.
func Describe(b []byte) (Info, error) {
	c, err := parse(b)
	if err != nil {
		return Info{}, err
	}
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return Info{Subject: c.Subject.CommonName, Names: names, NotAfter: c.NotAfter, Serial: Serial(c.SerialNumber)}, nil
}

// AdminPair reads the administrator's certificate and its key in o.Dir.
func AdminPair(o Options) (tls.Certificate, error) {
	cert, err := o.read(AdminCertFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := o.read(AdminKeyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}
