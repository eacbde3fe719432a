package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/openvic/vic/contrib/lab/public"
)

const certLife = 10 * 365 * 24 * time.Hour

// loadCertificate returns vCenter's certificate, signed by an authority of the lab's own. Both are
// made once and kept in dir: clients pin them.
func loadCertificate(dir string) (tls.Certificate, error) {
	certFile, keyFile := filepath.Join(dir, "vcenter.pem"), filepath.Join(dir, "vcenter-key.pem")
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return c, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, err
	}
	if err := makeCertificates(dir); err != nil {
		return c, fmt.Errorf("certificate: %w", err)
	}
	return tls.LoadX509KeyPair(certFile, keyFile)
}

func makeCertificates(dir string) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := template("vic-lab CA")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	host := "vcenter." + public.Zone
	cert := template(host)
	cert.KeyUsage, cert.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	cert.DNSNames, cert.IPAddresses = []string{host, "localhost"},
		[]net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(public.Public().Host), net.ParseIP(public.Client().Host)}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	return errors.Join(writeCert(filepath.Join(dir, "ca.pem"), caDER), writeKey(filepath.Join(dir, "ca-key.pem"), caKey),
		writeCert(filepath.Join(dir, "vcenter.pem"), der, caDER), writeKey(filepath.Join(dir, "vcenter-key.pem"), key))
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"vic-lab"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certLife)}
}

func writeCert(file string, ders ...[]byte) error {
	var b []byte
	for _, der := range ders {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return os.WriteFile(file, b, 0o644)
}

func writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}
