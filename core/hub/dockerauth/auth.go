// Package dockerauth lets Docker's clients in: the token service that they ask (docker login, pull, push), and the
// registry's Authorizer, which reads the tokens at each request.
//
// A token says who somebody is and what they asked for. What they may do is looked up at each request, from the roles
// and projects of that moment. So a role that is taken away or a project that becomes private counts with the next
// request, and a user who may not sign in any more is out when the identity source is asked next (package signin).
package dockerauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// TokenPath is where the token service is served.
const TokenPath = "/service/token"

// Options are what an Auth is made of.
type Options struct {
	Issuer  *token.Issuer
	Service string // that clients ask for, and tokens are for
	// Authority says who asks and what they may.
	Authority *authz.Authority
	// Moment makes the context in which one request's questions are answered, as of then (store.Store.Moment); nil: each asks
	// the database.
	Moment func(context.Context) (context.Context, error)
	// URL is the hub's address for clients, "https://hub.example.com"; empty: the one that each request names.
	URL string
	Log *slog.Logger
}

// Auth is the token service and the Authorizer. It may be used by several goroutines.
type Auth struct{ o Options }

var _ registry.Authorizer = (*Auth)(nil)

// New makes an Auth.
func New(o Options) *Auth {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Moment == nil {
		o.Moment = func(ctx context.Context) (context.Context, error) { return ctx, nil }
	}
	return &Auth{o: o}
}

// ask says whether a subject may do what a scope is for.
func (a *Auth) ask(ctx context.Context, s authz.Subject, kind, name, action string) (role.Answer, error) {
	p := permission(kind, action)
	if kind != token.TypeRepository {
		return a.o.Authority.Everywhere(ctx, s, p)
	}
	return a.o.Authority.InProject(ctx, s, p, projectOf(name))
}

// permission is the row of the table for an action of Docker's token protocol.
func permission(kind, action string) role.Permission {
	switch {
	case kind == token.TypeRegistry:
		return role.Catalog
	case action == token.ActionPull:
		return role.ArtifactPull
	case action == token.ActionPush:
		return role.ArtifactPush
	}
	return role.ArtifactDelete // and "*", which is all three
}

// projectOf is the name of the project that a repository belongs to.
func projectOf(repository string) string {
	name, _, _ := strings.Cut(repository, "/")
	return name
}

// Authenticate implements registry.Authorizer: a bearer token, or name and password with the request itself.
func (a *Auth) Authenticate(r *http.Request) (registry.Caller, error) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	ctx, err := a.o.Moment(r.Context())
	if err != nil {
		return nil, err
	}
	switch {
	case scheme == "":
		return &caller{a: a, at: ctx, agent: r.UserAgent(), subject: authz.Nobody}, nil
	case strings.EqualFold(scheme, "Bearer"):
		claims, err := a.o.Issuer.Verify(ctx, strings.TrimSpace(value))
		if errors.Is(err, token.ErrInvalid) {
			return nil, registry.ErrUnauthenticated
		}
		if err != nil {
			return nil, err
		}
		if claims.Kind == token.Job {
			s := authz.Subject{Kind: token.Job, Name: claims.Subject}
			if _, err := strconv.ParseInt(claims.Subject, 10, 64); err == nil { // a task's, which ends with it
				if s, err = a.o.Authority.Bearer(ctx, claims); err != nil {
					return nil, unauthenticated(err)
				}
			}
			return &caller{a: a, at: ctx, subject: s, token: true, access: claims.Access, own: true}, nil
		}
		s, err := a.o.Authority.Bearer(ctx, claims)
		if err != nil {
			return nil, unauthenticated(err)
		}
		return &caller{a: a, at: ctx, agent: r.UserAgent(), subject: s, token: true, access: claims.Access}, nil
	case strings.EqualFold(scheme, "Basic"):
		name, password, ok := r.BasicAuth()
		if !ok {
			return nil, registry.ErrUnauthenticated
		}
		s, err := a.o.Authority.SignIn(ctx, name, secret.Text(password), access.Address(r))
		if err != nil {
			return nil, unauthenticated(err)
		}
		return &caller{a: a, at: ctx, agent: r.UserAgent(), subject: s}, nil
	}
	return nil, registry.ErrUnauthenticated
}

// unauthenticated is what the registry makes of a failed sign-in.
func unauthenticated(err error) error {
	if errors.Is(err, errdef.ErrDenied) || errors.Is(err, errdef.ErrConflict) || errors.Is(err, errdef.ErrExhausted) {
		return registry.ErrUnauthenticated
	}
	return err
}

