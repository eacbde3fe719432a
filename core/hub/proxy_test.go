package hub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAHubIsAProxyCacheWhereItMayConnect has a whole hub fetch from another registry, once its configuration lets it.
func TestAHubIsAProxyCacheWhereItMayConnect(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", indexType)
			_, _ = w.Write([]byte(manifest))
		}
	}))
	defer up.Close()
	w := newWorld(t, "sqlite")
	within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	first, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
	must(t, err)
	secret := strings.TrimSpace(string(first))
	admin := basicAuth("admin@local", secret)
	add := func() (int, string) {
		status, _, body := w.do("POST", "/api/v2.0/registries", admin, "application/json",
			fmt.Sprintf(`{"name":"up","type":"docker-registry","url":%q,"insecure":true}`, up.URL))
		return status, body
	}
	within(t, "the first administrator", func() bool { status, _ := add(); return status != 403 })
	if status, body := add(); status != 400 || !strings.Contains(body, "[outbound] allow") {
		t.Errorf("%d %s", status, body)
	}
	w.stop()
	w.cfg.Outbound.Allow = []string{"127.0.0.1"}
	w.start()
	within(t, "ready again", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	if status, body := add(); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	if status, _, body := w.do("POST", "/api/v2.0/projects", admin, "application/json", `{"project_name":"cache","registry_id":1}`); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	pull, _ := w.bearer("admin@local", secret, "repository:cache/app:pull,push")
	for _, want := range []string{"vic-hub; fwd=miss; stored", "vic-hub; fwd=miss; stored"} { // this upstream names no digests
		status, header, body := w.do("GET", "/v2/cache/app/manifests/1", pull, "", "")
		if status != 200 || body != manifest || header.Get("Cache-Status") != want {
			t.Errorf("%d %s %v", status, body, header)
		}
	}
	if status, _, body := w.do("PUT", "/v2/cache/app/manifests/2", pull, indexType, manifest); status != 405 {
		t.Errorf("a push: %d %s", status, body)
	}
	up.Close()
	status, header, body := w.do("GET", "/v2/cache/app/manifests/1", pull, "", "")
	if status != 200 || body != manifest || !strings.Contains(header.Get("Cache-Status"), "fwd=stale") {
		t.Errorf("away: %d %s %v", status, body, header)
	}

	// A setting counts for tokens at once.
	if status, _, body := w.do("PUT", "/api/v2.0/configurations", admin, "application/json", `{"token_expiration":1}`); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	var token struct {
		ExpiresIn int `json:"expires_in"`
	}
	_, _, body = w.do("GET", "/service/token?service=vic-hub", admin, "", "")
	must(t, json.Unmarshal([]byte(body), &token))
	if token.ExpiresIn != 60 {
		t.Errorf("a token is good for %d s", token.ExpiresIn)
	}
}
