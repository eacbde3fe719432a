// Package admin is the administrator's API of vicd: plugins, logs, and commands in the endpoint VM.
// It is JSON over HTTP on a unix socket for root and, if configured, over TLS for those who show a
// certificate of the administrators' authority. It is not the Docker API and needs none of it.
//
//	GET  /v1/version                  Version
//	GET  /v1/plugins                  []plugin.Status
//	GET  /v1/plugins/{name}           plugin.Status with the example configuration
//	POST /v1/plugins/{name}/restart   plugin.Status when it is up again, or an error
//	GET  /v1/volumes                  []Volume
//	POST /v1/volumes/{name}/grow?capacity=SIZE  Volume
//	GET  /v1/logs?lines=N             the last lines of the daemon's log, as text
//	POST /v1/exec                     ExecRequest; a stream of ExecFrame, one JSON object a line
//
// A body is declared as JSON, and a page of another site moves nothing (package access). An error is an HTTP status
// and an Error. The same listeners serve the administrators' web site
// (package site), which also lets in those who log in: TLS asks for a certificate and goes on without.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/errdef"
)

// Plugins is what the API needs of the plugin host.
type Plugins interface {
	List() []plugin.Status
	Get(name string) (plugin.Status, error)
	Restart(ctx context.Context, name string) (plugin.Status, error)
}

// Options are what the API serves.
type Options struct {
	Plugins Plugins
	Volumes Volumes // nil: there are none
	Name    string  // of the VCH
	Version string
	Log     *slog.Logger
	// Logs, if set, keeps the last lines of the daemon's log.
	Logs *Ring
	// Site, if set, answers all that is not the API. It knows by itself whom to let in.
	Site http.Handler
}

// Version says who answers.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Error is the body of an answer that is an error.
type Error struct {
	Message string `json:"message"`
}

// restartTimeout bounds how long a restart is waited for.
const restartTimeout = 2 * time.Minute

type api struct {
	Options
}

// New makes the handler.
func New(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	a := &api{o}
	mux := http.NewServeMux()
	for _, r := range a.routes() {
		mux.HandleFunc(r.pattern, r.handler)
	}
	root := http.NewServeMux()
	root.Handle("/v1/", verified(access.JSONBodies(mux, refuse(http.StatusUnsupportedMediaType, access.NotJSONMessage))))
	if o.Site != nil {
		root.Handle("/", o.Site)
	}
	// Before anything else, the site's forms included: a certificate or cookie that a browser adds proves nothing.
	return access.Audit(access.SameSite(root, refuse(http.StatusForbidden, access.CrossSiteMessage)), access.LogTrail{Log: o.Log})
}

// route is one request that the API answers.
type route struct {
	pattern string // of http.ServeMux
	handler http.HandlerFunc
}

func (a *api) routes() []route {
	return []route{
		{"GET /v1/version", a.version},
		{"GET /v1/plugins", a.list},
		{"GET /v1/plugins/{name}", a.get},
		{"POST /v1/plugins/{name}/restart", a.restart},
		{"GET /v1/volumes", a.volumes},
		{"POST /v1/volumes/{name}/grow", a.growVolume},
		{"GET /v1/logs", a.logs},
		{"POST /v1/exec", a.exec},
	}
}

func (a *api) version(w http.ResponseWriter, _ *http.Request) {
	answer(w, Version{Name: a.Name, Version: a.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH})
}

func (a *api) list(w http.ResponseWriter, _ *http.Request) {
	all := a.Plugins.List()
	for i := range all {
		all[i].Example = ""
	}
	answer(w, all)
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	st, err := a.Plugins.Get(r.PathValue("name"))
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, st)
}

func (a *api) restart(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), restartTimeout)
	defer cancel()
	st, err := a.Plugins.Restart(ctx, r.PathValue("name"))
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, st)
}

func (a *api) logs(w http.ResponseWriter, r *http.Request) {
	if a.Logs == nil {
		fail(w, errdef.ErrUnsupported)
		return
	}
	n, err := strconv.Atoi(r.URL.Query().Get("lines"))
	if err != nil || n < 1 {
		n = 100
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = a.Logs.WriteLast(w, n)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// refuse answers with an Error.
func refuse(status int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeError(w, status, message) }
}

func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Error{Message: message})
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	for _, c := range []struct {
		class  error
		status int
	}{
		{errdef.ErrNotFound, http.StatusNotFound},
		{errdef.ErrInvalid, http.StatusBadRequest},
		{errdef.ErrConflict, http.StatusConflict},
		{errdef.ErrUnsupported, http.StatusNotImplemented},
		{errdef.ErrUnavailable, http.StatusServiceUnavailable},
		{context.DeadlineExceeded, http.StatusGatewayTimeout},
	} {
		if errors.Is(err, c.class) {
			status = c.status
			break
		}
	}
	writeError(w, status, err.Error())
}
