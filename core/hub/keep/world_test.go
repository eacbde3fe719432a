package keep

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
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/immutable"
	"github.com/openvic/vic/core/hub/labels"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/retention"
	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func schemas() []store.Schema {
	return []store.Schema{registry.Schema(), people.Schema(), audit.Schema(), robots.Schema(), immutable.Schema(), labels.Schema(), retention.Schema()}
}

// everybody may do everything.
type everybody struct{}

func (everybody) Authenticate(*http.Request) (registry.Caller, error) { return everybody{}, nil }
func (everybody) Challenge(*http.Request, []registry.Access) string   { return "" }
func (everybody) Name() string                                        { return "ann" }
func (everybody) May(context.Context, registry.Access) error          { return nil }

// files is an empty folder as storage.
func files(t *testing.T) storagedriver.StorageDriver {
	t.Helper()
	d, err := registry.Filesystem(filepath.Join(t.TempDir(), "objects"))
	must(t, err)
	return d
}

// bucket is an empty bucket of a server of S3.
func bucket(t *testing.T) storagedriver.StorageDriver {
	t.Helper()
	mem := s3mem.New()
	must(t, mem.CreateBucket("hub"))
	srv := httptest.NewServer(gofakes3.New(mem).Server())
	t.Cleanup(srv.Close)
	d, err := registry.S3(t.Context(), map[string]any{"accesskey": "a", "secretkey": "b", "region": "us-east-1", "regionendpoint": srv.URL, "forcepathstyle": true,
		"bucket": "hub", "secure": false, "encrypt": false, "v4auth": true, "skipverify": false})
	must(t, err)
	return d
}

// world is a hub's database, storage and data folder.
type world struct {
	t       *testing.T
	url     string
	db      *store.Store
	driver  storagedriver.StorageDriver
	data    string
	handler *registry.Registry
}

// place is where a hub may go.
func place(t *testing.T, kind string, driver storagedriver.StorageDriver) Place {
	t.Helper()
	return Place{URL: storetest.URL(t, kind), Schemas: schemas(), Storage: driver, Data: t.TempDir()}
}

// at is the hub whose data lies at a place.
func at(t *testing.T, p Place) *world {
	t.Helper()
	w := &world{t: t, url: p.URL, driver: p.Storage, data: p.Data, db: storetest.Open(t, p.URL, p.Schemas...)}
	var err error
	w.handler, err = registry.New(t.Context(), w.db, p.Storage, registry.Options{Authorizer: everybody{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	return w
}

// newWorld is a hub with a project, a few images, a robot, lines in its log, an upload under way and trash.
func newWorld(t *testing.T, kind string, driver storagedriver.StorageDriver) *world {
	t.Helper()
	w := at(t, place(t, kind, driver))
	_, err := seal.Open(filepath.Join(w.data, SealKey))
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(w.data, "tls"), 0o700))
	must(t, os.WriteFile(filepath.Join(w.data, "tls", "ca.pem"), []byte("an authority"), 0o600))
	must(t, w.db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := w.handler.CreateProject(tx, registry.Project{Name: "p", Public: true, Quota: -1, RepoQuota: -1})
		return err
	}))
	for i := range 3 {
		w.push(fmt.Sprint("p/a", i))
	}
	must(t, w.db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO audit_line (at, caller, caller_kind, address, agent, operation, resource_type, resource, project, outcome, detail)
			VALUES (1, 'ann', 'password', '', 'an "agent" <of> hers', 'create', 'project', $1, 0, 201, '')`, "Käse \u2028 & co")
		return err
	}))
	w.want(202, "POST", "/v2/p/a0/blobs/uploads/", "", nil)
	return w
}

func (w *world) want(status int, method, path, contentType string, body []byte) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, bytes.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	a := httptest.NewRecorder()
	w.handler.ServeHTTP(a, r)
	if a.Code != status {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, a.Code, a.Body, status)
	}
	return a
}

// push pushes an image with content of its own to the tag "1" of a repository. It returns the layer.
func (w *world) push(repo string) digest.Digest {
	w.t.Helper()
	blob := func(n int) v1.Descriptor {
		b := make([]byte, n)
		_, _ = rand.Read(b)
		d := digest.FromBytes(b)
		w.want(201, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+d.String(), "application/octet-stream", b)
		return v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: d, Size: int64(n)}
	}
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: blob(300), Layers: []v1.Descriptor{blob(100_000), {MediaType: v1.MediaTypeImageLayer,
		Digest: digest.FromString("")}}}
	w.want(201, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+digest.FromString("").String(), "application/octet-stream", nil)
	m.SchemaVersion = 2
	text, err := json.Marshal(m)
	must(w.t, err)
	w.want(201, "PUT", "/v2/"+repo+"/manifests/1", m.MediaType, text)
	return m.Layers[0].Digest
}

func (w *world) hub() Hub {
	return Hub{DB: w.db, Schemas: schemas(), Storage: w.driver, Data: w.data, Name: "hub", Version: "test"}
}

// sums are those of all that is kept.
func (w *world) sums() map[string]Sum {
	w.t.Helper()
	var sums map[string]Sum
	must(w.t, w.db.Snapshot(w.t.Context(), func(q store.Querier) (err error) {
		sums, err = dump(w.t.Context(), q, w.db.Kind(), schemas(), io.Discard)
		return err
	}))
	return sums
}

// sound reads everything that a hub has and compares it. objects and blobs are how many there must be.
func (w *world) sound(objects, blobs int) {
	w.t.Helper()
	h, err := w.handler.Fsck(w.t.Context(), registry.FsckOptions{Hash: true})
	must(w.t, err)
	if h.Faults > 0 || h.Objects != objects || h.Blobs != blobs {
		w.t.Errorf("%+v; want %d objects, %d blobs", h, objects, blobs)
	}
}

// faulty is a storage of which some calls fail.
type faulty struct {
	storagedriver.StorageDriver
	writes atomic.Int64            // how many may begin; below 0: all
	read   func(path string) error // asked before each read, if not nil
}

func (f *faulty) Writer(ctx context.Context, path string, more bool) (storagedriver.FileWriter, error) {
	if f.writes.Add(-1) == -1 {
		return nil, fmt.Errorf("the power is off")
	}
	return f.StorageDriver.Writer(ctx, path, more)
}

func (f *faulty) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	if f.read != nil {
		if err := f.read(path); err != nil {
			return nil, err
		}
	}
	return f.StorageDriver.Reader(ctx, path, offset)
}

func wrong(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}
