package certs

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

func options(t *testing.T) Options {
	return Options{Dir: filepath.Join(t.TempDir(), "a", "vch1"), Name: "vch1", Names: []string{"vch1.example.com", "127.0.0.1"}, Organizations: []string{"ACME"}}
}

func prepare(t *testing.T, o Options) *Set {
	t.Helper()
	s, err := Prepare(o, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func written(t *testing.T, o Options) *Set {
	t.Helper()
	s := prepare(t, o)
	if _, err := s.Write(); err != nil {
		t.Fatal(err)
	}
	return s
}

// handshake runs TLS with the docker client's certificate against the server's.
func handshake(t *testing.T, s *Set, name string, client Pair) error {
	t.Helper()
	pool := func(b []byte) *x509.CertPool {
		p := x509.NewCertPool()
		p.AppendCertsFromPEM(b)
		return p
	}
	sc, err := tls.X509KeyPair(s.Server.Cert, s.Server.Key)
	if err != nil {
		t.Fatal(err)
	}
	cc, err := tls.X509KeyPair(client.Cert, client.Key)
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	srv := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{sc}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(s.CA.Cert)})
	done := make(chan error, 1)
	go func() {
		err := srv.Handshake()
		a.Close()
		done <- err
	}()
	err = tls.Client(b, &tls.Config{Certificates: []tls.Certificate{cc}, RootCAs: pool(s.CA.Cert), ServerName: name}).Handshake()
	b.Close()
	return errors.Join(err, <-done)
}

func TestDockerClientAndServerTrustEachOther(t *testing.T) {
	s := prepare(t, options(t))
	for _, name := range []string{"vch1.example.com", "127.0.0.1"} {
		if err := handshake(t, s, name, s.Client); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if handshake(t, s, "other.example.com", s.Client) == nil {
		t.Error("the server passed for another name")
	}
	if handshake(t, s, "127.0.0.1", s.Admin) == nil {
		t.Error("an administrator's certificate passed for a docker client's")
	}
}

func TestFilesHaveTheirNamesAndModes(t *testing.T) {
	o := options(t)
	written(t, o)
	for name, mode := range map[string]os.FileMode{
		CAFile: 0o644, ClientCertFile: 0o644, ClientKeyFile: 0o600, CAKeyFile: 0o600, ServerCertFile: 0o644,
		ServerKeyFile: 0o600, AdminCAFile: 0o644, AdminCAKeyFile: 0o600, AdminCertFile: 0o644, AdminKeyFile: 0o600,
	} {
		fi, err := os.Stat(filepath.Join(o.Dir, name))
		if err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, fi, err)
		}
	}
	left, _ := os.ReadDir(o.Dir)
	if len(left) != 10 {
		t.Errorf("files: %v", left)
	}
}

func TestUndoLeavesTheFolderAsItWas(t *testing.T) {
	o := options(t)
	undo, err := prepare(t, o).Write()
	if err != nil {
		t.Fatal(err)
	}
	undo()
	if _, err := os.Stat(filepath.Dir(o.Dir)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the folder is still there")
	}
}

