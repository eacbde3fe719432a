// Package oidctest is an OpenID Connect provider for tests, in process and over TLS: it keeps users, signs tokens, rotates
// refresh tokens, and misbehaves on demand. It shows no login page: who comes is the user that the test names.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// The client that the provider knows.
const (
	ClientID     = "vic-hub"
	ClientSecret = "the secret of the client"
)

// Fault is a way to misbehave.
type Fault string

// The faults. Endless, Redirect, Broken and Garbage are of the endpoint that Provider.At names.
const (
	None           Fault = ""
	Endless        Fault = "endless"          // an answer that does not end
	Redirect       Fault = "redirect"         // to another host
	Broken         Fault = "broken"           // status 500
	Garbage        Fault = "garbage"          // no JSON
	AlgNone        Fault = "alg none"         // a token without a signature
	AlgSymmetric   Fault = "alg HS256"        // a token signed with the client's secret
	WrongKey       Fault = "wrong key"        // a token signed with a key that is not published
	WrongNonce     Fault = "wrong nonce"      // of another sign-in
	WrongIssuer    Fault = "wrong issuer"     // of another provider
	WrongAudience  Fault = "wrong audience"   // for another client
	ManyAudiences  Fault = "many audiences"   // for this client and another, made for the other
	Expired        Fault = "expired"          // of an hour ago
	Future         Fault = "future"           // of an hour to come
	Nobody         Fault = "nobody"           // without a subject
	SomebodyElse   Fault = "somebody else"    // userinfo and refresh speak of another user
	NoToken        Fault = "no id_token"      // for the code
	NoRefresh      Fault = "no refresh token" // for the code
	NotEncrypted   Fault = "no TLS"           // the discovery document names endpoints without TLS
	RefusesClient  Fault = "refuses client"   // the secret is wrong there
	OtherDiscovery Fault = "other discovery"  // the document is another issuer's
)

// User is somebody that the provider knows. Claims are put into tokens, or into userinfo alone.
type User struct {
	Subject  string
	Claims   map[string]any
	InfoOnly map[string]any
	Gone     bool
}

// Provider is the server. URL is its issuer.
type Provider struct {
	URL string

	server *httptest.Server
	key    *ecdsa.PrivateKey
	other  *ecdsa.PrivateKey

	mu      sync.Mutex
	users   map[string]User
	current string // who sits at the browser
	fault   Fault
	at      string // the path of the endpoint that the fault is at
	codes   map[string]grant
	refresh map[string]string // token to user
	access  map[string]string
	asked   map[string]int
}

type grant struct{ user, callback, nonce, challenge string }

// New starts a provider that ends with the test.
func New(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{users: map[string]User{}, codes: map[string]grant{}, refresh: map[string]string{}, access: map[string]string{}, asked: map[string]int{}}
	p.key, p.other = newKey(t), newKey(t)
	mux := http.NewServeMux()
	for path, h := range map[string]http.HandlerFunc{"/.well-known/openid-configuration": p.discovery, "/keys": p.keys, "/authorize": p.authorize,
		"/token": p.token, "/userinfo": p.userInfo} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.asked[path]++
			if p.at != path || !misbehave(p.fault, w) {
				h(w, r)
			}
		})
	}
	p.server = httptest.NewTLSServer(mux)
	t.Cleanup(p.server.Close)
	p.URL = p.server.URL
	return p
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// misbehave answers as an endpoint with a fault; false for a fault that is of no endpoint.
func misbehave(f Fault, w http.ResponseWriter) bool {
	switch f {
	case Endless:
		w.Header().Set("Content-Type", "application/json")
		for chunk := make([]byte, 64<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return true // the client has hung up
			}
		}
	case Redirect:
		w.Header().Set("Location", "https://elsewhere.example.com/")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case Broken:
		w.WriteHeader(http.StatusInternalServerError)
	case Garbage:
		_, _ = w.Write([]byte("<html>"))
	default:
		return false
	}
	return true
}

// Roots are the authorities of the provider's certificate.
func (p *Provider) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.server.Certificate())
	return pool
}

// CA is the same in PEM.
func (p *Provider) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
}

// Save makes or changes a user; the last one who was saved first sits at the browser.
func (p *Provider) Save(u User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.users[u.Subject]; !known {
		p.current = u.Subject
	}
	p.users[u.Subject] = u
}

// Misbehave sets the fault, at an endpoint ("/token") where it is of one.
func (p *Provider) Misbehave(f Fault, at string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.at = f, at
}

