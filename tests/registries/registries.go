// Package registries makes registries that are not the hub, for tests: distribution, and one that speaks as much of Harbor's
// API as replication asks of it.
package registries

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // where content lies
	"github.com/sirupsen/logrus"
)

// Distribution is distribution v3 over a folder. It knows no referrers API, and lets everybody in.
func Distribution(ctx context.Context, folder string) http.Handler {
	logrus.SetOutput(io.Discard)
	c := &configuration.Configuration{Storage: configuration.Storage{"filesystem": {"rootdirectory": folder}, "delete": {"enabled": true},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}}}}
	c.HTTP.Secret = "of all processes of a test"
	c.Catalog.MaxEntries = 1000
	return handlers.NewApp(ctx, c)
}

// Basic lets in who has a name and a password.
func Basic(user, password string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		if u != user || subtle.ConstantTimeCompare([]byte(p), []byte(password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// harbor has projects, without which nothing can be pushed, and lists repositories and artifacts.
type harbor struct {
	next http.Handler
	mu   sync.Mutex
	// projects are public or not, by name.
	projects map[string]bool
}

// Harbor puts projects and lists before a registry. Its version is told to everybody, all else to who has the name and
// password.
func Harbor(user, password string, next http.Handler) http.Handler {
	h := &harbor{next: next, projects: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("HEAD /api/v2.0/projects", h.project)
	mux.HandleFunc("POST /api/v2.0/projects", h.make)
	mux.HandleFunc("GET /api/v2.0/repositories", h.repositories)
	mux.HandleFunc("GET /api/v2.0/projects/{project}/repositories/{repository}/artifacts", h.artifacts)
	mux.HandleFunc("/v2/", h.registry)
	locked := Basic(user, password, mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v2.0/systeminfo" {
			answer(w, map[string]string{"auth_mode": "db_auth", "harbor_version": "v2.13.0"})
			return
		}
		locked.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}

func (h *harbor) there(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.projects[name]
	return ok
}

func (h *harbor) project(w http.ResponseWriter, r *http.Request) {
	if !h.there(r.URL.Query().Get("project_name")) {
		w.WriteHeader(http.StatusNotFound)
	}
}

func (h *harbor) make(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Name     string            `json:"project_name"`
		Metadata map[string]string `json:"metadata"`
	}
	if json.NewDecoder(r.Body).Decode(&q) != nil || q.Name == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.projects[q.Name]; ok {
		w.WriteHeader(http.StatusConflict)
		return
	}
	h.projects[q.Name] = q.Metadata["public"] == "true"
	w.WriteHeader(http.StatusCreated)
}

// registry is the part below /v2/, for projects that are there.
func (h *harbor) registry(w http.ResponseWriter, r *http.Request) {
	project, _, more := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	if more && !h.there(project) {
		w.WriteHeader(http.StatusNotFound)
		answer(w, map[string]any{"errors": []map[string]string{{"code": "NOT_FOUND", "message": "project " + project + " not found"}}})
		return
	}
	h.next.ServeHTTP(w, r)
}

// ask asks the registry behind.
func (h *harbor) ask(r *http.Request, method, path string, v any) http.Header {
	q := httptest.NewRequestWithContext(r.Context(), method, path, nil)
	q.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json")
	rec := httptest.NewRecorder()
	h.next.ServeHTTP(rec, q)
	if v != nil {
		_ = json.Unmarshal(rec.Body.Bytes(), v) // what is no list is an empty one
	}
	return rec.Header()
}

// repositories has one page: tests have fewer than the hundred of it.
func (h *harbor) repositories(w http.ResponseWriter, r *http.Request) {
	var m struct{ Repositories []string }
	h.ask(r, http.MethodGet, "/v2/_catalog?n=1000", &m)
	list := []map[string]any{}
	for _, name := range m.Repositories {
		list = append(list, map[string]any{"name": name})
	}
	if p := r.URL.Query().Get("page"); p != "" && p != "1" {
		list = list[:0]
	}
	answer(w, list)
}

func (h *harbor) artifacts(w http.ResponseWriter, r *http.Request) {
	name, err := url.PathUnescape(r.PathValue("repository"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	repo := r.PathValue("project") + "/" + name
	var m struct{ Tags []string }
	h.ask(r, http.MethodGet, "/v2/"+repo+"/tags/list?n=1000", &m)
	list := []map[string]any{}
	for _, tag := range m.Tags {
		head := h.ask(r, http.MethodHead, "/v2/"+repo+"/manifests/"+tag, nil)
		list = append(list, map[string]any{"digest": head.Get("Docker-Content-Digest"), "manifest_media_type": head.Get("Content-Type"),
			"push_time": time.Now().UTC().Format(time.RFC3339), "tags": []map[string]any{{"name": tag}}, "labels": []map[string]any{{"name": "of the test"}}})
	}
	if p := r.URL.Query().Get("page"); p != "" && p != "1" {
		list = list[:0]
	}
	answer(w, list)
}
