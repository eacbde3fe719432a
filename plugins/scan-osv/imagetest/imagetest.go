// Package imagetest makes images, a registry that has them, and archives of OSV's records, for tests and measurements.
package imagetest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/scan"
)

// File is an entry of a layer. A Name that ends with "/" is a directory; Link is the target of a hard link.
type File struct {
	Name, Text, Link string
	Mode             int64 // 0: 0644
}

// Tar is the archive of a layer.
func Tar(t testing.TB, files ...File) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Typeflag: tar.TypeReg, Size: int64(len(f.Text)), Mode: f.Mode}
		switch {
		case strings.HasSuffix(f.Name, "/"):
			h.Typeflag = tar.TypeDir
		case f.Link != "":
			h.Typeflag, h.Linkname = tar.TypeLink, f.Link
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.Text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Gzip compresses.
func Gzip(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Layer is a layer as a registry has it.
type Layer struct {
	Blob      []byte
	DiffID    digest.Digest
	MediaType string
}

// NewLayer makes one.
func NewLayer(t testing.TB, files ...File) Layer {
	archive := Tar(t, files...)
	return Layer{Blob: Gzip(t, archive), DiffID: digest.FromBytes(archive), MediaType: ocispec.MediaTypeImageLayerGzip}
}

// Registry is one that has images, behind basic authentication.
type Registry struct {
	URL           string
	Authorization string // the header that it wants

	mu    sync.Mutex
	blobs map[string][]byte // by digest; manifests too
	gets  map[string]int    // how often a digest was asked for
}

// NewRegistry starts one; it ends with t.
func NewRegistry(t testing.TB) *Registry {
	r := &Registry{blobs: map[string][]byte{}, gets: map[string]int{}, Authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte("robot:secret"))}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

// ServeHTTP answers for all repositories alike.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Header.Get("Authorization") != r.Authorization {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	d := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
	r.mu.Lock()
	data, ok := r.blobs[d]
	r.gets[d]++
	r.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = w.Write(data)
}

// Put keeps content and returns its descriptor.
func (r *Registry) Put(mediaType string, data []byte) ocispec.Descriptor {
	d := digest.FromBytes(data)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[d.String()] = data
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

// Gets says how often a digest was asked for.
func (r *Registry) Gets(d digest.Digest) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gets[d.String()]
}

// PutJSON keeps a document.
func (r *Registry) PutJSON(t testing.TB, mediaType string, v any) ocispec.Descriptor {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return r.Put(mediaType, data)
}

// Image puts an image together and returns a request that scans it.
func (r *Registry) Image(t testing.TB, list ...Layer) scan.ScanRequest {
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range list {
		m.Layers = append(m.Layers, r.Put(l.MediaType, l.Blob))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.DiffID)
	}
	m.Config = r.PutJSON(t, ocispec.MediaTypeImageConfig, config)
	return r.Request(r.PutJSON(t, ocispec.MediaTypeImageManifest, m))
}

// Request scans a manifest of this registry.
func (r *Registry) Request(d ocispec.Descriptor) scan.ScanRequest {
	return scan.ScanRequest{ID: "scan-1", Registry: scan.Registry{URL: r.URL, Authorization: "Basic cm9ib3Q6c2VjcmV0"}, Repository: "library/app",
		Digest: d.Digest.String(), MediaType: d.MediaType}
}

// Record is one of OSV's, with what tests set.
type Record struct {
	ID, Ecosystem, Package string
	Fixed                  string // empty: all versions are affected
	Upstream               []string
	Vector, Urgency, Word  string
	Withdrawn              bool
}

// JSON is the record as OSV has it.
func (r Record) JSON(t testing.TB) []byte {
	t.Helper()
	events := []any{map[string]any{"introduced": "0"}}
	if r.Fixed != "" {
		events = append(events, map[string]any{"fixed": r.Fixed})
	}
	kind := "ECOSYSTEM"
	if r.Ecosystem == "npm" || r.Ecosystem == "Go" || r.Ecosystem == "crates.io" {
		kind = "SEMVER"
	}
	rec := map[string]any{"id": r.ID, "summary": "A weakness of " + r.Package, "details": "Made up for tests.", "upstream": r.Upstream,
		"published":  "2026-01-02T03:04:05Z",
		"references": []any{map[string]any{"type": "WEB", "url": "https://example.com/" + r.ID}},
		"affected": []any{map[string]any{"package": map[string]any{"ecosystem": r.Ecosystem, "name": r.Package},
			"ranges":             []any{map[string]any{"type": kind, "events": events}},
			"ecosystem_specific": map[string]any{"urgency": r.Urgency}}},
		"database_specific": map[string]any{"severity": r.Word, "cwe_ids": []string{"CWE-79"}}}
	if r.Vector != "" {
		rec["severity"] = []any{map[string]any{"type": "CVSS_V3", "score": r.Vector}}
	}
	if r.Withdrawn {
		rec["withdrawn"] = "2026-02-03T04:05:06Z"
	}
	text, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Zip is the archive of an ecosystem.
func Zip(t testing.TB, list ...Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, r := range list {
		f, err := w.Create(r.ID + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(r.JSON(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
