package registries_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/upstream"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/outbound"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open lets everybody do everything.
type open struct{}

func (open) Authenticate(*http.Request) (registry.Caller, error) { return open{}, nil }
func (open) Challenge(*http.Request, []registry.Access) string   { return "" }
func (open) Name() string                                        { return "tester" }
func (open) May(context.Context, registry.Access) error          { return nil }

// world is a registry upstream, with a token service, and a hub's registry whose project "cache" is a proxy cache of it.
type world struct {
	t        *testing.T
	db       *store.Store
	up, hub  *httptest.Server
	registry *registry.Registry
	known    *registries.Registries
	endpoint registries.Endpoint
	// blobs counts the blobs that the upstream was asked for, twist, if set, may answer in its place.
	blobs atomic.Int64
	asked sync.Map // paths
	twist atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

const upstreamPassword = "up the stream"

func newRegistry(t *testing.T, db *store.Store, o registry.Options, projects ...string) *registry.Registry {
	t.Helper()
	o.Authorizer, o.Log = open{}, slog.New(slog.DiscardHandler)
	g, err := registry.New(t.Context(), db, inmemory.New(), o)
	must(t, err)
	for _, name := range projects {
		must(t, db.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := g.CreateProject(tx, registry.Project{Name: name, Quota: -1, RepoQuota: -1})
			return err
		}))
	}
	return g
}

func newWorld(t *testing.T, kind, database string) *world {
	t.Helper()
	w := &world{t: t}
	source := newRegistry(t, storetest.Open(t, storetest.URL(t, "sqlite"), registry.Schema()), registry.Options{}, "library", "team")
	w.up = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			user, password, _ := r.BasicAuth()
			if user != "hub" || password != upstreamPassword {
				rw.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = io.WriteString(rw, `{"token":"let-me-in","expires_in":300}`)
			return
		}
		if f := w.twist.Load(); f != nil && (*f)(rw, r) {
			return
		}
		if r.Header.Get("X-Pusher") == "" && r.Header.Get("Authorization") != "Bearer let-me-in" {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="up"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.asked.Store(r.URL.Path, true)
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w.blobs.Add(1)
		}
		source.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() { w.up.Close() })
	w.db = storetest.Open(t, database, registry.Schema(), registries.Schema())
	sealer, err := seal.Open(filepath.Join(t.TempDir(), "seal.key"))
	must(t, err)
	policy, err := outbound.New([]string{"127.0.0.1"}, nil)
	must(t, err)
	w.known = registries.New(w.db, sealer, policy, nil)
	w.registry = newRegistry(t, w.db, registry.Options{Upstreams: w.known, Grace: time.Nanosecond, TrashGrace: time.Nanosecond}, "own")
	w.hub = httptest.NewServer(w.registry)
	t.Cleanup(w.hub.Close)
	w.endpoint, err = w.known.Add(t.Context(), registries.Endpoint{Name: "up", Endpoint: upstream.Endpoint{URL: w.up.URL, Kind: kind, Username: "hub",
		Password: upstreamPassword, Insecure: true}})
	must(t, err)
	w.cache("cache", -1)
	return w
}

// cache makes a proxy cache.
func (w *world) cache(name string, quota int64) {
	w.t.Helper()
	must(w.t, w.db.Tx(w.t.Context(), func(tx *store.Tx) error {
		p, err := w.registry.CreateProject(tx, registry.Project{Name: name, Quota: quota, RepoQuota: -1})
		if err != nil {
			return err
		}
		return w.known.MakeProxy(tx, p.ID, w.endpoint.ID)
	}))
	w.known.Changed()
}

type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

func (w *world) do(method, url, contentType string, body []byte) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, bytes.NewReader(body))
	must(w.t, err)
	req.Header.Set("X-Pusher", "yes")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, b, err}
}

func (w *world) get(path string) answer { return w.do("GET", w.hub.URL+path, "", nil) }

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	emptyJSON = "{}"
)

// push pushes an image with one layer to the upstream, and returns its manifest and the layer's digest.
func (w *world) push(name, tag string, layer []byte) (manifest []byte, d digest.Digest) {
	w.t.Helper()
	for _, b := range [][]byte{layer, []byte(emptyJSON)} {
		if a := w.do("POST", w.up.URL+"/v2/"+name+"/blobs/uploads/?digest="+digest.FromBytes(b).String(), "application/octet-stream", b); a.status != 201 {
			w.t.Fatalf("%d %s", a.status, a.body)
		}
	}
	manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, imageType, digest.FromString(emptyJSON), digest.FromBytes(layer), len(layer))
	if a := w.do("PUT", w.up.URL+"/v2/"+name+"/manifests/"+tag, imageType, manifest); a.status != 201 {
		w.t.Fatalf("%d %s", a.status, a.body)
	}
	return manifest, digest.FromBytes(layer)
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// sound compares the rows and the storage of the hub with one another.
func (w *world) sound() {
	w.t.Helper()
	h, err := w.registry.Fsck(w.t.Context(), registry.FsckOptions{Hash: true})
	must(w.t, err)
	if h.Faults > 0 {
		w.t.Errorf("fsck: %+v", h)
	}
}

// freshCache is a proxy cache whose client has not yet met an upstream that is away.
func (w *world) freshCache() string {
	w.t.Helper()
	e := w.endpoint
	e.Name += "-again"
	var err error
	w.endpoint, err = w.known.Add(w.t.Context(), e)
	must(w.t, err)
	w.cache("fresh", -1)
	return "fresh"
}
