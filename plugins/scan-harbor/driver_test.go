package main

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/serve/strict"
)

func TestReadmesExampleIsTheDefault(t *testing.T) {
	var c Config
	must(t, strict.Decode("README.md", example(), &c))
	want := defaults()
	want.URL = "https://trivy-adapter.example.com:8443" // an example
	if !reflect.DeepEqual(c, want) {
		t.Errorf("the example is %+v, the defaults are %+v", c, want)
	}
}

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, []byte(text), mode))
	return name
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"no url":                 func(c *Config) { c.URL = "" },
		"a password in the url":  func(c *Config) { c.URL = "https://me:secret@scanner.example.com" },
		"http to another":        func(c *Config) { c.URL = "http://scanner.example.com" },
		"http to another number": func(c *Config) { c.URL = "http://192.0.2.1:8080" },
		"registry_url":           func(c *Config) { c.RegistryURL = "hub" },
		"auth":                   func(c *Config) { c.Auth = "digest" },
		"no file":                func(c *Config) { c.Auth = "bearer" },
		"a file for all":         func(c *Config) { c.Auth, c.CredentialFile = "bearer", write(t, "token", 0o644) },
		"no user":                func(c *Config) { c.Auth, c.CredentialFile = "basic", write(t, "token", 0o600) },
		"two lines":              func(c *Config) { c.Auth, c.CredentialFile = "api-key", write(t, "a\nb\n", 0o600) },
		"ca":                     func(c *Config) { c.CA = write(t, "no certificate", 0o600) },
		"timeout":                func(c *Config) { c.Timeout = time.Second },
		"stale_after":            func(c *Config) { c.StaleAfter = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			c := defaults()
			c.URL = "https://scanner.example.com"
			change(&c)
			if _, err := open(c); !errors.Is(err, errdef.ErrInvalid) {
				t.Errorf("open: %v, not ErrInvalid", err)
			}
		})
	}
}

func TestCredentialIsSentAsTheScannerWantsIt(t *testing.T) {
	for auth, c := range map[string]struct{ file, header, want string }{
		"basic":   {"me:secret\n", "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("me:secret"))},
		"bearer":  {"token\n", "Authorization", "Bearer token"},
		"api-key": {"key\n", "X-ScannerAdapter-API-Key", "key"},
	} {
		t.Run(auth, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get(c.header); got != c.want {
					t.Errorf("%s: %q", c.header, got)
				}
				fmt.Fprint(w, `{"scanner": {"name": "S"}}`)
			}))
			defer s.Close()
			d := openDriver(t, s.URL, func(x *Config) { x.Auth, x.CredentialFile = auth, write(t, c.file, 0o600) })
			_, err := d.Describe(t.Context())
			must(t, err)
		})
	}
}

