// Package vchtest is a VCH for tests: an authority, and a Docker API that lets in those whom the authority has signed.
package vchtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"testing"
	"time"
)

// Version is what the API says of itself.
const Version = "28.5.2-test"

// Host is the VCH; its certificate is for the name vch.test.
type Host struct {
	Address  string // host:port
	ServerCA string // PEM
	Docker   *Docker
	server   *httptest.Server
	ca       *x509.Certificate
	key      *ecdsa.PrivateKey
}

// Serve starts one that ends with the test.
func Serve(t testing.TB) *Host {
	t.Helper()
	h := &Host{key: newKey(t), Docker: &Docker{}}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, h.key.Public(), h.key)
	must(t, err)
	h.ca, err = x509.ParseCertificate(der)
	must(t, err)
	h.ServerCA = text("CERTIFICATE", h.ca.Raw)
	key := newKey(t)
	leaf := h.issue(t, &x509.Certificate{DNSNames: []string{"vch.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, key.Public())
	clients := x509.NewCertPool()
	clients.AddCert(h.ca)
	h.server = httptest.NewUnstartedServer(h.Docker)
	h.server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf}, PrivateKey: key}}, ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs: clients}
	h.server.StartTLS()
	t.Cleanup(h.Close)
	h.Address = h.server.Listener.Addr().String()
	return h
}

// Close stops it before the test ends.
func (h *Host) Close() {
	h.server.CloseClientConnections()
	h.server.Close()
}

// Sign makes a client's certificate of a request, as vic-machine does.
func (h *Host) Sign(t testing.TB, request string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(request))
	if block == nil {
		t.Fatalf("no request: %q", request)
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	must(t, err)
	must(t, req.CheckSignature())
	return text("CERTIFICATE", h.issue(t, &x509.Certificate{Subject: req.Subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, req.PublicKey))
}

// Request is one of a key that nobody has any more.
func Request(t testing.TB) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, newKey(t))
	must(t, err)
	return text("CERTIFICATE REQUEST", der)
}

func (h *Host) issue(t testing.TB, c *x509.Certificate, key any) []byte {
	t.Helper()
	c.SerialNumber, c.NotBefore, c.NotAfter, c.KeyUsage = big.NewInt(time.Now().UnixNano()), h.ca.NotBefore, h.ca.NotAfter, x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, c, h.ca, key, h.key)
	must(t, err)
	return der
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

func text(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
