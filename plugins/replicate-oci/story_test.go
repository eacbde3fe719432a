package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
	"github.com/openvic/vic/sdk/replicate"
	"github.com/openvic/vic/sdk/secret"
	"github.com/openvic/vic/tests/registries"
)

func request(from, to *place, user string, d v1.Descriptor, repo string) replicate.CopyRequest {
	return replicate.CopyRequest{ID: "test", From: from.endpoint(""), To: to.endpoint(user), Repository: "p/app", Digest: d.Digest.String(),
		ToRepository: repo, ToTag: "1", Parallel: 4, Referrers: true}
}

func TestHarborGetsProjectsAndTellsLabels(t *testing.T) {
	harbor := newPlace(t, registries.Harbor(name, password, registries.Distribution(t.Context(), t.TempDir())), func(next http.Handler) http.Handler { return next })
	local := newPlace(t, newMemory(), bearer)
	d := newDriver(1<<20, 100)
	image, size := image("p/app", "1", nil, []*place{local}, 5000)
	req := request(local, harbor, name, image, "mirror/deep/app")
	if _, err := d.Copy(t.Context(), req, nil); !errors.Is(err, errdef.ErrDenied) || !strings.Contains(err.Error(), "project") {
		t.Errorf("a copy to a project that is not there: %v", err)
	}
	must(t, d.Prepare(t.Context(), replicate.PrepareRequest{Remote: req.To, Repository: req.ToRepository}))
	res, err := d.Copy(t.Context(), req, nil)
	if err != nil || res.Bytes != size {
		t.Fatalf("%+v %v", res, err)
	}
	var all []replicate.Artifact
	must(t, d.List(t.Context(), replicate.ListRequest{Remote: req.To, Repositories: []string{"mirror/**"}}, func(l []replicate.Artifact) error {
		all = append(all, l...)
		return nil
	}))
	if len(all) != 1 || all[0].Digest != image.Digest.String() || !slices.Equal(all[0].Labels, []string{"of the test"}) || all[0].Pushed.IsZero() {
		t.Errorf("%+v", all)
	}
	s, err := d.Check(t.Context(), replicate.CheckRequest{Remote: req.To})
	if err != nil || s.Product != "Harbor v2.13.0" {
		t.Errorf("%+v %v", s, err)
	}
}

func TestABlobThatAnotherRepositoryHasIsMounted(t *testing.T) {
	local, remote := newPlace(t, newMemory(), bearer), newPlace(t, newMemory(), basic)
	d := newDriver(1<<20, 0)
	x, size := image("p/app", "1", nil, []*place{local}, 5000, 700)
	_, err := d.Copy(t.Context(), request(local, remote, name, x, "a/one"), nil)
	must(t, err)
	req := request(local, remote, name, x, "b/two")
	req.Via = []string{"here", "there"}
	res, err := d.Copy(t.Context(), req, nil)
	if err != nil || res.Bytes != x.Size || res.Skipped != size-x.Size {
		t.Errorf("%+v %v; the manifest has %d bytes of %d", res, err, x.Size, size)
	}
	if last := remote.via[len(remote.via)-1]; last != "here,there" {
		t.Errorf("the way is told as %q", last)
	}
}

func TestAnIndexComesWithTheSignaturesOfItsParts(t *testing.T) {
	local, remote := newPlace(t, newMemory(), bearer), newPlace(t, registries.Distribution(t.Context(), t.TempDir()), basic)
	both := []*place{local}
	amd, _ := image("p/app", "", nil, both, 100)
	arm, _ := image("p/app", "", nil, both, 200)
	_, _ = image("p/app", "", &arm, both, 30) // a signature of one part
	signed, _ := image("p/app", "", &arm, both, 40)
	_, _ = image("p/app", "", &signed, both, 50) // a referrer of a referrer
	index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{amd, arm}}
	index.SchemaVersion = 2
	root := local.manifest("p/app", "1", index)
	d := newDriver(1<<20, 0)
	res, err := d.Copy(t.Context(), request(local, remote, name, root, "p/app"), nil)
	must(t, err)
	_, referrers, _, _ := remote.store()
	if n := referrers(t, "p/app", arm.Digest.String()); n != 2 {
		t.Errorf("%d referrers of a part", n)
	}
	if n := referrers(t, "p/app", signed.Digest.String()); n != 1 || res.Referrers != 0 {
		t.Errorf("%d referrers of a referrer, %d of the index", n, res.Referrers)
	}
}

