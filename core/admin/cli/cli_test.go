package cli_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/admin"
	"github.com/openvic/vic/core/admin/cli"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/core/tlsfiles"
	"github.com/openvic/vic/sdk/errdef"
)

type fakePlugins struct{ all []plugin.Status }

func (f *fakePlugins) List() []plugin.Status { return append([]plugin.Status(nil), f.all...) }

func (f *fakePlugins) Get(name string) (plugin.Status, error) {
	for _, st := range f.all {
		if st.Name == name {
			return st, nil
		}
	}
	return plugin.Status{}, fmt.Errorf("plugin %q: %w", name, errdef.ErrNotFound)
}

func (f *fakePlugins) Restart(_ context.Context, name string) (plugin.Status, error) {
	st, err := f.Get(name)
	if err == nil && st.State == plugin.StateRefused {
		return st, fmt.Errorf("plugin %s is refused: %s: %w", name, st.LastError, errdef.ErrUnavailable)
	}
	st.PID++
	return st, err
}

func plugins() *fakePlugins {
	return &fakePlugins{all: []plugin.Status{
		{
			Name: "vsphere", State: plugin.StateUp, Program: "vsphere", Version: "0.1.0", Healthy: true, PID: 42, Restarts: 3,
			SHA256: strings.Repeat("ab", 32), Path: "/usr/lib/vic/plugins/d", File: "/etc/vic/plugins.d/vsphere.toml", Example: "# an example\n",
			Roles:      []plugin.Playing{{Kind: "compute"}, {Kind: "auth", Place: 2}},
			Components: []plugin.Component{{Kind: "compute", Name: "vsphere", Capabilities: []string{"disk:vmdk"}}, {Kind: "storage", Name: "vsphere"}},
		},
		{Name: "broken", State: plugin.StateRefused, File: "b.toml", LastError: `b.toml:3: unknown key "x"`},
	}}
}

// served is a running API and the ways to it.
type served struct{ socket, host, certs, stranger string }

func serve(t *testing.T) served {
	t.Helper()
	for _, name := range []string{"VIC_HOST", "VIC_CERT_PATH", "DOCKER_CERT_PATH"} {
		t.Setenv(name, "") // what `make up` told the developer to export is not this test's
	}
	dir := t.TempDir()
	s := served{socket: filepath.Join(dir, "s"), certs: filepath.Join(dir, "certs"), stranger: filepath.Join(dir, "stranger")}
	admins, strangers := newCA(t), newCA(t)
	server := filepath.Join(dir, "server")
	admins.issue(t, server, "server-cert.pem", "server-key.pem")
	admins.issue(t, s.certs, "admin-cert.pem", "admin-key.pem")
	strangers.issue(t, s.stranger, "admin-cert.pem", "admin-key.pem")
	for _, d := range []string{server, s.certs, s.stranger} {
		write(t, filepath.Join(d, "ca.pem"), admins.pem)
	}
	files, err := tlsfiles.Open(tlsfiles.Files{CA: filepath.Join(server, "ca.pem"),
		Cert: filepath.Join(server, "server-cert.pem"), Key: filepath.Join(server, "server-key.pem")})
	if err != nil {
		t.Fatal(err)
	}
	l := admin.Listeners{Socket: s.socket, Listen: "tcp://127.0.0.1:0", TLS: files}
	open, err := l.Open()
	if err != nil {
		t.Fatal(err)
	}
	s.host = "tcp://" + open[1].Addr().String()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	ring := admin.NewRing(1 << 10)
	fmt.Fprint(ring, "one\ntwo\nthree\n")
	api := admin.New(admin.Options{Plugins: plugins(), Volumes: fakeVolumes{}, Name: "vch1", Version: "1.0", Log: log, Logs: ring})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- admin.Serve(ctx, api, open, log) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// vic runs the command line.
func vic(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cli.Main(context.Background(), "dev", append([]string{"vic"}, args...), cli.Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs})
	return code, out.String(), errs.String()
}

