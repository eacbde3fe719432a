package browser_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/browser"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// crossSite are the headers of a form that the source's page sends.
var crossSite = []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://sso.example.com"}

// form begins a sign-in whose source sends the browser back with a form, as SAML does.
func (a *agent) form(query string) url.Values {
	a.r.t.Helper()
	back := a.redirect(query)
	back.Set("RelayState", back.Get("state"))
	back.Del("state")
	return back
}

func TestABrowserComesBackWithAForm(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		r := newRig(t, storetest.URL(t, t.Name()[strings.LastIndex(t.Name(), "/")+1:]))
		r.source.FormPost = true
		a := r.browser()
		back := a.form("?redirect_url=/projects")
		stolen := maps.Clone(a.cookies)
		res := a.ask(1, "POST", browser.CallbackPath, back.Encode(), crossSite...)
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/projects" || a.who(0) != "d/ann" || len(a.cookies) != 1 {
			t.Errorf("%s to %q, %q is signed in", res.Status, res.Header.Get("Location"), a.who(0))
		}
		// Who has the cookie and the form brings them again, to either hub.
		for hub := range 2 {
			b := &agent{r, maps.Clone(stolen)}
			if res := b.ask(hub, "POST", browser.CallbackPath, back.Encode(), crossSite...); res.StatusCode != http.StatusUnauthorized || b.who(0) != "" {
				t.Errorf("again at hub %d: %s", hub, res.Status)
			}
		}
	})
}

func TestFormsThatAreRefused(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	r.source.FormPost = true
	for name, c := range map[string]struct {
		send func(a *agent, back url.Values) *http.Response
		want int
	}{
		"another state": {func(a *agent, back url.Values) *http.Response {
			back.Set("RelayState", "x")
			return a.ask(0, "POST", browser.CallbackPath, back.Encode(), crossSite...)
		}, 401},
		"two states": {func(a *agent, back url.Values) *http.Response {
			back.Set("state", back.Get("RelayState"))
			return a.ask(0, "POST", browser.CallbackPath, back.Encode(), crossSite...)
		}, 400},
		"a code twice": {func(a *agent, back url.Values) *http.Response {
			back.Add("code", "x")
			return a.ask(0, "POST", browser.CallbackPath, back.Encode(), crossSite...)
		}, 400},
		"a browser without the cookie": {func(a *agent, back url.Values) *http.Response {
			clear(a.cookies)
			return a.ask(0, "POST", browser.CallbackPath, back.Encode(), crossSite...)
		}, 401},
		"by GET": {func(a *agent, back url.Values) *http.Response {
			back.Set("state", back.Get("RelayState"))
			back.Del("RelayState")
			return a.ask(0, "GET", browser.CallbackPath+"?"+back.Encode(), "", crossSite...)
		}, 401},
		"in the address": {func(a *agent, back url.Values) *http.Response {
			return a.ask(0, "POST", browser.CallbackPath+"?"+back.Encode(), "", crossSite...)
		}, 401},
		"too long": {func(a *agent, back url.Values) *http.Response {
			back.Set("SAMLResponse", strings.Repeat("A", 600<<10))
			return a.ask(0, "POST", browser.CallbackPath, back.Encode(), crossSite...)
		}, 400},
		"at the hub's own form": {func(a *agent, _ url.Values) *http.Response {
			return a.ask(0, "POST", browser.LoginPath, "principal=ann&password=ann's", crossSite...)
		}, 403},
	} {
		a := r.browser()
		back := a.form("")
		if res := c.send(a, back); res.StatusCode != c.want || a.who(0) != "" {
			t.Errorf("%s: %s, want %d; %q is signed in", name, res.Status, c.want, a.who(0))
		}
	}
	// A source that redirects is not answered with a form.
	r.source.FormPost = false
	a := r.browser()
	back := a.form("")
	if res := a.ask(0, "POST", browser.CallbackPath, back.Encode(), crossSite...); res.StatusCode != 401 || a.who(0) != "" {
		t.Errorf("a form instead of a redirect: %s", res.Status)
	}
}