// Rotate gives the provider another key.
func (p *Provider) Rotate(t testing.TB) {
	t.Helper()
	k := newKey(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = k
}

// Asked is how often an endpoint was asked.
func (p *Provider) Asked(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

// Browse plays the browser at an address of Begin, and returns the parameters that the callback gets.
func (p *Provider) Browse(t testing.TB, address string) map[string]string {
	t.Helper()
	client := *p.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatalf("the provider sends nowhere: %s", res.Status)
	}
	out := map[string]string{}
	for k, v := range to.Query() {
		out[k] = v[0]
	}
	return out
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	base, issuer := p.URL, p.URL
	if p.fault == NotEncrypted {
		base = "http" + base[len("https"):]
	}
	if p.fault == OtherDiscovery {
		issuer = "https://elsewhere.example.com"
	}
	answer(w, http.StatusOK, map[string]any{"issuer": issuer, "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token",
		"jwks_uri": base + "/keys", "userinfo_endpoint": base + "/userinfo", "end_session_endpoint": base + "/logout",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"ES256", "none", "HS256"},
		"authorization_response_iss_parameter_supported": true})
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back := url.Values{"state": {q.Get("state")}, "iss": {p.URL}}
	if u, ok := p.users[p.current]; !ok || u.Gone || q.Get("client_id") != ClientID || q.Get("code_challenge_method") != "S256" {
		back.Set("error", "access_denied")
	} else {
		code := rand.Text()
		p.codes[code] = grant{p.current, q.Get("redirect_uri"), q.Get("nonce"), q.Get("code_challenge")}
		back.Set("code", code)
	}
	w.Header().Set("Location", q.Get("redirect_uri")+"?"+back.Encode())
	w.WriteHeader(http.StatusFound)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	id, password, _ := r.BasicAuth()
	if id, _ = url.QueryUnescape(id); id != ClientID || password != url.QueryEscape(ClientSecret) || p.fault == RefusesClient {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	var user, nonce string
	switch r.FormValue("grant_type") {
	case "authorization_code":
		g := p.codes[r.FormValue("code")]
		delete(p.codes, r.FormValue("code"))
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if g.callback == r.FormValue("redirect_uri") && g.challenge == base64.RawURLEncoding.EncodeToString(sum[:]) {
			user, nonce = g.user, g.nonce
		}
	case "refresh_token":
		user = p.refresh[r.FormValue("refresh_token")]
		delete(p.refresh, r.FormValue("refresh_token"))
	}
	u, ok := p.users[user]
	if !ok || u.Gone {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	access, refresh := rand.Text(), rand.Text()
	p.access[access] = user
	out := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": p.sign(u, nonce)}
	if p.fault == NoToken {
		delete(out, "id_token")
	}
	if p.fault != NoRefresh {
		p.refresh[refresh] = user
		out["refresh_token"] = refresh
	}
	answer(w, http.StatusOK, out)
}

// claims are those of a token, with the fault in them.
func (p *Provider) claims(u User, nonce string) map[string]any {
	now := time.Now()
	c := maps.Clone(u.Claims)
	if c == nil {
		c = map[string]any{}
	}
	c["iss"], c["sub"], c["aud"], c["iat"], c["exp"] = p.URL, u.Subject, ClientID, now.Unix(), now.Add(5*time.Minute).Unix()
	if nonce != "" {
		c["nonce"] = nonce
	}
	switch p.fault {
	case WrongNonce:
		c["nonce"] = "another"
	case WrongIssuer:
		c["iss"] = "https://elsewhere.example.com"
	case WrongAudience:
		c["aud"] = "another"
	case ManyAudiences:
		c["aud"], c["azp"] = []string{"another", ClientID}, "another"
	case Expired:
		c["iat"], c["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
	case Future:
		c["iat"], c["exp"] = now.Add(time.Hour).Unix(), now.Add(2*time.Hour).Unix()
	case Nobody:
		delete(c, "sub")
	case SomebodyElse:
		if nonce == "" {
			c["sub"] = "somebody-else"
		}
	}
	return c
}

func (p *Provider) sign(u User, nonce string) string {
	claims := p.claims(u, nonce)
	key := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k"}}
	switch p.fault {
	case AlgNone:
		body, err := json.Marshal(claims)
		if err != nil {
			panic(err) // claims are of the test
		}
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(body) + "."
	case AlgSymmetric:
		key = jose.SigningKey{Algorithm: jose.HS256, Key: fmt.Appendf(nil, "%-32s", ClientSecret)}
	case WrongKey:
		key.Key = jose.JSONWebKey{Key: p.other, KeyID: "k"}
	}
	s, err := jose.NewSigner(key, nil)
	if err != nil {
		panic(err) // keys are of the test
	}
	raw, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	return raw
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) {
	var token string
	_, _ = fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %s", &token)
	u, ok := p.users[p.access[token]]
	if !ok || u.Gone {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	c := maps.Clone(u.Claims)
	if c == nil {
		c = map[string]any{}
	}
	maps.Copy(c, u.InfoOnly)
	c["sub"] = u.Subject
	if p.fault == SomebodyElse {
		c["sub"] = "somebody-else"
	}
	answer(w, http.StatusOK, c)
}
