package registry

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestPaths(t *testing.T) {
	for path, want := range map[string]route{
		"/v2/":                           {kind: base},
		"/v2":                            {kind: base},
		"/v2/_catalog":                   {kind: catalog},
		"/v2/p/a/tags/list":              {kind: tags, name: "p/a"},
		"/v2/p/tags/list/tags/list":      {kind: tags, name: "p/tags/list"},
		"/v2/p/a/manifests/v1":           {kind: manifests, name: "p/a", ref: "v1"},
		"/v2/p/manifests/manifests/x":    {kind: manifests, name: "p/manifests", ref: "x"},
		"/v2/p/blobs/manifests/uploads":  {kind: manifests, name: "p/blobs", ref: "uploads"},
		"/v2/p/a/blobs/sha256:x":         {kind: blobContent, name: "p/a", ref: "sha256:x"},
		"/v2/p/a/blobs/uploads":          {kind: uploads, name: "p/a"},
		"/v2/p/a/blobs/uploads/":         {kind: uploads, name: "p/a"},
		"/v2/p/a/blobs/uploads/x":        {kind: upload, name: "p/a", ref: "x"},
		"/v2/p/blobs/uploads/blobs/x":    {kind: blobContent, name: "p/blobs/uploads", ref: "x"},
		"/v2/p/blobs/uploads/referrers/": {kind: referrers, name: "p/blobs/uploads"},
	} {
		if got, ok, err := parse(path); !ok || err != nil || got != want {
			t.Errorf("%s: %+v %v %v, want %+v", path, got, ok, err, want)
		}
	}
	for _, path := range []string{"", "/", "/v1/", "/v2x", "/v2/p", "/v2/p/a", "/v2/p/a/manifests/x/y", "/v2//_catalog"} {
		if got, ok, err := parse(path); ok && err == nil {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

// Whatever a path is, what is read in it is a name that a repository can have.
func FuzzPaths(f *testing.F) {
	for _, s := range []string{"/v2/p/a/manifests/v1", "/v2/p/a/blobs/uploads/", "/v2/../x/blobs/y", "/v2/p/a/blobs/uploads/../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		x, ok, err := parse(path)
		if !ok || err != nil || x.name == "" {
			return
		}
		if checkName(x.name) != nil || strings.Contains(x.name, "..") || strings.Contains(x.ref, "/") || len(x.name) > maxName {
			t.Errorf("%q: %+v", path, x)
		}
	})
}

// Whatever a manifest is, what is taken of it can be kept.
func FuzzManifests(f *testing.F) {
	f.Add("application/vnd.oci.image.manifest.v1+json", []byte(`{"schemaVersion":2,"config":{"digest":"`+digest.FromString("x").String()+`","size":1}}`))
	f.Add("application/vnd.oci.image.index.v1+json", []byte(`{"schemaVersion":2,"manifests":[],"subject":{"digest":"`+digest.FromString("x").String()+`"}}`))
	f.Fuzz(func(t *testing.T, contentType string, payload []byte) {
		d, err := readDocument(contentType, payload)
		if err != nil {
			return
		}
		if d.total(int64(len(payload))) < int64(len(payload)) {
			t.Error("a total below the manifest's own size")
		}
		for _, b := range append(d.blobs(), d.Manifests...) {
			if b.Digest.Validate() != nil || b.Size < 0 {
				t.Errorf("%+v", b)
			}
		}
	})
}