func TestWhatIsThereIsReused(t *testing.T) {
	o := options(t)
	first := written(t, o)
	again := prepare(t, o)
	if string(again.Server.Cert) != string(first.Server.Cert) || string(again.Client.Key) != string(first.Client.Key) ||
		string(again.Admin.Cert) != string(first.Admin.Cert) || len(again.NewFiles()) != 0 {
		t.Errorf("made anew: %v", again.NewFiles())
	}
	if string(again.Link.Key) == string(first.Link.Key) {
		t.Error("the link CA belongs to one VCH alone")
	}
	o.Names = nil // the names are the certificate's then
	prepare(t, o)
	if err := os.Remove(filepath.Join(o.Dir, ServerCertFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(o.Dir, ServerKeyFile)); err != nil {
		t.Fatal(err)
	}
	o.Names = []string{"new.example.com"}
	if got := prepare(t, o).NewFiles(); !slices.Equal(got, []string{ServerCertFile, ServerKeyFile}) {
		t.Errorf("made %v", got)
	}
}

func TestWhatCannotBeUsedIsNamed(t *testing.T) {
	year := 365 * 24 * time.Hour
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, o *Options)
		at    time.Duration
		want  string
	}{
		{"another name", func(_ *testing.T, o *Options) { o.Names = []string{"other.example.com"} }, 0, "server-cert.pem"},
		{"expired", func(*testing.T, *Options) {}, 4 * year, "expired"},
		{"garbage", func(t *testing.T, o *Options) { overwrite(t, o, CAFile) }, 0, "ca.pem"},
		{"key lost", func(t *testing.T, o *Options) { remove(t, o, ClientKeyFile) }, 0, "key.pem"},
		{"CA lost", func(t *testing.T, o *Options) { remove(t, o, CAFile); remove(t, o, CAKeyFile) }, 0, "not ca.pem"},
		{"nothing to sign with", func(t *testing.T, o *Options) {
			remove(t, o, CAKeyFile)
			remove(t, o, ClientKeyFile)
			remove(t, o, ClientCertFile)
		}, 0, "ca-key.pem"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t)
			written(t, o)
			c.spoil(t, &o)
			_, err := Prepare(o, time.Now().Add(c.at))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(advice.Of(err), "--force") {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			o.Force = true
			if _, err := Prepare(o, time.Now().Add(c.at)); err != nil && c.name != "nothing to sign with" {
				t.Errorf("with --force: %v", err)
			}
		})
	}
}

func overwrite(t *testing.T, o *Options, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.Dir, name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, o *Options, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(o.Dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestWhatExpiresSoonIsAWarning(t *testing.T) {
	o := options(t)
	written(t, o)
	s, err := Prepare(o, time.Now().Add(leafLife-10*24*time.Hour))
	if err != nil || len(s.Warnings) != 3 {
		t.Errorf("%v %v", s, err)
	}
}

func TestTLSOptions(t *testing.T) {
	o := options(t)
	o.Names = nil
	if _, err := Prepare(o, time.Now()); !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(advice.Of(err), "--tls-cname") {
		t.Errorf("no name: %v", err)
	}
	o.NoVerify = true
	if s := prepare(t, o); len(s.Client.Cert) != 0 || len(s.Server.Cert) == 0 || len(s.Admin.Cert) == 0 {
		t.Error("--no-tlsverify: a server's and an administrator's, no client's")
	}
	o.NoTLS = true
	if s := prepare(t, o); len(s.Server.Cert) != 0 || len(s.NewFiles()) != 0 || len(s.Link.Key) == 0 {
		t.Error("--no-tls: nothing but the link CA")
	}
}

func TestKeySizes(t *testing.T) {
	for size, want := range map[int]any{256: &ecdsa.PrivateKey{}, 384: &ecdsa.PrivateKey{}, 2048: &rsa.PrivateKey{}} {
		k, err := newKey(size)
		if err != nil {
			t.Fatal(size, err)
		}
		_, gotRSA := k.(*rsa.PrivateKey)
		_, wantRSA := want.(*rsa.PrivateKey)
		if gotRSA != wantRSA {
			t.Errorf("%d: %T", size, k)
		}
	}
	for _, size := range []int{-1, 1, 512, 1024, 1 << 20} {
		if _, err := newKey(size); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%d: %v", size, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	s := prepare(t, options(t))
	i, err := Describe(s.Server.Cert)
	if err != nil || !slices.Equal(i.Names, []string{"vch1.example.com", "127.0.0.1"}) || time.Until(i.NotAfter) < 2*365*24*time.Hour {
		t.Errorf("%+v %v", i, err)
	}
	if _, err := Describe(nil); err == nil {
		t.Error("nothing is no certificate")
	}
}
