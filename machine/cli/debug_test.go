package cli

import (
	"archive/tar"
	"compress/gzip"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/machine/simtest"
)

func TestBundleHoldsLogsAndNoSecrets(t *testing.T) {
	s := simtest.New(t)
	s.Follow("vch1", ready)
	dir := filepath.Join(t.TempDir(), "certs")
	if r := run(t, createArgs(t, s, "--cert-path", dir)...); r.code != 0 {
		t.Fatalf("create: %+v", r)
	}
	// The endpoint's admin API, with the certificate that create made.
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/exec":
			body, _ := io.ReadAll(r.Body)
			if !strings.Contains(string(body), `"sh","-c","uname"`) {
				t.Errorf("body %s", body)
			}
			io.WriteString(w, `{"stdout":"TGludXgK"}`+"\n"+`{"exit":0}`+"\n")
		case "/v1/logs":
			io.WriteString(w, "level=INFO msg=hello password=hunter2\n")
		default:
			http.Error(w, "not now", http.StatusServiceUnavailable)
		}
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	srv.StartTLS()
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "b.tar.gz")
	debug := append([]string{"debug", "--name", "vch1", "--cert-path", dir, "--admin-host", srv.Listener.Addr().String()}, access(s)...)
	r := run(t, append(debug, "--bundle", file, "--exec", "uname")...)
	if r.code != 0 || !strings.Contains(r.out, "Linux\n") || !strings.Contains(r.out, "not collected: endpoint/plugins.json") {
		t.Fatalf("%+v", r)
	}
	files := unpack(t, file)
	for name, want := range map[string]string{"vch.json": "vch1", "endpoint/etc/vsphere.toml": "user = ", "endpoint/vicd.log": "hello", "NOT-COLLECTED.txt": "plugins.json"} {
		if !strings.Contains(files["vch1-logs/"+name], want) {
			t.Errorf("%s: no %q in %q", name, want, files["vch1-logs/"+name])
		}
	}
	for name, text := range files {
		for _, secret := range []string{simtest.Password + `"`, "hunter2", "PRIVATE KEY"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", name, secret)
			}
		}
	}
	if r := run(t, append(debug, "--bundle", file)...); r.code != exitUsage {
		t.Errorf("an existing file: %+v", r)
	}
	if r := run(t, append(debug, "--log-level", "debug")...); r.code != 0 || !strings.Contains(r.out, "debug") {
		t.Errorf("log level: %+v", r)
	}
	if r := run(t, debug...); r.code != exitUsage {
		t.Errorf("nothing to do: %+v", r)
	}
}

func unpack(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(b)
	}
}

func TestUpdateFirewallSaysThatNothingIsNeeded(t *testing.T) {
	s := simtest.New(t)
	if r := run(t, append([]string{"update", "firewall", "--allow"}, access(s)...)...); r.code != 0 || !strings.Contains(r.out, "2376/tcp") {
		t.Errorf("%+v", r)
	}
}
