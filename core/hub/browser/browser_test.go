package browser_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/browser"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/session"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is two hubs over one database and one key, with one identity source.
type rig struct {
	t      *testing.T
	db     *store.Store
	source *auth.Fake
	people *people.People
	signer *signin.Signer
	hubs   []*browser.Browsers

	mu     sync.Mutex
	now    time.Time
	events []browser.Event
}

func newRig(t *testing.T, url string) *rig {
	t.Helper()
	r := &rig{t: t, source: auth.NewFake("d"), now: time.Now()}
	r.db = storetest.Open(t, url, people.Schema(), session.Schema())
	r.people = people.New(r.db, r.clock)
	log := slog.New(slog.DiscardHandler)
	for range 2 {
		sealer, err := seal.Open(filepath.Join(filepath.Dir(t.TempDir()), "seal.key"))
		must(t, err)
		sign := signin.New(signin.Options{People: r.people, Sealer: sealer, Limiter: access.NewLimiter(access.LimitOptions{Now: r.clock}), Log: log, Now: r.clock,
			Sources: func() []signin.Source {
				return []signin.Source{{Name: "fake", Driver: r.source, Capabilities: r.source.Capabilities}}
			}})
		r.signer = sign
		r.hubs = append(r.hubs, browser.New(browser.Options{Signer: sign, Sealer: sealer, Log: log, Now: r.clock,
			Sessions: session.New(r.db, session.Options{Now: r.clock, Log: log}),
			Observe: func(_ context.Context, e browser.Event) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.events = append(r.events, e)
			}}))
	}
	must(t, r.source.Save(t.Context(), auth.SaveRequest{Principal: auth.Principal{ID: "d/ann", Kind: auth.User, Name: "ann@d"}, Password: "ann's"}))
	return r
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) later(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// agent is a browser with its cookies.
type agent struct {
	r       *rig
	cookies map[string]string
}

func (r *rig) browser() *agent { return &agent{r, map[string]string{}} }

// ask sends a request to one of the hubs and keeps the cookies of the answer.
func (a *agent) ask(hub int, method, path, form string, header ...string) *http.Response {
	a.r.t.Helper()
	req := httptest.NewRequestWithContext(a.r.t.Context(), method, "https://hub.example.com"+path, strings.NewReader(form))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	for k, v := range a.cookies {
		req.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	w := httptest.NewRecorder()
	access.SameSite(a.r.hubs[hub].Handler(), nil, browser.CallbackPattern).ServeHTTP(w, req)
	res := w.Result()
	for _, c := range res.Cookies() {
		want := http.SameSiteLaxMode
		if a.r.source.FormPost && c.Name != browser.Cookie && c.MaxAge > 0 {
			want = http.SameSiteNoneMode
		}
		if !c.Secure || !c.HttpOnly || c.SameSite != want || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Host-") {
			a.r.t.Errorf("the cookie %s may go elsewhere", c)
		}
		if a.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(a.cookies, c.Name)
		}
	}
	return res
}

