package sso

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const keyLife = 10 * 365 * 24 * time.Hour

// NewCertificate makes an RSA key with a certificate of its own: Single Sign-On and govmomi's client know no other keys.
func NewCertificate(name string) (tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails
	tpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"vic-lab"}},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(keyLife), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// signer are the keys of the service: the newest signs, all are trusted.
type signer struct {
	key     tls.Certificate
	trusted []*x509.Certificate
}

// loadSigner takes the key that is kept in dir, and makes it if there is none.
func loadSigner(dir string) (*signer, error) {
	certFile, keyFile := filepath.Join(dir, "sts.pem"), filepath.Join(dir, "sts-key.pem")
	key, err := tls.LoadX509KeyPair(certFile, keyFile)
	if errors.Is(err, os.ErrNotExist) {
		if key, err = NewCertificate("ssoserverSign"); err == nil {
			err = saveKey(dir, key)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key of the security token service: %w", err)
	}
	return &signer{key: key, trusted: []*x509.Certificate{key.Leaf}}, nil
}

func saveKey(dir string, key tls.Certificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(key.PrivateKey)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "sts-key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(dir, "sts.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: key.Certificate[0]}), 0o644))
}
