package dockerauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// refreshLife is how long a refresh token is good for, which clients keep instead of the password.
const refreshLife = 30 * 24 * time.Hour

// maxForm bounds the form of a POST.
const maxForm = 128 << 10

// answer is the service's, in the words of both of Docker's forms.
type answer struct {
	Token        string `json:"token,omitempty"` // GET
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	IssuedAt     string `json:"issued_at"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"` // POST
}

// ServeHTTP is the token service (https://distribution.github.io/distribution/spec/auth/token/ and .../oauth/).
//
// What a client asks for and may not is left out of its token and is no error here: the registry refuses it. Wrong
// credentials are 401 at once, so that docker login says so.
func (a *Auth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	switch r.Method {
	case http.MethodGet:
		a.get(w, r)
	case http.MethodPost:
		a.post(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		writeError(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "ask with GET or POST")
	}
}

// get is Docker's own form: basic authentication and query parameters.
func (a *Auth) get(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	who := authz.Nobody
	if name, password, ok := r.BasicAuth(); ok {
		var err error
		if who, err = a.o.Authority.SignIn(r.Context(), name, secret.Text(password), access.Address(r)); err != nil {
			a.refuse(w, r, err)
			return
		}
	} else if r.Header.Get("Authorization") != "" {
		a.refuse(w, r, errdef.ErrDenied)
		return
	}
	a.issue(w, r, who, q.Get("service"), q["scope"], q.Get("offline_token") == "true", false)
}

// post is OAuth 2's form, which clients use that keep a refresh token.
func (a *Auth) post(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := access.Within(w, access.BodyPatience, r.ParseForm); err != nil {
		writeError(w, http.StatusBadRequest, "UNSUPPORTED", "the form cannot be read")
		return
	}
	f := r.PostForm
	var who authz.Subject
	var err error
	switch f.Get("grant_type") {
	case "password":
		who, err = a.o.Authority.SignIn(r.Context(), f.Get("username"), secret.Text(f.Get("password")), access.Address(r))
	case "refresh_token":
		who, err = a.refreshed(r.Context(), f.Get("refresh_token"))
	default:
		writeError(w, http.StatusBadRequest, "UNSUPPORTED", "grant_type is neither password nor refresh_token")
		return
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	a.issue(w, r, who, f.Get("service"), f["scope"], f.Get("access_type") == "offline", true)
}

// refreshed returns whose refresh token it is.
func (a *Auth) refreshed(ctx context.Context, raw string) (authz.Subject, error) {
	claims, err := a.o.Issuer.Verify(ctx, raw)
	if errors.Is(err, token.ErrInvalid) || err == nil && claims.Kind != token.Refresh {
		return authz.Nobody, errdef.ErrDenied
	}
	if err != nil {
		return authz.Nobody, err
	}
	s, err := a.o.Authority.Find(ctx, token.User, claims.Subject)
	if err == nil && s.Epoch != claims.Epoch { // their password is another since, or they are somebody else of that name
		return authz.Nobody, errdef.ErrDenied
	}
	return s, err
}

// PullToken makes a token by which somebody else, a VCH, pulls a repository for a user, if that user may; errdef.ErrDenied if
// the user may not come in any more. The registry asks again at each request, as for every token.
func (a *Auth) PullToken(ctx context.Context, principal, repository string) (string, error) {
	who, err := a.o.Authority.Find(ctx, token.User, principal)
	if err != nil {
		return "", err
	}
	granted, err := a.narrow(ctx, who, []token.Access{{Type: token.TypeRepository, Name: repository, Actions: []string{"pull"}}})
	if err != nil {
		return "", err
	}
	raw, _, err := a.o.Issuer.Issue(ctx, token.Claims{Subject: who.ID, Kind: who.Kind, Epoch: who.Epoch, Access: granted}, 0)
	return raw, err
}

// issue answers with a token for what of the scopes the subject may.
func (a *Auth) issue(w http.ResponseWriter, r *http.Request, who authz.Subject, service string, scopes []string, offline, oauth bool) {
	if service != "" && service != a.o.Service {
		writeError(w, http.StatusBadRequest, "UNSUPPORTED", "this is the token service of "+strconv.Quote(a.o.Service))
		return
	}
	asked, err := token.ParseScopes(scopes)
	if err != nil {
		writeError(w, http.StatusBadRequest, "UNSUPPORTED", err.Error())
		return
	}
	for _, x := range asked { // of Notary's clients
		if name := a.Repository(r, x.Name); x.Type == token.TypeRepository && name != x.Name {
			asked = append(asked, token.Access{Type: x.Type, Name: name, Actions: x.Actions})
		}
	}
	granted, err := a.narrow(r.Context(), who, asked)
	if errors.Is(err, errTooManyProjects) {
		writeError(w, http.StatusBadRequest, "UNSUPPORTED", err.Error())
		return
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	raw, c, err := a.o.Issuer.Issue(r.Context(), token.Claims{Subject: who.ID, Kind: who.Kind, Epoch: who.Epoch, Secret: who.Secret, Access: granted}, 0)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	out := answer{AccessToken: raw, ExpiresIn: int(c.Expires.Sub(c.Issued).Seconds()), IssuedAt: c.Issued.UTC().Format(time.RFC3339)}
	if oauth {
		for i, g := range granted {
			if i > 0 {
				out.Scope += " "
			}
			out.Scope += g.Type + ":" + g.Name + ":" + joined(g.Actions)
		}
	} else {
		out.Token = raw
	}
	if offline && who.Kind == token.User && who.Secret == 0 { // who came with a secret keeps that
		if out.RefreshToken, _, err = a.o.Issuer.Issue(r.Context(), token.Claims{Subject: who.ID, Kind: token.Refresh, Epoch: who.Epoch}, refreshLife); err != nil {
			a.refuse(w, r, err)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the client has gone
}

func joined(actions []string) (s string) {
	for i, x := range actions {
		if i > 0 {
			s += ","
		}
		s += x
	}
	return s
}

// maxProjects bounds the projects that one request may ask about, and with them the questions to the database: three for each.
const maxProjects = 20

// errTooManyProjects is a request for more.
var errTooManyProjects = fmt.Errorf("a token is for repositories of at most %d projects: ask for several tokens", maxProjects)

// asking remembers the answers of one request: the repositories of one project have the same.
type asking struct {
	a       *Auth
	who     authz.Subject
	answers map[question]role.Answer
	places  map[string]bool
}

type question struct {
	place string // a project, or "" for the hub
	what  role.Permission
}

func (q *asking) ask(ctx context.Context, kind, name, action string) (role.Answer, error) {
	about := question{what: permission(kind, action)}
	if kind == token.TypeRepository {
		about.place = projectOf(name)
	}
	if answer, ok := q.answers[about]; ok {
		return answer, nil
	}
	if q.places[about.place] = true; len(q.places) > maxProjects {
		return role.Forbidden, errTooManyProjects
	}
	answer, err := q.a.ask(ctx, q.who, kind, name, action)
	if err == nil {
		q.answers[about] = answer
	}
	return answer, err
}

// narrow leaves what a subject may.
func (a *Auth) narrow(ctx context.Context, who authz.Subject, asked []token.Access) ([]token.Access, error) {
	q := &asking{a: a, who: who, answers: map[question]role.Answer{}, places: map[string]bool{}}
	granted := []token.Access{}
	for _, s := range asked {
		allowed := token.Access{Type: s.Type, Name: s.Name, Actions: []string{}}
		for _, action := range s.Actions {
			for _, one := range spread(s.Type, action) {
				answer, err := q.ask(ctx, s.Type, s.Name, one)
				if err != nil {
					return nil, err
				}
				if answer == role.Allowed && !slices.Contains(allowed.Actions, one) {
					allowed.Actions = append(allowed.Actions, one)
				}
			}
		}
		slices.Sort(allowed.Actions)
		granted = append(granted, allowed)
	}
	return granted, nil
}

// spread gives the actions that one asks for: "*" of a repository is all that there are. What is none asks for nothing.
func spread(kind, action string) []string {
	switch {
	case kind == token.TypeRegistry && action == token.ActionAll:
		return []string{action}
	case kind != token.TypeRepository:
		return nil
	case action == token.ActionAll:
		return []string{token.ActionDelete, token.ActionPull, token.ActionPush}
	case action == token.ActionPull, action == token.ActionPush, action == token.ActionDelete:
		return []string{action}
	}
	return nil
}

// refuse answers a failure.
func (a *Auth) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var limited *signin.LimitedError
	switch {
	case errors.As(err, &limited):
		w.Header().Set("Retry-After", strconv.Itoa(int(limited.Wait/time.Second)+1))
		writeError(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", err.Error())
	case errors.Is(err, errdef.ErrDenied):
		w.Header().Set("WWW-Authenticate", `Basic realm="vic-hub"`)
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", "name or password is wrong")
	case errors.Is(err, errdef.ErrConflict):
		w.Header().Set("WWW-Authenticate", `Basic realm="vic-hub"`)
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", "the password has expired and must be changed first")
	case errors.Is(err, errdef.ErrUnavailable), errors.Is(err, errdef.ErrPluginDown):
		a.o.Log.Warn("sign-in cannot be checked", "address", access.Address(r), "err", err)
		writeError(w, http.StatusServiceUnavailable, "UNAVAILABLE", "the identity source does not answer; try again")
	default:
		a.o.Log.Error("token service failed", "address", access.Address(r), "err", err)
		writeError(w, http.StatusInternalServerError, "UNKNOWN", "internal server error")
	}
}

// writeError writes an error in the registry's form.
func writeError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	_ = json.NewEncoder(w).Encode(map[string][]item{"errors": {{code, message}}}) // the client has gone
}
