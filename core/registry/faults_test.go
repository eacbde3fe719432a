package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// disk is a storage with so many bytes of room.
type disk struct {
	storagedriver.StorageDriver
	room atomic.Int64
}

func (d *disk) Writer(ctx context.Context, path string, more bool) (storagedriver.FileWriter, error) {
	w, err := d.StorageDriver.Writer(ctx, path, more)
	return &diskWriter{FileWriter: w, d: d}, err
}

type diskWriter struct {
	storagedriver.FileWriter
	d *disk
}

func (w *diskWriter) Write(p []byte) (int, error) {
	if w.d.room.Add(-int64(len(p))) < 0 {
		return 0, storagedriver.Error{DriverName: "disk", Detail: fmt.Errorf("write: %w", syscall.ENOSPC)}
	}
	return w.FileWriter.Write(p)
}

// The disk fills while somebody pushes: the client is told so, what was there stays, and when there is room the same
// push goes through.
func TestDiskFullDuringPush(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			files, err := Filesystem(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			d := &disk{StorageDriver: files}
			d.room.Store(1 << 20)
			x := newWorld(t, kind, d, Options{})
			before := x.image("p/a", "v1", x.blob("p/a", random(1000)))
			content := random(2 << 20)
			a := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
			a = x.want(507, "PATCH", a.header.Get("Location"), content)
			if !slices.Equal(a.errors(), []string{"INSUFFICIENT_STORAGE"}) || !strings.Contains(string(a.body), "storage is full") {
				t.Errorf("%s", a.body)
			}
			x.want(507, "POST", "/v2/p/a/blobs/uploads/?digest="+digest.FromBytes(content).String(), content)
			x.want(200, "GET", "/v2/p/a/manifests/"+before.Digest.String(), nil)
			x.clock.forward(time.Second)
			x.collect()
			if h := x.sound(); h.Objects != 1 || h.Blobs != 1 {
				t.Errorf("%+v", h)
			}
			d.room.Store(10 << 20)
			x.image("p/a", "v2", x.blob("p/a", content))
			x.sound()
		})
	}
}

// The database's disk fills: pushes are refused with the reason, pulls go on, and so do pushes when there is room.
func TestDatabaseFullDuringPush(t *testing.T) {
	x := newWorld(t, "sqlite", nil, Options{})
	b := x.blob("p/a", random(1000))
	m := x.image("p/a", "v1", b)
	pages := func(n int) {
		t.Helper()
		err := x.store.Tx(t.Context(), func(tx *store.Tx) error { return tx.Row(fmt.Sprintf(`PRAGMA max_page_count = %d`, n)).Scan(&n) })
		if err != nil {
			t.Fatal(err)
		}
	}
	pages(1)
	body := []byte(strings.Replace(string(manifestOf(nil, b)), `{"n"`, `{"x":"`+strings.Repeat("x", 1<<20)+`","n"`, 1))
	a := x.want(507, "PUT", "/v2/p/a/manifests/v2", body, "Content-Type", v1.MediaTypeImageManifest)
	if !slices.Equal(a.errors(), []string{"INSUFFICIENT_STORAGE"}) {
		t.Errorf("%s", a.body)
	}
	x.want(200, "GET", "/v2/p/a/manifests/"+m.Digest.String(), nil)
	pages(1 << 20)
	x.want(201, "PUT", "/v2/p/a/manifests/v2", body, "Content-Type", v1.MediaTypeImageManifest)
	x.sound()
}

// A database that does not answer is told as such, and the registry goes on when it does.
func TestDatabaseThatIsAway(t *testing.T) {
	x := newWorld(t, "postgres", nil, Options{})
	m := x.image("p/a", "v1", x.blob("p/a", random(1000)))
	var name string
	if err := x.store.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	storetest.Administer(t, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`)
	storetest.Administer(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	a := x.want(503, "GET", "/v2/p/a/manifests/v1", nil)
	if !slices.Equal(a.errors(), []string{"UNAVAILABLE"}) || strings.Contains(string(a.body), name) {
		t.Errorf("%s", a.body)
	}
	x.want(503, "POST", "/v2/p/a/blobs/uploads/", nil)
	storetest.Administer(t, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS true`)
	x.want(200, "GET", "/v2/p/a/manifests/"+m.Digest.String(), nil)
	x.sound()
}

