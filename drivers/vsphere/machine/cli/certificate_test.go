package cli

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
)

func TestCertificatesAreRenewedAddedAndRevoked(t *testing.T) {
	s := simtest.New(t)
	s.Follow("vch1", ready)
	dir := filepath.Join(t.TempDir(), "certs")
	if r := run(t, createArgs(t, s, "--cert-path", dir)...); r.code != 0 {
		t.Fatalf("create: %+v", r)
	}
	certificate := func(args ...string) result {
		return run(t, append(append([]string{"certificate"}, args...), append(access(s), "--name", "vch1")...)...)
	}
	show := func() operation.Certificates {
		r := certificate("show", "--format", "json")
		var out operation.Certificates
		if err := json.Unmarshal([]byte(r.out), &out); err != nil {
			t.Fatalf("%+v %v", r, err)
		}
		return out
	}
	before := show()
	if r := certificate("renew", "--cert-path", dir, "--clients"); r.code != 0 || !strings.Contains(r.out, "127.0.0.1") {
		t.Fatalf("renew: %+v", r)
	}
	after := show()
	if after.Certificates["server-cert.pem"].Serial == before.Certificates["server-cert.pem"].Serial ||
		after.Certificates["ca.pem"].Serial != before.Certificates["ca.pem"].Serial {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	verify(t, filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"))
	verify(t, filepath.Join(dir, "admin-ca.pem"), filepath.Join(dir, "admin-cert.pem"))

	if r := certificate("add-client", "--client", "bob", "--cert-path", dir); r.code != 0 {
		t.Fatalf("add-client: %+v", r)
	}
	bob := filepath.Join(dir, "clients", "bob")
	verify(t, filepath.Join(bob, "ca.pem"), filepath.Join(bob, "cert.pem"))
	if r := certificate("add-client", "--client", "bob", "--cert-path", dir); r.code == 0 || !strings.Contains(r.err, "--out") {
		t.Errorf("bob again: %+v", r)
	}
	if r := certificate("revoke", "--cert", filepath.Join(bob, "cert.pem"), "--cert-path", dir); r.code != 0 || !strings.Contains(r.out, "1 in all") {
		t.Fatalf("revoke: %+v", r)
	}
	if r := certificate("revoke", "--serial", "ab:cd", "--cert-path", dir); r.code != 0 || !strings.Contains(r.out, "2 in all") {
		t.Fatalf("revoke: %+v", r)
	}
	if r := certificate("revoke", "--admin", "--cert", filepath.Join(dir, "admin-cert.pem"), "--cert-path", dir); r.code != 0 {
		t.Fatalf("revoke: %+v", r)
	}
	if now := show(); len(now.Revoked) != 2 || now.Revoked[1] != "abcd" || len(now.RevokedAdmins) != 1 {
		t.Errorf("%+v", now)
	}
	if r := certificate("show"); !strings.Contains(r.out, "days)") || !strings.Contains(r.out, "abcd") {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"renew", "--cert-path", t.TempDir()}, "--cert-path"},
		{[]string{"revoke", "--cert-path", dir}, "--serial"},
		{[]string{"revoke", "--serial", "xyz", "--cert-path", dir}, "hexadecimal"},
		{[]string{"revoke", "--cert", filepath.Join(dir, "admin-cert.pem"), "--cert-path", dir}, "--admin"},
		{[]string{"revoke", "--cert", filepath.Join(dir, "ca.pem"), "--cert-path", dir}, "no client's certificate"},
		{[]string{"revoke", "--cert", filepath.Join(dir, "server-cert.pem"), "--cert-path", dir}, "no client's certificate"},
		{[]string{"add-client", "--client", "..", "--cert-path", dir}, "--client"},
		{[]string{"add-client", "--cert-path", dir}, "--client"},
	} {
		if r := certificate(c.args...); r.code != exitUsage || !strings.Contains(r.err, c.want) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
	if r := run(t, append([]string{"ls"}, access(s)...)...); !strings.Contains(r.out, "days)") {
		t.Errorf("ls: %+v", r)
	}
}

// verify checks that a client certificate was signed by an authority.
func verify(t *testing.T, ca, cert string) {
	t.Helper()
	read := func(name string) *x509.Certificate {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(b)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	roots := x509.NewCertPool()
	roots.AddCert(read(ca))
	if _, err := read(cert).Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("%s: %v", cert, err)
	}
}

func TestAServerCertificateIsSuppliedAtCreate(t *testing.T) {
	s := simtest.New(t)
	dir := filepath.Join(t.TempDir(), "mine")
	s.Guest("vch1", "ready", "")
	if r := run(t, createArgs(t, s, "--cert-path", dir)...); r.code != 0 {
		t.Fatalf("create: %+v", r)
	}
	s.Guest("vch2", "ready", "")
	own := []string{"--name", "vch2", "--bridge-network", "bridge2", "--tls-server-cert", filepath.Join(dir, "server-cert.pem"),
		"--tls-server-key", filepath.Join(dir, "server-key.pem"), "--tls-ca", filepath.Join(dir, "ca.pem")}
	if r := run(t, createArgs(t, s, own...)...); r.code != 0 {
		t.Fatalf("create: %+v", r)
	}
	r := run(t, append([]string{"certificate", "show", "--format", "json", "--name", "vch2"}, access(s)...)...)
	a, err := os.ReadFile(filepath.Join(dir, "server-cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(a)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !strings.Contains(r.out, c.SerialNumber.Text(16)) {
		t.Errorf("%+v %v", r, err)
	}
	wrong := createArgs(t, s, append(own, "--name", "vch3", "--bridge-network", "backend", "--tls-cname", "other.example.com")...)
	if r := run(t, wrong...); r.code != exitChecks || !strings.Contains(r.out, "other.example.com") {
		t.Errorf("another name: %+v", r)
	}
}
