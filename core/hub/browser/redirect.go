package browser

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// The addresses, which are Harbor's: a client that is registered at a provider for a Harbor stays good.
const (
	LoginPath    = "/c/login"         // POST: name and password in a form
	LogoutPath   = "/c/log_out"       // GET, POST
	RedirectPath = "/c/oidc/login"    // GET ?source=NAME&redirect_url=/PATH
	CallbackPath = "/c/oidc/callback" // GET, or POST of a form: where identity sources send browsers back to
	// CallbackPattern is for access.SameSite: that POST comes from the source's page. It goes by the state alone, which the
	// browser's own cookie has sealed, and which no other page knows.
	CallbackPattern = "POST " + CallbackPath
)

// pendingCookie holds a sign-in by redirect that has begun; pendingLife is how long a user may take at the source.
const (
	pendingCookie = "__Host-vic-hub-signin"
	pendingLife   = 15 * time.Minute
	pendingName   = "sign-in by redirect"
)

// pending is what the hub must know again when the browser comes back.
type pending struct {
	Source   string
	State    string
	Nonce    string
	Callback string
	Return   string
	Sealed   []byte
	Form     bool  // it comes back with a form
	Ends     int64 // Unix seconds
}

// RedirectTo is the path at which a browser begins a sign-in at a source.
func (b *Browsers) RedirectTo(source string) string {
	return RedirectPath + "?" + url.Values{"source": {source}}.Encode()
}

// maxPending bounds the sealed cookie: browsers keep 4 KiB with the name.
const maxPending = 3900

// maxReturn bounds the page that a browser goes to in the end.
const maxReturn = 512

// Handler serves the addresses below /c/. It belongs behind access.SameSite.
func (b *Browsers) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+LoginPath, b.login)
	mux.HandleFunc("GET "+LogoutPath, b.logout)
	mux.HandleFunc("POST "+LogoutPath, b.logout)
	mux.HandleFunc("GET "+RedirectPath, b.begin)
	mux.HandleFunc("GET "+CallbackPath, b.finish)
	mux.HandleFunc(CallbackPattern, b.finish)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer") // the address of the callback has the code in it
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		mux.ServeHTTP(w, r)
	})
}

// say answers with a line of text.
func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // the client has gone
}

// maxForm bounds the form of a sign-in.
const maxForm = 16 << 10

func (b *Browsers) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := access.Within(w, access.BodyPatience, r.ParseForm); err != nil {
		say(w, http.StatusBadRequest, "the form cannot be read")
		return
	}
	if _, err := b.Password(w, r, r.PostForm.Get("principal"), r.PostForm.Get("domain"), secret.Text(r.PostForm.Get("password"))); err != nil {
		b.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// logout signs out. A GET by another site's page would be a nuisance, and is told from a click here by the browser.
func (b *Browsers) logout(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		say(w, http.StatusForbidden, access.CrossSiteMessage)
		return
	}
	if _, err := b.SignOut(w, r); err != nil {
		b.refuse(w, r, err)
		return
	}
	if r.Method == http.MethodGet {
		seeOther(w, "/")
		return
	}
	w.WriteHeader(http.StatusOK)
}

// seeOther sends the browser on.
func seeOther(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// safeReturn is the page of this hub that a text names; "/" for what might lead elsewhere.
func safeReturn(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxReturn || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.ContainsAny(s, "\\\r\n\t") {
		return "/"
	}
	return s
}

// begin sends the browser to an identity source.
func (b *Browsers) begin(w http.ResponseWriter, r *http.Request) {
	base := b.base(r)
	if base == "" {
		say(w, http.StatusBadRequest, "the request names no host that a browser could come back to")
		return
	}
	p := pending{State: rand.Text(), Nonce: rand.Text(), Callback: base + CallbackPath, Return: safeReturn(r.URL.Query().Get("redirect_url")),
		Ends: b.o.Now().Add(pendingLife).Unix()}
	source, to, err := b.o.Signer.Begin(r.Context(), r.URL.Query().Get("source"), auth.BeginRequest{Callback: p.Callback, State: p.State, Nonce: p.Nonce})
	if err != nil {
		b.refuse(w, r, err)
		return
	}
	p.Source, p.Sealed, p.Form = source, []byte(to.Sealed), to.FormPost
	value, err := b.close(p)
	if err != nil {
		b.refuse(w, r, err)
		return
	}
	kept := cookie(pendingCookie, value, pendingLife)
	if p.Form { // browsers send no other one with a form of another site
		kept.SameSite = http.SameSiteNoneMode
	}
	http.SetCookie(w, kept)
	seeOther(w, to.URL)
}

func (b *Browsers) close(p pending) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	value := base64.RawURLEncoding.EncodeToString(b.o.Sealer.Seal(pendingName, text))
	if len(value) > maxPending {
		return "", fmt.Errorf("identity source %s: what it wants back is too large for a cookie", p.Source)
	}
	return value, nil
}

