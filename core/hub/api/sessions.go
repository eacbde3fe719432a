package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

func sessionRoutes() []route {
	return []route{
		{method: "GET", path: "/sign-in/sources", id: "listSignInSources", run: (*api).signInSources,
			says: "List the identity sources that one can sign in at, in their order", gives: []wayForm{}, whole: true},
		{method: "POST", path: "/sign-in", id: "signIn", run: (*api).signIn, told: true,
			says: "Begin a session by name and password; the answer sets a cookie", takes: signInRequest{}, gives: user{}, status: http.StatusOK},
		{method: "POST", path: "/sign-out", id: "signOut", run: (*api).signOut, told: true,
			says: "End the session of the request's cookie", gives: signOutForm{}, status: http.StatusOK},
		{method: "GET", path: "/users/current/sessions", id: "listOwnSessions", signed: true, run: (*api).ownSessions,
			says: "List the caller's sessions", gives: []sessionForm{}, whole: true},
		{method: "DELETE", path: "/users/current/sessions", id: "endOwnSessions", signed: true, run: (*api).endOwnSessions,
			says: "End the caller's sessions", query: []string{"others"}},
		{method: "DELETE", path: "/users/current/sessions/{session}", id: "endOwnSession", signed: true, run: (*api).endOwnSession,
			says: "End a session of the caller's"},
		{method: "GET", path: "/users/{user}/sessions", id: "listSessions", needs: role.CloudAdminManage, run: (*api).sessions,
			says: "List a user's sessions", gives: []sessionForm{}, whole: true},
		{method: "DELETE", path: "/users/{user}/sessions", id: "endSessions", needs: role.CloudAdminManage, run: (*api).endSessions,
			says: "End a user's sessions"},
		{method: "PUT", path: "/users/{user}/cli_secret", id: "setCliSecret", signed: true, run: (*api).makeSecret,
			says: "Make a secret for docker login of the caller, who signs in by a browser; it ends the one before", takes: cliSecretRequest{}, gives: cliSecretForm{}},
		{method: "DELETE", path: "/users/{user}/cli_secret", id: "deleteCliSecret", signed: true, run: (*api).removeSecret,
			says: "End the caller's secret for docker login, or as a cloud administrator that of anybody"},
	}
}

// wayForm is an identity source as a sign-in page shows it.
type wayForm struct {
	Name     string   `json:"name"`
	Title    string   `json:"title"`
	Domains  []string `json:"domains"`
	Password bool     `json:"password"`
	// Redirect is where a browser goes to sign in there; redirect_url may be added, a path of the hub to come back to.
	Redirect string `json:"redirect,omitempty"`
}

func (a *api) signInSources(c *call) error {
	out := []wayForm{}
	for _, w := range a.Identities.Ways(c.r.Context()) {
		f := wayForm{Name: w.Name, Title: w.Title, Domains: w.Domains, Password: w.Password}
		if w.Redirect {
			f.Redirect = a.Browsers.RedirectTo(w.Name)
		}
		out = append(out, f)
	}
	return c.answer(http.StatusOK, out)
}

type signInRequest struct {
	Name     string `json:"username"`
	Password string `json:"password"`
	// Domain is of the identity source; it may be left out, and written with the name: user@domain.
	Domain string `json:"domain"`
}

func (a *api) signIn(c *call) error {
	var q signInRequest
	if err := c.body(&q); err != nil {
		return err
	}
	if q.Name == "" || q.Password == "" {
		return badRequest("username and password: give both")
	}
	s, err := a.Browsers.Password(c.w, c.r, q.Name, q.Domain, secret.Text(q.Password))
	if err != nil {
		return a.signInError(c.r, err)
	}
	p, err := a.People.Get(c.r.Context(), s.Subject.ID)
	if err != nil {
		return err
	}
	u, err := a.user(c, p)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, u)
}

// signInError is what a client is told of a sign-in that failed. Which source, and where it is, is not for strangers.
func (a *api) signInError(r *http.Request, err error) error {
	switch {
	case errors.Is(err, errdef.ErrDenied):
		return &Error{Status: http.StatusUnauthorized, Code: "UNAUTHORIZED", Message: "name or password is wrong"}
	case errors.Is(err, errdef.ErrConflict):
		return &Error{Status: http.StatusUnauthorized, Code: "UNAUTHORIZED", Message: "the password has expired and must be changed first"}
	case errors.Is(err, errdef.ErrUnavailable), errors.Is(err, errdef.ErrPluginDown):
		a.Log.Warn("sign-in cannot be checked", "address", access.Address(r), "err", err)
		return &Error{Status: http.StatusServiceUnavailable, Code: "UNAVAILABLE", Message: "the identity source does not answer; try again"}
	}
	return err
}

// signOutForm tells where a browser goes to sign out of the identity source too.
type signOutForm struct {
	LogoutURL string `json:"logout_url,omitempty"`
}

func (a *api) signOut(c *call) error {
	to, err := a.Browsers.SignOut(c.w, c.r)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, signOutForm{to})
}

type sessionForm struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Agent   string `json:"agent"`
	Began   string `json:"began"`
	Seen    string `json:"seen"`
	Current bool   `json:"current"` // that of the request itself
}