// who is the user whose session a hub finds; "" for nobody.
func (a *agent) who(hub int) string {
	a.r.t.Helper()
	req := httptest.NewRequestWithContext(a.r.t.Context(), http.MethodGet, "https://hub.example.com/", nil)
	for k, v := range a.cookies {
		req.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	c, ok, err := a.r.hubs[hub].Find(req)
	must(a.r.t, err)
	if !ok {
		return ""
	}
	return c.Subject.ID
}

// redirect begins at the first hub, signs in at the source, and returns what the callback gets.
func (a *agent) redirect(query string) url.Values {
	a.r.t.Helper()
	res := a.ask(0, "GET", browser.RedirectPath+query, "")
	if res.StatusCode != http.StatusSeeOther {
		a.r.t.Fatalf("begin: %s", res.Status)
	}
	got, err := a.r.source.SignIn(res.Header.Get("Location"), "ann", "ann's")
	must(a.r.t, err)
	back := url.Values{}
	for k, v := range got {
		back.Set(k, v)
	}
	return back
}

func TestABrowserSignsInByPassword(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	a := r.browser()
	if res := a.ask(0, "POST", browser.LoginPath, "principal=ann&password=wrong"); res.StatusCode != 401 || len(a.cookies) != 0 {
		t.Errorf("a wrong password: %s", res.Status)
	}
	for _, form := range []string{"principal=ann&password=ann's", "principal=ann@d&password=ann's", "principal=ann&domain=d&password=ann's"} {
		old := a.cookies[browser.Cookie]
		if res := a.ask(0, "POST", browser.LoginPath, form); res.StatusCode != 200 || a.who(1) != "d/ann" {
			t.Errorf("%s: %s, the other hub sees %q", form, res.Status, a.who(1))
		}
		if b := (&agent{r, map[string]string{browser.Cookie: old}}); old != "" && b.who(0) != "" {
			t.Error("the session that the browser brought goes on")
		}
	}
	if res := a.ask(0, "POST", browser.LoginPath, "principal=ann&domain=elsewhere&password=ann's"); res.StatusCode != 401 {
		t.Errorf("another domain: %s", res.Status)
	}
	if res := a.ask(1, "POST", browser.LogoutPath, ""); res.StatusCode != 200 || len(a.cookies) != 0 || a.who(0) != "" {
		t.Errorf("sign-out: %s", res.Status)
	}
	var told []string
	for _, e := range r.events {
		told = append(told, e.Operation+" "+e.Name+" "+e.Detail+" "+http.StatusText(e.Outcome))
	}
	if got := strings.Join(told, ", "); !strings.HasPrefix(got, "sign-in ann password Unauthorized, sign-in ann@d password OK") ||
		!strings.HasSuffix(got, "sign-out d/ann  OK") || strings.Contains(got, "ann's") {
		t.Error(got)
	}
}

func TestABrowserSignsInByRedirect(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		r := newRig(t, storetest.URL(t, t.Name()[strings.LastIndex(t.Name(), "/")+1:]))
		a := r.browser()
		back := a.redirect("?source=fake&redirect_url=/projects%3Fpage%3D2")
		for _, c := range a.cookies {
			if strings.Contains(c, back.Get("state")) {
				t.Error("the cookie is not sealed")
			}
		}
		res := a.ask(1, "GET", browser.CallbackPath+"?"+back.Encode(), "", "Sec-Fetch-Site", "cross-site") // by the other hub
		if res.StatusCode != 303 || res.Header.Get("Location") != "/projects?page=2" || a.who(0) != "d/ann" || len(a.cookies) != 1 {
			t.Errorf("%s to %q, %q is signed in", res.Status, res.Header.Get("Location"), a.who(0))
		}
		if res := a.ask(0, "GET", browser.CallbackPath+"?"+back.Encode(), ""); res.StatusCode != 401 || a.who(0) != "d/ann" {
			t.Errorf("the same again: %s", res.Status)
		}
		if res := a.ask(0, "GET", browser.LogoutPath, "", "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 || a.who(0) == "" {
			t.Errorf("another site signs out: %s", res.Status)
		}
		if res := a.ask(0, "GET", browser.LogoutPath, "", "Sec-Fetch-Site", "same-origin"); res.StatusCode != 303 || a.who(0) != "" {
			t.Errorf("sign-out: %s", res.Status)
		}
	})
}

