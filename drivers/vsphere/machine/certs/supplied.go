package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

// suppliedServer loads the administrator's own certificate and checks what clients will check, but for who
// signed it, which only they know.
func (m *maker) suppliedServer() (Pair, error) {
	var p Pair
	var err error
	wrong := func(err error) error {
		return advice.Wrap(fmt.Errorf("%s, %s: %w: %w", m.o.ServerCert, m.o.ServerKey, errdef.ErrInvalid, err),
			"give --tls-server-cert a PEM certificate that is valid and for the names of the endpoint, and --tls-server-key its key")
	}
	if p.Cert, err = m.o.Files.read(m.o.ServerCert); err != nil {
		return p, wrong(err)
	}
	if p.Key, err = m.o.Files.read(m.o.ServerKey); err != nil {
		return p, wrong(err)
	}
	if _, err := tls.X509KeyPair(p.Cert, p.Key); err != nil {
		return p, wrong(err)
	}
	cert, err := parse(p.Cert)
	if err != nil {
		return p, wrong(err)
	}
	if err := m.valid(m.o.ServerCert, cert); err != nil {
		return p, wrong(err)
	}
	for _, n := range m.o.Names {
		if err := cert.VerifyHostname(n); err != nil {
			return p, wrong(err)
		}
	}
	m.set.SuppliedServer = true
	return p, nil
}

// clientCA reads the authorities of the clients, or takes the one that was made.
func (m *maker) clientCA() ([]byte, error) {
	if len(m.o.ClientCAs) == 0 {
		return m.set.CA.Cert, nil
	}
	return m.o.Files.ReadAuthorities("--tls-ca", m.o.ClientCAs)
}

// ReadAuthorities reads the certificates of authorities from PEM files; option is for messages.
func (fs Files) ReadAuthorities(option string, files []string) ([]byte, error) {
	var all []byte
	for _, f := range files {
		wrong := func(err error) error {
			return advice.Wrap(fmt.Errorf("%s %s: %w: %w", option, f, errdef.ErrInvalid, err), "give %s a PEM file with the certificates of authorities", option)
		}
		b, err := fs.read(f)
		if err != nil {
			return nil, wrong(err)
		}
		n := 0
		for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, wrong(err)
			}
			if !c.IsCA {
				return nil, wrong(fmt.Errorf("%q is no authority", c.Subject.CommonName))
			}
			n++
		}
		if n == 0 {
			return nil, wrong(fmt.Errorf("it holds no certificate"))
		}
		all = append(append(all, bytes.TrimSpace(b)...), '\n')
	}
	return all, nil
}

// SelfSigned makes a server certificate for some names that vouches for itself.
func SelfSigned(names []string, now time.Time) (Pair, error) {
	key, err := newKey(DefaultKeySize)
	if err != nil {
		return Pair{}, err
	}
	tmpl, err := template(names[0], nil, now, leafLife)
	if err != nil {
		return Pair{}, err
	}
	tmpl.KeyUsage, tmpl.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	addNames(tmpl, names)
	c, err := sign(tmpl, nil, key, key)
	if err != nil {
		return Pair{}, err
	}
	return c.Pair, nil
}
