package hub

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/openvic/vic/core/config"
)

// authorityServer is an ACME authority that issues for one hub what it has seen by TLS-ALPN-01.
type authorityServer struct {
	*httptest.Server
	t      *testing.T
	hub    func() string // its address
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	valid  atomic.Bool // the name was seen to be the hub's
	issued atomic.Int64
	cert   atomic.Pointer[[]byte]
}

const acmeName = "hub.example.test"

func newAuthority(t *testing.T, hub func() string) *authorityServer {
	t.Helper()
	a := &authorityServer{t: t, hub: hub}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ACME authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(1000 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	must(t, err)
	a.ca, err = x509.ParseCertificate(der)
	must(t, err)
	a.Server = httptest.NewTLSServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

// serve answers RFC 8555, as far as autocert asks.
func (a *authorityServer) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Replay-Nonce", rand.Text())
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	order := func(status string) map[string]any {
		return map[string]any{"status": status, "identifiers": []any{map[string]string{"type": "dns", "value": acmeName}},
			"authorizations": []string{a.URL + "/authz"}, "finalize": a.URL + "/finalize", "certificate": a.URL + "/cert"}
	}
	status := func(yes, no string) string { return map[bool]string{true: yes, false: no}[a.valid.Load()] }
	challenge := func() map[string]string {
		return map[string]string{"type": "tls-alpn-01", "url": a.URL + "/challenge", "token": "token", "status": status("valid", "pending")}
	}
	switch r.URL.Path {
	case "/directory":
		answer(200, map[string]string{"newNonce": a.URL + "/nonce", "newAccount": a.URL + "/account", "newOrder": a.URL + "/order"})
	case "/nonce":
	case "/account":
		w.Header().Set("Location", a.URL+"/account/1")
		answer(201, map[string]string{"status": "valid"})
	case "/order":
		w.Header().Set("Location", a.URL+"/order/1")
		answer(201, order(status("ready", "pending")))
	case "/order/1":
		answer(200, order(status("ready", "pending")))
	case "/authz":
		answer(200, map[string]any{"status": status("valid", "pending"), "identifier": map[string]string{"type": "dns", "value": acmeName},
			"challenges": []any{challenge()}})
	case "/challenge":
		a.validate()
		answer(200, challenge())
	case "/finalize":
		a.issue(r)
		w.Header().Set("Location", a.URL+"/order/1")
		answer(200, order("valid"))
	case "/cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(*a.cert.Load())
	default:
		answer(404, map[string]string{"type": "urn:ietf:params:acme:error:malformed"})
	}
}

// validate connects to the hub as an authority does.
func (a *authorityServer) validate() {
	c, err := tls.Dial("tcp", a.hub(), &tls.Config{ServerName: acmeName, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
	if err != nil {
		a.t.Errorf("the authority cannot connect: %v", err)
		return
	}
	defer c.Close()
	cs := c.ConnectionState()
	identifier := slices.ContainsFunc(cs.PeerCertificates[0].Extensions, func(e pkix.Extension) bool { return e.Id.String() == "1.3.6.1.5.5.7.1.31" })
	a.valid.Store(cs.NegotiatedProtocol == acme.ALPNProto && identifier)
}

// issue signs the certificate request of a finalize.
func (a *authorityServer) issue(r *http.Request) {
	var jws, body map[string]string
	if err := json.NewDecoder(r.Body).Decode(&jws); err != nil {
		a.t.Error(err)
		return
	}
	payload, err := base64.RawURLEncoding.DecodeString(jws["payload"])
	if err == nil {
		err = json.Unmarshal(payload, &body)
	}
	der, derr := base64.RawURLEncoding.DecodeString(body["csr"])
	req, rerr := x509.ParseCertificateRequest(der)
	if err != nil || derr != nil || rerr != nil || !a.valid.Load() {
		a.t.Errorf("finalize: %v %v %v", err, derr, rerr)
		return
	}
	der, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: req.DNSNames,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: a.ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, a.ca, req.PublicKey, a.key)
	if err != nil {
		a.t.Error(err)
		return
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.cert.Store(&text)
	a.issued.Add(1)
}

// TestACertificateByACME lets an authority see that the name is the hub's and shows its certificate, also after a restart; who names
// the hub otherwise sees the hub's own, and is on no account a reason to ask the authority.
func TestACertificateByACME(t *testing.T) {
	w := newWorld(t, "sqlite")
	w.stop()
	a := newAuthority(t, func() string { return w.hub.Addr().String() })
	ca := filepath.Join(w.dir, "acme-ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw}), 0o600))
	w.cfg.TLS.ACME = config.HubACME{Names: []string{acmeName}, Directory: a.URL + "/directory", CA: ca}
	w.start()
	public := x509.NewCertPool()
	public.AddCert(a.ca)
	shake := func(pool *x509.CertPool, name string) error {
		c, err := tls.Dial("tcp", w.hub.Addr().String(), &tls.Config{ServerName: name, RootCAs: pool})
		if err == nil {
			err = c.Close()
		}
		return err
	}
	must(t, shake(public, acmeName))
	own := w.client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	must(t, shake(own, "localhost"))
	if err := shake(public, "other.example.test"); err == nil {
		t.Error("a name that is not the hub's has a certificate of the authority's")
	}
	w.stop()
	w.start()
	must(t, shake(public, acmeName))
	if n := a.issued.Load(); n != 1 {
		t.Error(fmt.Sprint(n), "certificates were issued, want one")
	}
}