var errNotBegun = fmt.Errorf("this browser has not begun a sign-in here, or took too long: begin again: %w", errdef.ErrDenied)

// open reads the cookie of a sign-in that has begun.
func (b *Browsers) open(r *http.Request) (p pending, err error) {
	c, err := r.Cookie(pendingCookie)
	if err != nil || len(c.Value) > maxPending {
		return p, errNotBegun
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return p, errNotBegun
	}
	text, err := b.o.Sealer.Open(pendingName, sealed)
	if err != nil {
		return p, errNotBegun
	}
	if err := json.Unmarshal(text, &p); err != nil || b.o.Now().Unix() > p.Ends {
		return p, errNotBegun
	}
	return p, nil
}

// maxBrought bounds the form that a browser brings: SAML's answer has all groups of a user, in base64 in a form.
const maxBrought = 512 << 10

// brought are the parameters that the browser comes back with, without the state, which is told apart.
func (b *Browsers) brought(w http.ResponseWriter, r *http.Request) (query url.Values, state string, err error) {
	names := []string{"state"}
	if r.Method == http.MethodPost {
		names = append(names, "RelayState")
		r.Body = http.MaxBytesReader(w, r.Body, maxBrought)
		if err := access.Within(w, access.BodyPatience, r.ParseForm); err != nil {
			return nil, "", fmt.Errorf("the form cannot be read: %w: %w", err, errdef.ErrInvalid)
		}
		query = r.PostForm
	} else if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, "", errNotBegun
	}
	for _, name := range names {
		switch given := query[name]; {
		case len(given) > 1, len(given) == 1 && state != "":
			return nil, "", fmt.Errorf("the parameter %s came more than once: %w", name, errdef.ErrInvalid)
		case len(given) == 1:
			state = given[0]
		}
		delete(query, name)
	}
	return query, state, nil
}

// finish takes the browser that comes back: the state must be the one of its own cookie.
func (b *Browsers) finish(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, cookie(pendingCookie, "", 0)) // one sign-in, one try
	p, err := b.open(r)
	if err != nil {
		b.refuse(w, r, err)
		return
	}
	query, state, err := b.brought(w, r)
	if err == nil && (p.Form != (r.Method == http.MethodPost) || subtle.ConstantTimeCompare([]byte(state), []byte(p.State)) != 1) {
		err = errNotBegun
	}
	if err == nil {
		err = b.o.Sessions.Once(r.Context(), secret.Text(p.State), time.Unix(p.Ends, 0).Add(time.Second))
	}
	if err != nil {
		b.refuse(w, r, err)
		return
	}
	req := auth.FinishRequest{Callback: p.Callback, Nonce: p.Nonce, Sealed: secret.Text(p.Sealed), Parameters: map[string]string{}}
	for k, v := range query {
		if len(v) != 1 { // a parameter that is there twice is a trick, or a mistake
			b.refuse(w, r, fmt.Errorf("the parameter %.50q came %d times: %w", k, len(v), errdef.ErrInvalid))
			return
		}
		req.Parameters[k] = v[0]
	}
	who, logout, err := b.o.Signer.Finish(r.Context(), p.Source, req, access.Address(r))
	if err != nil {
		b.tell(r, Event{Operation: "sign-in", Outcome: Status(err), Detail: p.Source})
		b.refuse(w, r, err)
		return
	}
	if _, err := b.start(w, r, who, logout); err != nil {
		b.refuse(w, r, err)
		return
	}
	b.tell(r, Event{Operation: "sign-in", Name: who.Name, Known: true, Outcome: http.StatusOK, Detail: p.Source})
	seeOther(w, p.Return)
}

// refuse tells a person at a browser why they are not signed in. What is behind the hub is for its log alone.
func (b *Browsers) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := Status(err)
	text := map[int]string{
		http.StatusUnauthorized:       "You are not signed in: name or password is wrong, or the identity provider refused. Try again.",
		http.StatusTooManyRequests:    "There were too many failed sign-ins. Wait a minute and try again.",
		http.StatusServiceUnavailable: "The identity provider does not answer. Try again later.",
		http.StatusNotFound:           "There is no such identity provider.",
		http.StatusBadRequest:         "The identity provider's answer cannot be read. Try again.",
	}[status]
	switch {
	case text == "":
		text = "internal server error"
		b.o.Log.Error("sign-in failed", "path", r.URL.Path, "address", access.Address(r), "err", err)
	case errors.Is(err, errNotBegun):
		text = "This browser has not begun a sign-in here, or took too long. Go back to the hub and sign in again."
	case r.URL.Path != LoginPath: // of passwords the observer is told
		b.o.Log.Info("sign-in was refused", "path", r.URL.Path, "address", access.Address(r), "err", err)
	}
	say(w, status, text)
}
