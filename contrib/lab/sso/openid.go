package sso

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	loginCookie = "vic-lab-sso"
	loginLife   = 8 * time.Hour
	codeLife    = time.Minute
	idLife      = 5 * time.Minute
	maxOpen     = 1000 // of logins, and of codes
)

// Client is a program that browsers are sent from: a relying party of the OpenID provider.
type Client struct {
	ID        string   `json:"id"`
	Secret    string   `json:"secret"`
	Redirects []string `json:"redirects"` // addresses that browsers may be sent back to, also after a logout
}

// AddClient registers a client, or replaces one.
func (d *Directory) AddClient(c Client) error {
	if !namePattern.MatchString(c.ID) || c.Secret == "" || len(c.Redirects) == 0 {
		return errors.New("a client needs an id, a secret, and an address to send browsers back to")
	}
	return d.change(func() error {
		d.clients[c.ID] = c
		return nil
	})
}

func (d *Directory) client(id string) (Client, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	c, ok := d.clients[id]
	return c, ok
}

// login is a browser's.
type login struct {
	user string
	ends time.Time
}

// code is what a client gets tokens for, once.
type code struct {
	user, client, redirect, challenge, nonce string
	ends                                     time.Time
}

func (s *Server) mountOpenID(handle func(string, http.HandlerFunc)) {
	handle("GET /openidconnect/"+Domain+"/.well-known/openid-configuration", serveDiscovery)
	handle("GET /openidconnect/oidc/authorize/"+Domain, s.serveAuthorize)
	handle("POST /openidconnect/oidc/authorize/"+Domain, s.serveAuthorize)
	handle("POST /openidconnect/token/"+Domain, s.serveToken)
	handle("GET /openidconnect/jwks/"+Domain, s.serveKeys)
	handle("GET /openidconnect/logout/"+Domain, s.serveLogout)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func issuer(r *http.Request) string { return base(r) + "/openidconnect/" + Domain }

func serveDiscovery(w http.ResponseWriter, r *http.Request) {
	base := base(r) + "/openidconnect"
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": issuer(r), "authorization_endpoint": base + "/oidc/authorize/" + Domain, "token_endpoint": base + "/token/" + Domain,
		"jwks_uri": base + "/jwks/" + Domain, "end_session_endpoint": base + "/logout/" + Domain, "response_types_supported": []string{"code"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	})
}

func keyID(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:8])
}

func (s *Server) serveKeys(w http.ResponseWriter, _ *http.Request) {
	var set jose.JSONWebKeySet
	for _, c := range s.keys().trusted {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: c.PublicKey, KeyID: keyID(c), Algorithm: string(jose.RS256), Use: "sig"})
	}
	writeJSON(w, http.StatusOK, set)
}

