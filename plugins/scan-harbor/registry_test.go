package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/scan"
)

const robot = "Basic cm9ib3Q6c2VjcmV0"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// image starts a registry that has one image with these packages of dpkg, and returns a request that scans it.
func image(t *testing.T, packages ...string) scan.ScanRequest {
	t.Helper()
	content := map[string][]byte{}
	put := func(mediaType string, data []byte) ocispec.Descriptor {
		d := digest.FromBytes(data)
		content[d.String()] = data
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
	}
	var status strings.Builder
	for _, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		status.WriteString("Package: " + name + "\nStatus: install ok installed\nVersion: " + version + "\n\n")
	}
	var layer bytes.Buffer
	z := gzip.NewWriter(&layer)
	w := tar.NewWriter(z)
	must(t, w.WriteHeader(&tar.Header{Name: "var/lib/dpkg/status", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(status.Len())}))
	_, err := w.Write([]byte(status.String()))
	must(t, err)
	must(t, w.Close())
	must(t, z.Close())
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: put(ocispec.MediaTypeImageConfig, []byte(`{"os":"linux"}`)),
		Layers: []ocispec.Descriptor{put(ocispec.MediaTypeImageLayerGzip, layer.Bytes())}}
	m.SchemaVersion = 2
	text, err := json.Marshal(m)
	must(t, err)
	d := put(m.MediaType, text)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := content[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		switch {
		case r.Header.Get("Authorization") != robot:
			w.WriteHeader(http.StatusUnauthorized)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = w.Write(data)
		}
	}))
	t.Cleanup(s.Close)
	return scan.ScanRequest{ID: "scan-1", Registry: scan.Registry{URL: s.URL, Authorization: robot}, Repository: "library/app", Digest: d.Digest.String(),
		MediaType: m.MediaType, Wants: []scan.Want{scan.Vulnerability}}
}
