package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// hub is a vic-hub of a story's own, with one identity source.
type hub struct {
	t        *testing.T
	host     string // as VMs and this machine know it, with the port
	ca       string // file
	admin    string // a cloud administrator
	password string // and their password
	client   *http.Client
}

// startHub starts one that ends with the story, with users in a file.
func startHub(t *testing.T) *hub {
	t.Helper()
	dir := t.TempDir()
	h := serveHub(t, dir, "local", fmt.Sprintf("file = '%s/people/users.json'\n", dir))
	text, err := os.ReadFile(filepath.Join(dir, "people", "first-password"))
	must(t, err)
	h.admin, h.password = "admin@local", strings.TrimSpace(string(text))
	h.begun()
	return h
}

// begun waits for the first administrator, who is named a moment after the start.
func (h *hub) begun() {
	h.t.Helper()
	await(h.t, func() string {
		status, body := h.api(h.admin, h.password, "GET", "/cloud-admins", "")
		return map[bool]string{false: fmt.Sprint(status, body)}[status == http.StatusOK]
	})
}

// serveHub starts a hub in a folder, with the plugin auth-NAME and its configuration, and waits until it is ready.
func serveHub(t *testing.T, dir, name, config string) *hub {
	t.Helper()
	at := harness.NextAddress()
	_, port, err := net.SplitHostPort(at)
	must(t, err)
	h := &hub{t: t, host: "hub.vic-lab.test:" + port, ca: filepath.Join(dir, "data", "tls", "ca.pem")}
	plugin := theLab.Bin("vic-auth-" + name)
	binary, err := os.ReadFile(plugin)
	must(t, err)
	for name, text := range map[string]string{
		"hub.toml": fmt.Sprintf("listen = 'tcp://%s'\ndata = '%s/data'\n[tls]\nnames = ['hub.vic-lab.test', '127.0.0.1']\n"+
			"[plugins]\ndir = '%s/plugins.d'\n[roles]\nauth = '%s'\n", at, dir, dir, name),
		"plugins.d/" + name + ".toml": fmt.Sprintf("name = '%s'\npath = '%s'\nsha256 = '%x'\nconfig = '%s/%s.toml'\n",
			name, plugin, sha256.Sum256(binary), dir, name),
		name + ".toml": config,
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	var log bytes.Buffer
	cmd := exec.Command(theLab.Bin("vic-hub"), "serve", "--config", filepath.Join(dir, "hub.toml"))
	cmd.Stderr = &log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("vic-hub: %v\n%s", err, log.String())
		}
	})
	await(t, func() string {
		pem, err := os.ReadFile(h.ca)
		if err != nil {
			return err.Error()
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		// The names of the lab mean this machine; whether its own hosts file has them does not matter.
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", at)
		}
		h.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DialContext: dial}}
		res, err := h.client.Get("https://" + h.host + "/readyz")
		if err != nil {
			return err.Error()
		}
		_ = res.Body.Close()
		return map[bool]string{false: res.Status}[res.StatusCode == http.StatusOK]
	})
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// api sends a request to the hub's API.
func (h *hub) api(user, password, method, path, body string) (int, string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, "https://"+h.host+"/api/v2.0"+path, strings.NewReader(body))
	must(h.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.SetBasicAuth(user, password)
	res, err := h.client.Do(req)
	must(h.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(h.t, err)
	return res.StatusCode, string(b)
}

// do is api as the administrator, for what must succeed.
func (h *hub) do(method, path, body string) string {
	h.t.Helper()
	status, text := h.api(h.admin, h.password, method, path, body)
	if status/100 != 2 {
		h.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

// TestAVCHUsesTheHub goes the way of an image from one developer to another: signed in to by docker login at the VCH,
// pushed, kept from who is no member, pulled by who is one and run; then the project becomes public, and private again.
func TestAVCHUsesTheHub(t *testing.T) {
	alone(t)
	h := startHub(t)
	image := h.host + "/shop/web:1"
	mustMachine(t, "", "configure", "--registry-ca", h.ca)
	t.Cleanup(func() {
		_, _ = harness.Command(theLab.Bin("vic-machine"),
			append(append([]string{"configure"}, theLab.Access()...), "--name", harness.VCH, "--remove", "registry-ca="+h.ca)...)
	})
	const secret = "a password of ten or more"
	for _, name := range []string{"dev", "viewer", "stranger"} {
		h.do("POST", "/users", fmt.Sprintf(`{"username":%q,"password":%q}`, name, secret))
	}
	h.do("POST", "/projects", `{"project_name":"shop","devops_admin":"local/dev"}`)
	status, body := h.api("dev@local", secret, "POST", "/projects/shop/members", `{"role_id":3,"member_user":{"username":"viewer"}}`)
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}

	refused := func(want string, args ...string) {
		t.Helper()
		if r := dockerRun(t.Context(), nil, args...); r.Code == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("docker %s: %+v, want %q", strings.Join(args, " "), r, want)
		}
	}
	login := func(name string) {
		t.Helper()
		docker(t, "login", "-u", name, "-p", secret, h.host)
	}
	if r := dockerRun(t.Context(), nil, "login", "-u", "dev", "-p", "wrong", h.host); r.Code == 0 || !strings.Contains(r.Stderr, "401 Unauthorized") {
		t.Errorf("a wrong password: %+v", r)
	}
	// An image whose content nothing else has, so that it is gone with its name and a pull fetches it.
	maker := container(t, "busybox", "sh", "-c", "echo from the hub >/greeting")
	docker(t, "wait", maker)
	docker(t, "commit", maker, image)
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rmi", "-f", image, h.host+"/shop/other:1") })
	refused("", "push", image) // not signed in
	login("dev")
	docker(t, "push", "-q", image)
	docker(t, "rmi", image)
	docker(t, "logout", h.host)

	refused("pull access denied", "pull", image)
	login("stranger")
	refused("not found", "pull", image)
	login("viewer")
	if out := docker(t, "run", "--rm", "-q", image, "cat", "/greeting"); strings.TrimSpace(out) != "from the hub" {
		t.Errorf("%q", out)
	}
	docker(t, "tag", image, h.host+"/shop/other:1")
	refused("denied", "push", h.host+"/shop/other:1")
	docker(t, "rmi", image, h.host+"/shop/other:1")
	docker(t, "logout", h.host)

	h.do("PUT", "/projects/shop", `{"metadata":{"public":"true"}}`)
	docker(t, "pull", "-q", image)
	docker(t, "rmi", image)
	h.do("PUT", "/projects/shop", `{"metadata":{"public":"false"}}`)
	refused("pull access denied", "pull", image)

	await(t, func() string { // pulls are written a moment later
		var log []struct{ Operation, Username string }
		must(t, json.Unmarshal([]byte(h.do("GET", "/projects/shop/logs?page_size=100", "")), &log))
		seen := map[string]bool{}
		for _, l := range log {
			seen[l.Operation+" "+l.Username] = true
		}
		for _, want := range []string{"push dev@local", "pull viewer@local", "pull ", "create dev@local", "update admin@local"} {
			if !seen[want] {
				return fmt.Sprintf("the project's log lacks %q: %v", want, seen)
			}
		}
		return ""
	})
}