func TestCommands(t *testing.T) {
	s := serve(t)
	for name, tc := range map[string]struct {
		args         []string
		code         int
		stdin        string
		stdout, errs []string
	}{
		"list": {args: []string{"plugin", "ls"}, stdout: []string{
			"NAME      KIND              ROLE             VERSION   SHA256         PID   STATE     HEALTH    RESTARTS",
			"vsphere   compute,storage   compute,auth:2   0.1.0     abababababab   42    up        healthy   3",
			`broken is refused: b.toml:3: unknown key "x"`,
		}},
		"inspect": {args: []string{"plugin", "inspect", "vsphere"},
			stdout: []string{"Restarts:", "compute vsphere (disk:vmdk)", strings.Repeat("ab", 32)}},
		"inspect of none":     {args: []string{"plugin", "inspect", "x"}, code: 1, errs: []string{`vic: plugin "x": not found`}},
		"inspect without":     {args: []string{"plugin", "inspect"}, code: 1, errs: []string{"needs the name of one plugin"}},
		"restart":             {args: []string{"plugin", "restart", "vsphere"}, stdout: []string{"vsphere is up, pid 43"}},
		"restart of refused":  {args: []string{"plugin", "restart", "broken"}, code: 1, errs: []string{`unknown key "x"`}},
		"exec":                {args: []string{"exec", "--", "sh", "-c", "echo out; echo err >&2"}, stdout: []string{"out\n"}, errs: []string{"err\n"}},
		"exec's exit code":    {args: []string{"exec", "sh", "-c", "exit 7"}, code: 7},
		"exec and a signal":   {args: []string{"exec", "sh", "-c", "kill -9 $$"}, code: 137},
		"exec of nothing":     {args: []string{"exec"}, code: 1, errs: []string{"exec needs a command"}},
		"exec of no program":  {args: []string{"exec", "/no/such/program"}, code: 127, errs: []string{"no such file"}},
		"exec with input":     {args: []string{"exec", "-i", "cat"}, stdin: "hello", stdout: []string{"hello"}},
		"logs":                {args: []string{"logs", "-n", "2"}, stdout: []string{"two\nthree\n"}},
		"version":             {args: []string{"version"}, stdout: []string{"vic   dev\n", "vicd  1.0 (VCH vch1"}},
		"format that is none": {args: []string{"plugin", "ls", "--format", "xml"}, code: 1, errs: []string{"table or json"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := vic(tc.stdin, append([]string{"--socket", s.socket}, tc.args...)...)
			if code != tc.code {
				t.Errorf("exit code %d, want %d; stderr: %s", code, tc.code, stderr)
			}
			for _, want := range tc.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("stdout %q lacks %q", stdout, want)
				}
			}
			for _, want := range tc.errs {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr %q lacks %q", stderr, want)
				}
			}
		})
	}
}

func TestJSONIsForMachines(t *testing.T) {
	s := serve(t)
	_, out, _ := vic("", "--socket", s.socket, "plugin", "ls", "--format", "json")
	var all []plugin.Status
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 2 || all[0].PID != 42 || all[0].Example != "" {
		t.Errorf("%v: %s", err, out)
	}
	_, out, _ = vic("", "--socket", s.socket, "plugin", "inspect", "--format", "json", "vsphere")
	var st plugin.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil || st.Example == "" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestOnlyAdministratorsGetIn(t *testing.T) {
	s := serve(t)
	if code, out, errs := vic("", "--host", s.host, "--cert-path", s.certs, "plugin", "ls"); code != 0 || !strings.Contains(out, "vsphere") {
		t.Errorf("an administrator: %d, %s%s", code, out, errs)
	}
	code, _, errs := vic("", "--host", s.host, "--cert-path", s.stranger, "exec", "id")
	if code == 0 || !strings.Contains(errs, "does not answer") {
		t.Errorf("a stranger's certificate: %d, %s", code, errs)
	}
	if code, _, errs := vic("", "--host", s.host, "plugin", "ls"); code == 0 || !strings.Contains(errs, "--cert-path") {
		t.Errorf("no certificate: %d, %s", code, errs)
	}
	fi, err := os.Stat(s.socket)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", fi, err)
	}
}

