package hub

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var samlField = regexp.MustCompile(`name="(SAMLResponse|RelayState)" value="([^"]*)"`)

// TestABrowserSignsInAtAnOldVCenter goes from the hub to the page of a vCenter without OpenID Connect, and comes back with a
// form of that page, as a browser would send it.
func TestABrowserSignsInAtAnOldVCenter(t *testing.T) {
	v := newVCenterOf(t, true)
	w := v.newHub("vic-hub")
	hub := "https://" + w.hub.Addr().String()
	cmd := exec.Command(buildPlugin(t, "auth-vsphere"), "metadata", filepath.Join(w.dir, "register.toml"), hub+"/c/oidc/callback")
	text, err := cmd.Output()
	must(t, err)
	must(t, v.dir.ImportProvider(string(text)))

	client := w.browser(v.web.Certificate())
	begin := func() (address string) {
		t.Helper()
		res, err := client.Get(hub + "/c/oidc/login?source=vsphere&redirect_url=/portal")
		must(t, err)
		must(t, res.Body.Close())
		if address = res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(address, v.web.URL+"/websso/SAML2/SSO/") {
			t.Fatalf("%s to %s", res.Status, address)
		}
		return address
	}
	signIn := func(address, password string, want int) url.Values {
		t.Helper()
		res, err := client.PostForm(address, url.Values{"username": {"dev"}, "password": {password}})
		must(t, err)
		defer res.Body.Close()
		page, err := io.ReadAll(res.Body)
		must(t, err)
		if res.StatusCode != want {
			t.Fatalf("%s %s", res.Status, page)
		}
		form := url.Values{}
		for _, m := range samlField.FindAllStringSubmatch(string(page), -1) {
			form.Set(m[1], html.UnescapeString(m[2]))
		}
		return form
	}
	back := func(from *http.Client, form url.Values) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hub+"/c/oidc/callback", strings.NewReader(form.Encode()))
		must(t, err)
		for k, v := range map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": v.web.URL, "Sec-Fetch-Site": "cross-site"} {
			req.Header.Set(k, v)
		}
		res, err := from.Do(req)
		must(t, err)
		must(t, res.Body.Close())
		return res
	}

	address := begin()
	if form := signIn(address, "wrong", http.StatusUnauthorized); len(form) != 0 {
		t.Errorf("a wrong password: %v", form)
	}
	form := signIn(address, userPassword, http.StatusOK)
	// Who has the form but not the browser's cookie is nobody; who has the cookie too comes second.
	if res := back(w.browser(nil), form); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("in another browser: %s", res.Status)
	}
	at, err := url.Parse(hub)
	must(t, err)
	thief := w.browser(nil)
	thief.Jar, err = cookiejar.New(nil)
	must(t, err)
	thief.Jar.SetCookies(at, client.Jar.Cookies(at))
	if res := back(client, form); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/portal" {
		t.Fatalf("%s to %s", res.Status, res.Header.Get("Location"))
	}
	for name, from := range map[string]*http.Client{"again": client, "by a thief": thief} {
		if res := back(from, form); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	res, err := client.Get(hub + "/api/v2.0/users/current")
	must(t, err)
	defer res.Body.Close()
	var me struct{ Username string }
	must(t, json.NewDecoder(res.Body).Decode(&me))
	if me.Username != "dev@vsphere.local" {
		t.Errorf("signed in as %q", me.Username)
	}

	// An answer of one sign-in is none for the next, and neither is one that was touched.
	next := begin()
	if res := back(client, url.Values{"SAMLResponse": form["SAMLResponse"], "RelayState": {state(t, next)}}); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the answer of an earlier sign-in: %s", res.Status)
	}
	next = begin()
	form = signIn(next, userPassword, http.StatusOK)
	form.Set("SAMLResponse", "QUFB"+form.Get("SAMLResponse"))
	if res := back(client, form); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("an altered answer: %s", res.Status)
	}
}

// state is what the hub wants back from the service.
func state(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Query().Get("RelayState")
}
