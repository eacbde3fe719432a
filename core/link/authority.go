package link

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Validity of what the authority issues. A guest's clock may be off, so it starts early.
const (
	validBefore = 48 * time.Hour
	validAfter  = 20 * 365 * 24 * time.Hour
)

// Authority is the certificate authority of one VCH's links. It issues an identity for each
// container and holds the host's own certificate.
type Authority struct {
	caPEM string
	ca    *x509.Certificate
	key   any
	pool  *x509.CertPool
	host  tls.Certificate
}

// NewAuthority reads the authority's certificate and key, both PEM, and issues the host's
// certificate. ErrInvalid if they do not fit.
func NewAuthority(caPEM, keyPEM []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(caPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("link authority: %w: %w", err, errdef.ErrInvalid)
	}
	ca, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("link authority: %w: %w", err, errdef.ErrInvalid)
	}
	if !ca.IsCA {
		return nil, fmt.Errorf("link authority: the certificate %q is not a CA's: %w", ca.Subject.CommonName, errdef.ErrInvalid)
	}
	a := &Authority{caPEM: string(caPEM), ca: ca, key: pair.PrivateKey, pool: x509.NewCertPool()}
	a.pool.AddCert(ca)
	der, key, err := a.issue(guest.HostName, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	a.host = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return a, nil
}

// Issue makes the identity of one container's tether.
func (a *Authority) Issue(id string) (guest.Identity, error) {
	der, key, err := a.issue(id, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return guest.Identity{}, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return guest.Identity{}, fmt.Errorf("identity of %s: %w", id, err)
	}
	return guest.Identity{
		CA:   a.caPEM,
		Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key:  string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})),
	}, nil
}

func (a *Authority) issue(name string, use x509.ExtKeyUsage) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate of %s: %w", name, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, fmt.Errorf("certificate of %s: %w", name, err)
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    now.Add(-validBefore),
		NotAfter:     now.Add(validAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{use},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.ca, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate of %s: %w", name, err)
	}
	return der, key, nil
}

// clientTLS is what the host shows to, and asks of, the tether of one container.
func (a *Authority) clientTLS(id string) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{a.host},
		RootCAs:      a.pool,
		ServerName:   id,
		NextProtos:   []string{"h2"},
		// Small records at first would cost more than they gain.
		DynamicRecordSizingDisabled: true,
	}
}
