// Package hub is the second core host, beside vicd: one process and one TLS port with the registry, its token service,
// the API and the portal, and the plugins of the kinds auth, scan and replicate behind them.
package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/hub/acme"
	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/hub/api"
	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/browser"
	"github.com/openvic/vic/core/hub/clisecret"
	"github.com/openvic/vic/core/hub/cveallow"
	"github.com/openvic/vic/core/hub/dockerauth"
	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/immutable"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/keep"
	"github.com/openvic/vic/core/hub/labels"
	"github.com/openvic/vic/core/hub/notary"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/provision"
	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/hub/replication"
	"github.com/openvic/vic/core/hub/retention"
	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/session"
	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/hub/systemlog"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/core/hub/trust"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/core/portal"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/tlsfiles"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
)

// Service is what Docker's clients name when they ask for a token.
const Service = "vic-hub"

// DefaultProject is there from the first start on, and public: a place for what everybody may see.
const DefaultProject = "default-project"

// Hub is everything in one vic-hub.
type Hub struct {
	cfg     config.Hub
	version string
	log     *slog.Logger

	lock     *os.File // nil: PostgreSQL, or a command beside a hub
	db       *store.Store
	sealer   *seal.Sealer
	plugins  *plugin.Host
	metrics  *metrics
	people   *people.People
	audit    *audit.Log
	signIns  *audit.SignIns
	events   *events
	signer   *signin.Signer
	robots   *robots.Robots
	secrets  *clisecret.Secrets
	sessions *session.Sessions
	browsers *browser.Browsers
	jobs     *jobs.Queue
	hooks    *webhook.Hooks
	outbound *outbound.Policy
	driver   storagedriver.StorageDriver
	registry *registry.Registry
	rules    *immutable.Rules
	labels   *labels.Labels
	policies *retention.Policies
	tls      *tlsfiles.Server
	acme     *acme.Manager
	listener net.Listener
	handler  http.Handler

	forwarder *audit.Forwarder // nil: the audit log goes nowhere else

	registries *registries.Registries // the others that the hub knows
	fleet      *fleet.Fleet
	vchs       *vchs.VCHs
	provisions *provision.Provisions
	docker     *dockerauth.Auth
	settings   *settings.Settings
	admission  *admission.Admission
	issuer     *token.Issuer
	allowed    *cveallow.Lists
	scanning   *scanning.Service
	scanners   func() []scanning.Scanner
	logs       *systemlog.Log
	trustKeys  *trust.Keys
	trust      *trust.Verifier
	notary     *notary.Notary // nil in a command beside a hub

	replication *replication.Replication
	inner       *inner // nil: a command beside a hub
}

// New makes all parts. Nothing of it touches a plugin yet; the listener comes first, so that a port that is taken is
// found out at once.
func New(ctx context.Context, cfg config.Hub, version string, log *slog.Logger) (_ *Hub, err error) {
	h := &Hub{cfg: cfg, version: version, logs: systemlog.New(systemlog.DefaultSize)}
	h.log = slog.New(h.logs.Handler(log.Handler()))
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if err := h.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	for _, step := range []func(context.Context) error{h.openLock, h.openListener, h.openDatabase, h.openSealer, h.openStore, h.openACME, h.openPlugins,
		h.openServices} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// validate checks what package config cannot, which knows no kind of plugin.
func (h *Hub) validate() error {
	if len(h.cfg.Roles[auth.Plugin().Name]) == 0 {
		return fmt.Errorf("roles.auth is empty, so that nobody could sign in: name an identity source, for example \"local\": %w", errdef.ErrInvalid)
	}
	for _, id := range h.cfg.Access.CloudAdmins {
		if _, _, ok := auth.SplitID(id); !ok {
			return fmt.Errorf("access.cloud_admins: %q is no ID of a group: want DOMAIN/NAME: %w", id, errdef.ErrInvalid)
		}
	}
	return nil
}

func (h *Hub) openDatabase(ctx context.Context) (err error) {
	h.db, err = store.Open(ctx, h.cfg.Database.URL, schemas()...)
	return err
}

// openSealer opens the key of the secrets, and makes one for a database that has none yet: a new key beside sealed secrets would
// open none of them, and no token could be signed.
func (h *Hub) openSealer(ctx context.Context) (err error) {
	file := filepath.Join(h.cfg.Data, keep.SealKey)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		var sealed int
		if err := h.db.QueryRow(ctx, `SELECT COUNT(*) FROM token_key`).Scan(&sealed); err != nil {
			return err
		}
		if sealed > 0 {
			return fmt.Errorf("%s is not there, and the secrets in the database were sealed with it: put it there, from a backup or from another hub of this database; "+
				"docs/hub.md says what to do if it is lost: %w", file, errdef.ErrConflict)
		}
	}
	h.sealer, err = seal.Open(file)
	return err
}

