// Package service is vic-machine over HTTP: the operations of the command line, by the same code, for
// portals and scripts, with an OpenAPI document that is made from the same table as the routes.
//
// A request brings its own vSphere account, or a session's clone ticket; none is kept but in the
// session that the request's operation uses. Operations that change something are tasks: the answer is
// 202 with the task's address. A task belongs to the vSphere account that began it.
package service

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
)

// Config says how the service runs. The zero value of a limit is its default.
type Config struct {
	Version                    string
	ApplianceISO, BootstrapISO string   // files; empty: beside the program
	AllowTargets               []string // vSphere addresses, host or host:port, that may be asked; none: all
	Log                        *slog.Logger
	MaxRunning                 int           // tasks at a time; 16
	MaxTasks                   int           // that are remembered; 500
	KeepTasks                  time.Duration // after their end; an hour
	FailedLogins               int           // of one address within a minute; 5

	now func() time.Time // for tests of what time does to logins; nil: time.Now
}

// maxBody is the most that a request may bring: certificates and options are a few KiB.
const maxBody = 1 << 20

// maxAsking bounds how many requests have a session of vSphere at a time, beside the tasks.
const maxAsking = 64

// Service answers requests; it is an http.Handler.
type Service struct {
	cfg      Config
	handler  http.Handler
	tasks    *tasks
	limiter  *access.Limiter
	bodyTime time.Duration
	slots    chan struct{} // one for each request that may ask vSphere now
}

var _ http.Handler = (*Service)(nil)

// New makes a Service. Its tasks end when ctx does.
func New(ctx context.Context, cfg Config) *Service {
	if cfg.MaxRunning == 0 {
		cfg.MaxRunning = 16
	}
	if cfg.MaxTasks == 0 {
		cfg.MaxTasks = 500
	}
	if cfg.KeepTasks == 0 {
		cfg.KeepTasks = time.Hour
	}
	if cfg.FailedLogins == 0 {
		cfg.FailedLogins = 5
	}
	s := &Service{cfg: cfg, tasks: newTasks(ctx, cfg), limiter: newLimiter(cfg.FailedLogins, cfg.now), bodyTime: bodyTime,
		slots: make(chan struct{}, maxAsking)}
	mux := http.NewServeMux()
	for _, r := range routes() {
		mux.HandleFunc(r.method+" "+r.path, s.serve(r))
	}
	s.handler = access.SameSite(s.missing(mux), func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, Problem{Type: "cross-origin", Status: http.StatusForbidden, Detail: "a page of another site may not ask that"})
	})
	return s
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	rec := &recorder{ResponseWriter: w}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	r.Body = http.MaxBytesReader(rec, r.Body, maxBody)
	s.handler.ServeHTTP(rec, r)
	s.cfg.Log.Info("request", "method", r.Method, "path", r.URL.Path, "status", rec.status, "from", r.RemoteAddr, "took",
		time.Since(start).Round(time.Millisecond))
}

// missing answers what no route does.
func (s *Service) missing(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &recorder{ResponseWriter: discard{http.Header{}}}
		mux.ServeHTTP(probe, r)
		p := Problem{Type: "not-found", Status: http.StatusNotFound, Detail: "there is nothing at " + r.URL.Path, Advice: "see /openapi.json"}
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.Header().Get("Allow"))
			p = Problem{Type: "method", Status: probe.status, Detail: r.URL.Path + " does not take " + r.Method, Advice: "use one of: " + probe.Header().Get("Allow")}
		}
		writeProblem(w, p)
	})
}

// Wait returns when no task runs any more, or ctx ends.
func (s *Service) Wait(ctx context.Context) error { return s.tasks.wait(ctx) }

// Interrupt ends all tasks as Ctrl-C ends the command: what was made is removed again. No more begin.
func (s *Service) Interrupt() { s.tasks.interrupt() }

// Drain makes the service refuse new tasks; those that run go on.
func (s *Service) Drain() { s.tasks.drain() }

// serve makes a handler of a route.
func (s *Service) serve(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{Service: s, w: w, r: r, route: rt}
		res, err := c.run()
		var over *http.MaxBytesError
		switch {
		case errors.As(err, &over):
			writeProblem(w, Problem{Type: "too-large", Status: http.StatusRequestEntityTooLarge, Detail: "the body is larger than 1 MiB"})
		case err != nil:
			writeProblem(w, problemOf(err))
		case res != nil:
			res.write(w)
		}
	}
}

// reply is an answer that is no error.
type reply struct {
	status int
	body   any // JSON, or a text
	header http.Header
}

func (r *reply) write(w http.ResponseWriter) {
	for k, v := range r.header {
		w.Header()[k] = v
	}
	if text, ok := r.body.(string); ok {
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		w.WriteHeader(r.status)
		_, _ = w.Write([]byte(text)) // the client has gone
		return
	}
	if r.body == nil {
		w.WriteHeader(r.status)
		return
	}
	writeJSON(w, "application/json", r.status, r.body)
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// discard is an http.ResponseWriter of nobody.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// allowed refuses addresses that the service may not ask.
func (s *Service) allowed(target string) error {
	if len(s.cfg.AllowTargets) == 0 || slices.Contains(s.cfg.AllowTargets, target) {
		return nil
	}
	return advice.Wrap(problemError{Problem{Type: "target", Status: http.StatusForbidden, Detail: "this service does not speak to " + target}},
		"whoever runs it names the vSphere targets with --allow-target")
}
