package image

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"
	registrytypes "github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/errdefs"
)

func TestPolicy(t *testing.T) {
	names := map[string]string{"inside.corp": "10.1.2.3", "outside.example": "192.0.2.1"}
	for _, c := range []struct {
		allow, deny string
		registry    string
		ok          bool
	}{
		{"", "", "docker.io", true},
		{"docker.io", "", "docker.io", true},
		{"docker.io", "", "quay.io", false},
		{"*.corp", "", "reg.CORP:5000", true},
		{"*.corp", "", "corp", false},
		{"*.corp", "", "evilcorp", false},
		{"reg:5000", "", "reg:5000", true},
		{"reg:5000", "", "reg:5001", false},
		{"reg", "", "reg:5001", true},
		{"10.0.0.0/8", "", "10.9.9.9:5000", true},
		{"10.0.0.0/8", "", "192.0.2.1", false},
		{"10.0.0.0/8", "", "inside.corp:5000", true},
		{"10.0.0.0/8", "", "outside.example", false},
		{"10.0.0.0/8", "", "nowhere.example", false},
		{"", "quay.io", "quay.io", false},
		{"", "quay.io", "docker.io", true},
		{"*.corp", "bad.corp", "bad.corp", false},
		{"", "192.0.2.0/24", "outside.example", false},
		// One registry has one form, whatever it is called.
		{"", "docker.io", "registry-1.docker.io", false},
		{"", "docker.io", "index.docker.io", false},
		{"docker.io", "", "registry-1.docker.io:443", true},
		{"", "reg:443", "reg", false},
		{"", "reg:0443", "reg:443", false},
		{"reg:443", "", "reg", true},
		{"reg:80", "", "reg", false},
		{"", "reg:80", "reg", false},
		{"", "quay.io", "QUAY.io.", false},
		{"*.example.com", "", "evil.com#.example.com", false},
		{"*.example.com", "", "evil.com/.example.com", false},
		{"*.example.com", "", "evil.com?.example.com", false},
		{"*.example.com", "", "user@evil.com:443", false},
		{"*.example.com", "", "evil.com%2f.example.com", false},
		{"*.example.com", "", "evil.com:99999.example.com", false},
		{"", "10.0.0.0/8", "[::ffff:10.1.1.1]:5000", false},
		{"", "10.0.0.0/8", "[::ffff:10.1.1.1]", false},
	} {
		p, err := newPolicy(strings.Fields(c.allow), strings.Fields(c.deny))
		if err != nil {
			t.Fatal(err)
		}
		p.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
			if a, ok := names[host]; ok {
				return []netip.Addr{netip.MustParseAddr(a)}, nil
			}
			return nil, errors.New("no such host")
		}
		err = p.check(t.Context(), c.registry)
		if (err == nil) != c.ok || err != nil && !errdefs.IsForbidden(err) && !errdefs.IsInvalidParameter(err) {
			t.Errorf("allow %q, deny %q: %s: %v", c.allow, c.deny, c.registry, err)
		}
	}
	for _, bad := range []string{"", "a/b", "https://x", "a.*.b"} {
		if _, err := newPolicy([]string{bad}, nil); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestDeniedRegistriesAreNotAsked(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	r.push("app", "1", true, gz(files(10, "a")))
	asked := false
	r.setBend(func(w http.ResponseWriter, q *http.Request, next http.Handler) { asked = true; next.ServeHTTP(w, q) })
	s := open(t, t.TempDir(), f, func(o *Options) { o.Registries.Deny = []string{r.host()} })
	const want = "is not allowed by this virtual container host"
	mustFail(t, s, r.host()+"/app:1", want)
	_, _, err := s.Backend().AuthenticateToRegistry(t.Context(), &registrytypes.AuthConfig{ServerAddress: r.URL})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("login: %v", err)
	}
	if asked {
		t.Error("the registry was asked")
	}
}

// privateRegistry wants TLS with an authority of its own, and a password.
func privateRegistry(t *testing.T) (host, ca string) {
	t.Helper()
	r := newTestRegistry(t)
	r.push("app", "1", true, gz(files(10, "a")))
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if user, password, _ := q.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.ServeHTTP(w, q)
	}))
	t.Cleanup(srv.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: srv.TLS.Certificates[0].Certificate[0]}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(srv.URL, "https://"), ca
}

func TestPrivateRegistryWithItsOwnAuthority(t *testing.T) {
	host, ca := privateRegistry(t)
	// 127.0.0.1 counts as insecure, so the certificate's other name is asked for.
	host = strings.Replace(host, "127.0.0.1", "example.com", 1)
	s := open(t, t.TempDir(), newFakeLayers(), func(o *Options) { o.Registries.CAs = []string{filepath.Dir(ca)} })
	dialAs(s, "example.com", "127.0.0.1")
	me := &registrytypes.AuthConfig{Username: "me", Password: "secret", ServerAddress: host}
	if status, _, err := s.Backend().AuthenticateToRegistry(t.Context(), me); err != nil || status != "Login Succeeded" {
		t.Errorf("login: %q, %v", status, err)
	}
	wrong := &registrytypes.AuthConfig{Username: "me", Password: "wrong", ServerAddress: host}
	if _, _, err := s.Backend().AuthenticateToRegistry(t.Context(), wrong); !errdefs.IsUnauthorized(err) {
		t.Errorf("login with a wrong password: %v", err)
	}
	if err := pullAs(t, s, host+"/app:1", me); err != nil {
		t.Errorf("pull: %v", err)
	}
	if err := pullAs(t, s, host+"/app:1", wrong); err == nil {
		t.Error("pulled with a wrong password")
	}
	blind := open(t, t.TempDir(), newFakeLayers())
	dialAs(blind, "example.com", "127.0.0.1")
	if err := pullAs(t, blind, host+"/app:1", me); err == nil || !strings.Contains(err.Error(), "registry_ca") {
		t.Errorf("without the authority: %v", err)
	}
	if _, err := New(t.Context(), Options{Root: t.TempDir(), Layers: newFakeLayers(), Registries: Registries{CAs: []string{"/no/such"}}}); err == nil ||
		!strings.Contains(err.Error(), "registry_ca") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// dialAs has a name lead to another host.
func dialAs(s *Service, name, to string) {
	s.hosts.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.Replace(addr, name, to, 1))
	}
}

func pullAs(t *testing.T, s *Service, name string, auth *registrytypes.AuthConfig) error {
	t.Helper()
	return s.Backend().PullImage(t.Context(), mustRef(t, name), nil, nil, auth, io.Discard)
}

func mustRef(t *testing.T, name string) reference.Named {
	t.Helper()
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