// bucket is a stand-in for S3 that fails when it is told to.
type bucket struct {
	mu    sync.Mutex
	fail  func(r *http.Request) bool // nil: never
	calls map[string]int
	url   string
}

func (b *bucket) failing(f func(r *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = f
}

func newBucket(t *testing.T) (*bucket, storagedriver.StorageDriver) {
	t.Helper()
	mem := s3mem.New()
	if err := mem.CreateBucket("hub"); err != nil {
		t.Fatal(err)
	}
	b := &bucket{calls: map[string]int{}}
	server := gofakes3.New(mem).Server()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		fail := b.fail != nil && b.fail(r)
		b.calls[r.Method]++
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			b.calls["copy"]++
		}
		b.mu.Unlock()
		if fail {
			http.Error(w, `<Error><Code>AccessDenied</Code></Error>`, http.StatusForbidden) // not retried by the client
			return
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	b.url = srv.URL
	d, err := S3(t.Context(), map[string]any{"accesskey": "a", "secretkey": "b", "region": "us-east-1", "regionendpoint": srv.URL, "forcepathstyle": true,
		"bucket": "hub", "secure": false, "encrypt": false, "v4auth": true, "skipverify": false})
	if err != nil {
		t.Fatal(err)
	}
	return b, d
}

// The whole way on S3: push in chunks, pull, ranges, delete, collect. Content is never copied.
func TestOnS3(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			b, d := newBucket(t)
			x := newWorld(t, kind, d, Options{})
			content := random(12 << 20) // more than one part
			layer := x.blob("p/a", content)
			m := x.image("p/a", "v1", layer, x.blob("p/a", nil))
			path := "/v2/p/a/blobs/" + layer.Digest.String()
			if a := x.want(200, "GET", path, nil); digest.FromBytes(a.body) != layer.Digest {
				t.Error("other content came back")
			}
			if a := x.want(206, "GET", path, nil, "Range", "bytes=7000000-7000009"); string(a.body) != string(content[7000000:7000010]) {
				t.Error("another range came back")
			}
			x.sound()
			if b.calls["copy"] > 0 {
				t.Errorf("%v", b.calls)
			}
			x.delete("p/a", m.Digest)
			for range 2 {
				x.clock.forward(2 * time.Hour)
				x.collect()
			}
			if h := x.sound(); h.Objects != 0 {
				t.Errorf("%+v", h)
			}
		})
	}
}

// S3 fails at each kind of call in turn: the client gets an error and no internals, nothing is lost or left behind, and
// the next push succeeds.
func TestS3ThatFails(t *testing.T) {
	for name, fails := range map[string]func(r *http.Request) bool{
		"at the start":   func(r *http.Request) bool { return r.Method == "POST" && r.URL.Query().Has("uploads") },
		"at a part":      func(r *http.Request) bool { return r.Method == "PUT" && r.URL.Query().Has("partNumber") },
		"at the end":     func(r *http.Request) bool { return r.Method == "POST" && r.URL.Query().Has("uploadId") },
		"at every write": func(r *http.Request) bool { return r.Method != "GET" && r.Method != "HEAD" },
		"at everything":  func(*http.Request) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			b, d := newBucket(t)
			x := newWorld(t, "sqlite", d, Options{})
			kept := x.blob("p/a", random(1000))
			x.image("p/a", "v1", kept)
			content := random(6 << 20)
			b.failing(fails)
			a := x.call("POST", "/v2/p/a/blobs/uploads/?digest="+digest.FromBytes(content).String(), content)
			if a.code != 500 || !slices.Equal(a.errors(), []string{"UNKNOWN"}) || strings.Contains(string(a.body), "AccessDenied") {
				t.Errorf("%d %s", a.code, a.body)
			}
			b.failing(nil)
			if begun := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil); name != "at the end" { // a chunk is told to have come only if it is kept
				b.failing(fails)
				x.want(500, "PATCH", begun.header.Get("Location"), content[:1000])
				b.failing(nil)
			}
			x.image("p/a", "v2", kept, x.blob("p/a", content))
			x.want(200, "GET", "/v2/p/a/blobs/"+kept.Digest.String(), nil)
			x.clock.forward(25 * time.Hour)
			x.collect()
			if h := x.sound(); h.Objects != 2 || h.Blobs != 2 {
				t.Errorf("%+v", h)
			}
			for _, table := range []string{"upload", "trash"} {
				var n int
				if err := x.store.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil || n != 0 {
					t.Errorf("%d rows in %s, %v", n, table, err)
				}
			}
			if n := b.multiparts(t); n != 0 {
				t.Errorf("%d uploads that S3 would bill for ever", n)
			}
		})
	}
}