func (h *Hub) openStore(context.Context) error {
	h.people = people.New(h.db, nil, clisecret.Forget)
	h.rules, h.labels, h.policies = immutable.New(h.db), labels.New(h.db, nil), retention.New(h.db, nil)
	h.settings = settings.New(h.db, nil)
	h.trustKeys = trust.NewKeys(h.db, nil)
	h.trust = trust.NewVerifier(h.trustKeys, func() trust.Images { return h.registry }, nil)
	h.audit = audit.New(h.db, h.log, nil)
	h.signIns = audit.NewSignIns(h.audit, h.account)
	h.events = newEvents(h.audit, h.db, h.log)
	if err := h.openJobs(); err != nil {
		return err
	}
	h.admission = admission.New(h.db, h.settings, h.admissionRules()...)
	return nil
}

// schemas are all tables of a hub.
func schemas() []store.Schema {
	return []store.Schema{
		registry.Schema(),
		people.Schema(),
		keySchema(),
		audit.Schema(),
		robots.Schema(),
		vchs.Schema(),
		acme.Schema(),
		immutable.Schema(),
		labels.Schema(),
		cveallow.Schema(),
		trust.Schema(),
		notary.Schema(),
		registries.Schema(),
		retention.Schema(),
		settings.Schema(),
		scanning.Schema(),
		session.Schema(),
		clisecret.Schema(),
		jobs.Schema(),
		webhook.Schema(),
		provision.Schema(),
		replication.Schema(),
	}
}

func (h *Hub) openPlugins(context.Context) error {
	plugins, err := config.LoadPlugins(h.cfg.Plugins.Dir)
	if err != nil {
		return err
	}
	// The hub's images bring entries of all sources; those that no role names have no configuration, and are not started.
	roles := slices.Concat(slices.Collect(maps.Values(h.cfg.Roles))...)
	plugins = slices.DeleteFunc(plugins, func(p config.Plugin) bool { return p.Err == nil && !slices.Contains(roles, p.Name) })
	h.metrics = newMetrics(h.version, func() []plugin.Status { return h.plugins.List() })
	h.plugins, err = plugin.New(plugin.Options{Plugins: plugins, Roles: h.cfg.Roles, Log: h.log, RunDir: filepath.Join(h.cfg.Data, "run"),
		Observe: h.metrics.call})
	if err != nil {
		return err
	}
	limiter := access.NewLimiter(access.LimitOptions{})
	h.signer = signin.New(signin.Options{Sources: h.sources, People: h.people, Limiter: limiter, Sealer: h.sealer, Log: h.log,
		Oldest: h.cfg.Access.CheckEvery, Outage: h.cfg.Access.Outage})
	h.robots = robots.New(h.db, limiter, h.log, nil)
	h.secrets = clisecret.New(h.db, h.signer, limiter, h.log, nil)
	h.sessions = session.New(h.db, session.Options{Idle: h.cfg.Access.SessionIdle, Longest: h.cfg.Access.SessionLongest, Log: h.log})
	h.browsers = browser.New(browser.Options{Signer: h.signer, Sessions: h.sessions, Sealer: h.sealer, URL: h.cfg.URL, Observe: h.signedIn, Log: h.log})
	return nil
}

// sources are the auth plugins in their order, with what they say they can.
func (h *Hub) sources() []signin.Source {
	var all []signin.Source
	for _, p := range plugin.Role(h.plugins, auth.Plugin()) {
		st, err := h.plugins.Get(p.Plugin)
		if err != nil {
			continue // New has seen that it is there
		}
		src := signin.Source{Name: p.Plugin, Driver: p.Driver}
		for _, c := range st.Components {
			if c.Kind == auth.Plugin().Name {
				src.Capabilities = append(src.Capabilities, c.Capabilities...)
			}
		}
		all = append(all, src)
	}
	return all
}

// openRegistry is the same for a hub that serves and for commands beside it.
func (h *Hub) openRegistry(ctx context.Context, who registry.Authorizer) error {
	var upstreams registry.Upstreams // a command beside a hub fetches nothing
	if h.registries != nil {
		upstreams = h.registries
	}
	driver, err := h.storage(ctx)
	if err != nil {
		return err
	}
	h.driver = driver
	h.registry, err = registry.New(ctx, h.db, driver, registry.Options{Authorizer: who, Policy: policy{h.rules, h.admission}, Observer: h.events, Log: h.log,
		Redirect: h.cfg.Storage.Redirect, Upstreams: upstreams,
		ReadOnly: h.settings.ReadOnly})
	return err
}

