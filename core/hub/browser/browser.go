// Package browser signs browsers in and out: the cookie of a session, sign-in by a redirect to an identity source and back,
// and the few addresses below /c/ that Harbor has for it.
//
// The session cookie is sent to the hub alone and over TLS alone (__Host-, Secure), no script reads it (HttpOnly), and pages
// of other sites do not send it with what changes something (SameSite=Lax; access.SameSite in front of all handlers refuses
// such requests whatever cookies they bring). So there is no token against cross-site requests to hand out and bring back.
//
// Between the two halves of a redirect the hub keeps nothing: state, nonce and what the source needs are in a cookie of that
// browser, sealed with the key that all hubs of one database share. Any of them takes the browser when it comes back, once.
// A source that sends the browser back with a form (SAML) does so from its own site; the cookie of that sign-in alone goes with it.
package browser

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/session"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Options are what a Browsers is made of.
type Options struct {
	Signer   *signin.Signer
	Sessions *session.Sessions
	Sealer   *seal.Sealer
	// URL is the hub's address for clients, "https://hub.example.com"; empty: the one that each request names.
	URL string
	// Observe, if not nil, is told of each sign-in and sign-out, done or refused. It must not block for long.
	Observe func(ctx context.Context, e Event)
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
}

// Event is a sign-in or sign-out of a browser.
type Event struct {
	// Operation is "sign-in" or "sign-out".
	Operation string
	// Name is the user's; for a password that was refused, what was typed.
	Name string
	// Known says that Name is somebody who has shown who they are.
	Known bool
	// Address is where the browser is; Agent is what it calls itself.
	Address, Agent string
	// Outcome is the HTTP status of the answer.
	Outcome int
	// Detail is the way: "password", or the source of a redirect.
	Detail string
}

// Browsers signs them in. It may be used by several goroutines.
type Browsers struct{ o Options }

// New makes a Browsers.
func New(o Options) *Browsers {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Browsers{o}
}

// Cookie is the name of the session's cookie.
const Cookie = "__Host-vic-hub"

// Current is the session that a request comes with.
type Current struct {
	session.Session
	Subject authz.Subject
}

// Find returns the session of a request's cookie; ok is false if it has none that counts any more. errdef.ErrUnavailable:
// the user's identity source has not answered for too long.
func (b *Browsers) Find(r *http.Request) (c Current, ok bool, err error) {
	brought, ok := given(r)
	if !ok {
		return Current{}, false, nil
	}
	ctx := r.Context()
	x, err := b.o.Sessions.Find(ctx, brought)
	if errors.Is(err, errdef.ErrDenied) {
		return Current{}, false, nil
	}
	if err != nil {
		return Current{}, false, err
	}
	p, err := b.o.Signer.Check(ctx, x.Principal)
	switch {
	case errors.Is(err, errdef.ErrDenied), err == nil && p.Epoch != x.Epoch:
		return Current{}, false, b.o.Sessions.Close(ctx, brought)
	case err != nil:
		return Current{}, false, err
	}
	return Current{x, authz.Subject{Kind: token.User, ID: p.ID, Name: p.Name, Epoch: p.Epoch}}, true, nil
}

func given(r *http.Request) (secret.Text, bool) {
	c, err := r.Cookie(Cookie)
	if err != nil {
		return "", false
	}
	return secret.Text(c.Value), true
}

func cookie(name, value string, life time.Duration) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if c.MaxAge = int(life / time.Second); life <= 0 {
		c.MaxAge = -1 // removes it
	}
	return c
}

// start begins a session of who has signed in, and ends the one that the browser brought: a session never becomes
// another user's, and a cookie that was planted is not the one that counts.
func (b *Browsers) start(w http.ResponseWriter, r *http.Request, p people.Person, logout string) (session.Session, error) {
	if old, ok := given(r); ok {
		if err := b.o.Sessions.Close(r.Context(), old); err != nil {
			return session.Session{}, err
		}
	}
	s, x, err := b.o.Sessions.Open(r.Context(), p, access.Address(r), r.UserAgent(), logout)
	if err == nil {
		http.SetCookie(w, cookie(Cookie, string(s), b.o.Sessions.Longest()))
	}
	return x, err
}

// Password signs a browser in by name, password and, if it is not "", the domain of the identity source. It sets the
// cookie and writes nothing. Errors are those of signin.Password.
func (b *Browsers) Password(w http.ResponseWriter, r *http.Request, name, domain string, password secret.Text) (Current, error) {
	if domain != "" && !strings.ContainsAny(name, `@\/`) {
		name += "@" + domain
	}
	p, err := b.o.Signer.Password(r.Context(), name, password, access.Address(r))
	if err != nil {
		b.tell(r, Event{Operation: "sign-in", Name: name, Outcome: Status(err), Detail: "password"})
		return Current{}, err
	}
	x, err := b.start(w, r, p, "")
	if err != nil {
		return Current{}, err
	}
	b.tell(r, Event{Operation: "sign-in", Name: p.Name, Known: true, Outcome: http.StatusOK, Detail: "password"})
	return Current{x, authz.Subject{Kind: token.User, ID: p.ID, Name: p.Name, Epoch: p.Epoch}}, nil
}

// SignOut ends the session that a browser brings, and removes the cookie. It returns where the browser signs out of the
// identity source too; "" if nowhere.
func (b *Browsers) SignOut(w http.ResponseWriter, r *http.Request) (logout string, err error) {
	brought, ok := given(r)
	if !ok {
		return "", nil
	}
	http.SetCookie(w, cookie(Cookie, "", 0))
	x, err := b.o.Sessions.Find(r.Context(), brought)
	if errors.Is(err, errdef.ErrDenied) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if err := b.o.Sessions.Close(r.Context(), brought); err != nil {
		return "", err
	}
	b.tell(r, Event{Operation: "sign-out", Name: x.Principal, Known: true, Outcome: http.StatusOK})
	return x.Logout, nil
}

func (b *Browsers) tell(r *http.Request, e Event) {
	if b.o.Observe == nil {
		return
	}
	e.Address, e.Agent = access.Address(r), r.UserAgent()
	b.o.Observe(context.WithoutCancel(r.Context()), e)
}

// Status is the HTTP status of a sign-in's error.
func Status(err error) int {
	var limited *signin.LimitedError
	switch {
	case errors.As(err, &limited):
		return http.StatusTooManyRequests
	case errors.Is(err, errdef.ErrDenied), errors.Is(err, errdef.ErrConflict), errors.Is(err, errdef.ErrExhausted):
		return http.StatusUnauthorized
	case errors.Is(err, errdef.ErrUnavailable), errors.Is(err, errdef.ErrPluginDown):
		return http.StatusServiceUnavailable
	case errors.Is(err, errdef.ErrNotFound), errors.Is(err, errdef.ErrUnsupported): // a source that no browser is sent to
		return http.StatusNotFound
	case errors.Is(err, errdef.ErrInvalid):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// base is the hub's address as this browser sees it; "" for a Host that is none.
func (b *Browsers) base(r *http.Request) string {
	if b.o.URL != "" {
		return b.o.URL
	}
	ok := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(".-:[]", c)
	}
	if r.Host == "" || strings.ContainsFunc(r.Host, func(c rune) bool { return !ok(c) }) {
		return ""
	}
	return scheme(r.TLS) + "://" + r.Host
}

func scheme(state *tls.ConnectionState) string {
	if state == nil {
		return "http"
	}
	return "https"
}