func TestWhatABrowserForges(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	for name, change := range map[string]func(a *agent, back url.Values){
		"another state":            func(_ *agent, back url.Values) { back.Set("state", "x") },
		"no state":                 func(_ *agent, back url.Values) { back.Del("state") },
		"a browser without cookie": func(a *agent, _ url.Values) { clear(a.cookies) },
		"a cookie of another sign-in": func(a *agent, _ url.Values) {
			b := r.browser()
			b.redirect("")
			a.cookies = b.cookies
		},
		"a cookie that was changed": func(a *agent, _ url.Values) {
			for k, v := range a.cookies {
				a.cookies[k] = v[:len(v)-2] + "AA"
			}
		},
		"a code that is made up": func(_ *agent, back url.Values) { back.Set("code", "x") },
		"a refusal":              func(_ *agent, back url.Values) { back.Del("code"); back.Set("error", "access_denied") },
		"too late":               func(*agent, url.Values) { r.later(16 * time.Minute) },
	} {
		a := r.browser()
		back := a.redirect("")
		change(a, back)
		if res := a.ask(0, "GET", browser.CallbackPath+"?"+back.Encode(), ""); res.StatusCode != 401 || a.who(0) != "" {
			t.Errorf("%s: %s", name, res.Status)
		}
		r.later(time.Minute) // for the limit on tries
	}
	a := r.browser()
	back := a.redirect("")
	back.Add("code", "y")
	if res := a.ask(0, "GET", browser.CallbackPath+"?"+back.Encode(), ""); res.StatusCode != 400 || a.who(0) != "" {
		t.Errorf("a code twice: %s", res.Status)
	}
}

// Who sends made-up codes again and again is slowed down, and nobody at another address with them.
func TestCallbacksAreLimited(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	for range 20 {
		a := r.browser()
		back := a.redirect("")
		back.Set("code", "x")
		if a.ask(0, "GET", browser.CallbackPath+"?"+back.Encode(), "").StatusCode == 429 {
			return
		}
	}
	t.Error("nobody slows them down")
}

func TestWhereABrowserGoesInTheEnd(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	for given, want := range map[string]string{"/a?b=c#d": "/a?b=c#d", "": "/", "https://evil.example.com": "/", "//evil.example.com": "/", `/\evil.example.com`: "/",
		"/a\r\nb": "/", "javascript:alert(1)": "/", "/" + strings.Repeat("a", 600): "/", "a/b": "/"} {
		a := r.browser()
		back := a.redirect("?redirect_url=" + url.QueryEscape(given))
		if got := a.ask(0, "GET", browser.CallbackPath+"?"+back.Encode(), "").Header.Get("Location"); got != want {
			t.Errorf("%q leads to %q, want %q", given, got, want)
		}
	}
	if res := r.browser().ask(0, "GET", browser.RedirectPath+"?source=nothing", ""); res.StatusCode != 404 {
		t.Errorf("a source that is not there: %s", res.Status)
	}
	r.source.Fail("Begin", errors.Join(errors.New("dial tcp 10.0.0.3:443"), errdef.ErrUnavailable))
	res := r.browser().ask(0, "GET", browser.RedirectPath, "")
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 503 || strings.Contains(string(body), "10.0.0.3") {
		t.Errorf("a source that is away: %s %s, %v", res.Status, body, err)
	}
}

// A session ends with what ends its user's sign-in, at the next request, at each hub.
func TestWhatEndsASession(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"another password": func(r *rig) { must(r.t, r.signer.SetPassword(r.t.Context(), "d/ann", "better")) },
		"a deleted user":   func(r *rig) { must(r.t, r.signer.Delete(r.t.Context(), "d/ann")) },
		"a source that says no": func(r *rig) {
			must(r.t, r.source.Save(r.t.Context(), auth.SaveRequest{Principal: auth.Principal{ID: "d/ann", Kind: auth.User, Name: "ann@d", Disabled: true}}))
			r.later(6 * time.Minute)
		},
		"the idle time": func(r *rig) { r.later(61 * time.Minute) },
	} {
		r := newRig(t, storetest.URL(t, "sqlite"))
		a := r.browser()
		a.ask(0, "POST", browser.LoginPath, "principal=ann&password=ann's")
		if a.who(0) != "d/ann" || a.who(1) != "d/ann" {
			t.Fatal("not signed in")
		}
		end(r)
		if a.who(1) != "" || a.who(0) != "" {
			t.Errorf("%s: the session goes on", name)
		}
	}
}

// A source may say only when it is asked that no browser is sent to it.
func TestASourceThatTakesNoBrowsersIsNone(t *testing.T) {
	if got := browser.Status(fmt.Errorf("no client is registered: %w", errdef.ErrUnsupported)); got != http.StatusNotFound {
		t.Errorf("status %d", got)
	}
}
