package hub

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
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/openvic/vic/core/tlsfiles"
)

// How long what the hub's own authority issues is valid. A server certificate of more than 825 days is refused by some
// clients; it is renewed when a third of its time is left.
const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 365 * 24 * time.Hour
	clockSkew       = time.Hour
)

// ownCertificate makes the hub's authority and server certificate in a folder, where they are not there, have other
// names or end soon, and returns the files that are served. The authority is made once: clients trust it.
func ownCertificate(dir string, names []string, now time.Time) (tlsfiles.Files, error) {
	files := tlsfiles.Files{Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server-key.pem")}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return files, fmt.Errorf("certificates: %w", err)
	}
	ca, caKey, err := authority(dir, now)
	if err != nil {
		return files, fmt.Errorf("certificates: %w", err)
	}
	if pair, err := tls.LoadX509KeyPair(files.Cert, files.Key); err == nil && good(pair.Leaf, ca, names, now) {
		return files, nil
	}
	t := &x509.Certificate{Subject: pkix.Name{CommonName: names[0]}, NotBefore: now.Add(-clockSkew), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	if err := issue(t, ca, caKey, files.Cert, files.Key); err != nil {
		return files, fmt.Errorf("certificates: %w", err)
	}
	return files, nil
}

// good says that a certificate need not be made anew.
func good(c, ca *x509.Certificate, names []string, now time.Time) bool {
	if c == nil || c.CheckSignatureFrom(ca) != nil || c.NotAfter.Sub(now) < certificateLife/3 || now.Before(c.NotBefore) {
		return false
	}
	return !slices.ContainsFunc(names, func(n string) bool { return c.VerifyHostname(n) != nil })
}

// authority reads the authority, or makes it.
func authority(dir string, now time.Time) (*x509.Certificate, any, error) {
	cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if errors.Is(err, fs.ErrNotExist) {
		t := &x509.Certificate{Subject: pkix.Name{CommonName: "vic-hub authority"}, NotBefore: now.Add(-clockSkew), NotAfter: now.Add(authorityLife),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		if err := issue(t, nil, nil, cert, key); err != nil {
			return nil, nil, err
		}
		pair, err = tls.LoadX509KeyPair(cert, key)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the hub's authority, %s and %s: %w; restore both from a backup, "+
			"or remove both to make a new one that clients must trust anew", cert, key, err)
	}
	return pair.Leaf, pair.PrivateKey, nil
}

// issue makes a key and a certificate, signed by parent or, if that is nil, by itself. The key is written first, so that
// a crash leaves no certificate without its key.
func issue(t, parent *x509.Certificate, parentKey any, certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return err
	}
	if parent == nil {
		parent, parentKey = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return err
	}
	return writeFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// writeFile replaces a file in one step.
func writeFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
