package dockerapi_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/log"
	dockerevents "github.com/docker/docker/daemon/events"

	"github.com/openvic/vic/core/dockerapi"
	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/engine/enginetest"
	"github.com/openvic/vic/core/image"
	"github.com/openvic/vic/sdk/guest"
)

// api is a served API that is spoken to without the docker CLI.
type api struct {
	t       *testing.T
	world   *enginetest.World
	engine  *engine.Engine
	options dockerapi.Options
	handler http.Handler
	url     string
	// registry is the address of one that lets everyone in and holds nothing.
	registry string

	mu     sync.Mutex
	panics []string
}

// TestMain silences Docker's and containerd's own logs, which tell of each hostile request.
func TestMain(m *testing.M) {
	if err := log.SetLevel("fatal"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func serveAPI(t *testing.T) *api {
	t.Helper()
	return serveWorld(t, enginetest.New(t))
}

func serveWorld(t *testing.T, w *enginetest.World) *api {
	t.Helper()
	a := &api{t: t, world: w}
	e, hub, _ := a.world.Engine()
	a.engine = e
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	events := dockerevents.New()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := image.New(ctx, image.Options{Root: t.TempDir(), Layers: a.world.Storage, Events: events, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	a.options = dockerapi.Options{Engine: e, Images: withFakes(store.Backend()), Hub: hub, Events: events, Name: "vch1", Version: "test", ID: "id"}
	h, err := dockerapi.New(ctx, a.options)
	if err != nil {
		t.Fatal(err)
	}
	a.handler = a.watched(h)
	srv := httptest.NewUnstartedServer(a.handler)
	srv.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), slog.LevelInfo)
	srv.Start()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	a.url = srv.URL
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(registry.Close)
	a.registry = strings.TrimPrefix(registry.URL, "http://")
	return a
}

// backendImages resolves what containers are made of with the fake and does all else for real.
type backendImages struct {
	image.Backend
	resolve fakeImages
}

func withFakes(b image.Backend) dockerapi.Images { return backendImages{Backend: b} }

// Resolve implements dockerapi.Images.
func (i backendImages) Resolve(ctx context.Context, ref string) (dockerapi.Image, error) {
	return i.resolve.Resolve(ctx, ref)
}

// Commit implements dockerapi.Images.
func (i backendImages) Commit(ctx context.Context, r dockerapi.CommitRequest) (string, error) {
	return i.resolve.Commit(ctx, r)
}

// watched reports panics, which net/http would hide from the test.
func (a *api) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler {
				a.mu.Lock()
				a.panics = append(a.panics, fmt.Sprintf("%s %.200s: %v\n%s", r.Method, r.URL, p, debug.Stack()))
				a.mu.Unlock()
			}
			panic(http.ErrAbortHandler)
		}()
		next.ServeHTTP(w, r)
	})
}

func (a *api) noPanics() {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, p := range a.panics {
		if i < 3 {
			a.t.Error("panic:", p)
		}
	}
	if n := len(a.panics); n > 3 {
		a.t.Errorf("and %d panics more", n-3)
	}
	a.panics = nil
}

// container makes a container; run says whether it runs.
func (a *api) container(name string, run bool) engine.Container {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := a.engine.Create(ctx, engine.CreateRequest{Name: name, Spec: engine.Spec{
		Image: engine.Image{ID: imageID, Ref: "busybox", Layer: enginetest.Layer}, Process: guest.Process{Args: []string{"sleep"}}}})
	if err == nil && run {
		err = a.engine.Start(ctx, name)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// answer is what came back; the body's beginning.
type answer struct {
	code int
	typ  string
	body string
}

// do sends one request and reads the beginning of what comes back. A stream is left after its head.
func (a *api) do(ctx context.Context, method, path, contentType, body string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	out := answer{code: resp.StatusCode, typ: resp.Header.Get("Content-Type")}
	if resp.StatusCode >= 400 {
		b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		out.body = string(b)
		return out, err
	}
	return out, nil
}
