package sso

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

const (
	back     = "https://hub.example.org/callback"
	verifier = "a verifier of PKCE that only the client knows"
)

// browser is one with cookies that follows no redirects.
func (r *rig) browser() *http.Client {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	must(r.t, err)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: r.sts.DefaultTransport(), Jar: jar, CheckRedirect: stay}
}

// answer is the status of an answer, what it says, and where it sends to.
func answer(t *testing.T, res *http.Response, err error) (status int, body string, to *url.URL) {
	t.Helper()
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	to, _ = res.Location()
	return res.StatusCode, string(b), to
}

// authorize is the address that a client sends a browser to; change makes it another.
func (r *rig) authorize(change func(url.Values)) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"client_id": {"hub"}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	if change != nil {
		change(q)
	}
	return r.url + "/openidconnect/oidc/authorize/" + Domain + "?" + q.Encode()
}

// newClient registers the hub as a client.
func (r *rig) newClient() {
	r.t.Helper()
	must(r.t, r.dir.AddClient(Client{ID: "hub", Secret: "client secret", Redirects: []string{back}}))
}

// code signs dev in and returns the code.
func (r *rig) code(b *http.Client) string {
	r.t.Helper()
	res, err := b.PostForm(r.authorize(nil), url.Values{"username": {"dev"}, "password": {"secret"}})
	status, body, to := answer(r.t, res, err)
	if status != http.StatusFound || !strings.HasPrefix(to.String(), back+"?") || to.Query().Get("state") != "s" {
		r.t.Fatalf("%d %s %v", status, body, to)
	}
	return to.Query().Get("code")
}

func TestTheFormSignsIn(t *testing.T) {
	r := newRig(t)
	r.newClient()
	b := r.browser()
	res, err := b.Get(r.authorize(nil))
	if status, body, _ := answer(t, res, err); status != 200 || !strings.Contains(body, "<form") {
		t.Fatalf("%d %s", status, body)
	}
	res, err = b.PostForm(r.authorize(nil), url.Values{"username": {`"><script>`}, "password": {"wrong"}})
	if status, body, _ := answer(t, res, err); status != 401 || !strings.Contains(body, "Invalid credentials") || strings.Contains(body, "<script>") {
		t.Errorf("a wrong password: %d %s", status, body)
	}
	if r.code(b) == "" {
		t.Error("no code")
	}
	// Who is signed in is not asked again, until the logout.
	res, err = b.Get(r.authorize(nil))
	if status, _, to := answer(t, res, err); status != http.StatusFound || to.Query().Get("code") == "" {
		t.Errorf("signed in: %d %v", status, to)
	}
	res, err = b.Get(r.url + "/openidconnect/logout/" + Domain + "?" + url.Values{"post_logout_redirect_uri": {back}}.Encode())
	if status, _, to := answer(t, res, err); status != http.StatusFound || to.String() != back {
		t.Errorf("logout: %d %v", status, to)
	}
	res, err = b.Get(r.url + "/openidconnect/logout/" + Domain + "?post_logout_redirect_uri=https://elsewhere.example.org/")
	if status, _, to := answer(t, res, err); status != 200 || to != nil {
		t.Errorf("logout to elsewhere: %d %v", status, to)
	}
	res, err = b.Get(r.authorize(nil))
	if status, _, _ := answer(t, res, err); status != 200 {
		t.Errorf("after the logout: %d", status)
	}
}

func TestBrowsersAreSentToRegisteredAddressesAlone(t *testing.T) {
	r := newRig(t)
	r.newClient()
	for name, change := range map[string]func(url.Values){
		"another client":  func(q url.Values) { q.Set("client_id", "other") },
		"another address": func(q url.Values) { q.Set("redirect_uri", back+"/x") },
	} {
		res, err := r.browser().Get(r.authorize(change))
		if status, _, to := answer(t, res, err); status != 400 || to != nil {
			t.Errorf("%s: %d %v", name, status, to)
		}
	}
	for name, change := range map[string]func(url.Values){
		"another type":        func(q url.Values) { q.Set("response_type", "token") },
		"no openid":           func(q url.Values) { q.Set("scope", "email") },
		"a plain challenge":   func(q url.Values) { q.Set("code_challenge_method", "plain") },
		"a challenge of yore": func(q url.Values) { q.Del("code_challenge_method") },
	} {
		res, err := r.browser().Get(r.authorize(change))
		if status, _, to := answer(t, res, err); status != http.StatusFound || to.Query().Get("error") == "" {
			t.Errorf("%s: %d %v", name, status, to)
		}
	}
}

func TestACodeIsGoodOnceForItsClient(t *testing.T) {
	r := newRig(t)
	r.newClient()
	must(t, r.dir.AddClient(Client{ID: "other", Secret: "client secret", Redirects: []string{back}}))
	redeem := func(code string, change func(url.Values)) (int, string) {
		t.Helper()
		q := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}, "code_verifier": {verifier}, "client_id": {"hub"},
			"client_secret": {"client secret"}}
		if change != nil {
			change(q)
		}
		res, err := r.browser().PostForm(r.url+"/openidconnect/token/"+Domain, q)
		status, body, _ := answer(t, res, err)
		return status, body
	}
	for name, c := range map[string]struct {
		change func(url.Values)
		want   string
	}{
		"another verifier": {func(q url.Values) { q.Set("code_verifier", "guessed") }, "invalid_grant"},
		"another address":  {func(q url.Values) { q.Set("redirect_uri", back+"/x") }, "invalid_grant"},
		"another client":   {func(q url.Values) { q.Set("client_id", "other") }, "invalid_grant"},
		"another grant":    {func(q url.Values) { q.Set("grant_type", "password") }, "invalid_grant"},
		"a wrong secret":   {func(q url.Values) { q.Set("client_secret", "wrong") }, "invalid_client"},
		"another code":     {func(q url.Values) { q.Set("code", "guessed") }, "invalid_grant"},
	} {
		if status, body := redeem(r.code(r.browser()), c.change); status == 200 || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	code := r.code(r.browser())
	status, body := redeem(code, nil)
	var got struct {
		ID string `json:"id_token"`
	}
	must(t, json.Unmarshal([]byte(body), &got))
	if status != 200 || strings.Count(got.ID, ".") != 2 {
		t.Errorf("%d %s", status, body)
	}
	if status, body := redeem(code, nil); status != 400 {
		t.Errorf("again: %d %s", status, body)
	}
	code = r.code(r.browser())
	must(t, r.dir.Remove("dev"))
	if status, body := redeem(code, nil); status != 400 {
		t.Errorf("of who was removed: %d %s", status, body)
	}
}