func (a *api) listSessions(c *call, user string, epoch int64) error {
	list, err := a.Sessions.List(c.r.Context(), user, epoch)
	if err != nil {
		return err
	}
	out := []sessionForm{}
	for _, s := range list {
		out = append(out, sessionForm{s.ID, s.Address, s.Agent, moment(s.Began), moment(s.Seen), s.ID == c.session})
	}
	return c.answer(http.StatusOK, out)
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (a *api) ownSessions(c *call) error { return a.listSessions(c, c.who.ID, c.who.Epoch) }

func (a *api) endOwnSessions(c *call) error {
	switch c.r.URL.Query().Get("others") {
	case "", "false":
		_, err := a.Sessions.End(c.r.Context(), c.who.ID, "")
		return c.done(err)
	case "true":
	default:
		return badRequest("others: want true or false")
	}
	list, err := a.Sessions.List(c.r.Context(), c.who.ID, c.who.Epoch)
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.ID == c.session {
			continue
		}
		if _, err := a.Sessions.End(c.r.Context(), c.who.ID, s.ID); err != nil {
			return err
		}
	}
	return c.empty(http.StatusOK)
}

// done answers without a body, unless there is an error.
func (c *call) done(err error) error {
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) endOwnSession(c *call) error {
	id := c.r.PathValue("session")
	n, err := a.Sessions.End(c.r.Context(), c.who.ID, id)
	if err == nil && n == 0 {
		return notFound("session %s not found", id)
	}
	return c.done(err)
}

// numbered finds the user of a path.
func (a *api) numbered(c *call) (people.Person, error) {
	n, err := c.number("user")
	if err != nil {
		return people.Person{}, err
	}
	p, err := a.People.ByNumber(c.r.Context(), n)
	if errors.Is(err, errdef.ErrNotFound) {
		return people.Person{}, notFound("user %d not found", n)
	}
	return p, err
}

func (a *api) sessions(c *call) error {
	p, err := a.numbered(c)
	if err != nil {
		return err
	}
	return a.listSessions(c, p.ID, p.Epoch)
}

func (a *api) endSessions(c *call) error {
	p, err := a.numbered(c)
	if err != nil {
		return err
	}
	_, err = a.Sessions.End(c.r.Context(), p.ID, "")
	return c.done(err)
}

// cliSecretRequest is Harbor's, where the client may choose the secret. What people choose can be guessed, and a guess
// could be tried against the hash that the hub keeps; so here the hub makes it.
type cliSecretRequest struct {
	Secret string `json:"secret"`
}

type cliSecretForm struct {
	Secret string `json:"secret"` // shown this once
}

func (a *api) makeSecret(c *call) error {
	var q cliSecretRequest
	if err := c.body(&q); err != nil {
		return err
	}
	p, err := a.numbered(c)
	switch {
	case err != nil:
		return err
	case p.ID != c.who.ID:
		return &Error{http.StatusForbidden, "FORBIDDEN", "people make a secret for themselves alone"}
	case q.Secret != "":
		return badRequest("secret: leave it out: the hub makes the secret, and the answer has it")
	case c.secret:
		return &Error{http.StatusForbidden, "FORBIDDEN", "sign in by a browser to make a secret: who has the old one does not get the next"}
	case !a.Identities.Redirects(p.Source):
		return &Error{http.StatusPreconditionFailed, "PRECONDITION", "use the password: a secret is for those who sign in by a browser"}
	}
	made, err := a.Secrets.Make(c.r.Context(), p.ID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, cliSecretForm{string(made)})
}

func (a *api) removeSecret(c *call) error {
	p, err := a.numbered(c)
	if err != nil {
		return err
	}
	if p.ID != c.who.ID {
		answer, err := a.Authority.Everywhere(c.r.Context(), c.who, role.CloudAdminManage)
		if err != nil {
			return err
		}
		if answer != role.Allowed {
			return notFound("user %d not found", p.Number)
		}
	}
	return c.done(a.Secrets.Remove(c.r.Context(), p.ID))
}

// oidcForm is Harbor's "oidc_user_meta": a client sees by it that the user needs a secret for docker login. The secret itself
// is shown when it is made, and never again.
type oidcForm struct {
	ID      int64  `json:"id"`
	UserID  int64  `json:"user_id"`
	Subject string `json:"subiss"`
	Created string `json:"creation_time,omitempty"` // of the secret; absent: there is none
	Used    string `json:"last_used,omitempty"`
}

// secretOf tells of the secret of who is signed in; nil for those who have a password alone.
func (a *api) secretOf(c *call, p people.Person) (*oidcForm, error) {
	if a.Secrets == nil || !a.Identities.Redirects(p.Source) {
		return nil, nil
	}
	f := &oidcForm{ID: p.Number, UserID: p.Number, Subject: p.ID}
	s, err := a.Secrets.Get(c.r.Context(), p.ID)
	if errors.Is(err, errdef.ErrNotFound) {
		return f, nil
	}
	f.Created = moment(s.Made)
	if !s.Used.IsZero() {
		f.Used = moment(s.Used)
	}
	return f, err
}

// identify finds out who asks: by name and password with the request, or by the cookie of a session.
func (a *api) identify(c *call) (err error) {
	c.who = authz.Nobody
	if c.r.Header.Get("Authorization") != "" {
		name, password, ok := c.r.BasicAuth()
		if !ok {
			return errSignIn
		}
		s, err := a.Authority.SignIn(c.r.Context(), name, secret.Text(password), access.Address(c.r))
		if err != nil {
			return a.signInError(c.r, err)
		}
		c.who, c.method, c.secret = s, access.ByPassword, s.Secret != 0
		return nil
	}
	if a.Browsers == nil {
		return nil
	}
	s, ok, err := a.Browsers.Find(c.r)
	if err != nil {
		return a.signInError(c.r, err)
	}
	if ok {
		c.who, c.method, c.session = s.Subject, access.BySession, s.ID
	}
	return nil
}
