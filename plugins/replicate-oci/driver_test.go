package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/replicate"
	"github.com/openvic/vic/sdk/replicatetest"
	"github.com/openvic/vic/sdk/serve/strict"
	"github.com/openvic/vic/tests/registries"
)

func (p *place) asStore(user string) replicatetest.Store {
	tag, referrers, received, breaks := p.store()
	return replicatetest.Store{Endpoint: p.endpoint(user), Tag: tag, Referrers: referrers, Received: received, Break: breaks}
}

// fixture is a remote and a local registry with the same artifacts.
func fixture(t *testing.T, remote, local *place) replicatetest.Fixture {
	t.Helper()
	both := []*place{remote, local}
	const chunk = 256 << 10
	f := replicatetest.Fixture{Driver: newDriver(chunk, 0), Capabilities: replicate.Capabilities(), Remote: remote.asStore(name), Local: local.asStore(""),
		Chunk: chunk}
	add := func(repo, tag string, sizes ...int64) replicate.Artifact {
		d, n := image(repo, tag, nil, both, sizes...)
		return replicate.Artifact{Repository: repo, Tag: tag, Digest: d.Digest.String(), MediaType: d.MediaType, Size: n}
	}
	first, n := image("library/app", "1", nil, both, 10_000, 300_000)
	f.Artifacts = []replicate.Artifact{{Repository: "library/app", Tag: "1", Digest: first.Digest.String(), MediaType: first.MediaType, Size: n},
		add("library/app", "2", 20_000), add("other/deep/app", "v1.0", 0, 5)}
	for _, tag := range []string{"", scheme(first.Digest) + ".sig"} { // as the API or the tag scheme has it, and as cosign
		subject := &first
		if tag != "" {
			subject = nil
		}
		x, _ := image("library/app", tag, subject, both, 500)
		for _, p := range both {
			if tag == "" && p.ask(http.MethodGet, "/v2/library/app/referrers/"+first.Digest.String(), "", nil).Code != http.StatusOK {
				index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{x}}
				index.SchemaVersion = 2
				p.manifest("library/app", scheme(first.Digest), index)
			}
		}
	}
	f.Referrers = 2
	f.Large = add("library/large", "1", 12*chunk+77)
	bad, size := image("library/bad", "1", nil, both, 50_000)
	doc, err := parse("", remote.ask(http.MethodGet, "/v2/library/bad/manifests/1", "", nil).Body.Bytes())
	must(t, err)
	remote.lie = doc.Layers[0].Digest
	f.Corrupt = &replicate.Artifact{Repository: "library/bad", Tag: "1", Digest: bad.Digest.String(), Size: size}
	gone := httptest.NewTLSServer(nil)
	gone.Close()
	page := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	f.Gone, f.Denied, f.Wrong = f.Remote.Endpoint, f.Remote.Endpoint, f.Remote.Endpoint
	f.Gone.URL, f.Wrong.URL = gone.URL, page.URL
	f.Denied.Secret = "wrong"
	return f
}

func TestConformance(t *testing.T) {
	for kind, remote := range map[string]func(t *testing.T) *place{
		"distribution with basic authentication": func(t *testing.T) *place {
			return newPlace(t, registries.Distribution(t.Context(), t.TempDir()), basic)
		},
		"distribution with a token service": func(t *testing.T) *place {
			return newPlace(t, registries.Distribution(t.Context(), t.TempDir()), tokenService)
		},
		"a registry with the referrers API": func(t *testing.T) *place { return newPlace(t, newMemory(), basic) },
	} {
		t.Run(kind, func(t *testing.T) {
			replicatetest.Suite(t, func(t *testing.T) replicatetest.Fixture {
				return fixture(t, remote(t), newPlace(t, newMemory(), bearer))
			})
		})
	}
}

func TestTheExampleIsAConfiguration(t *testing.T) {
	c := defaults()
	must(t, strict.Decode("README.md", example(), &c))
	must(t, c.validate())
	for _, bad := range []Config{{}, {ChunkMiB: 2000}, {ChunkMiB: 1, RequestsPerSecond: -1}} {
		if bad.validate() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
