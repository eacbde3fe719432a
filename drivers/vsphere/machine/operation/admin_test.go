package operation

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// serveAdmin is an admin API with the certificate in a folder; it asks clients for theirs.
func serveAdmin(t *testing.T, dir string, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(handler)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that leaves is what is tested
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func TestTheAdminAPIIsAskedOnlyIfItIsTheEndpoints(t *testing.T) {
	s := simtest.New(t)
	dir := vch1(t, s)
	e, err := vch.Open(t.Context(), s.Session, byName(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := func(dir, host string) (*AdminAPI, error) {
		v := option.New(DebugOptions())
		v.Set("cert-path", dir)
		if host != "" {
			v.Set("admin-host", host)
		}
		return AdminOf(v, Local{}, e, &vch.Details{})
	}
	if _, err := client(t.TempDir(), "x:1"); !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(advice.Of(err), "--cert-path") {
		t.Errorf("no certificate: %v", err)
	}
	if _, err := client(dir, ""); !errors.Is(err, errdef.ErrUnavailable) || advice.Of(err) == "" {
		t.Errorf("no address: %v", err)
	}

	answer := ""
	own := serveAdmin(t, dir, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/exec":
			body, _ := io.ReadAll(r.Body)
			if !strings.Contains(string(body), `"sh","-c","uname -a"`) || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("asked with %q: %s", r.Header.Get("Content-Type"), body)
			}
			_, _ = io.WriteString(w, answer)
		case r.URL.Path == "/v1/logs":
			_, _ = io.WriteString(w, "a log")
		default:
			http.Error(w, "not here", http.StatusNotFound)
		}
	})
	api, err := client(dir, own.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := api.Get(t.Context(), "/v1/logs"); err != nil || string(b) != "a log" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := api.Get(t.Context(), "/v1/nosuch"); err == nil || !strings.Contains(err.Error(), "404 Not Found: not here") {
		t.Errorf("%v", err)
	}
	for name, c := range map[string]struct{ answer, out, errOut, err string }{
		"it succeeds":         {`{"stdout":"TGludXgK"}{"stderr":"b29wcwo="}{"exit":0}`, "Linux\n", "oops\n", ""},
		"it fails":            {`{"stderr":"b29wcwo="}{"exit":3,"error":"of disk"}`, "", "oops\n", "exit code 3 of disk"},
		"it breaks off":       {`{"stdout":"TGludXgK"}`, "Linux\n", "", "ended early"},
		"it says what is not": {`{"stdout":7}`, "", "", "ended early"},
	} {
		var out, errOut bytes.Buffer
		answer = c.answer
		err := api.Exec(t.Context(), "uname -a", &out, &errOut)
		if out.String() != c.out || errOut.String() != c.errOut || (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %q, %q, %v", name, &out, &errOut, err)
		}
	}

	// A server with another certificate is not asked, whatever it is.
	other := simtest.New(t)
	stranger := serveAdmin(t, vch1(t, other), func(http.ResponseWriter, *http.Request) { t.Error("the stranger was asked") })
	if api, err = client(dir, stranger.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if err := api.Exec(t.Context(), "rm", io.Discard, io.Discard); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("a stranger: %v", err)
	}
}
