package registry

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// What each caller gets on each route: an answer, 401 with a challenge, 403, or 404 where even that would tell too much.
func TestWhoMayDoWhat(t *testing.T) {
	x := newWorld(t, "sqlite", nil, Options{Authorizer: rights{
		"reader":   {"pull p/a"},
		"writer":   {"pull p/a", "push p/a"},
		"deleter":  {"pull p/a", "push p/a", "delete p/a"},
		"stranger": {"hidden p/a"},
	}})
	b := x.blob("p/a", random(10))
	m := x.image("p/a", "v1", b)
	manifest := "/v2/p/a/manifests/" + m.Digest.String()
	blob := "/v2/p/a/blobs/" + b.Digest.String()
	for _, c := range []struct {
		method, path                              string
		nobody, reader, writer, deleter, stranger int
	}{
		{"GET", "/v2/", 401, 200, 200, 200, 200},
		{"GET", "/v2/_catalog", 401, 403, 403, 403, 403},
		{"GET", "/v2/p/a/tags/list", 401, 200, 200, 200, 404},
		{"GET", manifest, 401, 200, 200, 200, 404},
		{"HEAD", manifest, 401, 200, 200, 200, 404},
		{"GET", blob, 401, 200, 200, 200, 404},
		{"HEAD", blob, 401, 200, 200, 200, 404},
		{"GET", "/v2/p/a/referrers/" + m.Digest.String(), 401, 200, 200, 200, 404},
		{"PUT", "/v2/p/a/manifests/v2", 401, 403, 400, 400, 404}, // 400: it has no body
		{"POST", "/v2/p/a/blobs/uploads/", 401, 403, 202, 202, 404},
		{"PATCH", "/v2/p/a/blobs/uploads/x", 401, 403, 404, 404, 404},
		{"PUT", "/v2/p/a/blobs/uploads/x", 401, 403, 404, 404, 404},
		{"GET", "/v2/p/a/blobs/uploads/x", 401, 403, 404, 404, 404},
		{"DELETE", "/v2/p/a/blobs/uploads/x", 401, 403, 404, 404, 404},
		{"DELETE", "/v2/p/a/manifests/v1", 401, 403, 403, 202, 404},
		{"DELETE", blob, 401, 403, 403, 405, 404}, // 405: the manifest needs it
		{"GET", "/v2/p/b/tags/list", 401, 403, 403, 403, 403},
	} {
		for _, as := range []struct {
			name string
			want int
		}{{"", c.nobody}, {":wrong", 401}, {"reader", c.reader}, {"writer", c.writer}, {"deleter", c.deleter}, {"stranger", c.stranger}} {
			x.as = as.name
			a := x.call(c.method, c.path, nil)
			if a.code != as.want {
				t.Errorf("%q %s %s: %d %s, want %d", as.name, c.method, c.path, a.code, a.body, as.want)
			}
			if (a.code == 401) != (a.header.Get("WWW-Authenticate") != "") {
				t.Errorf("%q %s %s: %d with the challenge %q", as.name, c.method, c.path, a.code, a.header.Get("WWW-Authenticate"))
			}
		}
	}
}

// failing is an Authorizer whose source of users is down.
type failing struct{ rights }

func (failing) Authenticate(*http.Request) (Caller, error) {
	return nil, errors.New("ldap 10.1.2.3 is down")
}

func TestAuthorizerThatFailsLetsNobodyIn(t *testing.T) {
	x := newWorld(t, "sqlite", nil, Options{Authorizer: failing{}})
	a := x.want(500, "GET", "/v2/p/a/tags/list", nil)
	if strings.Contains(string(a.body), "ldap") {
		t.Errorf("the client is told %s", a.body)
	}
}

