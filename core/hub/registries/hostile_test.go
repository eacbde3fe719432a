package registries_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/hub/upstream"
	"github.com/openvic/vic/core/store/storetest"
)

// TestAHostileUpstream answers wrongly in many ways: clients are told, and nothing of it is kept.
func TestAHostileUpstream(t *testing.T) {
	layer := noise(1 << 20)
	send := func(rw http.ResponseWriter, contentType string, b []byte) bool {
		rw.Header().Set("Content-Type", contentType)
		_, _ = rw.Write(b)
		return true
	}
	flipped := bytes.Clone(layer)
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		name   string
		blob   bool // else a manifest is twisted
		status int  // of the answer; 0: it may also break off
		twist  func(http.ResponseWriter, *http.Request, *world) bool
	}{
		{"another manifest", false, 502, func(rw http.ResponseWriter, r *http.Request, _ *world) bool {
			rw.Header().Set("Docker-Content-Digest", digest.FromString("x").String())
			return r.Method == "GET" && send(rw, imageType, []byte(`{}`))
		}},
		{"no manifest", false, 502, func(rw http.ResponseWriter, r *http.Request, _ *world) bool {
			return r.Method == "HEAD" || send(rw, imageType, []byte(`<html>`))
		}},
		{"a digest that is none", false, 503, func(rw http.ResponseWriter, _ *http.Request, _ *world) bool {
			rw.Header().Set("Docker-Content-Digest", "sha256:../../etc")
			return true
		}},
		{"a huge manifest", false, 502, func(rw http.ResponseWriter, r *http.Request, _ *world) bool {
			return r.Method == "HEAD" || send(rw, imageType, bytes.Repeat([]byte(" "), 5<<20))
		}},
		{"a manifest that redirects without an end", false, 503, func(rw http.ResponseWriter, r *http.Request, _ *world) bool {
			http.Redirect(rw, r, r.URL.Path+"x", http.StatusFound)
			return true
		}},
		{"a redirect to where the hub must not go", false, 403, func(rw http.ResponseWriter, r *http.Request, _ *world) bool {
			http.Redirect(rw, r, "http://127.0.0.2:1/", http.StatusFound)
			return true
		}},
		{"a token service where the hub must not go", false, 403, func(rw http.ResponseWriter, _ *http.Request, _ *world) bool {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="http://169.254.169.254/token",service="up"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		}},
		{"a token service that is none", false, 503, func(rw http.ResponseWriter, _ *http.Request, w *world) bool {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="file:///etc/passwd",service="up"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		}},
		{"a token that does not count", false, 403, func(rw http.ResponseWriter, _ *http.Request, w *world) bool {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="`+w.up.URL+`/token",service="up"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		}},
		{"a manifest that fails", false, 503, func(rw http.ResponseWriter, _ *http.Request, _ *world) bool {
			rw.WriteHeader(http.StatusInternalServerError)
			return true
		}},
		{"another blob", true, 0, func(rw http.ResponseWriter, _ *http.Request, _ *world) bool { return send(rw, "", flipped) }},
		{"a short blob", true, 0, func(rw http.ResponseWriter, _ *http.Request, _ *world) bool { return send(rw, "", layer[:1000]) }},
		{"an endless blob", true, 0, func(rw http.ResponseWriter, r *http.Request, _ *world) bool {
			for r.Context().Err() == nil {
				if _, err := rw.Write(flipped); err != nil {
					break
				}
			}
			return true
		}},
		{"a blob that breaks off", true, 0, func(rw http.ResponseWriter, _ *http.Request, _ *world) bool {
			rw.Header().Set("Content-Length", fmt.Sprint(len(layer)))
			_, _ = rw.Write(layer[:300_000])
			panic(http.ErrAbortHandler)
		}},
		{"a blob elsewhere", true, 403, func(rw http.ResponseWriter, r *http.Request, _ *world) bool {
			http.Redirect(rw, r, "http://[::1]:1/", http.StatusTemporaryRedirect)
			return true
		}},
		{"a blob that is not there", true, 404, func(rw http.ResponseWriter, _ *http.Request, _ *world) bool {
			rw.WriteHeader(http.StatusNotFound)
			return true
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, upstream.Registry, storetest.URL(t, "sqlite"))
			manifest, d := w.push("team/app", "1", layer)
			twist := func(rw http.ResponseWriter, r *http.Request) bool {
				return strings.Contains(r.URL.Path, map[bool]string{true: "/blobs/", false: "/manifests/"}[c.blob]) && c.twist(rw, r, w)
			}
			w.twist.Store(&twist)
			a := w.get("/v2/cache/team/app/manifests/1")
			if !c.blob && a.status != c.status {
				t.Errorf("%d %s, want %d", a.status, a.body, c.status)
			}
			if c.blob {
				b := w.get("/v2/cache/team/app/blobs/" + d.String())
				if a.status != 200 || b.status != c.status && (c.status != 0 || b.status == 200 && b.err == nil) {
					t.Errorf("%d; %d %.80q, %v, want %d", a.status, b.status, b.body, b.err, c.status)
				}
				if b.err == nil && !strings.Contains(string(b.body), `{"errors":[{"code":`) {
					t.Errorf("an error that is none of a registry's: %.80q", b.body)
				}
			}
			// It is honest again: nothing wrong is left behind.
			w.twist.Store(nil)
			fresh := w.freshCache()
			if a := w.get("/v2/" + fresh + "/team/app/manifests/1"); a.status != 200 || !bytes.Equal(a.body, manifest) {
				t.Errorf("%d %s", a.status, a.body)
			}
			if a := w.get("/v2/" + fresh + "/team/app/blobs/" + d.String()); !bytes.Equal(a.body, layer) {
				t.Errorf("%d %.80q", a.status, a.body)
			}
			w.sound()
		})
	}
}
