// Package api is the hub's REST API below /api/v2.0: the paths, fields, status codes and error bodies of Harbor's API
// where it has them, so that its clients work, and what is beyond it in the same manner.
//
// Each route names the permission that it needs. The table of package role decides, before a handler runs; a test tries
// every role on every route.
package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/browser"
	"github.com/openvic/vic/core/hub/clisecret"
	"github.com/openvic/vic/core/hub/cveallow"
	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/immutable"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/labels"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/provision"
	"github.com/openvic/vic/core/hub/query"
	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/hub/replication"
	"github.com/openvic/vic/core/hub/retention"
	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/hub/session"
	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/hub/trust"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/secret"
)

// Prefix is where the API is served.
const Prefix = "/api/v2.0"

// Identities finds users and groups in the identity sources, and changes those that a source keeps for the hub.
type Identities interface {
	Search(ctx context.Context, text string, kind auth.Kind, limit int) ([]auth.Principal, error)
	// Lookup finds one by ID or by name; errdef.ErrNotFound.
	Lookup(ctx context.Context, text string) (auth.Principal, error)
	// Create, SetPassword, SetProfile and Delete are for users of the hub's own; errdef.ErrUnsupported for others.
	Create(ctx context.Context, user auth.Principal, password secret.Text) (people.Person, error)
	SetPassword(ctx context.Context, id string, password secret.Text) error
	// SetProfile changes a full name and an address; nil leaves it as it is.
	SetProfile(ctx context.Context, id string, fullName, email *string) error
	Delete(ctx context.Context, id string) error
	// Ways are the sources that people sign in at; Redirects says whether one of them does it by a redirect of a browser.
	Ways(ctx context.Context) []signin.Way
	Redirects(source string) bool
}

// Options are what the API serves.
type Options struct {
	Authority  *authz.Authority
	People     *people.People
	Identities Identities
	Registry   *registry.Registry
	DB         *store.Store
	Version    string
	// URL is the hub's address for clients; empty: the one that each request names.
	URL string
	// Hosts are the names by which clients know the hub, with or without a port, beside the one that each request names.
	Hosts []string
	// Authorities is the PEM text of the authority that signed the hub's certificate; nil: a public one.
	Authorities func() ([]byte, error)
	// Volumes are the file systems that the hub writes to; nil: none.
	Volumes func() ([]Volume, error)
	// Health tells of each part of the hub whether it works: nil is healthy.
	Health func(ctx context.Context) map[string]error
	// Browsers signs browsers in and out; Sessions are what they have then. Secrets are for those people at docker login.
	Browsers *browser.Browsers
	Sessions *session.Sessions
	Secrets  *clisecret.Secrets
	// Settings are what administrators set while the hub runs.
	Settings *settings.Settings
	// Answers says whether artifacts may be run, and Keys are the public ones that it signs with.
	Answers *admission.Answers
	Keys    func(context.Context) (jose.JSONWebKeySet, error)
	// Scanning has images scanned and keeps what is found.
	Scanning *scanning.Service
	// Registries are the other registries that the hub knows.
	Registries *registries.Registries
	// Robots are the accounts of programs.
	Robots *robots.Robots
	// VCHs are the virtual container hosts that are resources of projects.
	VCHs *vchs.VCHs
	// Fleet is what runs on them.
	Fleet *fleet.Fleet
	// Provisions make containers on them.
	Provisions *provision.Provisions
	// Replication are the rules by which artifacts are copied to other registries and from them.
	Replication *replication.Replication
	// Jobs is the queue of work.
	Jobs *jobs.Queue
	// Immutable are the rules by which tags stay; the registry's policy asks the same.
	Immutable *immutable.Rules
	// TrustKeys are whose signatures projects trust; Trust verifies them.
	TrustKeys *trust.Keys
	Trust     *trust.Verifier
	Labels    *labels.Labels
	// Allowlists are the vulnerabilities that projects allow.
	Allowlists *cveallow.Lists
	Retention  *retention.Policies
	// Support tells what the hub logged, and gathers log bundles.
	Support *Support
	// Webhooks are the policies by which programs elsewhere are told of events.
	Webhooks *webhook.Hooks
	// Audit keeps what was asked that changes something, and answers searches.
	Audit *audit.Log
	Log   *slog.Logger
	Now   func() time.Time // nil: time.Now
}

