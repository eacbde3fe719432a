package registries_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/hub/upstream"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/errdef"
)

// TestAProxyCacheFetchesOnce pulls through the cache, again, and when the upstream has changed and is away.
func TestAProxyCacheFetchesOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		w := newWorld(t, upstream.Registry, storetest.URL(t, t.Name()[strings.LastIndex(t.Name(), "/")+1:]))
		layer := noise(1 << 20)
		manifest, d := w.push("team/app", "1", layer)
		for i := range 2 {
			if a := w.get("/v2/cache/team/app/manifests/1"); a.status != 200 || !bytes.Equal(a.body, manifest) {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if a := w.do("HEAD", w.hub.URL+"/v2/cache/team/app/blobs/"+d.String(), "", nil); a.status != 200 || a.header.Get("Content-Length") != fmt.Sprint(len(layer)) {
				t.Errorf("%d %v", a.status, a.header)
			}
			if a := w.get("/v2/cache/team/app/blobs/" + d.String()); a.status != 200 || a.err != nil || !bytes.Equal(a.body, layer) {
				t.Fatalf("%d, %d bytes, %v", a.status, len(a.body), a.err)
			}
			if n := w.blobs.Load(); n != 1 {
				t.Errorf("round %d: the upstream was asked for %d blobs", i, n)
			}
		}
		w.sound()
		p, err := w.registry.FindProject(t.Context(), w.db, "cache")
		must(t, err)
		if p.Used < int64(len(layer)) {
			t.Errorf("the project has used %d bytes", p.Used)
		}
		for _, a := range []answer{w.do("PUT", w.hub.URL+"/v2/cache/team/app/manifests/2", imageType, manifest),
			w.do("POST", w.hub.URL+"/v2/cache/team/app/blobs/uploads/", "", nil)} {
			if a.status != 405 || !strings.Contains(string(a.body), "proxy cache") {
				t.Errorf("a push: %d %s", a.status, a.body)
			}
		}
		if a := w.do("POST", w.hub.URL+"/v2/own/app/blobs/uploads/", "", nil); a.status != 202 {
			t.Errorf("a push to a project that is no cache: %d %s", a.status, a.body)
		}
		if a := w.get("/v2/cache/team/app/blobs/" + digest.FromString("what no image has").String()); a.status != 404 {
			t.Errorf("a blob that no manifest names: %d %s", a.status, a.body)
		}

		// A tag that moves upstream moves here; what it named stays.
		moved, _ := w.push("team/app", "1", noise(100))
		if a := w.get("/v2/cache/team/app/manifests/1"); !bytes.Equal(a.body, moved) || a.header.Get("Cache-Status") != "vic-hub; fwd=miss; stored" {
			t.Errorf("%d %s %v", a.status, a.body, a.header)
		}
		if a := w.get("/v2/cache/team/app/manifests/" + digest.FromBytes(manifest).String()); !bytes.Equal(a.body, manifest) {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := w.get("/v2/cache/team/app/manifests/other"); a.status != 404 {
			t.Errorf("a tag that nobody has: %d %s", a.status, a.body)
		}
		if a := w.do("DELETE", w.up.URL+"/v2/team/app/manifests/1", "", nil); a.status != 202 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := w.get("/v2/cache/team/app/manifests/1"); !bytes.Equal(a.body, moved) || !strings.Contains(a.header.Get("Cache-Status"), "fwd=stale") {
			t.Errorf("a tag that is gone upstream: %d %s %v", a.status, a.body, a.header)
		}

		// Away.
		w.up.Close()
		if a := w.get("/v2/cache/team/app/manifests/1"); !bytes.Equal(a.body, moved) || !strings.Contains(a.header.Get("Cache-Status"), "fwd=stale") {
			t.Errorf("%d %s %v", a.status, a.body, a.header)
		}
		if a := w.get("/v2/cache/team/app/blobs/" + d.String()); !bytes.Equal(a.body, layer) {
			t.Errorf("%d", a.status)
		}
		if a := w.get("/v2/cache/team/app/manifests/new"); a.status != 503 || !strings.Contains(string(a.body), "does not answer") {
			t.Errorf("%d %s", a.status, a.body)
		}
		// The collector leaves what a manifest needs, tagged or not.
		did, err := w.registry.Collect(t.Context(), registry.CollectOptions{})
		must(t, err)
		if a := w.get("/v2/cache/team/app/blobs/" + d.String()); did.Reviewed == 0 || !bytes.Equal(a.body, layer) {
			t.Errorf("after %+v: %d", did, a.status)
		}
		w.sound()
	})
}

func TestManyClientsAreOneDownload(t *testing.T) {
	w := newWorld(t, upstream.Registry, storetest.URL(t, "sqlite"))
	layer := noise(3 << 20)
	_, d := w.push("team/app", "1", layer)
	w.get("/v2/cache/team/app/manifests/1")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if a := w.get("/v2/cache/team/app/blobs/" + d.String()); a.err != nil || !bytes.Equal(a.body, layer) {
				t.Errorf("%d, %d bytes, %v", a.status, len(a.body), a.err)
			}
		})
	}
	all.Wait()
	if n := w.blobs.Load(); n != 1 {
		t.Errorf("the upstream was asked for the blob %d times", n)
	}
	w.sound()
}

