package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimURL) != "" {
		serveVictim()
		return
	}
	os.Exit(storetest.Main(m))
}

// rights is an Authorizer by Basic authentication: a name, and the word "wrong" for a password that is. Whom it does not
// know may do nothing; "root" may do everything.
type rights map[string][]string // "name" -> "pull a/b", "push a/b", "hidden a/b"

func (x rights) Authenticate(r *http.Request) (Caller, error) {
	name, password, ok := r.BasicAuth()
	if ok && password == "wrong" {
		return nil, ErrUnauthenticated
	}
	return &caller{name: name, may: x[name]}, nil
}

func (rights) Challenge(_ *http.Request, wanted []Access) string {
	return fmt.Sprintf(`Basic realm="test", wanted="%d"`, len(wanted))
}

type caller struct {
	name string
	may  []string
}

func (c *caller) Name() string { return c.name }

func (c *caller) May(_ context.Context, a Access) error {
	switch {
	case c.name == "root", c.name != "" && a == Access{}, slices.Contains(c.may, string(a.Action)+" "+a.Name):
		return nil
	case c.name == "":
		return ErrUnauthenticated
	case slices.Contains(c.may, "hidden "+a.Name):
		return ErrHidden
	}
	return ErrDenied
}

// world is a registry and a client of it.
type world struct {
	t      *testing.T
	g      *Registry
	store  *store.Store
	driver storagedriver.StorageDriver
	url    string
	as     string // the caller
	clock  *clock
	events *recorder
}

// clock is the registry's time, which tests move.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// recorder is an Observer that keeps what it is told.
type recorder struct {
	mu       sync.Mutex
	happened []string
	changing int
	refuse   error
}

func (o *recorder) Changing(_ *store.Tx, e Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changing++
	return o.refuse
}

func (o *recorder) Happened(_ context.Context, e Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.happened = append(o.happened, fmt.Sprintf("%s %s %s %v", e.Caller, e.Kind, e.Artifact.Repository, e.Tags))
}

func (o *recorder) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.happened
	o.happened = nil
	return l
}

// each runs a test on each kind of database, with files as storage.
func each(t *testing.T, test func(*world)) {
	t.Helper()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) { test(newWorld(t, kind, nil, Options{})) })
	}
}

// newWorld makes a registry with a project "p". A nil driver is a folder.
func newWorld(t *testing.T, kind string, driver storagedriver.StorageDriver, o Options) *world {
	t.Helper()
	x := &world{t: t, as: "root", clock: &clock{}, events: &recorder{}, store: storetest.Open(t, storetest.URL(t, kind), Schema()), driver: driver}
	if driver == nil {
		var err error
		if x.driver, err = Filesystem(filepath.Join(t.TempDir(), "objects")); err != nil {
			t.Fatal(err)
		}
	}
	if o.Authorizer == nil {
		o.Authorizer = rights{}
	}
	if o.Observer == nil {
		o.Observer = x.events
	}
	o.Log, o.Now = slog.New(slog.NewTextHandler(t.Output(), nil)), x.clock.now
	g, err := New(t.Context(), x.store, x.driver, o)
	if err != nil {
		t.Fatal(err)
	}
	x.g = g
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	x.url = srv.URL
	x.project(Project{Name: "p", Quota: -1, RepoQuota: -1})
	return x
}