// multiparts counts the uploads that S3 has begun and not ended.
func (b *bucket) multiparts(t *testing.T) int {
	t.Helper()
	res, err := http.Get(b.url + "/hub?uploads")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(body), "ListMultipartUploadsResult") {
		t.Fatalf("%s %v", body, err)
	}
	return strings.Count(string(body), "<Upload>")
}

// Clients may be sent to the storage for content, and are told its digest on the way.
func TestRedirectionToS3(t *testing.T) {
	_, d := newBucket(t)
	x := newWorld(t, "sqlite", d, Options{Redirect: true})
	content := random(1000)
	b := x.blob("p/a", content)
	path := "/v2/p/a/blobs/" + b.Digest.String()
	a := x.want(307, "GET", path, nil)
	if a.header.Get("Docker-Content-Digest") != b.Digest.String() {
		t.Errorf("%v", a.header)
	}
	x.as = ""
	if got := x.want(200, "GET", a.header.Get("Location"), nil); string(got.body) != string(content) {
		t.Error("other content is there")
	}
	x.as = "root"
	x.want(200, "HEAD", path, nil)
	empty := x.blob("p/a", nil)
	x.want(200, "GET", "/v2/p/a/blobs/"+empty.Digest.String(), nil)
}

// Two processes on one PostgreSQL and one bucket are one registry: an upload goes on at the other, and what one has the
// other serves and collects.
func TestTwoProcessesAreOneRegistry(t *testing.T) {
	_, d := newBucket(t)
	x := newWorld(t, "postgres", d, Options{})
	other, err := New(t.Context(), x.store, d, x.g.o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(other)
	t.Cleanup(srv.Close)
	urls := []string{x.url, srv.URL}
	content := random(12 << 20)
	a := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
	for i := range 3 {
		x.url = urls[i%2]
		a = x.want(202, "PATCH", a.header.Get("Location"), content[i*4<<20:(i+1)*4<<20])
	}
	x.url = urls[1]
	x.want(201, "PUT", a.header.Get("Location")+"&digest="+digest.FromBytes(content).String(), nil)
	m := x.image("p/a", "v1", v1.Descriptor{Digest: digest.FromBytes(content), Size: int64(len(content))})
	x.url = urls[0]
	if a := x.want(200, "GET", "/v2/p/a/blobs/"+digest.FromBytes(content).String(), nil); digest.FromBytes(a.body) != digest.FromBytes(content) {
		t.Error("other content came back")
	}
	x.delete("p/a", m.Digest)
	var wg sync.WaitGroup
	for range 2 {
		x.clock.forward(2 * time.Hour)
		for _, g := range []*Registry{x.g, other} {
			wg.Go(func() {
				if _, err := g.Collect(t.Context(), CollectOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if h := x.sound(); h.Objects != 0 || h.Blobs != 0 {
		t.Errorf("%+v", h)
	}
}
