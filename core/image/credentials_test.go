package image

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"
	registrytypes "github.com/docker/docker/api/types/registry"
)

// tokenRegistry is a registry whose clients need a token, which its token service gives to me, with the password
// "secret" or the refresh token "again". Its certificate is one that no system knows.
func tokenRegistry(t *testing.T) (host, ca string) {
	t.Helper()
	r := newTestRegistry(t)
	r.push("app", "1", true, gz(files(10, "a")))
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/token" {
			user, password, _ := q.BasicAuth()
			if (user != "me" || password != "secret") && q.FormValue("refresh_token") != "again" && q.FormValue("password") != "secret" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = io.WriteString(w, `{"token":"opens","access_token":"opens","expires_in":300}`)
			return
		}
		if q.Header.Get("Authorization") != "Bearer opens" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+q.Host+`/token",service="test",scope="repository:app:pull"`)
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

// Docker's image service asked the token service with a client of its own: a user who had logged in to a registry with an
// authority of its own could neither pull nor push there.
func TestTokensAreAskedForWithTheAuthorities(t *testing.T) {
	host, ca := tokenRegistry(t)
	host = strings.Replace(host, "127.0.0.1", "example.com", 1) // 127.0.0.1 counts as insecure
	s := open(t, t.TempDir(), newFakeLayers(), func(o *Options) { o.Registries.CAs = []string{ca} })
	dialAs(s, "example.com", "127.0.0.1")
	ref, err := reference.ParseNormalizedNamed(host + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		auth *registrytypes.AuthConfig
		want string
	}{
		"a password":              {&registrytypes.AuthConfig{Username: "me", Password: "secret", ServerAddress: host}, ""},
		"without the server":      {&registrytypes.AuthConfig{Username: "me", Password: "secret"}, ""},
		"a refresh token":         {&registrytypes.AuthConfig{IdentityToken: "again", ServerAddress: host}, ""},
		"a token of the client's": {&registrytypes.AuthConfig{RegistryToken: "opens", ServerAddress: host}, ""},
		"a wrong password":        {&registrytypes.AuthConfig{Username: "me", Password: "wrong", ServerAddress: host}, "401"},
		"a wrong token":           {&registrytypes.AuthConfig{RegistryToken: "wrong", ServerAddress: host}, "401"},
		"another registry's":      {&registrytypes.AuthConfig{Username: "me", Password: "secret", ServerAddress: "other.example.com"}, "401"},
		"nobody's":                {nil, "401"},
	} {
		err := s.Backend().PullImage(t.Context(), ref, nil, nil, c.auth, io.Discard)
		if (err == nil) != (c.want == "") || err != nil && strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCredentialsAreForTheirHostAlone(t *testing.T) {
	ref, err := reference.ParseNormalizedNamed("registry.example.com/app")
	if err != nil {
		t.Fatal(err)
	}
	for server, want := range map[string]string{"": "registry.example.com", "https://registry.example.com/v1/": "registry.example.com",
		"https://index.docker.io/v1/": "registry-1.docker.io", "docker.io": "registry-1.docker.io", "other.example.com:5000": "other.example.com:5000"} {
		ctx := withCredentials(context.Background(), &registrytypes.AuthConfig{Username: "me", Password: "secret", ServerAddress: server}, ref)
		c, ok := ctx.Value(credentialsKey{}).(*credentials)
		if !ok || c.host != want {
			t.Fatalf("%s: %+v", server, c)
		}
		for _, host := range []string{want, "evil.example.com", want + ".evil.example.com"} {
			name, secret, err := c.secret(host)
			if (host == want) != (name == "me" && secret == "secret") || err != nil {
				t.Errorf("%s for %s: %q", server, host, name)
			}
		}
	}
}
