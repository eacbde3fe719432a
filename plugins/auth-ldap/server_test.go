package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/go-hclog"
	"github.com/jimlambrt/gldap"
)

// directory is an LDAP server in process. It knows entries with passwords, and evaluates the filters that come.
type directory struct {
	tls     *tls.Config
	ca      []byte
	address string

	mu      sync.Mutex
	entries map[string]map[string][]string // by DN
	expired map[string]bool
	bound   map[int]bool // connections
	clear   int          // binds that came without TLS
	secure  map[int]bool
}

func newDirectory(t *testing.T, startTLS bool) *directory {
	t.Helper()
	d := &directory{entries: map[string]map[string][]string{}, expired: map[string]bool{}, bound: map[int]bool{}, secure: map[int]bool{}}
	d.certificate(t)
	s, err := gldap.NewServer(gldap.WithLogger(hclog.NewNullLogger()))
	must(t, err)
	mux, err := gldap.NewMux()
	must(t, err)
	must(t, mux.Bind(func(w *gldap.ResponseWriter, r *gldap.Request) { d.bind(w, r, startTLS) }))
	must(t, mux.Search(d.search))
	must(t, mux.ExtendedOperation(func(w *gldap.ResponseWriter, r *gldap.Request) {
		res := r.NewExtendedResponse(gldap.WithResponseCode(gldap.ResultSuccess))
		res.SetResponseName(gldap.ExtendedOperationStartTLS)
		if w.Write(res) == nil && r.StartTLS(d.tls) == nil {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.secure[r.ConnectionID()] = true
		}
	}, gldap.ExtendedOperationStartTLS))
	must(t, s.Router(mux))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	d.address = l.Addr().String()
	must(t, l.Close()) // the server opens it anew
	var options []gldap.Option
	if !startTLS {
		options = append(options, gldap.WithTLSConfig(d.tls))
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(d.address, options...) }()
	for !s.Ready() {
		select {
		case err := <-done:
			t.Fatalf("the server ended: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return d
}

func (d *directory) certificate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	d.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	d.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

// put makes or changes an entry; attributes are "name=value".
func (d *directory) put(dn string, attributes ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := map[string][]string{}
	for _, a := range attributes {
		name, value, _ := strings.Cut(a, "=")
		e[name] = append(e[name], value)
	}
	d.entries[dn] = e
}

func (d *directory) remove(dn string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.entries, dn)
}

func (d *directory) expire(dn string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expired[dn] = true
}

// bind answers as a real server does: an empty password is an anonymous bind, whatever the name.
func (d *directory) bind(w *gldap.ResponseWriter, r *gldap.Request, startTLS bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	res := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultInvalidCredentials))
	defer func() { _ = w.Write(res) }()
	m, err := r.GetSimpleBindMessage()
	if err != nil {
		return
	}
	if startTLS && !d.secure[r.ConnectionID()] {
		d.clear++
	}
	var e map[string][]string
	for dn, x := range d.entries {
		if strings.EqualFold(dn, m.UserName) {
			e = x
		}
	}
	if m.Password != "" && (e == nil || len(e["userPassword"]) == 0 || e["userPassword"][0] != string(m.Password) || len(e["locked"]) > 0) {
		return
	}
	if d.expired[m.UserName] {
		res.SetDiagnosticMessage("80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data 532, v4563")
		return
	}
	d.bound[r.ConnectionID()] = m.Password != ""
	res.SetResultCode(gldap.ResultSuccess)
}

func (d *directory) search(w *gldap.ResponseWriter, r *gldap.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	res := r.NewSearchDoneResponse(gldap.WithResponseCode(gldap.ResultSuccess))
	defer func() { _ = w.Write(res) }()
	m, err := r.GetSearchMessage()
	if err != nil || !d.bound[r.ConnectionID()] {
		res.SetResultCode(gldap.ResultInsufficientAccessRights)
		return
	}
	filter, err := ldap.CompileFilter(m.Filter)
	if err != nil {
		res.SetResultCode(gldap.ResultOperationsError)
		return
	}
	n := int64(0)
	for dn, e := range d.entries {
		in := strings.HasSuffix(strings.ToLower(dn), strings.ToLower(m.BaseDN))
		if m.Scope == gldap.BaseObject {
			in = strings.EqualFold(dn, m.BaseDN)
		}
		if !in || !holds(filter, e) {
			continue
		}
		if n++; n > m.SizeLimit {
			res.SetResultCode(gldap.ResultSizeLimitExceeded)
			return
		}
		shown := map[string][]string{}
		for _, a := range m.Attributes {
			if len(e[a]) > 0 {
				shown[a] = e[a]
			}
		}
		_ = w.Write(r.NewSearchResponseEntry(dn, gldap.WithAttributes(shown)))
	}
}

// holds evaluates a filter.
func holds(f *ber.Packet, e map[string][]string) bool {
	text := func(p *ber.Packet) string { return strings.ToLower(p.Data.String()) }
	switch f.Tag {
	case ldap.FilterAnd, ldap.FilterOr:
		for _, c := range f.Children {
			if holds(c, e) != (f.Tag == ldap.FilterAnd) {
				return f.Tag == ldap.FilterOr
			}
		}
		return f.Tag == ldap.FilterAnd
	case ldap.FilterNot:
		return !holds(f.Children[0], e)
	case ldap.FilterPresent:
		return len(e[f.Data.String()]) > 0
	case ldap.FilterEqualityMatch:
		for _, v := range e[f.Children[0].Data.String()] {
			if strings.EqualFold(v, f.Children[1].Data.String()) {
				return true
			}
		}
	case ldap.FilterSubstrings:
		for _, v := range e[f.Children[0].Data.String()] {
			part := f.Children[1].Children[0]
			if v = strings.ToLower(v); part.Tag == ldap.FilterSubstringsFinal && strings.HasSuffix(v, text(part)) ||
				part.Tag == ldap.FilterSubstringsAny && strings.Contains(v, text(part)) {
				return true
			}
		}
	}
	return false
}

// configured is a configuration for the directory, with files of its own.
func (d *directory) configured(t *testing.T, scheme string) Config {
	t.Helper()
	dir := t.TempDir()
	c := defaults()
	c.URL, c.CA, c.BindDN, c.BindPasswordFile = scheme+"://"+d.address, filepath.Join(dir, "ca.pem"), "cn=hub,dc=example,dc=com", filepath.Join(dir, "password")
	c.UserBase, c.GroupBase, c.DisabledFilter = "ou=people,dc=example,dc=com", "ou=groups,dc=example,dc=com", "(locked=*)"
	must(t, os.WriteFile(c.CA, d.ca, 0o600))
	must(t, os.WriteFile(c.BindPasswordFile, []byte("the hub's\n"), 0o600))
	d.put(c.BindDN, "cn=hub", "userPassword=the hub's")
	return c
}
