package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	schema2Manifest = "application/vnd.docker.distribution.manifest.v2+json"
	schema2Config   = "application/vnd.docker.container.image.v1+json"
	schema2Gzip     = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	schema2Tar      = "application/vnd.docker.image.rootfs.diff.tar"
)

// testRegistry is a real registry on loopback whose answers a test can bend.
type testRegistry struct {
	*httptest.Server
	t    *testing.T
	next http.Handler

	mu     sync.Mutex
	bend   func(w http.ResponseWriter, r *http.Request, next http.Handler) // nil: as it is
	blobs  []string                                                        // "GET digest range"
	active int
	peak   int
}

func newTestRegistry(t *testing.T) *testRegistry {
	t.Helper()
	conf := &configuration.Configuration{
		Storage: configuration.Storage{"filesystem": {"rootdirectory": t.TempDir()}, "delete": {"enabled": true}},
		Log:     configuration.Log{AccessLog: configuration.AccessLog{Disabled: true}, Level: "fatal"},
		Catalog: configuration.Catalog{MaxEntries: 100},
	}
	app := handlers.NewApp(t.Context(), conf)
	r := &testRegistry{t: t, next: app}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.Server.Close()
		_ = app.Shutdown()
	})
	return r
}

func (r *testRegistry) host() string { return strings.TrimPrefix(r.URL, "http://") }

func (r *testRegistry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	bend := r.bend
	blob := q.Method == http.MethodGet && strings.Contains(q.URL.Path, "/blobs/sha")
	if blob {
		_, d, _ := strings.Cut(q.URL.Path, "/blobs/")
		r.blobs = append(r.blobs, strings.TrimSpace(d+" "+q.Header.Get("Range")))
		r.active++
		r.peak = max(r.peak, r.active)
		defer func() {
			r.mu.Lock()
			r.active--
			r.mu.Unlock()
		}()
	}
	r.mu.Unlock()
	if bend != nil {
		bend(w, q, r.next)
		return
	}
	r.next.ServeHTTP(w, q)
}

func (r *testRegistry) setBend(f func(http.ResponseWriter, *http.Request, http.Handler)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bend = f
}

// requests lists what was asked of a blob.
func (r *testRegistry) requests(d digest.Digest) (got []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.blobs {
		if rest, ok := strings.CutPrefix(b, d.String()); ok {
			got = append(got, strings.TrimSpace(rest))
		}
	}
	return got
}

func (r *testRegistry) put(url, mediaType string, body []byte) {
	r.t.Helper()
	q, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		msg, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("PUT %s: %s: %s", url, resp.Status, msg)
	}
}

func (r *testRegistry) putBlob(repo string, data []byte) digest.Digest {
	r.t.Helper()
	d := digest.FromBytes(data)
	resp, err := http.Post(r.URL+"/v2/"+repo+"/blobs/uploads/", "", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	loc := resp.Header.Get("Location")
	sep := "?"
	if strings.Contains(loc, "?") {
		sep = "&"
	}
	r.put(loc+sep+"digest="+d.String(), "application/octet-stream", data)
	return d
}

// layer is one layer of a test image.
type layer struct {
	tar  []byte
	comp string // "gzip", "zstd", "" for plain
}

func (l layer) diffID() digest.Digest { return digest.FromBytes(l.tar) }

func (l layer) blob(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch l.comp {
	case "gzip":
		w, _ = gzip.NewWriterLevel(&b, gzip.BestSpeed)
	case "zstd":
		w, _ = zstd.NewWriter(&b)
	default:
		return l.tar
	}
	if _, err := w.Write(l.tar); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return b.Bytes()
}

// files makes a tar of files with their names as content; big ones have size bytes.
func files(size int, names ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range names {
		data := noise(n, size)
		_ = w.WriteHeader(&tar.Header{Name: n, Mode: 0o644, Size: int64(len(data))})
		_, _ = w.Write(data)
	}
	_ = w.Close()
	return b.Bytes()
}

// tarOf makes a tar of one file.
func tarOf(name string, data []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(data) + 4096)
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))})
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

// noise is data that does not compress, always the same for one seed.
func noise(seed string, size int) []byte {
	out := make([]byte, 0, size+32)
	for block := digest.FromString(seed); len(out) < size; block = digest.FromString(block.String()) {
		out = append(out, block.Encoded()...)
	}
	return out[:size]
}

func gz(tars ...[]byte) (ls []layer) {
	for _, t := range tars {
		ls = append(ls, layer{t, "gzip"})
	}
	return ls
}

// chains are the storage layer IDs of a stack of layers.
func chains(ls []layer) (ids []string) {
	var diffs []digest.Digest
	for _, l := range ls {
		diffs = append(diffs, l.diffID())
		ids = append(ids, identity.ChainID(append([]digest.Digest(nil), diffs...)).Encoded())
	}
	return ids
}

// pushed is an image in the registry.
type pushed struct {
	manifest ocispec.Descriptor
	blobs    []digest.Digest
	chains   []string
}

// push stores an image. oci chooses the media types; tag may be empty.
func (r *testRegistry) push(repo, tag string, oci bool, ls []layer, change ...func(*ocispec.Image)) pushed {
	r.t.Helper()
	img := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	img.Config.Cmd = []string{"run", repo}
	img.RootFS.Type = "layers"
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: schema2Manifest}
	if oci {
		m.MediaType = ocispec.MediaTypeImageManifest
	}
	p := pushed{chains: chains(ls)}
	for _, l := range ls {
		img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, l.diffID())
		data := l.blob(r.t)
		d := r.putBlob(repo, data)
		p.blobs = append(p.blobs, d)
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: mediaType(oci, l.comp), Digest: d, Size: int64(len(data))})
	}
	for _, c := range change {
		c(&img)
	}
	conf, _ := json.Marshal(img)
	m.Config = ocispec.Descriptor{MediaType: schema2Config, Digest: r.putBlob(repo, conf), Size: int64(len(conf))}
	if oci {
		m.Config.MediaType = ocispec.MediaTypeImageConfig
	}
	p.manifest = r.putManifest(repo, tag, m.MediaType, m)
	p.manifest.Platform = &img.Platform
	return p
}

func (r *testRegistry) putManifest(repo, tag, mediaType string, m any) ocispec.Descriptor {
	r.t.Helper()
	body, _ := json.Marshal(m)
	d := digest.FromBytes(body)
	if tag == "" {
		tag = d.String()
	}
	r.put(fmt.Sprintf("%s/v2/%s/manifests/%s", r.URL, repo, tag), mediaType, body)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}
}

func mediaType(oci bool, comp string) string {
	switch {
	case oci && comp == "":
		return ocispec.MediaTypeImageLayer
	case oci:
		return ocispec.MediaTypeImageLayer + "+" + comp
	case comp == "gzip":
		return schema2Gzip
	}
	return schema2Tar
}
