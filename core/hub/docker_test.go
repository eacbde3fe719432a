package hub

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// daemon is what docker's command line needs of one to push, pull and tag: it has one image, which is pushed already, and pulls
// manifests from the hub for whoever asks.
type daemon struct {
	s     *signing
	image v1.Descriptor

	mu     sync.Mutex
	pulled []string
}

// ServeHTTP implements http.Handler.
func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("API-Version", "1.47")
	w.Header().Set("Content-Type", "application/json")
	line := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch _, path, _ := strings.Cut(r.URL.Path, "/images/"); {
	case strings.HasSuffix(r.URL.Path, "/_ping"):
	case strings.HasSuffix(path, "/push"):
		line(map[string]any{"aux": map[string]any{"Tag": r.URL.Query().Get("tag"), "Digest": d.image.Digest, "Size": d.image.Size}})
	case path == "create":
		ref := r.URL.Query().Get("tag")
		d.mu.Lock()
		d.pulled = append(d.pulled, ref)
		d.mu.Unlock()
		if status, body := d.s.pull("GET", ref); status != http.StatusOK {
			line(map[string]any{"error": body, "errorDetail": map[string]any{"message": body}})
		}
	case strings.HasSuffix(path, "/tag"):
		w.WriteHeader(http.StatusCreated)
	default: // inspect
		line(map[string]any{"Id": d.image.Digest})
	}
}

// oldDocker is a docker that knows content trust: of this machine or of make deps. Docker 29 does not.
func oldDocker(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"docker", "../../build/bin/docker"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if out, err := exec.CommandContext(t.Context(), path, "trust", "--help").CombinedOutput(); err == nil && strings.Contains(string(out), "docker trust COMMAND") {
			path, err = filepath.Abs(path)
			must(t, err)
			return path
		}
	}
	t.Skip("no docker up to 28 on this machine: make deps builds one")
	return ""
}

// TestDockerSignsAndPullsByItself runs the docker command itself against a hub, without any setting but the hub's authority.
func TestDockerSignsAndPullsByItself(t *testing.T) {
	program := oldDocker(t)
	s := newSigning(t, "sqlite")
	d := &daemon{s: s, image: s.image("1", "an image")}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	host := s.hub.Addr().String()
	config := t.TempDir()
	ca, err := os.ReadFile(filepath.Join(s.cfg.Data, "tls", "ca.pem"))
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(config, "tls", host), 0o700))
	must(t, os.WriteFile(filepath.Join(config, "tls", host, "ca.crt"), ca, 0o600))
	auth := base64.StdEncoding.EncodeToString([]byte("admin:" + s.password))
	must(t, os.WriteFile(filepath.Join(config, "config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth), 0o600))
	docker := func(ok bool, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+config, "DOCKER_HOST=tcp://"+server.Listener.Addr().String(), "DOCKER_TLS_VERIFY=", "DOCKER_CONTENT_TRUST=1",
			"DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE=a passphrase", "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE=another passphrase", "DOCKER_CONTENT_TRUST_SERVER=")
		out, err := cmd.CombinedOutput()
		if ok != (err == nil) {
			t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	name := host + "/default-project/app:1"
	if out := docker(false, "pull", name); !strings.Contains(out, "does not have trust data") {
		t.Errorf("nobody has signed it: %s", out)
	}
	docker(true, "trust", "sign", name)
	docker(true, "pull", name)
	if len(d.pulled) != 1 || d.pulled[0] != d.image.Digest.String() {
		t.Errorf("pulled %q, want what was signed: %s", d.pulled, d.image.Digest)
	}
	if out := docker(true, "trust", "inspect", name); !strings.Contains(out, `"SignedTag": "1"`) || !strings.Contains(out, d.image.Digest.Encoded()) {
		t.Errorf("%s", out)
	}
	s.api("PUT", "/projects/default-project/metadatas/enable_content_trust", `{"enable_content_trust":"true"}`, 200)
	docker(true, "pull", name)
	docker(true, "trust", "revoke", "--yes", name)
	docker(false, "pull", name)
	if out := docker(false, "pull", "--disable-content-trust", name); !strings.Contains(out, "PROJECTPOLICYVIOLATION") {
		t.Errorf("a docker that does not ask for signatures: %s", out)
	}
}
