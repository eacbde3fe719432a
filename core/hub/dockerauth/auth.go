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
	"strings"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// TokenPath is where the token service is served.
const TokenPath = "/service/token"

// Signer is what the service needs of package signin.
type Signer interface {
	Password(ctx context.Context, name string, password secret.Text, address string) (people.Person, error)
	Check(ctx context.Context, user string) (people.Person, error)
}

// Roles is what it needs of package people.
type Roles interface {
	Role(ctx context.Context, user string, project int64) (role.Role, error)
}

// Projects finds the project of a name; errdef.ErrNotFound.
type Projects interface {
	Project(ctx context.Context, name string) (id int64, public bool, err error)
}

// Robot is an account of a program.
type Robot struct {
	Name string
	// Grants says what it may in a project, and what in the whole hub if project is "".
	Grants func(project string) map[role.Permission]bool
}

// RobotPrefix begins the names of robots; no user's name has it.
const RobotPrefix = "robot$"

// Robots knows robot accounts.
type Robots interface {
	// Password checks a robot's secret; errdef.ErrDenied.
	Password(ctx context.Context, name string, secret secret.Text, address string) (Robot, error)
	// Find returns a robot that may come in; errdef.ErrDenied for one that is gone, disabled or expired.
	Find(ctx context.Context, name string) (Robot, error)
}

// Options are what an Auth is made of.
type Options struct {
	Issuer   *token.Issuer
	Service  string // that clients ask for, and tokens are for
	Signer   Signer
	Roles    Roles
	Projects Projects
	Robots   Robots // nil: there are none
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
	return &Auth{o: o}
}

// subject is somebody who has shown who they are, or nobody.
type subject struct {
	kind  token.Kind
	id    string // of a user; the name of a robot
	name  string // for people
	robot Robot
}

var nobody = subject{kind: token.Nobody}

// signIn checks a name and a password, a robot's or a user's.
func (a *Auth) signIn(ctx context.Context, name string, password secret.Text, address string) (subject, error) {
	if strings.HasPrefix(name, RobotPrefix) && a.o.Robots != nil {
		r, err := a.o.Robots.Password(ctx, name, password, address)
		if err != nil {
			return nobody, err
		}
		return subject{kind: token.Robot, id: r.Name, name: r.Name, robot: r}, nil
	}
	p, err := a.o.Signer.Password(ctx, name, password, address)
	if err != nil {
		return nobody, err
	}
	return subject{kind: token.User, id: p.ID, name: p.Name}, nil
}

// known returns who a token's subject is now.
func (a *Auth) known(ctx context.Context, kind token.Kind, id string) (subject, error) {
	switch kind {
	case token.Nobody:
		return nobody, nil
	case token.User:
		p, err := a.o.Signer.Check(ctx, id)
		return subject{kind: kind, id: p.ID, name: p.Name}, err
	case token.Robot:
		if a.o.Robots == nil {
			break
		}
		r, err := a.o.Robots.Find(ctx, id)
		return subject{kind: kind, id: r.Name, name: r.Name, robot: r}, err
	}
	return nobody, fmt.Errorf("a token of kind %q opens nothing here: %w", kind, errdef.ErrDenied)
}

// ask says whether a subject may do something in a project, or everywhere if project is "".
func (a *Auth) ask(ctx context.Context, s subject, p role.Permission, project string) (role.Answer, error) {
	var id int64
	var public bool
	if project != "" {
		var err error
		id, public, err = a.o.Projects.Project(ctx, project)
		if errors.Is(err, errdef.ErrNotFound) {
			// As for a private project of others, so that the answer does not tell which names are taken.
			return role.Ask(role.Subject{Known: s.kind != token.Nobody}, p, false), nil
		}
		if err != nil {
			return role.Forbidden, err
		}
	}
	q := role.Subject{Known: s.kind != token.Nobody}
	switch {
	case s.kind == token.Robot:
		q.Grants = s.robot.Grants(project)
		if q.Grants == nil {
			q.Grants = map[role.Permission]bool{}
		}
	case s.kind == token.User && (!public || !p.Row().Public): // else it does not matter
		r, err := a.o.Roles.Role(ctx, s.id, id)
		if err != nil {
			return role.Forbidden, err
		}
		q.Role = r
	}
	return role.Ask(q, p, public), nil
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
	ctx := r.Context()
	switch {
	case scheme == "":
		return &caller{a: a, subject: nobody}, nil
	case strings.EqualFold(scheme, "Bearer"):
		claims, err := a.o.Issuer.Verify(ctx, strings.TrimSpace(value))
		if errors.Is(err, token.ErrInvalid) {
			return nil, registry.ErrUnauthenticated
		}
		if err != nil {
			return nil, err
		}
		s, err := a.known(ctx, claims.Kind, claims.Subject)
		if err != nil {
			return nil, unauthenticated(err)
		}
		return &caller{a: a, subject: s, token: true, access: claims.Access}, nil
	case strings.EqualFold(scheme, "Basic"):
		name, password, ok := r.BasicAuth()
		if !ok {
			return nil, registry.ErrUnauthenticated
		}
		s, err := a.signIn(ctx, name, secret.Text(password), access.Address(r))
		if err != nil {
			return nil, unauthenticated(err)
		}
		return &caller{a: a, subject: s}, nil
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

// Challenge implements registry.Authorizer.
func (a *Auth) Challenge(r *http.Request, wanted []registry.Access) string {
	c := fmt.Sprintf(`Bearer realm="%s",service="%s"`, a.url(r)+TokenPath, a.o.Service)
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

// caller is who sent one request to the registry.
type caller struct {
	a       *Auth
	subject subject
	token   bool // what it may is limited to access
	access  []token.Access
}

// Name implements registry.Caller.
func (c *caller) Name() string { return c.subject.name }

// May implements registry.Caller.
func (c *caller) May(ctx context.Context, w registry.Access) error {
	if w.Type == "" { // to talk to the registry at all
		if c.subject.kind == token.Nobody && !c.token {
			return registry.ErrUnauthenticated // so that docker login learns where to sign in
		}
		return nil
	}
	if c.token && !token.Grants(c.access, w.Type, w.Name, string(w.Action)) {
		return registry.ErrUnauthenticated // another token would do
	}
	project := ""
	if w.Type == token.TypeRepository {
		project = projectOf(w.Name)
	}
	answer, err := c.a.ask(ctx, c.subject, permission(w.Type, string(w.Action)), project)
	switch {
	case err != nil:
		return err
	case answer == role.Allowed:
		return nil
	case answer == role.SignIn:
		return registry.ErrUnauthenticated
	case answer == role.Hidden:
		return registry.ErrHidden
	}
	return registry.ErrDenied
}