// A client that does not read holds nobody up, and gets everything in the end.
func TestASlowClientHoldsNobodyUp(t *testing.T) {
	w := newWorld(t, upstream.Registry, storetest.URL(t, "sqlite"))
	layer := noise(48 << 20) // more than buffers on the way hold
	_, d := w.push("team/app", "1", layer)
	w.get("/v2/cache/team/app/manifests/1")
	url := w.hub.URL + "/v2/cache/team/app/blobs/" + d.String()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	must(t, err)
	slow, err := http.DefaultClient.Do(req)
	must(t, err)
	defer slow.Body.Close()
	if a := w.do("GET", url, "", nil); a.err != nil || !bytes.Equal(a.body, layer) {
		t.Errorf("the second client: %d, %d bytes, %v", a.status, len(a.body), a.err)
	}
	if got, err := io.ReadAll(slow.Body); err != nil || !bytes.Equal(got, layer) {
		t.Errorf("the slow client: %d bytes, %v", len(got), err)
	}
	if n := w.blobs.Load(); n != 1 {
		t.Errorf("the upstream was asked for the blob %d times", n)
	}
}

// What goes on when the client has gone.
func TestADownloadOutlivesItsClient(t *testing.T) {
	w := newWorld(t, upstream.Registry, storetest.URL(t, "sqlite"))
	layer := noise(1 << 20)
	_, d := w.push("team/app", "1", layer)
	w.get("/v2/cache/team/app/manifests/1")
	goOn := make(chan struct{})
	twist := func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		_, _ = rw.Write(layer[:len(layer)/2])
		_ = http.NewResponseController(rw).Flush()
		<-goOn
		_, _ = rw.Write(layer[len(layer)/2:])
		return true
	}
	w.twist.Store(&twist)
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", w.hub.URL+"/v2/cache/team/app/blobs/"+d.String(), nil)
	must(t, err)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	_, err = io.ReadFull(res.Body, make([]byte, 1000)) // the first bytes come while the rest is not there yet
	must(t, err)
	leave()
	_ = res.Body.Close()
	close(goOn)
	if a := w.get("/v2/cache/team/app/blobs/" + d.String()); !bytes.Equal(a.body, layer) {
		t.Errorf("%d, %d bytes, %v", a.status, len(a.body), a.err)
	}
	w.sound()
}

func TestAQuotaHoldsForACacheToo(t *testing.T) {
	w := newWorld(t, upstream.Registry, storetest.URL(t, "sqlite"))
	w.cache("small", 10_000)
	_, d := w.push("team/app", "1", noise(1<<20))
	if a := w.get("/v2/small/team/app/manifests/1"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := w.get("/v2/small/team/app/blobs/" + d.String()); a.status != 403 || !strings.Contains(string(a.body), "quota") {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.sound()
}

func TestDockerHubsImagesWithoutAFolder(t *testing.T) {
	w := newWorld(t, upstream.DockerHub, storetest.URL(t, "sqlite"))
	manifest, d := w.push("library/busybox", "1", noise(100))
	if a := w.get("/v2/cache/busybox/manifests/1"); a.status != 200 || !bytes.Equal(a.body, manifest) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.get("/v2/cache/busybox/blobs/" + d.String()); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.get("/v2/cache/library/busybox/manifests/1"); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestEndpointsAreTriedBeforeTheyAreSaved(t *testing.T) {
	w := newWorld(t, upstream.Registry, storetest.URL(t, "sqlite"))
	ctx := t.Context()
	for name, c := range map[string]struct {
		change func(*registries.Endpoint)
		want   error
	}{
		"wrong password": {func(e *registries.Endpoint) { e.Password = "x" }, errdef.ErrDenied},
		"not there":      {func(e *registries.Endpoint) { e.URL = "http://127.0.0.1:1" }, errdef.ErrUnavailable},
		"must not":       {func(e *registries.Endpoint) { e.URL = "http://127.0.0.2:1" }, errdef.ErrDenied},
		"no URL":         {func(e *registries.Endpoint) { e.URL = "ftp://x" }, errdef.ErrInvalid},
		"a user in it":   {func(e *registries.Endpoint) { e.URL = "https://me:secret@x" }, errdef.ErrInvalid},
		"plain text":     {func(e *registries.Endpoint) { e.Insecure = false }, errdef.ErrInvalid},
		"no kind":        {func(e *registries.Endpoint) { e.Kind = "x" }, errdef.ErrInvalid},
		"no authority":   {func(e *registries.Endpoint) { e.CA = "x" }, errdef.ErrInvalid},
		"no name":        {func(e *registries.Endpoint) { e.Name = "" }, errdef.ErrInvalid},
		"a name twice":   {func(e *registries.Endpoint) { e.Name = "up" }, errdef.ErrExists},
	} {
		e := w.endpoint
		e.ID, e.Name = 0, "another"
		c.change(&e)
		if _, err := w.known.Add(ctx, e); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var sealed []byte
	must(t, w.db.QueryRow(ctx, `SELECT sealed FROM endpoint WHERE id = $1`, w.endpoint.ID).Scan(&sealed))
	if len(sealed) == 0 || bytes.Contains(sealed, []byte(upstreamPassword)) {
		t.Errorf("the credential is not sealed: %q", sealed)
	}
	if e, err := w.known.Get(ctx, w.endpoint.ID); err != nil || string(e.Password) != upstreamPassword {
		t.Errorf("%v, %v", e, err)
	}
	if err := w.known.Remove(ctx, w.endpoint.ID); !errors.Is(err, errdef.ErrConflict) {
		t.Errorf("a registry with a proxy cache: %v", err)
	}
	if err := w.known.Remove(ctx, 999); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("%v", err)
	}
	b, err := json.Marshal(w.endpoint)
	must(t, err)
	if strings.Contains(string(b), upstreamPassword) {
		t.Error("an endpoint shows its secret")
	}
}