// Challenge implements registry.Authorizer. To who shows a token it says what is wrong with that (RFC 6750, section 3.1):
// a client then asks for another one, once, and says that access is denied.
func (a *Auth) Challenge(r *http.Request, wanted []registry.Access) string {
	c := fmt.Sprintf(`Bearer realm="%s",service="%s"`, a.url(r)+TokenPath, a.o.Service)
	if scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		if _, err := a.o.Issuer.Verify(r.Context(), strings.TrimSpace(value)); err != nil {
			c += `,error="invalid_token"`
		} else {
			c += `,error="insufficient_scope"`
		}
	}
	var scopes []string
	for _, w := range wanted {
		if w.Type != "" {
			scopes = append(scopes, w.Type+":"+w.Name+":"+string(w.Action))
		}
	}
	if len(scopes) > 0 {
		c += `,scope="` + strings.Join(merged(scopes), " ") + `"`
	}
	return c
}

// merged joins the actions of scopes of one name, as clients expect them.
func merged(scopes []string) []string {
	all, err := token.ParseScopes(scopes)
	if err != nil { // of names that the registry has checked
		return scopes
	}
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = s.Type + ":" + s.Name + ":" + strings.Join(s.Actions, ",")
	}
	return out
}

// url is the hub's address as this client sees it. A Host that could break out of the header's quotes is not repeated.
func (a *Auth) url(r *http.Request) string {
	if a.o.URL != "" {
		return a.o.URL
	}
	scheme, host := "https", r.Host
	if r.TLS == nil {
		scheme = "http"
	}
	if strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '/' || c == ',' }) {
		host = ""
	}
	return scheme + "://" + host
}

// Repository is the name in the registry of what Notary's clients call a repository: with the host before it by which they know the
// hub.
func (a *Auth) Repository(r *http.Request, name string) string {
	host, rest, some := strings.Cut(name, "/")
	// No project has a colon in its name.
	if some && (strings.Contains(host, ":") || strings.EqualFold(host, r.Host) || strings.EqualFold("https://"+host, a.o.URL)) {
		return rest
	}
	return name
}

// caller is who sent one request to the registry.
type caller struct {
	a       *Auth
	at      context.Context // of the request, with the moment that all its questions are answered by
	subject authz.Subject
	token   bool // what it may is limited to access
	access  []token.Access
	agent   string // the client's User-Agent
	own     bool   // the hub's own: it may what access says, and no table is asked
}

// Own says whether the hub itself asks, with a token that it made for one task.
func (c *caller) Own() bool { return c.own }

// Pushing says whether the caller may push to a repository, and came for that: with a token for pushing, as clients ask for it when
// they push, or with a tool that reads an image to sign it, and asks for a token to pull. Docker's clients that pull do neither.
func (c *caller) Pushing(repository string) bool {
	if c.own {
		return false
	}
	signs := strings.HasPrefix(c.agent, "cosign/") || strings.HasPrefix(c.agent, "notation/")
	if !signs && !(c.token && token.Grants(c.access, token.TypeRepository, repository, token.ActionPush)) {
		return false
	}
	answer, err := c.a.ask(c.at, c.subject, token.TypeRepository, repository, token.ActionPush)
	return err == nil && answer == role.Allowed
}

// At is the context of the moment that all questions of the request are answered by.
func (c *caller) At() context.Context { return c.at }

// Name implements registry.Caller.
func (c *caller) Name() string { return c.subject.Name }

// May implements registry.Caller.
func (c *caller) May(_ context.Context, w registry.Access) error {
	if w.Type == "" { // to talk to the registry at all
		if !c.subject.Known() && !c.token {
			return registry.ErrUnauthenticated // so that docker login learns where to sign in
		}
		return nil
	}
	if c.own {
		may := w.Action == registry.Pull || c.subject.ID != "" // a task's token is asked about at each request: it may push
		if w.Type == token.TypeRepository && may && token.Grants(c.access, w.Type, w.Name, string(w.Action)) {
			return nil
		}
		return registry.ErrDenied
	}
	answer, err := c.a.ask(c.at, c.subject, w.Type, w.Name, string(w.Action))
	switch {
	case err != nil:
		return err
	case answer == role.Allowed && c.token && !token.Grants(c.access, w.Type, w.Name, string(w.Action)):
		return registry.ErrUnauthenticated // another token would do
	case answer == role.Allowed:
		return nil
	case answer == role.SignIn:
		return registry.ErrUnauthenticated
	case answer == role.Hidden:
		return registry.ErrHidden
	}
	return registry.ErrDenied
}
