package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// TestARequestIsSignedForAClientAlone makes a certificate of a request that asks for more than it may have.
func TestARequestIsSignedForAClientAlone(t *testing.T) {
	now := time.Now()
	ca, err := newCA("ca", nil, DefaultKeySize, now)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "hub"}, DNSNames: []string{"vch.example.com"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	text, err := SignRequest(ca.Pair, request, now)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("the certificate is good for a server")
	}
	if cert.Subject.CommonName != "hub" || len(cert.DNSNames) > 0 || cert.IsCA || !key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("%+v", cert)
	}
	broken := append([]byte{}, der...)
	broken[len(broken)-1] ^= 1
	for name, x := range map[string]struct {
		ca      Pair
		request []byte
	}{
		"no key":            {Pair{Cert: ca.Cert}, request},
		"no PEM":            {ca.Pair, []byte("x")},
		"another kind":      {ca.Pair, text},
		"a wrong signature": {ca.Pair, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: broken})},
	} {
		if _, err := SignRequest(x.ca, x.request, now); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if name, err := ServerName(text); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("%q %v", name, err)
	}
}