type api struct {
	Options
	document func() []byte // made at the first request
}

// route is one request that the API answers.
type route struct {
	method, path string // below Prefix; {project} is a project's name or number
	id           string // Harbor's operationId, or one of its kind
	// needs is the permission; the zero value: anybody may ask, and the handler shows what the caller may see.
	needs  role.Permission
	signed bool // anybody who is signed in, whatever their role
	// within, if not nil, finds the project that a request is about that has none in its path, and sets call.project. It
	// returns the permission that is needed and the project as the client gave it; "" for the whole hub.
	within func(*api, *call) (role.Permission, string, error)
	run    func(*api, *call) error
	told   bool   // the audit log is told of it by somebody else
	does   string // what the audit log calls it; "": what the method says
	large  bool   // the body is a file, not a text: it is not bounded by maxBody, but by the time in which it comes

	// What the OpenAPI document tells beside that. A test refuses a route that says nothing, and compares every answer
	// in the tests of this package with the document, so new routes fill in what applies to them; make gen then writes
	// docs/hub-openapi.json.
	says   string        // what it does, for people: "List projects"
	query  []string      // parameters, of queryTexts; "q:name,public" tells the keys of q. Those of pages come by themselves
	cols   query.Columns // of a list that takes q and sort
	takes  any           // a value of the body's type, which has a name; nil: there is none
	gives  any           // a value of the answer's type, whose parts have names; nil: there is none. A slice is a page of a list
	whole  bool          // the slice is all of the list
	media  string        // of an answer that is no JSON of gives, but text or a file
	status int           // of success; 0: 201 for POST, else 200
}

// New makes the handler of everything below Prefix. It belongs behind access.SameSite.
func New(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &api{Options: o, document: sync.OnceValue(Document)}
	mux := http.NewServeMux()
	for _, r := range routes() {
		mux.Handle(r.method+" "+Prefix+r.path, a.serve(r))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { writeError(w, missing(mux, r)) })
	return trimSlash(mux)
}

// notJSON refuses a body that a page of another site could send without asking.
func notJSON(w http.ResponseWriter, _ *http.Request) {
	writeError(w, &Error{Status: http.StatusUnsupportedMediaType, Code: "UNSUPPORTED", Message: access.NotJSONMessage})
}

// trimSlash takes the slash from the end of a path: Harbor's clients put it there in places.
func trimSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := strings.TrimRight(r.URL.Path, "/"); path != r.URL.Path && len(path) > len(Prefix) {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = path, strings.TrimRight(r.URL.RawPath, "/")
		}
		next.ServeHTTP(w, r)
	})
}

// missing is the error for a path or method that no route has.
func missing(mux *http.ServeMux, r *http.Request) error {
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := mux.Handler(other); pattern != "/" {
			return &Error{Status: http.StatusMethodNotAllowed, Code: "METHOD_NOT_ALLOWED", Message: r.Method + " is not for " + r.URL.Path}
		}
	}
	return &Error{Status: http.StatusNotFound, Code: "NOT_FOUND", Message: "there is nothing at " + r.URL.Path}
}

