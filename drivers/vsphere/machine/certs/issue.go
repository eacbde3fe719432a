package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

// authority is a CA; signer is nil if its key is not at hand.
type authority struct {
	Pair
	cert   *x509.Certificate
	signer crypto.Signer
}

// newKey makes a key of the size that --certificate-key-size names.
func newKey(size int) (crypto.Signer, error) {
	switch {
	case size == 256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case size == 384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case size == 521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case size >= 2048 && size <= 8192:
		return rsa.GenerateKey(rand.Reader, size)
	}
	return nil, advice.Wrap(fmt.Errorf("key size %d: %w", size, errdef.ErrInvalid),
		"give --certificate-key-size 256, 384 or 521 for ECDSA, or 2048 to 8192 for RSA")
}

func newCA(name string, orgs []string, keySize int, now time.Time) (*authority, error) {
	key, err := newKey(keySize)
	if err != nil {
		return nil, err
	}
	tmpl, err := template(name, orgs, now, caLife)
	if err != nil {
		return nil, err
	}
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	return sign(tmpl, nil, key, key)
}

// issue makes the certificate that l describes.
func (a *authority) issue(l *leaf, orgs []string, keySize int, now time.Time) (Pair, error) {
	key, err := newKey(keySize)
	if err != nil {
		return Pair{}, err
	}
	tmpl, err := template(l.name, orgs, now, leafLife)
	if err != nil {
		return Pair{}, err
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	if _, ok := key.(*rsa.PrivateKey); ok {
		tmpl.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{l.usage}
	addNames(tmpl, l.names)
	if tmpl.NotAfter.After(a.cert.NotAfter) {
		tmpl.NotAfter = a.cert.NotAfter
	}
	c, err := sign(tmpl, a.cert, key, a.signer)
	if err != nil {
		return Pair{}, err
	}
	return c.Pair, nil
}

func addNames(tmpl *x509.Certificate, names []string) {
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
}

func template(name string, orgs []string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: orgs},
		NotBefore:    now.Add(-skew).UTC(),
		NotAfter:     now.Add(life).UTC(),
	}, nil
}

// sign makes a certificate of key by signer; parent is nil for one that signs itself.
func sign(tmpl, parent *x509.Certificate, key, signer crypto.Signer) (*authority, error) {
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make the certificate %q: %w", tmpl.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &authority{
		Pair: Pair{
			Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		},
		cert: cert, signer: key,
	}, nil
}