func (h *Hub) openServices(ctx context.Context) (err error) {
	h.issuer = token.New(token.Options{Issuer: h.cfg.Name, Service: Service, Keys: signingKeys{h.db, h.sealer}, Setting: h.settings.TokenLife})
	authority := &authz.Authority{Signer: h.signer, Roles: h.people, Projects: projects{h}, Robots: h.robots, Secrets: h.secrets,
		Jobs: tasks{h}, Observe: h.triedToSignIn}
	h.docker = dockerauth.New(dockerauth.Options{Moment: h.db.Moment, Issuer: h.issuer, Service: Service, Authority: authority, URL: h.cfg.URL,
		Log: h.log})
	h.registries = registries.New(h.db, h.sealer, h.outbound, nil)
	h.registries.Connect(h.replication, replication.Uses)
	if err := h.openRegistry(ctx, h.docker); err != nil {
		return err
	}
	if err := h.makeDefaultProject(ctx); err != nil {
		return err
	}
	if err := h.prepareJobs(ctx); err != nil {
		return err
	}
	mux := http.NewServeMux()
	h.notary = h.newNotary(h.docker)
	v2 := images(h.notary, access.SteadyBody(h.registry, access.StallPatience))
	mux.Handle("/v2/", v2)
	mux.Handle("/v2", v2)
	if h.inner, err = openInner(v2); err != nil {
		return err
	}
	mux.Handle(dockerauth.TokenPath, h.docker)
	mux.Handle(api.Prefix+"/", api.New(api.Options{Authority: authority, People: h.people, Identities: h.signer, Registry: h.registry,
		Registries: h.registries, Settings: h.settings, Scanning: h.scanning,
		Answers: &admission.Answers{Admission: h.admission, Signer: h.issuer}, Keys: h.issuer.PublicKeys, DB: h.db,
		Version: h.version, URL: h.cfg.URL, Hosts: append([]string{h.host()}, h.cfg.TLS.Names...),
		Authorities: h.authorities, Health: h.health, Volumes: h.volumes, Audit: h.audit, Robots: h.robots,
		VCHs: h.vchs, Fleet: h.fleet, Provisions: h.provisions, Browsers: h.browsers, Sessions: h.sessions, Secrets: h.secrets,
		Jobs: h.jobs, Replication: h.replication,
		Webhooks:   h.hooks,
		Immutable:  h.rules,
		TrustKeys:  h.trustKeys,
		Trust:      h.trust,
		Labels:     h.labels,
		Retention:  h.policies,
		Allowlists: h.allowed,
		Support:    api.NewSupport(h.logs, h.supportBundle),
		Log:        h.log}))
	mux.Handle("/c/", h.browsers.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", h.readyz)
	mux.Handle("GET /metrics", h.metrics.handler(authority))
	page, err := portal.Handler()
	if err != nil {
		return err
	}
	mux.Handle("/", page)
	h.handler = access.Hurry(access.Steady(h.metrics.count(access.SameSite(mux, nil, browser.CallbackPattern)), access.StallPatience), access.BodyPatience)
	return nil
}

// makeDefaultProject makes the first project of an empty hub. Who removes it later does not get it back.
func (h *Hub) makeDefaultProject(ctx context.Context) error {
	some, _, err := h.registry.ListProjects(ctx, "", 1)
	if err != nil || len(some) > 0 {
		return err
	}
	err = h.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := h.registry.CreateProject(tx, registry.Project{Name: DefaultProject, Public: true, Quota: -1, RepoQuota: -1})
		return err
	})
	if errors.Is(err, errdef.ErrExists) { // another node was quicker
		return nil
	}
	return err
}

// Handler is everything that the hub serves, for one who brings a listener of their own beside the hub's.
func (h *Hub) Handler() http.Handler { return h.handler }

// Reload reads the certificate again, and renews the hub's own if it is time. What is under way goes on.
func (h *Hub) Reload() error {
	if h.cfg.TLS.Cert == "" {
		if _, err := ownCertificate(filepath.Join(h.cfg.Data, "tls"), h.cfg.TLS.Names, time.Now()); err != nil {
			return err
		}
	}
	return h.tls.Reload()
}

// Addr is where the hub listens.
func (h *Hub) Addr() net.Addr { return h.listener.Addr() }

// authorities is the hub's own authority; nil if its certificate was given to it.
func (h *Hub) authorities() ([]byte, error) {
	if h.cfg.TLS.Cert != "" {
		return nil, nil
	}
	return os.ReadFile(filepath.Join(h.cfg.Data, "tls", "ca.pem"))
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func (h *Hub) close() {
	if h.listener != nil {
		_ = h.listener.Close()
	}
	if h.inner != nil {
		_ = h.inner.listener.Close()
	}
	if h.db != nil {
		if err := h.db.Close(); err != nil {
			h.log.Error("database does not close", "err", err)
		}
	}
	if h.lock != nil {
		_ = h.lock.Close() // ends the lock
	}
}