func routes() []route {
	var all []route
	for _, part := range [][]route{
		documentRoutes(),
		systemRoutes(),
		volumeRoutes(),
		userRoutes(),
		allowedRoutes(),
		projectRoutes(),
		memberRoutes(),
		quotaRoutes(),
		repositoryRoutes(),
		artifactRoutes(),
		labelRoutes(),
		allowlistRoutes(),
		immutableRoutes(),
		trustRoutes(),
		retentionRoutes(),
		searchRoutes(),
		logRoutes(),
		supportRoutes(),
		purgeRoutes(),
		robotRoutes(),
		vchRoutes(),
		liveRoutes(), dockerRoutes(), streamRoutes(), provisionRoutes(),
		sessionRoutes(),
		jobRoutes(), gcRoutes(), queueRoutes(),
		registryRoutes(),
		replicationRoutes(),
		webhookRoutes(),
		scanRoutes(), scannerRoutes(), scanAllRoutes(), securityRoutes(), admissionRoutes(),
		configurationRoutes(),
		metadataRoutes(),
		groupRoutes(),
	} {
		all = append(all, part...)
	}
	return all
}

// maxBody bounds what a client may send.
const maxBody = 1 << 20

// serve finds out who asks and what about, asks the table, and runs the handler.
func (a *api) serve(rt route) http.Handler {
	served := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if !rt.large {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		rec := &recorder{ResponseWriter: w}
		c := &call{w: rec, r: r}
		err := a.admit(rt, c)
		if err == nil {
			err = rt.run(a, c)
		}
		if err != nil {
			a.fail(rec, r, err)
		}
		a.audit(rt, c, rec.status)
	})
	if rt.large {
		return access.SteadyBody(served, access.StallPatience)
	}
	return access.JSONBodies(served, notJSON)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// audit keeps a line of what changes something, or was meant to, done or refused. What artifacts go through is the
// registry's to tell.
func (a *api) audit(rt route, c *call, status int) {
	operation := map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "update", http.MethodDelete: "delete"}[rt.method]
	operation = cmp.Or(rt.does, operation)
	if operation == "" || rt.told || a.Audit == nil || !c.who.Known() {
		return // strangers could fill the log
	}
	a.Audit.Keep(context.WithoutCancel(c.r.Context()), audit.Line{
		Caller: access.Caller{Name: c.who.Name, Method: c.method, Session: c.session, Address: access.Address(c.r)},
		Agent:  c.r.UserAgent(), Operation: operation, Type: rt.about(), Resource: strings.TrimPrefix(c.r.URL.Path, Prefix+"/"), Project: c.project.ID,
		Outcome: status, Detail: c.detail})
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// about is what a route changes: the last word of its path that is no parameter, in the singular.
func (r route) about() string {
	word := ""
	for part := range strings.SplitSeq(r.path, "/") {
		if part != "" && part[0] != '{' {
			word = part
		}
	}
	if stem, ok := strings.CutSuffix(word, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(word, "s")
}

// admit says who asks and whether they may, and finds the project that it is about.
func (a *api) admit(rt route, c *call) error {
	ctx := c.r.Context()
	var err error
	if err = a.identify(c); err != nil {
		return err
	}
	c.who = c.who.At(rt.method, rt.path)
	if err := c.readable(); err != nil {
		return err
	}
	if rt.signed && !c.who.Known() {
		return errSignIn
	}
	needs, given, name := rt.needs, c.r.PathValue("project"), ""
	if rt.within != nil {
		if needs, given, err = rt.within(a, c); err != nil {
			return err
		}
		name = cmp.Or(c.project.Name, given)
	} else if given != "" {
		if name, err = a.findProject(c); err != nil {
			return err
		}
	}
	if c.needs = needs; needs == 0 {
		return nil
	}
	var answer role.Answer
	if needs.Row().Scope == role.Project {
		answer, err = a.Authority.InProject(ctx, c.who, needs, name)
	} else {
		answer, err = a.Authority.Everywhere(ctx, c.who, needs)
	}
	switch {
	case err != nil:
		return err
	case answer == role.SignIn:
		return errSignIn
	case answer == role.Hidden:
		return noProject(given)
	case answer == role.Forbidden:
		return &Error{Status: http.StatusForbidden, Code: "FORBIDDEN", Message: "this needs " + needs.String() + ": " + needs.Row().Least.Title() + " or more"}
	case name != "" && c.project.ID == 0:
		return noProject(name)
	}
	return nil
}
