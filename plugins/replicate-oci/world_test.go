package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/outbound"
	"github.com/openvic/vic/sdk/replicate"
	"github.com/openvic/vic/sdk/secret"
	"github.com/openvic/vic/tests/registries"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// place is a registry that counts what arrives, breaks connections and lies about content when a test asks for it.
type place struct {
	t      *testing.T
	srv    *httptest.Server
	behind http.Handler // without a guard
	client *http.Client

	mu       sync.Mutex
	received int64
	breaks   int64 // after so many more bytes of blobs; 0: never
	lie      digest.Digest
	seen     []string // requests: method and path
	via      []string // of pushes of manifests
}

const (
	name     = "robot"
	password = "right"
)

// guard lets in who has the right credential.
type guard func(next http.Handler) http.Handler

func newPlace(t *testing.T, behind http.Handler, g guard) *place {
	t.Helper()
	p := &place{t: t, behind: behind}
	p.srv = httptest.NewTLSServer(g(http.HandlerFunc(p.serve)))
	t.Cleanup(p.srv.Close)
	p.client = p.srv.Client()
	return p
}

// serve is the registry behind, as seen by who came in.
func (p *place) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Method+" "+r.URL.RequestURI())
	lie := p.lie
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
		p.via = append(p.via, r.Header.Get(replicate.HeaderVia))
	}
	p.mu.Unlock()
	if strings.Contains(r.URL.Path, "/blobs/uploads/") && (r.Method == http.MethodPatch || r.Method == http.MethodPut) {
		r.Body = &counted{r.Body, p}
	}
	if lie != "" && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+lie.String()) {
		rec := httptest.NewRecorder()
		p.behind.ServeHTTP(rec, r)
		b := rec.Body.Bytes()
		b[len(b)/2]++
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		_, _ = w.Write(b)
		return
	}
	p.behind.ServeHTTP(w, r)
}

// counted is the body of an upload.
type counted struct {
	io.ReadCloser
	p *place
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.received += int64(n)
	if c.p.breaks > 0 {
		if c.p.breaks -= int64(n); c.p.breaks <= 0 {
			c.p.breaks = 0
			panic(http.ErrAbortHandler)
		}
	}
	return n, err
}

func basic(next http.Handler) http.Handler { return registries.Basic(name, password, next) }

// bearer takes a token, as the hub does from its own plugins.
func bearer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+password {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+r.Host+`/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// tokenService has tokens that open what they were asked for.
func tokenService(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			if u, p, _ := r.BasicAuth(); u != name || p != password {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"token": "for " + strings.Join(r.URL.Query()["scope"], " ")})
			return
		}
		need := ""
		if repo, _, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/"); ok {
			need = "repository:" + repo + ":pull"
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || !strings.Contains(token, need) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+r.Host+`/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (p *place) endpoint(user string) replicate.Endpoint {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.srv.Certificate().Raw})
	return replicate.Endpoint{URL: p.srv.URL, Username: user, Secret: secret.Text(password), CA: ca, Options: map[string]string{outbound.OptionAllow: "127.0.0.0/8"}}
}

// ask asks the registry behind the guard.
func (p *place) ask(method, path, contentType string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(p.t.Context(), method, path, bytes.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	r.Header.Set("Accept", "*/*, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json")
	rec := httptest.NewRecorder()
	p.behind.ServeHTTP(rec, r)
	return rec
}

func (p *place) store() (tag func(*testing.T, string, string) string, referrers func(*testing.T, string, string) int, received func(*testing.T) int64,
	breaks func(*testing.T, int64)) {
	tag = func(_ *testing.T, repo, tag string) string {
		res := p.ask(http.MethodHead, "/v2/"+repo+"/manifests/"+tag, "", nil)
		if res.Code != http.StatusOK {
			return ""
		}
		return res.Header().Get("Docker-Content-Digest")
	}
	referrers = func(t *testing.T, repo, d string) int {
		n := 0
		res := p.ask(http.MethodGet, "/v2/"+repo+"/referrers/"+d, "", nil)
		if res.Code != http.StatusOK {
			res = p.ask(http.MethodGet, "/v2/"+repo+"/manifests/"+scheme(digest.Digest(d)), "", nil)
		}
		var m v1.Index
		if res.Code == http.StatusOK {
			must(t, json.Unmarshal(res.Body.Bytes(), &m))
		}
		for _, x := range m.Manifests {
			if p.ask(http.MethodHead, "/v2/"+repo+"/manifests/"+x.Digest.String(), "", nil).Code == http.StatusOK {
				n++
			}
		}
		for _, end := range endings {
			if tag(t, repo, scheme(digest.Digest(d))+end) != "" {
				n++
			}
		}
		return n
	}
	received = func(*testing.T) int64 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.received
	}
	breaks = func(_ *testing.T, after int64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.breaks = after
	}
	return tag, referrers, received, breaks
}

func (p *place) blob(repo string, b []byte) v1.Descriptor {
	p.t.Helper()
	d := digest.FromBytes(b)
	res := p.ask(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", "", nil)
	at := res.Header().Get("Location")
	if _, path, ok := strings.Cut(at, "://"); ok {
		_, path, _ = strings.Cut(path, "/")
		at = "/" + path
	}
	sep := "?"
	if strings.Contains(at, "?") {
		sep = "&"
	}
	if res = p.ask(http.MethodPut, at+sep+"digest="+d.String(), "application/octet-stream", b); res.Code != http.StatusCreated {
		p.t.Fatalf("%s: %d %s", at, res.Code, res.Body)
	}
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: d, Size: int64(len(b))}
}

func (p *place) manifest(repo, ref string, m any) v1.Descriptor {
	p.t.Helper()
	b, err := json.Marshal(m)
	must(p.t, err)
	d := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(b), Size: int64(len(b))}
	if _, ok := m.(v1.Index); ok {
		d.MediaType = v1.MediaTypeImageIndex
	}
	if ref == "" {
		ref = d.Digest.String()
	}
	if res := p.ask(http.MethodPut, "/v2/"+repo+"/manifests/"+ref, d.MediaType, b); res.Code != http.StatusCreated {
		p.t.Fatalf("%s:%s: %d %s", repo, ref, res.Code, res.Body)
	}
	return d
}

// noise is content that nothing else has.
func noise(n int64) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// image pushes one of a config and layers to some places. Sizes are those of the layers.
func image(repo, tag string, subject *v1.Descriptor, to []*place, sizes ...int64) (v1.Descriptor, int64) {
	config := []byte(fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"Env":["X=%x"]}}`, noise(8)))
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Subject: subject}
	m.SchemaVersion = 2
	layers := make([][]byte, len(sizes))
	total := int64(len(config))
	for i, n := range sizes {
		layers[i] = noise(n)
		total += n
	}
	var d v1.Descriptor
	for _, p := range to {
		m.Layers = []v1.Descriptor{}
		m.Config = p.blob(repo, config)
		m.Config.MediaType = v1.MediaTypeImageConfig
		for _, l := range layers {
			m.Layers = append(m.Layers, p.blob(repo, l))
		}
		d = p.manifest(repo, tag, m)
	}
	return d, total + d.Size
}