// A blob is mounted from where the caller may pull, whether the source is named or not; else it has to be sent.
func TestMounts(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			x := newWorld(t, kind, nil, Options{Authorizer: rights{
				"a": {"pull p/mine", "push p/mine", "pull q/open", "hidden q/secret"},
			}})
			x.project(Project{Name: "q", Quota: -1, RepoQuota: -1})
			open, secret := x.blob("q/open", random(100)), x.blob("q/secret", random(200))
			x.as = "a"
			for _, c := range []struct {
				query string
				want  int
			}{
				{"mount=" + open.Digest.String() + "&from=q/open", 201},
				{"mount=" + open.Digest.String(), 201},
				{"mount=" + open.Digest.String() + "&from=q/secret", 202},
				{"mount=" + secret.Digest.String() + "&from=q/secret", 202},
				{"mount=" + secret.Digest.String() + "&from=q/open", 202},
				{"mount=" + secret.Digest.String(), 202},
				{"mount=" + digest.FromString("nowhere").String(), 202},
				{"mount=rubbish&from=q/open", 202},
				{"mount=" + open.Digest.String() + "&from=../x", 202},
			} {
				a := x.call("POST", "/v2/p/mine/blobs/uploads/?"+c.query, nil)
				if a.code != c.want || a.header.Get("Location") == "" {
					t.Errorf("%s: %d %s, want %d", c.query, a.code, a.body, c.want)
				}
			}
			x.want(200, "HEAD", "/v2/p/mine/blobs/"+open.Digest.String(), nil)
			x.want(404, "HEAD", "/v2/p/mine/blobs/"+secret.Digest.String(), nil)
			x.sound()
		})
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	x := newWorld(t, "sqlite", nil, Options{})
	b := x.blob("p/a", random(10))
	m := manifestOf(nil, b)
	for _, c := range []struct {
		method, path string
		code         int
		want         string
	}{
		{"POST", "/v2/nowhere/a/blobs/uploads/", 404, "NAME_UNKNOWN"},
		{"PUT", "/v2/nowhere/a/manifests/v1", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/nowhere/a/tags/list", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/p/none/manifests/v1", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/p/a/manifests/none", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/p/a/manifests/sha256:abc", 400, "DIGEST_INVALID"},
		{"GET", "/v2/p/a/blobs/sha256:abc", 400, "DIGEST_INVALID"},
		{"GET", "/v2/p/a/blobs/" + digest.FromString("none").String(), 404, "BLOB_UNKNOWN"},
		{"POST", "/v2/alone/blobs/uploads/", 400, "NAME_INVALID"},
		{"POST", "/v2/p/UPPER/blobs/uploads/", 400, "NAME_INVALID"},
		{"POST", "/v2/p/" + strings.Repeat("a", 255) + "/blobs/uploads/", 400, "NAME_INVALID"},
		{"POST", "/v2/p/a/%2e%2e/%2e%2e/q/b/blobs/uploads/", 400, "NAME_INVALID"},
		{"POST", "/v2/p//a/blobs/uploads/", 400, "NAME_INVALID"},
		{"PUT", "/v2/p/a/manifests/" + strings.Repeat("t", 129), 400, "TAG_INVALID"},
		{"PUT", "/v2/p/a/manifests/.hidden", 400, "TAG_INVALID"},
		{"PUT", "/v2/p/a/manifests/v1?tag=x", 201, ""}, // a tag in the path is the only one
		{"PUT", "/v2/p/a/manifests/" + digest.FromString("other").String(), 400, "DIGEST_INVALID"},
		{"PUT", "/v2/p/a/manifests/" + digest.FromBytes(m).String() + "?tag=" + strings.Repeat("x&tag=", 100) + "x", 400, "TAG_INVALID"},
		{"PUT", "/v2/p/a/manifests/" + digest.FromBytes(m).String() + "?tag=-", 400, "TAG_INVALID"},
		{"GET", "/v2/p/a/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"},
		{"GET", "/v2/p/a/tags/list?n=many", 400, "PAGINATION_NUMBER_INVALID"},
		{"GET", "/v2/p/a/referrers/v1", 400, "DIGEST_INVALID"},
		{"GET", "/v2/p/a/referrers/" + digest.FromString("x").String() + "?last=rubbish", 400, "PAGINATION_NUMBER_INVALID"},
		{"POST", "/v2/p/a/blobs/uploads/?digest=rubbish", 400, "DIGEST_INVALID"},
		{"DELETE", "/v2/p/a/manifests/none", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/p/a/nothing", 404, "NAME_UNKNOWN"},
		{"POST", "/v2/p/a/tags/list", 405, "UNSUPPORTED"},
	} {
		a := x.call(c.method, c.path, m, "Content-Type", v1.MediaTypeImageManifest)
		if got := strings.Join(a.errors(), " "); a.code != c.code || got != c.want {
			t.Errorf("%s %.90s: %d %s, want %d %s", c.method, c.path, a.code, a.body, c.code, c.want)
		}
	}
}