func TestCertificateHasToBeGood(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"scanner": {"name": "S"}}`) }))
	defer s.Close()
	ca := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})), 0o600)
	for name, c := range map[string]struct {
		change func(c *Config)
		class  error
	}{
		"unknown":     {nil, errdef.ErrUnavailable},
		"its CA":      {func(c *Config) { c.CA = ca }, nil},
		"skip_verify": {func(c *Config) { c.SkipVerify = true }, nil},
	} {
		if _, err := openDriver(t, s.URL, c.change).Describe(t.Context()); c.class == nil && err != nil || !errors.Is(err, c.class) {
			t.Errorf("%s: %v, want %v", name, err, c.class)
		}
	}
}

func TestRequestNamesCapabilitiesIfTheScannerKnowsThem(t *testing.T) {
	for api, want := range map[string]string{"1.0": typeRequestOld, "1.1": typeRequest} {
		s, url := newScanner(t, api)
		var c scan.Collector
		_, err := openDriver(t, url, func(c *Config) { c.RegistryURL = "https://inside.example.com" }).Scan(t.Context(), image(t, "bash 4.2"), &c)
		must(t, err)
		if len(s.accepted) != 1 || s.accepted[0] != want || s.scans["1"].Registry.URL != "https://inside.example.com" {
			t.Errorf("%s: content types %q, want %q; request %+v", api, s.accepted, want, s.scans["1"])
		}
	}
}

// hostile is a scanner that answers reports as it likes.
func hostile(t *testing.T, report http.HandlerFunc) *driver {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/v1/metadata":
			fmt.Fprintf(w, `{"scanner": {"name": "H\u0007"}, "capabilities": [{"type": "vulnerability", "consumes_mime_types": [%q], "produces_mime_types": [%q]}]}`,
				manifestType, typeReport)
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, `{"id": "1"}`)
		default:
			report(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return openDriver(t, s.URL, nil)
}

func TestHostileReportsAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		report http.HandlerFunc
		class  error
	}{
		"wrong type of a field":  {say(`{"vulnerabilities": [{"id": "CVE-1", "package": "a", "fix_version": 3}]}`), errdef.ErrInternal},
		"wrong type of the list": {say(`{"vulnerabilities": {"id": "CVE-1"}}`), errdef.ErrInternal},
		"no package":             {say(`{"vulnerabilities": [{"id": "CVE-1"}]}`), errdef.ErrInternal},
		"HTML":                   {say(`<html><body>Login</body></html>`), errdef.ErrInternal},
		"half of one":            {say(`{"vulnerabilities": [{"id": "CVE-1", "package": "a"}`), errdef.ErrInternal},
		"nothing":                {say(``), errdef.ErrInternal},
		"deep":                   {say(`{"x": ` + strings.Repeat("[", 1<<20)), errdef.ErrInternal},
		"a list without end": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"vulnerabilities": [`)
			one := []byte(strings.Repeat(`{"id": "CVE-1", "package": "a"},`, 1000))
			for r.Context().Err() == nil {
				if _, err := w.Write(one); err != nil {
					return
				}
			}
		}, errdef.ErrInternal},
		"an error with a story": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, `{"error": {"message": "a\u001b[31m%s"}}`, strings.Repeat("x", 100_000))
		}, errdef.ErrInternal},
		"a status of its own": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, errdef.ErrUnavailable},
		"a redirect elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
		}, errdef.ErrUnavailable},
		"it forgets": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, errdef.ErrUnavailable},
		"it goes away": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"vulnerabilities": [`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, errdef.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			var found counter
			_, err := hostile(t, c.report).Scan(t.Context(), image(t, "bash 4.2"), &found)
			if !errors.Is(err, c.class) {
				t.Errorf("Scan: %v, not %v", err, c.class)
			}
			if text := fmt.Sprint(err); len(text) > 2000 || strings.Contains(text, "\x1b") {
				t.Errorf("the error has %d bytes: %.200q", len(text), text)
			}
		})
	}
}

// counter is a sink that keeps nothing.
type counter struct{ findings int }

func (c *counter) Progress(scan.Progress) error     { return nil }
func (c *counter) Document(scan.Want, []byte) error { return nil }
func (c *counter) Findings(f []scan.Finding) error {
	c.findings += len(f)
	return nil
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func TestScannerThatDoesNotTellItsAgeHasAProblem(t *testing.T) {
	d := hostile(t, say("{}"))
	db, err := d.Database(t.Context())
	must(t, err)
	again, err := d.Database(t.Context())
	must(t, err)
	if db.Version == "" || db.Problem == "" || db.Updated.IsZero() || !again.Updated.Equal(db.Updated) || strings.Contains(db.Version, "\x07") {
		t.Errorf("%+v, then %+v", db, again)
	}
}

func TestPatienceHasBounds(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 5 * time.Second, "1": time.Second, "0": 5 * time.Second, "-1": 5 * time.Second, "86400": time.Minute, "soon": 5 * time.Second,
	} {
		if got := refresh(header); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func FuzzReport(f *testing.F) {
	for _, seed := range []string{
		`{"generated_at": "2026-01-02T03:04:05Z", "vulnerabilities": [{"id": "CVE-1", "package": "a", "severity": "High", "preferred_cvss": {"score_v3": 7.5}}]}`,
		`{"vulnerabilities": [{"id": "CVE-1", "package": "a", "links": ["https://a/", "javascript:1"], "vendor_attributes": {"a": 1}}]}`,
		`{"sbom": {"spdxVersion": "SPDX-2.3"}, "media_type": "application/spdx+json"}`, `{"vulnerabilities": null}`, `[]`, `{"vulnerabilities": [{}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var list []scan.Finding
		_, err := parse(strings.NewReader(text), "fuzz", func(l []scan.Finding) error {
			list = append(list, l...)
			return nil
		})
		if err != nil && !errors.Is(err, errdef.ErrInternal) {
			t.Errorf("%v is of another class", err)
		}
		for _, one := range list {
			if one.ID == "" || one.Package == "" || !reflect.DeepEqual(one, one.Clip()) {
				t.Errorf("%+v breaks the bounds", one)
			}
		}
	})
}
