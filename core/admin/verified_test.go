package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// The listener takes clients without a certificate, for the site: the API must refuse them.
func TestTheAPIIsForThoseWhoAreVerified(t *testing.T) {
	site := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	api := New(Options{Name: "vch1", Site: site})
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "bob"}}
	for _, c := range []struct {
		name string
		tls  *tls.ConnectionState
		addr net.Addr
		want int
	}{
		{"no TLS", nil, &net.TCPAddr{}, http.StatusUnauthorized},
		{"no certificate", &tls.ConnectionState{}, &net.TCPAddr{}, http.StatusUnauthorized},
		{"a certificate that nobody verified", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, &net.TCPAddr{}, http.StatusUnauthorized},
		{"a verified one", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}, &net.TCPAddr{},
			http.StatusOK},
		{"the socket", nil, &net.UnixAddr{Net: "unix"}, http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			for path, want := range map[string]int{"/v1/version": c.want, "/": http.StatusTeapot} {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.TLS = c.tls
				w := httptest.NewRecorder()
				api.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.addr)))
				if w.Code != want {
					t.Errorf("%s: %d, want %d", path, w.Code, want)
				}
			}
		})
	}
}

func TestTheSocketIsKnownAsTheSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: New(Options{})}}
	srv.Start()
	defer srv.Close()
	hc := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", l.Addr().String())
	}}}
	res, err := hc.Get("http://vicd/v1/version")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("%d", res.StatusCode)
	}
}

func TestFollowersGetWhatIsWrittenAndDoNotHoldTheLogUp(t *testing.T) {
	r := NewRing(1 << 10)
	_, _ = r.Write([]byte("one\ntwo\n"))
	last, next, stop := r.Follow(1)
	if string(last) != "two\n" {
		t.Errorf("%q", last)
	}
	_, _ = r.Write([]byte("three\n"))
	if got := <-next; !bytes.Equal(got, []byte("three\n")) {
		t.Errorf("%q", got)
	}
	for range 2 * followed { // nobody reads
		_, _ = r.Write([]byte("x\n"))
	}
	if len(next) != followed {
		t.Errorf("%d are waiting", len(next))
	}
	stop()
	_, _ = r.Write([]byte("y\n"))
	if len(r.followers) != 0 {
		t.Error("still followed")
	}
}

// A browser that holds an administrator's certificate sends it with whatever another site's page asks for.
func TestEveryRouteRefusesAPageOfAnotherSite(t *testing.T) {
	site := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the site was reached") })
	h := New(Options{Plugins: nil, Site: site}) // nil: a handler that is reached panics
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}}
	verified := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	patterns := []string{"POST /login", "POST /logout", "POST /plugins/vsphere/restart", "GET /logs/stream"}
	for _, r := range (&api{}).routes() {
		patterns = append(patterns, strings.ReplaceAll(r.pattern, "{name}", "vsphere"))
	}
	for _, p := range patterns {
		method, path, _ := strings.Cut(p, " ")
		for _, header := range []http.Header{
			{"Sec-Fetch-Site": {"cross-site"}, "Content-Type": {"text/plain"}},
			{"Origin": {"https://evil.example"}, "Content-Type": {"application/json"}},
		} {
			r := httptest.NewRequest(method, "https://vch.example:2378"+path, strings.NewReader(`{"args":["sh","-c","id"]}`))
			r.TLS, r.Header = verified, header
			if method == http.MethodGet {
				r.Header.Set("Upgrade", "websocket") // else it is a link, which moves nothing
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "another site") {
				t.Errorf("%s with %v: %d %s", p, header, w.Code, w.Body)
			}
		}
	}
}

func TestAFormIsNoBodyOfTheAPI(t *testing.T) {
	h := New(Options{})
	r := httptest.NewRequest(http.MethodPost, "/v1/exec", strings.NewReader(`{"args":["true"]}`))
	r.Header.Set("Content-Type", "text/plain")
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Net: "unix"}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusUnsupportedMediaType || !strings.Contains(w.Body.String(), "application/json") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