var page = template.Must(template.New("login").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>vCenter Single Sign-On</title>
<h1>vCenter Single Sign-On</h1>{{with .Error}}<p role="alert">{{.}}</p>{{end}}
<form method="post"><label>User name <input name="username" value="{{.User}}" autofocus required></label>
<label>Password <input name="password" type="password" required></label> <button>Sign in</button></form></html>`))

// serveAuthorize shows the form, takes what was typed into it, and sends the browser back with a code.
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	client, ok := s.cfg.Directory.client(q.Get("client_id"))
	if !ok || !slices.Contains(client.Redirects, q.Get("redirect_uri")) {
		http.Error(w, "the client is not registered, or not with this address to come back to", http.StatusBadRequest)
		return
	}
	back := func(v url.Values) {
		v.Set("state", q.Get("state"))
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+v.Encode(), http.StatusFound)
	}
	switch {
	case q.Get("response_type") != "code" || !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		back(url.Values{"error": {"unsupported_response_type"}})
		return
	case q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "S256":
		back(url.Values{"error": {"invalid_request"}, "error_description": {"code_challenge_method must be S256"}})
		return
	}
	user, ok := s.browser(r)
	if !ok && r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, map[string]string{})
		return
	}
	if r.Method == http.MethodPost {
		u, obstacle, ok := s.cfg.Directory.Login(r.PostFormValue("username"), r.PostFormValue("password"))
		if !ok {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusUnauthorized)
			_ = page.Execute(w, map[string]string{"Error": obstacle, "User": r.PostFormValue("username")})
			return
		}
		user = u.Name
		s.remember(w, user)
	}
	back(url.Values{"code": {s.newCode(code{user: user, client: client.ID, redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"),
		nonce: q.Get("nonce")})}})
}

// browser says who is signed in with a browser.
func (s *Server) browser(r *http.Request) (string, bool) {
	c, err := r.Cookie(loginCookie)
	if err != nil {
		return "", false
	}
	s.mu.Lock()
	l, ok := s.logins[c.Value]
	s.mu.Unlock()
	if !ok || time.Now().After(l.ends) {
		return "", false
	}
	u, ok := s.cfg.Directory.User(l.user)
	return u.Name, ok && !u.Disabled
}

func (s *Server) remember(w http.ResponseWriter, user string) {
	value := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	bound(s.logins, func(l login) time.Time { return l.ends })
	s.logins[value] = login{user, time.Now().Add(loginLife)}
	http.SetCookie(w, &http.Cookie{Name: loginCookie, Value: value, Path: "/openidconnect/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (s *Server) newCode(c code) string {
	value := rand.Text()
	c.ends = time.Now().Add(codeLife)
	s.mu.Lock()
	defer s.mu.Unlock()
	bound(s.codes, func(c code) time.Time { return c.ends })
	s.codes[value] = c
	return value
}

// bound makes room in a map: what has ended goes, or all if that is not enough.
func bound[V any](m map[string]V, ends func(V) time.Time) {
	for k, v := range m {
		if time.Now().After(ends(v)) {
			delete(m, k)
		}
	}
	if len(m) >= maxOpen {
		clear(m)
	}
}

// serveToken gives tokens for a code, once, to the client that it was made for.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if ok { // RFC 6749 2.3.1
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	client, known := s.cfg.Directory.client(id)
	if !known || subtle.ConstantTimeCompare([]byte(client.Secret), []byte(secret)) != 1 {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	value := r.PostFormValue("code")
	s.mu.Lock()
	c, ok := s.codes[value]
	delete(s.codes, value)
	s.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	verified := c.challenge == "" || base64.RawURLEncoding.EncodeToString(sum[:]) == c.challenge
	u, there := s.cfg.Directory.User(c.user)
	if r.PostFormValue("grant_type") != "authorization_code" || !ok || time.Now().After(c.ends) || c.client != client.ID ||
		c.redirect != r.PostFormValue("redirect_uri") || !verified || !there || u.Disabled {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	idToken, err := s.idToken(issuer(r), u, c)
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"access_token": rand.Text(), "id_token": idToken, "token_type": "Bearer", "expires_in": int(idLife.Seconds())})
}

func (s *Server) idToken(issuer string, u User, c code) (string, error) {
	keys, now := s.keys(), s.now()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: keys.key.PrivateKey},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", keyID(keys.key.Leaf)))
	if err != nil {
		return "", fmt.Errorf("id token: %w", err)
	}
	groups := []string{}
	for _, g := range s.cfg.Directory.Nested(u.Name) {
		groups = append(groups, Domain+`\`+g)
	}
	return jwt.Signed(signer).Claims(map[string]any{"iss": issuer, "sub": u.Name, "aud": []string{c.client}, "iat": now.Unix(), "exp": now.Add(idLife).Unix(),
		"nonce": c.nonce, "given_name": u.FirstName, "family_name": u.LastName, "acct": u.Name, "group_names": groups}).Serialize()
}

// serveLogout ends the browser's login, and sends it back if the address is a client's.
func (s *Server) serveLogout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(loginCookie); err == nil {
		s.mu.Lock()
		delete(s.logins, c.Value)
		s.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: loginCookie, Path: "/openidconnect/", MaxAge: -1, Secure: true, HttpOnly: true})
	to := r.URL.Query().Get("post_logout_redirect_uri")
	for _, c := range s.cfg.Directory.State().Clients {
		if slices.Contains(c.Redirects, to) {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
	}
	_, _ = fmt.Fprintln(w, "You are signed out.")
}