func (x *world) project(p Project) Project {
	x.t.Helper()
	err := x.store.Tx(x.t.Context(), func(tx *store.Tx) (err error) {
		p, err = x.g.CreateProject(tx, p)
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return p
}

// exec changes what a test has no request for.
func (x *world) exec(query string, args ...any) {
	x.t.Helper()
	err := x.store.Tx(x.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

// response is what came back.
type response struct {
	code   int
	header http.Header
	body   []byte
}

// errors are the codes in an error's body.
func (a response) errors() (codes []string) {
	var b struct {
		Errors []struct{ Code, Message string }
	}
	_ = json.Unmarshal(a.body, &b)
	for _, e := range b.Errors {
		codes = append(codes, e.Code)
	}
	return codes
}

func (x *world) call(method, path string, body []byte, header ...string) response {
	x.t.Helper()
	base, err := url.Parse(x.url)
	if err != nil {
		x.t.Fatal(err)
	}
	at, err := base.Parse(path)
	if err != nil {
		x.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(x.t.Context(), method, at.String(), bytes.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	if name, password, ok := strings.Cut(x.as, ":"); name != "" || ok {
		req.SetBasicAuth(name, password)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		x.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, b}
}

// want calls and fails the test unless the status is the one that is wanted.
func (x *world) want(code int, method, path string, body []byte, header ...string) response {
	x.t.Helper()
	a := x.call(method, path, body, header...)
	if a.code != code {
		x.t.Fatalf("%s %s: %d %s, want %d", method, path, a.code, a.body, code)
	}
	return a
}

// blob pushes content as docker does: POST, PATCH, PUT.
func (x *world) blob(repo string, content []byte) v1.Descriptor {
	x.t.Helper()
	d := digest.FromBytes(content)
	a := x.want(202, "POST", "/v2/"+repo+"/blobs/uploads/", nil)
	a = x.want(202, "PATCH", a.header.Get("Location"), content, "Content-Type", octets)
	x.want(201, "PUT", a.header.Get("Location")+"&digest="+d.String(), nil)
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: d, Size: int64(len(content))}
}

// image pushes a manifest of blobs, the first of them its config. It returns its descriptor.
func (x *world) image(repo, ref string, blobs ...v1.Descriptor) v1.Descriptor {
	x.t.Helper()
	m := manifestOf(nil, blobs...)
	d := digest.FromBytes(m)
	if ref == "" {
		ref = d.String()
	}
	x.want(201, "PUT", "/v2/"+repo+"/manifests/"+ref, m, "Content-Type", v1.MediaTypeImageManifest)
	return v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d, Size: int64(len(m))}
}

func manifestOf(subject *v1.Descriptor, blobs ...v1.Descriptor) []byte {
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: blobs[0], Layers: blobs[1:], Subject: subject, Annotations: map[string]string{"n": rand.Text()}}
	m.SchemaVersion = 2
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func TestPushAndPull(t *testing.T) {
	each(t, func(x *world) {
		config, layer := random(300), random(3<<20)
		m := x.image("p/a", "v1", x.blob("p/a", config), x.blob("p/a", layer))
		for _, ref := range []string{"v1", m.Digest.String()} {
			a := x.want(200, "GET", "/v2/p/a/manifests/"+ref, nil)
			if digest.FromBytes(a.body) != m.Digest || a.header.Get("Docker-Content-Digest") != m.Digest.String() || a.header.Get("Content-Type") != m.MediaType {
				x.t.Errorf("%s: %v", ref, a.header)
			}
		}
		a := x.want(200, "GET", "/v2/p/a/blobs/"+digest.FromBytes(layer).String(), nil)
		if !bytes.Equal(a.body, layer) || !strings.Contains(a.header.Get("Cache-Control"), "immutable") {
			x.t.Errorf("%d bytes, %v", len(a.body), a.header)
		}
		a = x.want(206, "GET", "/v2/p/a/blobs/"+digest.FromBytes(layer).String(), nil, "Range", "bytes=1048576-1048675")
		if !bytes.Equal(a.body, layer[1<<20:1<<20+100]) {
			x.t.Error("the range is not what was asked for")
		}
		if a := x.want(200, "GET", "/v2/p/a/tags/list", nil); string(a.body) != `{"name":"p/a","tags":["v1"]}` {
			x.t.Errorf("%s", a.body)
		}
		if a := x.want(200, "GET", "/v2/_catalog", nil); string(a.body) != `{"repositories":["p/a"]}` {
			x.t.Errorf("%s", a.body)
		}
		want := []string{"root push p/a [v1]", "root pull p/a [v1]", "root pull p/a []"}
		if got := x.events.take(); !slices.Equal(got, want) {
			x.t.Errorf("events %q, want %q", got, want)
		}
		p, err := x.g.FindProject(x.t.Context(), x.store, "p")
		if err != nil || p.Used != 300+3<<20+m.Size || p.Repos != 1 {
			x.t.Errorf("%+v %v", p, err)
		}
	})
}

// waitFor waits until something that another goroutine does is done.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to be in 30 s")
		}
	}
}

func tagsOf(t *testing.T, body []byte) []string {
	t.Helper()
	var list struct{ Tags []string }
	if err := json.Unmarshal(body, &list); err != nil || list.Tags == nil {
		t.Fatalf("%s %v", body, err)
	}
	return list.Tags
}
