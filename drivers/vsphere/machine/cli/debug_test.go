package cli

import (
	"archive/tar"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"golang.org/x/crypto/bcrypt"

	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/sdk/guest"
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
	for name, want := range map[string]string{"vch.json": "vch1", "endpoint/etc/vsphere.toml": "user = ", "endpoint/vicd.log": "hello",
		"NOT-COLLECTED.txt": "plugins.json"} {
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

func TestSSHIsSwitchedOnAndOff(t *testing.T) {
	s := simtest.New(t)
	s.Follow("vch1", ready)
	if r := run(t, createArgs(t, s)...); r.code != 0 {
		t.Fatalf("create: %+v", r)
	}
	key, none := filepath.Join(t.TempDir(), "id.pub"), filepath.Join(t.TempDir(), "none.pub")
	for name, text := range map[string]string{key: "# mine\n" + simtest.HostKey + " me@here\n", none: "no key\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	debug := func(args ...string) result {
		return run(t, append(append([]string{"debug", "--name", "vch1"}, access(s)...), args...)...)
	}
	told := func() (d guest.Debug, c guest.SSH) {
		t.Helper()
		vm, err := s.Find("vch1")
		if err != nil {
			t.Fatal(err)
		}
		var m mo.VirtualMachine
		if err := vm.Properties(t.Context(), vm.Reference(), []string{"config.extraConfig"}, &m); err != nil {
			t.Fatal(err)
		}
		text, _ := object.OptionValueList(m.Config.ExtraConfig).GetString(guest.Prefix + guest.KeyDebug)
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		if d.Service != nil {
			if err := json.Unmarshal(d.Files[0].Data, &c); err != nil {
				t.Fatal(err)
			}
		}
		return d, c
	}
	for _, wrong := range [][]string{{"--enable-ssh"}, {"--authorized-key", key}, {"--enable-ssh", "--disable-ssh", "--rootpw", "x"},
		{"--enable-ssh", "--authorized-key", none}, {"--enable-ssh", "--authorized-key", key + "x"}, {"--enable-ssh", "--rootpw", "x", "--ssh-time", "25h"}} {
		if r := debug(wrong...); r.code != exitUsage {
			t.Errorf("%v: %+v", wrong, r)
		}
	}
	if r := debug("--enable-ssh", "--authorized-key", key, "--ssh-time", "5m"); r.code != 0 ||
		!strings.Contains(r.out, "ssh root@192.0.2.7; the host key is SHA256:") {
		t.Fatalf("%+v", r)
	}
	if d, c := told(); d.Minutes != 5 || len(c.AuthorizedKeys) != 1 || !strings.HasPrefix(c.AuthorizedKeys[0], simtest.HostKey) ||
		c.PasswordHash != "" || c.Interface != "public" {
		t.Errorf("%+v %+v", d, c)
	}
	if r := debug("--enable-ssh", "--rootpw", "top-secret"); r.code != 0 || strings.Contains(r.out, "top-secret") {
		t.Fatalf("%+v", r)
	}
	if _, c := told(); len(c.AuthorizedKeys) != 0 || bcrypt.CompareHashAndPassword([]byte(c.PasswordHash), []byte("top-secret")) != nil {
		t.Errorf("%+v", c)
	}
	if r := debug("--disable-ssh"); r.code != 0 || !strings.Contains(r.out, "SSH is off") {
		t.Fatalf("%+v", r)
	}
	if d, _ := told(); d.Service != nil || d.Files != nil {
		t.Errorf("%+v", d)
	}
}
