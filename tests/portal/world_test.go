// Package portal looks at the hub's portal in a real browser: Debian's Chromium, driven from Go, against a hub in the
// test's process. Screenshots of every page go to build/screenshots/portal.
package portal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/hub"
)

// patience is how long a test waits for what takes a moment: machines are slow, and busy.
const patience = 2 * time.Minute

// world is a hub with example users.
type world struct {
	t         *testing.T
	url       string
	client    *http.Client
	passwords map[string]string // by name
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newWorld starts a hub until the test ends, and waits until its example users are there.
func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "vic-auth-local")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "../../plugins/auth-local").CombinedOutput(); err != nil {
		t.Fatalf("auth-local: %v: %s", err, out)
	}
	binary, err := os.ReadFile(program)
	must(t, err)
	plugins := filepath.Join(dir, "plugins.d")
	must(t, os.MkdirAll(plugins, 0o755))
	settings := filepath.Join(dir, "local.toml")
	must(t, os.WriteFile(settings, fmt.Appendf(nil, "file = %q\n", filepath.Join(dir, "people", "users.json")), 0o600))
	must(t, os.WriteFile(filepath.Join(plugins, "local.toml"),
		fmt.Appendf(nil, "name = 'local'\npath = %q\nsha256 = '%x'\nconfig = %q\n", program, sha256.Sum256(binary), settings), 0o600))
	data := filepath.Join(dir, "data")
	cfg, err := config.ParseHub("hub.toml", fmt.Sprintf(`listen = "tcp://127.0.0.1:0"
data = %q
[plugins]
dir = %q
[roles]
auth = ["local"]
[access]
examples = "vic"
[outbound]
allow = ["127.0.0.1"]
`, data, plugins))
	must(t, err)
	w := &world{t: t, client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, passwords: map[string]string{}}
	w.run(cfg)
	w.within("the example users are there", func() bool {
		text, err := os.ReadFile(filepath.Join(data, "example-users"))
		for line := range strings.Lines(string(text)) {
			name, password, _ := strings.Cut(strings.TrimSpace(line), " ")
			w.passwords[name] = password
		}
		return err == nil
	})
	w.within("the cloud administrator is one", func() bool { return w.try("vic-cloud-admin", "GET", "/api/v2.0/configurations", nil).status == 200 })
	return w
}

func (w *world) run(cfg config.Hub) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	h, err := hub.New(ctx, cfg, "1.5.0", slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	must(w.t, err)
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	w.url = "https://" + h.Addr().String()
	w.t.Cleanup(func() {
		w.client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) within(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			w.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// try sends a request; body is bytes, or something to be JSON. who is an example user, or "Bearer TOKEN".
func (w *world) try(who, method, path string, body any) answer {
	w.t.Helper()
	var text []byte
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case []byte:
		text, kind = b, "application/octet-stream"
	default:
		var err error
		text, err = json.Marshal(b)
		must(w.t, err)
	}
	if !strings.HasPrefix(path, "https://") {
		path = w.url + path
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, path, bytes.NewReader(text))
	must(w.t, err)
	if text != nil {
		req.Header.Set("Content-Type", kind)
	}
	switch {
	case strings.HasPrefix(who, "Bearer "):
		req.Header.Set("Authorization", who)
	case who != "":
		req.SetBasicAuth(who+"@local", w.passwords[who])
	}
	res, err := w.client.Do(req)
	must(w.t, err)
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	must(w.t, err)
	return answer{res.StatusCode, res.Header, all}
}

// do is try for what has to be done.
func (w *world) do(who, method, path string, body any) answer {
	w.t.Helper()
	a := w.try(who, method, path, body)
	if a.status >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}
