package tlsfiles

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t, next: 1}
	tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	a.key = key(t)
	a.cert = a.sign(tmpl, tmpl, a.key)
	return a
}

func key(t *testing.T) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (a *authority) sign(tmpl, parent *x509.Certificate, k *ecdsa.PrivateKey) *x509.Certificate {
	a.next++
	tmpl.SerialNumber, tmpl.NotBefore, tmpl.NotAfter = big.NewInt(a.next), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, k.Public(), a.key)
	must(a.t, err)
	c, err := x509.ParseCertificate(der)
	must(a.t, err)
	return c
}

func (a *authority) leaf(name string) tls.Certificate {
	k := key(a.t)
	c := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}, a.cert, k)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: k, Leaf: c}
}

func (a *authority) crl(serials ...*big.Int) []byte {
	tmpl := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, s := range serials {
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, a.cert, a.key)
	must(a.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func write(t *testing.T, name string, b []byte) { t.Helper(); must(t, os.WriteFile(name, b, 0o600)) }

func writePair(t *testing.T, f Files, c tls.Certificate) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	must(t, err)
	write(t, f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
	write(t, f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestReloadKeepsConnectionsAndRefusesWhoIsRevoked(t *testing.T) {
	dir := t.TempDir()
	f := Files{Cert: filepath.Join(dir, "c"), Key: filepath.Join(dir, "k"), CA: filepath.Join(dir, "ca"), CRL: filepath.Join(dir, "crl")}
	a := newAuthority(t, "clients")
	write(t, f.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	writePair(t, f, a.leaf("old"))
	s, err := Open(f)
	must(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := s.Listener(tcp)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	caches := map[string]tls.ClientSessionCache{} // a client that resumes its session is no less revoked
	dial := func(c tls.Certificate) (*tls.Conn, error) {
		name := c.Leaf.Subject.CommonName
		if caches[name] == nil {
			caches[name] = tls.NewLRUClientSessionCache(4)
		}
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{c}, ClientSessionCache: caches[name]})
		if err != nil {
			return nil, err
		}
		return conn, echo(conn)
	}
	good, bad := a.leaf("good"), a.leaf("bad")
	held, err := dial(bad)
	must(t, err)
	kept, err := dial(a.leaf("kept"))
	must(t, err)

	writePair(t, f, a.leaf("new"))
	write(t, f.CRL, a.crl(bad.Leaf.SerialNumber))
	must(t, s.Reload())
	must(t, echo(kept))
	if _, err := held.Read(make([]byte, 1)); err == nil {
		t.Error("the open connection of a client that is revoked goes on")
	}
	if _, err := dial(bad); err == nil {
		t.Error("a revoked client is let in")
	}
	c, err := dial(good)
	must(t, err)
	if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "new" {
		t.Errorf("the server shows %q", got)
	}

	for name, spoil := range map[string]string{"tls_crl": f.CRL, "tls.cert": f.Cert, "tls.key": f.Key, "tls_ca": f.CA} {
		t.Run(name, func(t *testing.T) {
			before, err := os.ReadFile(spoil)
			must(t, err)
			bad := []byte("x")
			if name == "tls_crl" {
				bad = newAuthority(t, "clients").crl() // of another authority with the same name
			}
			write(t, spoil, bad)
			if err := s.Reload(); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v", err)
			}
			write(t, spoil, before)
			if _, err := dial(good); err != nil {
				t.Errorf("what was good before is not in use any more: %v", err)
			}
		})
	}
}

// An authority that is taken out takes its clients' connections along; one more authority takes none.
func TestReloadWithOtherAuthorities(t *testing.T) {
	dir := t.TempDir()
	f := Files{Cert: filepath.Join(dir, "c"), Key: filepath.Join(dir, "k"), CA: filepath.Join(dir, "ca"), Optional: true}
	a, b := newAuthority(t, "first"), newAuthority(t, "second")
	pemOf := func(a *authority) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	}
	write(t, f.CA, pemOf(a))
	writePair(t, f, a.leaf("server"))
	s, err := Open(f)
	must(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := s.Listener(tcp)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	dial := func(certs ...tls.Certificate) *tls.Conn {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, Certificates: certs})
		must(t, err)
		must(t, echo(c))
		return c
	}
	known, nobody := dial(a.leaf("client")), dial()
	write(t, f.CA, append(pemOf(a), pemOf(b)...))
	must(t, s.Reload())
	must(t, echo(known))
	write(t, f.CA, pemOf(b))
	must(t, s.Reload())
	if _, err := known.Read(make([]byte, 1)); err == nil {
		t.Error("a client of an authority that was taken out stays")
	}
	must(t, echo(nobody)) // who shows no certificate had to show none
}

func echo(c *tls.Conn) error {
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}