func TestManifestsThatCannotBe(t *testing.T) {
	x := newWorld(t, "sqlite", nil, Options{})
	b := x.blob("p/a", random(10))
	good := fmt.Sprintf(`{"mediaType":"application/x","digest":"%s","size":10}`, b.Digest)
	for name, c := range map[string]struct {
		contentType, body, want string
		code                    int
	}{
		"no JSON":      {v1.MediaTypeImageManifest, `{`, "MANIFEST_INVALID", 400},
		"unknown type": {"application/json", `{"schemaVersion":2}`, "MANIFEST_INVALID", 400},
		"two types": {v1.MediaTypeImageManifest, `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","config":` + good + `}`,
			"MANIFEST_INVALID", 400},
		"schema 1":          {v1.MediaTypeImageManifest, `{"schemaVersion":1,"config":` + good + `}`, "MANIFEST_INVALID", 400},
		"no config":         {v1.MediaTypeImageManifest, `{"schemaVersion":2}`, "MANIFEST_INVALID", 400},
		"image and index":   {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + good + `,"manifests":[]}`, "MANIFEST_INVALID", 400},
		"index with layers": {v1.MediaTypeImageIndex, `{"schemaVersion":2,"layers":[]}`, "MANIFEST_INVALID", 400},
		"digest no digest":  {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":{"digest":"../../x","size":1}}`, "MANIFEST_INVALID", 400},
		"size below zero":   {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":{"digest":"` + b.Digest.String() + `","size":-1}}`, "MANIFEST_INVALID", 400},
		"too many layers": {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + good + `,"layers":[` +
			strings.Repeat(good+",", maxRefs) + good + `]}`, "MANIFEST_INVALID", 400},
		"too large": {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + good + `,"x":"` + strings.Repeat("x", maxManifest) + `"}`,
			"REQUEST_ENTITY_TOO_LARGE", 413},
		"blob not there": {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":{"digest":"` + digest.FromString("none").String() + `","size":1}}`,
			"MANIFEST_BLOB_UNKNOWN", 404},
		"manifest not there":  {v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + good + `]}`, "MANIFEST_BLOB_UNKNOWN", 404},
		"largest that can be": {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + good + `,"x":"` + strings.Repeat("x", maxManifest-200) + `"}`, "", 201},
	} {
		a := x.call("PUT", "/v2/p/a/manifests/v1", []byte(c.body), "Content-Type", c.contentType)
		if got := strings.Join(a.errors(), " "); got != c.want || a.code != c.code && c.want != "MANIFEST_BLOB_UNKNOWN" {
			t.Errorf("%s: %d %.300s, want %d %s", name, a.code, a.body, c.code, c.want)
		}
	}
	x.sound()
}

func TestPolicies(t *testing.T) {
	r := &rules{keep: -1, immutable: "release"}
	x := newWorld(t, "sqlite", nil, Options{Policy: r})
	b := x.blob("p/a", random(10))
	m := x.image("p/a", "release", b)
	r.pull = Violation("the image is not signed")
	for _, ref := range []string{"release", m.Digest.String()} {
		a := x.want(412, "GET", "/v2/p/a/manifests/"+ref, nil)
		if !slices.Equal(a.errors(), []string{"PROJECTPOLICYVIOLATION"}) || !strings.Contains(string(a.body), "not signed") {
			t.Errorf("%s", a.body)
		}
		x.want(200, "HEAD", "/v2/p/a/manifests/"+ref, nil) // a refusal of which would have no text
	}
	r.pull = nil
	body := manifestOf(nil, b)
	for _, c := range [][2]string{{"PUT", "release"}, {"DELETE", "release"}, {"DELETE", m.Digest.String()}} {
		a := x.want(412, c[0], "/v2/p/a/manifests/"+c[1], body, "Content-Type", v1.MediaTypeImageManifest)
		if !strings.Contains(string(a.body), "immutable") || !slices.Equal(a.errors(), []string{"PRECONDITION"}) {
			t.Errorf("%s", a.body)
		}
	}
	x.want(200, "GET", "/v2/p/a/manifests/"+m.Digest.String(), nil)
	// The same manifest once more moves nothing.
	a := x.want(200, "GET", "/v2/p/a/manifests/release", nil)
	x.want(201, "PUT", "/v2/p/a/manifests/release", a.body, "Content-Type", v1.MediaTypeImageManifest)
}

// An observer's error undoes the change that it is told of, and nobody hears that it happened.
func TestObserverThatRefuses(t *testing.T) {
	each(t, func(x *world) {
		b := x.blob("p/a", random(10))
		m := x.image("p/a", "v1", b)
		x.events.take()
		x.events.refuse = errors.New("the log is full")
		x.want(500, "PUT", "/v2/p/a/manifests/v2", manifestOf(nil, b), "Content-Type", v1.MediaTypeImageManifest)
		x.want(500, "DELETE", "/v2/p/a/manifests/"+m.Digest.String(), nil)
		x.want(500, "DELETE", "/v2/p/a/manifests/v1", nil)
		if got := x.events.take(); len(got) > 0 {
			t.Errorf("%q", got)
		}
		x.events.refuse = nil
		if a := x.want(200, "GET", "/v2/p/a/tags/list", nil); string(a.body) != `{"name":"p/a","tags":["v1"]}` {
			t.Errorf("%s", a.body)
		}
		x.sound()
	})
}

// PostgreSQL keeps no NUL and no bytes that are no UTF-8: that is the client's mistake, not the registry's.
func TestTextThatIsNone(t *testing.T) {
	each(t, func(x *world) {
		x.image("p/a", "v1", x.blob("p/a", random(10)))
		index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"artifactType":"a/\u0000b"}`
		for _, a := range []response{
			x.call("GET", "/v2/p/a/tags/list?last=%00", nil),
			x.call("GET", "/v2/p/a/tags/list?last=%ff", nil),
			x.call("GET", "/v2/_catalog?last=%00", nil),
			x.call("GET", "/v2/p/a/referrers/sha256:"+strings.Repeat("0", 64)+"?artifactType=%00", nil),
			x.call("PUT", "/v2/p/a/manifests/v2", []byte(index), "Content-Type", "application/vnd.oci.image.index.v1+json"),
		} {
			if a.code >= 500 {
				t.Errorf("%d %s", a.code, a.body)
			}
		}
	})
}