func TestNobodyThere(t *testing.T) {
	code, _, errs := vic("", "--socket", filepath.Join(t.TempDir(), "s"), "plugin", "ls")
	if code != 1 || !strings.Contains(errs, "--host tcp://") {
		t.Errorf("%d, %s", code, errs)
	}
}

func TestASecondServerIsRefusedAndADeadOnesSocketIsReplaced(t *testing.T) {
	s := serve(t)
	if _, err := (admin.Listeners{Socket: s.socket}).Open(); err == nil {
		t.Error("two servers on one socket")
	}
	dead := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	again, err := (admin.Listeners{Socket: dead}).Open()
	if err != nil {
		t.Fatal(err)
	}
	again[0].Close()
}

// ca signs certificates for 127.0.0.1.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newCA(t *testing.T) ca {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	key, der := sign(t, template, template, nil)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return ca{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (c ca) issue(t *testing.T, dir, certFile, keyFile string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "admin"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	key, der := sign(t, template, c.cert, c.key)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, certFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func sign(t *testing.T, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// fakeVolumes has one volume, which somebody uses, and one that nobody does.
type fakeVolumes struct{}

func (fakeVolumes) List(context.Context) ([]admin.Volume, error) {
	return []admin.Volume{
		{Name: "db", Store: "default", CapacityMB: 1024, Place: "[ds] v/db.vmdk", Containers: []string{"c1"}},
		{Name: "web", Store: "shared", Place: "nfs://filer/web"},
	}, nil
}

func (fakeVolumes) Grow(_ context.Context, name, capacity string) (admin.Volume, error) {
	if name == "db" {
		return admin.Volume{}, fmt.Errorf("volume \"db\" is in use by container c1: %w", errdef.ErrConflict)
	}
	return admin.Volume{Name: name, CapacityMB: int64(len(capacity)) << 10}, nil
}

func TestVolumesAreListedAndGrow(t *testing.T) {
	s := serve(t)
	code, out, _ := vic("", "--socket", s.socket, "volume", "ls")
	if code != 0 || !strings.Contains(out, "1024 MB    1            [ds] v/db.vmdk") || !strings.Contains(out, "nfs://filer/web") {
		t.Errorf("ls: %d\n%s", code, out)
	}
	if code, out, _ := vic("", "--socket", s.socket, "volume", "grow", "x/y", "20GB"); code != 0 || out != "x/y has 4096 MB now\n" {
		t.Errorf("grow: %d %s", code, out)
	}
	for text, args := range map[string][]string{"in use by container c1": {"db", "1"}, "needs a volume's name": {"db"}} {
		if code, _, e := vic("", append([]string{"--socket", s.socket, "volume", "grow"}, args...)...); code == 0 || !strings.Contains(e, text) {
			t.Errorf("%v: %d %s", args, code, e)
		}
	}
}

func TestWordsThatAreNoCommand(t *testing.T) {
	for want, args := range map[string][]string{
		`there is no command "nonsense"; vic help lists them`:                  {"nonsense"},
		`vic plugin has no command "lst"; it has ls, inspect, restart`:         {"plugin", "lst"},
		`vic hub user has no command "creat"; it has ls, create, password, rm`: {"hub", "user", "creat"},
		`vic hub project create: write --public before PROJECT`:                {"hub", "--hub", "https://x", "project", "create", "p", "--public"},
	} {
		var errs strings.Builder
		if code := cli.Main(t.Context(), "test", append([]string{"vic"}, args...), cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: &errs}); code == 0 ||
			!strings.Contains(errs.String(), want) {
			t.Errorf("%v: %d %s", args, code, errs.String())
		}
	}
}
