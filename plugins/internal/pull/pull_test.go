package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/secret"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const robot = "Basic cm9ib3Q6c2VjcmV0"

func openAt(t *testing.T, at string, authorization string) *Repository {
	t.Helper()
	r, err := Open(scan.Registry{URL: at, Authorization: secret.Text(authorization)}, "library/app")
	must(t, err)
	t.Cleanup(r.Close)
	return r
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

const text = "content"

var blob = digest.FromString(text)

func TestTokenServiceGetsTheCredentialAndTheRegistryTheToken(t *testing.T) {
	var registry string
	exchanges := 0
	tokens := serve(t, func(w http.ResponseWriter, r *http.Request) {
		exchanges++
		if r.Header.Get("Authorization") != robot || r.URL.Query().Get("scope") != "repository:library/app:pull" || r.URL.Query().Get("service") != "hub" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"token": "good"}`)
	})
	registry = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="hub"`, tokens))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, text)
	})
	r := openAt(t, registry, robot)
	for range 2 {
		body, err := r.Blob(t.Context(), blob)
		must(t, err)
		data, err := io.ReadAll(body)
		must(t, err)
		must(t, body.Close())
		if string(data) != text {
			t.Errorf("read %q", data)
		}
	}
	if exchanges != 1 {
		t.Errorf("%d tokens for two blobs", exchanges)
	}
	if _, err := openAt(t, registry, "Basic d3Jvbmc6d3Jvbmc=").Blob(t.Context(), blob); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("another credential: %v", err)
	}
	if _, err := openAt(t, registry, "Bearer old").Blob(t.Context(), blob); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("an old token: %v", err)
	}
}

func TestCredentialDoesNotGoAlongWithRedirects(t *testing.T) {
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("elsewhere sees %q", got)
		}
		fmt.Fprint(w, text)
	})
	u, err := url.Parse(elsewhere)
	must(t, err)
	// Another name of the same machine, which a client might take for the same.
	for _, host := range []string{"127.0.0.1:" + u.Port(), "localhost:" + u.Port()} {
		registry := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+host+"/blob", http.StatusTemporaryRedirect)
		})
		body, err := openAt(t, registry, robot).Blob(t.Context(), blob)
		must(t, err)
		must(t, body.Close())
	}
}

func TestRegistryThatMisbehaves(t *testing.T) {
	manifest, err := json.Marshal(ocispec.Manifest{})
	must(t, err)
	d := digest.FromBytes(manifest)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		class  error
	}{
		"other content":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }, errdef.ErrInvalid},
		"without an end":     {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", MaxManifest+1)) }, errdef.ErrExhausted},
		"redirects for ever": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, errdef.ErrUnavailable},
		"breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, errdef.ErrUnavailable},
		"500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, errdef.ErrUnavailable},
		"403": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, errdef.ErrDenied},
		"404": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, errdef.ErrNotFound},
		"names no token service": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="file:///etc/passwd"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, errdef.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := openAt(t, serve(t, c.answer), robot).Manifest(t.Context(), d, ocispec.MediaTypeImageManifest); !errors.Is(err, c.class) {
				t.Errorf("Manifest: %v, not %v", err, c.class)
			}
		})
	}
}

func TestTokenServiceOfATLSRegistryNeedsTLS(t *testing.T) {
	r := openAt(t, "https://registry.example.com", robot)
	challenge := []string{`Bearer realm="http://tokens.example.com/token",service="hub"`}
	if err := r.token(t.Context(), challenge); !errors.Is(err, errdef.ErrUnavailable) || !strings.Contains(err.Error(), "token service") {
		t.Errorf("token: %v", err)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, c := range []struct{ url, repository string }{
		{"ftp://hub.example.com", "library/app"}, {"https://me:secret@hub.example.com", "library/app"}, {"https://", "library/app"},
		{"https://hub.example.com", "../app"}, {"https://hub.example.com", "Library/App"}, {"https://hub.example.com", ""},
	} {
		if _, err := Open(scan.Registry{URL: c.url}, c.repository); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s %q: %v", c.url, c.repository, err)
		}
	}
}

func TestEndOfTheCallEndsReading(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	registry := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	body, err := openAt(t, registry, robot).Blob(ctx, blob)
	if err == nil {
		_, err = io.ReadAll(body)
		_ = body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
}
