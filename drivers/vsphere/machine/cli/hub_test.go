package cli

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
)

// hubArgs are a verb's arguments for the hub hub1.
func hubArgs(s *simtest.Sim, verb string, more ...string) []string {
	return append(append([]string{"hub", verb, "--name", "hub1"}, access(s)...), more...)
}

// makeHub makes the hub hub1 and returns the folder of its certificates.
func makeHub(t *testing.T, s *simtest.Sim) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	r := run(t, hubArgs(s, "create", "--image-store", "LocalDS_0", "--public-network", "public", "--cert-path", dir, "--tls-cname", "127.0.0.1",
		"--hub-iso", simtest.ISO(t, "hub.iso"), "--no-sso", "--timeout", "20s")...)
	if r.code != 0 {
		t.Fatalf("create: %+v", r)
	}
	return dir
}

func TestAHubIsLookedInto(t *testing.T) {
	s := simtest.New(t)
	s.Follow("hub1", ready)
	dir := makeHub(t, s)
	key := filepath.Join(t.TempDir(), "id.pub")
	if err := os.WriteFile(key, []byte(simtest.HostKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range [][]string{nil, {"--enable-ssh"}, {"--enable-ssh", "--disable-ssh", "--rootpw", "x"}, {"--enable-ssh", "--rootpw", "x", "--ssh-time", "25h"}} {
		if r := run(t, hubArgs(s, "debug", wrong...)...); r.code != exitUsage {
			t.Errorf("%v: %+v", wrong, r)
		}
	}
	if r := run(t, hubArgs(s, "debug", "--enable-ssh", "--authorized-key", key)...); r.code != 0 ||
		!strings.Contains(r.out, "for 1h0m0s: ssh root@192.0.2.7; the host key is SHA256:") {
		t.Fatalf("%+v", r)
	}
	vm, err := s.Find("hub1")
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, hubArgs(s, "debug", "--disable-ssh")...); r.code != 0 || !strings.Contains(r.out, "SSH is off") {
		t.Errorf("%+v", r)
	}

	// The hub's API, with the certificate that create made.
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, secret, _ := r.BasicAuth()
		if r.URL.Path != "/api/v2.0/system/support-bundle" || user != "robot$logs" || secret != "s3cret-s3cret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, "the hub's own bundle")
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	srv.StartTLS()
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "b.tar.gz")
	if r := run(t, hubArgs(s, "debug", "--bundle", file, "--hub", srv.URL, "--hub-token", "robot$logs:s3cret-s3cret")...); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	password, err := os.ReadFile(filepath.Join(dir, "admin-password"))
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, file)
	for name, want := range map[string]string{"hub.json": `"name": "hub1"`, "etc/hub.toml": "[roles]", "hub.tar.gz": "the hub's own bundle", "vsphere/events.txt": "PoweredOn"} {
		if !strings.Contains(files["hub1-logs/"+name], want) {
			t.Errorf("%s: no %q in %q", name, want, files["hub1-logs/"+name])
		}
	}
	for name, text := range files {
		for _, secret := range []string{strings.TrimSpace(string(password)), "s3cret", "PRIVATE KEY", simtest.Password + `"`} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", name, secret)
			}
		}
	}
	for _, c := range []struct{ token, note string }{{"", "no --hub-token is given"}, {"robot$logs:wrong", "refuses robot$logs"}} {
		file := filepath.Join(t.TempDir(), "b.tar.gz")
		args := []string{"--bundle", file, "--hub", srv.URL}
		if c.token != "" {
			args = append(args, "--hub-token", c.token)
		}
		if r := run(t, hubArgs(s, "debug", args...)...); r.code != 0 || !strings.Contains(r.out, "not collected: hub.tar.gz") ||
			!strings.Contains(unpack(t, file)["hub1-logs/NOT-COLLECTED.txt"], c.note) {
			t.Errorf("%q: %+v", c.token, r)
		}
	}
	task, err := vm.PowerOff(t.Context())
	if err != nil || task.Wait(t.Context()) != nil {
		t.Fatal(err)
	}
	if r := run(t, hubArgs(s, "debug", "--enable-ssh", "--authorized-key", key)...); r.code == 0 || !strings.Contains(r.err, "the hub VM is off") {
		t.Errorf("%+v", r)
	}
	if r := run(t, hubArgs(s, "debug", "--disable-ssh")...); r.code != 0 {
		t.Errorf("%+v", r)
	}
}

func TestHelpNamesNoDefaultThatThereIsNot(t *testing.T) {
	r := run(t, "hub", "configure", "--help")
	if r.code != 0 || !strings.Contains(r.out, "--memory MiB") || strings.Contains(r.out, "default: 0") {
		t.Errorf("%+v", r)
	}
	if r := run(t, "hub", "create", "--help"); !strings.Contains(r.out, "(default: 2048)") {
		t.Errorf("%+v", r)
	}
}
