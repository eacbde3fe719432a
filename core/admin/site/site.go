// Package site is the administrators' web site of a VCH: the health of the plugins and of the platform,
// containers, datastores, events, live logs, a log bundle, and Prometheus' metrics. It is plain HTML,
// made on the server, and works without JavaScript.
//
//	GET  /                      health
//	GET  /containers /events    tables
//	GET  /logs                  the last lines; /logs/stream goes on as text
//	GET  /bundle                a tar.gz for support, with secrets removed
//	GET  /metrics               Prometheus
//	GET  /healthz /readyz       for probes, without a login
//	POST /plugins/{name}/restart
//	GET, POST /login; POST /logout
//
// Who shows a certificate of the administrators' authority is in; others log in with an account of
// a plugin of the role auth that may administer the VCH (Options.Authenticate). Tries are limited, failures logged.
// Forms of other sites are refused at the root of the listener, by package admin.
package site

import (
	"context"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/admin"
	"github.com/openvic/vic/core/metrics"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/platform"
)

//go:embed pages/*.html pages/style.css pages/icon.svg
var pages embed.FS

// Container is one row of the table of containers.
type Container struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Image     string    `json:"image"`
	Status    string    `json:"status"`
	ExitCode  int       `json:"exitCode"`
	Created   time.Time `json:"created"`
	Started   time.Time `json:"started,omitzero"`
	CPUs      int32     `json:"cpus"`
	MemoryMB  int64     `json:"memoryMB"`
	VM        string    `json:"vm"`
	Addresses []string  `json:"addresses"`
}

// Options are what the site shows.
type Options struct {
	Name, Version string
	Plugins       admin.Plugins
	// WaitingFor says why Docker requests cannot be answered yet; empty when they can.
	WaitingFor func() string
	Containers func() []Container
	// Platform tells how the platform is, with the latest events.
	Platform func(ctx context.Context, events int) (platform.Report, error)
	// Authenticate says whether a user may administer the host; errdef.ErrDenied.
	Authenticate func(ctx context.Context, user, password string) error
	Metrics      *metrics.Metrics
	Logs         *admin.Ring
	// Certificates are files by what they are for; the page tells when they end.
	Certificates map[string]string
	// Files are configuration files for the bundle. What is secret in them is removed there.
	Files func() []string
	Log   *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

type site struct {
	Options
	began    time.Time
	pages    map[string]*template.Template
	sessions *access.Sessions
	limit    *access.Limiter
	streams  chan struct{} // log streams that may be open
}

// maxStreams is how many clients may follow the log at a time.
const maxStreams = 8

// New makes the site's handler.
func New(o Options) (http.Handler, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &site{Options: o, began: o.Now(), sessions: access.NewSessions(access.SessionOptions{Now: o.Now}),
		limit: access.NewLimiter(access.LimitOptions{Now: o.Now}), streams: make(chan struct{}, maxStreams)}
	var err error
	if s.pages, err = parse(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /style.css", asset("style.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /icon.svg", asset("icon.svg", "image/svg+xml"))
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	mux.Handle("POST /logout", s.guard(s.logout))
	mux.Handle("GET /{$}", s.guard(s.home))
	mux.Handle("GET /containers", s.guard(s.containers))
	mux.Handle("GET /events", s.guard(s.events))
	mux.Handle("GET /logs", s.guard(s.logs))
	mux.Handle("GET /logs/stream", s.guard(s.stream))
	mux.Handle("GET /bundle", s.guard(s.bundle))
	mux.Handle("GET /metrics", s.guard(o.Metrics.Handler().ServeHTTP))
	mux.Handle("POST /plugins/{name}/restart", s.guard(s.restart))
	return headers(mux), nil
}

// headers forbids all that the site does not use: scripts, frames, other origins, caches.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (s *site) readyz(w http.ResponseWriter, _ *http.Request) {
	if why := s.WaitingFor(); why != "" {
		// Probes come without a login: the reason is for those who have one.
		plain(w, http.StatusServiceUnavailable, "not ready\n")
		return
	}
	plain(w, http.StatusOK, "ready\n")
}

// asset serves one file of the pages.
func asset(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		b, err := pages.ReadFile("pages/" + name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(b)
	}
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

var _ admin.Plugins = (*plugin.Host)(nil)