func TestWhereTheHubMayNotConnectNothingIsSent(t *testing.T) {
	local, remote := newPlace(t, newMemory(), bearer), newPlace(t, newMemory(), basic)
	e := remote.endpoint(name)
	e.Options = nil
	_, err := newDriver(1<<20, 0).Check(t.Context(), replicate.CheckRequest{Remote: e})
	if !errors.Is(err, errdef.ErrDenied) || !strings.Contains(err.Error(), "[outbound]") {
		t.Errorf("%v", err)
	}
	// The rule holds for the server that a registry sends its content from, which gets no credential either.
	var seen http.Header
	store := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	t.Cleanup(store.Close)
	to := strings.Replace(store.URL, "127.0.0.1", "127.0.0.2", 1)
	redirecting := newPlace(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		local.behind.ServeHTTP(w, r)
	}), bearer)
	x, _ := image("p/app", "1", nil, []*place{local}, 5000)
	req := request(redirecting, remote, name, x, "p/app")
	req.From.Options = map[string]string{outbound.OptionAllow: "127.0.0.1"}
	if _, err := newDriver(1<<20, 0).Copy(t.Context(), req, nil); !errors.Is(err, errdef.ErrDenied) || seen != nil {
		t.Errorf("%v, and it was asked: %v", err, seen)
	}
	to = store.URL
	req.From.SkipVerify = true
	if _, err := newDriver(1<<20, 0).Copy(t.Context(), req, nil); !errors.Is(err, errdef.ErrUnavailable) && !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if seen == nil || seen.Get("Authorization") != "" {
		t.Errorf("another server gets %v", seen)
	}
}

func TestDockerHubsNames(t *testing.T) {
	d := newDriver(1<<20, 0)
	c, err := d.open(replicate.Endpoint{URL: "https://hub.docker.com"})
	must(t, err)
	if c.base.Host != "registry-1.docker.io" || c.name("alpine") != "library/alpine" || c.name("a/b") != "a/b" {
		t.Errorf("%s %s %s", c.base, c.name("alpine"), c.name("a/b"))
	}
	if err := c.catalogue(t.Context(), nil); !errors.Is(err, errNoCatalogue) {
		t.Errorf("its catalogue: %v", err)
	}
	for _, bad := range []replicate.Endpoint{{URL: "ftp://x"}, {URL: "https://"}, {URL: "https://x?y"}, {URL: "http://x", Secret: "s"},
		{URL: "https://x", CA: []byte("none")}} {
		if _, err := d.open(bad); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestWhenToTryAgain(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for in, want := range map[string]time.Duration{"7": 7 * time.Second, "0": time.Second, "Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "999999999": replicate.MaxLater} {
		if got, ok := retryAfter(in, now); !ok || got != want {
			t.Errorf("%s: %v %v", in, got, ok)
		}
	}
	if _, ok := retryAfter("soon", now); ok {
		t.Error("a word is a time")
	}
}

func FuzzManifest(f *testing.F) {
	f.Add("application/vnd.oci.image.manifest.v1+json", `{"schemaVersion":2,"config":{"digest":"sha256:0","size":-1}}`)
	f.Add("", `{"mediaType":"a b","layers":[{}],"subject":null}`)
	f.Add("x;y", `{"manifests":[{"digest":"sha256:aa","size":1,"urls":["x"]}]}`)
	f.Fuzz(func(t *testing.T, mediaType, text string) {
		d, err := parse(mediaType, []byte(text))
		if err != nil {
			return
		}
		for _, x := range append(d.blobs(), d.Manifests...) {
			if x.Digest.Validate() != nil || x.Size < 0 {
				t.Errorf("it lets %+v through", x)
			}
		}
	})
}

func FuzzCheckpointAndLinks(f *testing.F) {
	f.Add(`{"v":1,"to":"x","uploads":{"sha256:a":{"at":"/v2","offset":-1}}}`, `</v2/_catalog?last=a>; rel="next"`)
	f.Add(`null`, `<//other.example.com/x>; rel=next`)
	f.Fuzz(func(t *testing.T, text, link string) {
		c := readCheckpoint("", "x")
		if json.Unmarshal([]byte(text), &c) == nil {
			if b, err := json.Marshal(c); err == nil {
				for d, u := range readCheckpoint(secret.Text(b), c.Place).Uploads {
					if u.Location == "" || u.Offset < 0 {
						t.Errorf("%s: %+v", d, u)
					}
				}
			}
		}
		if n := next(http.Header{"Link": {link}}, "/v2/_catalog?n=1"); n != "" && !strings.HasPrefix(n, "/") {
			t.Errorf("a list goes on at %q", n)
		}
	})
}
