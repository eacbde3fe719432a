package site

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/openvic/vic/core/admin"
	"github.com/openvic/vic/core/metrics"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/platform"
)

// plugins is a plugin host with one plugin.
type plugins struct {
	mu        sync.Mutex
	restarted []string
}

func (p *plugins) List() []plugin.Status {
	return []plugin.Status{{Name: "vsphere", State: plugin.StateUp, Healthy: true, Version: "1.0", Restarts: 3}}
}
func (p *plugins) Get(string) (plugin.Status, error) { return p.List()[0], nil }
func (p *plugins) Restart(_ context.Context, name string) (plugin.Status, error) {
	if name != "vsphere" {
		return plugin.Status{}, errdef.ErrNotFound
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restarted = append(p.restarted, name)
	return p.List()[0], nil
}

// rig is a site behind TLS, as vicd serves it.
type rig struct {
	t       *testing.T
	plugins *plugins
	logs    *admin.Ring
	server  *httptest.Server
	cert    tls.Certificate
	waiting string
	down    error // of the platform
	tries   int
	now     time.Time
}

func pair(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	must(t, err)
	made, err := x509.ParseCertificate(der)
	must(t, err)
	return made, key, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: made}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, plugins: &plugins{}, logs: admin.NewRing(1 << 16), now: time.Now()}
	secret := filepath.Join(t.TempDir(), "vsphere.toml")
	must(t, os.WriteFile(secret, []byte("[vcenter]\nuser = \"ops\"\npassword = \"Zebra99!\"\n"), 0o600))
	m := metrics.New(metrics.Options{Name: "vch1", Version: "1.0", Containers: func() map[string]int { return nil },
		Plugins: func() []metrics.Plugin { return nil }, Ready: func() bool { return true }})
	h, err := New(Options{Name: "vch1", Version: "1.0", Plugins: r.plugins, WaitingFor: func() string { return r.waiting },
		Containers: func() []Container {
			return []Container{{ID: "0123456789abcdef", Name: "web", Image: "<b>nginx", Status: "running", VM: "vm-7", Addresses: []string{"bridge 172.16.0.2"}}}
		},
		Platform: func(context.Context, int) (platform.Report, error) {
			return platform.Report{About: "vCenter 8", Stores: []platform.Store{{Name: "ds1", Uses: []string{"images"}, Capacity: 100, Free: 25}},
				Events: []platform.Event{{Time: r.now, Severity: platform.Error, Subject: "web-1", Text: "went <i>off", User: "root"}}}, r.down
		},
		Authenticate: func(_ context.Context, user, password string) error {
			r.tries++
			switch {
			case user == "broken":
				return errdef.ErrUnavailable
			case user == "alice" && password == "right":
				return nil
			}
			return fmt.Errorf("no: %w", errdef.ErrDenied)
		},
		Metrics: m, Logs: r.logs, Certificates: map[string]string{"server": "/nowhere"}, Files: func() []string { return []string{secret} },
		Log: slog.New(slog.NewTextHandler(r.logs, nil)), Now: func() time.Time { return r.now }})
	must(t, err)
	ca, key, _ := pair(t, "admins", nil, nil)
	_, _, r.cert = pair(t, "bob", ca, key)
	r.server = httptest.NewUnstartedServer(admin.New(admin.Options{Plugins: r.plugins, Site: h}))
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	r.server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	r.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	return r
}

// What the site promises: package access has it as its defaults.
const (
	idleTimeout = 30 * time.Minute
	limitWindow = time.Minute
	perPair     = 5 // tries of an account from one address
)

// client is a browser: it keeps cookies and follows no redirect.
func (r *rig) client(certs ...tls.Certificate) *client {
	t := r.server.Client().Transport.(*http.Transport).Clone()
	t.TLSClientConfig.Certificates = certs
	r.t.Cleanup(t.CloseIdleConnections)
	return &client{r: r, http: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type client struct {
	r      *rig
	http   *http.Client
	cookie *http.Cookie
	header http.Header
}

func (c *client) do(method, path string, form url.Values) (*http.Response, string) {
	c.r.t.Helper()
	req, err := http.NewRequestWithContext(c.r.t.Context(), method, c.r.server.URL+path, strings.NewReader(form.Encode()))
	must(c.r.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	if c.cookie != nil {
		req.AddCookie(c.cookie)
	}
	res, err := c.http.Do(req)
	must(c.r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(c.r.t, err)
	for _, k := range res.Cookies() {
		c.cookie = k
	}
	return res, string(b)
}

func (c *client) login(user, password string) *http.Response {
	res, _ := c.do("POST", "/login", url.Values{"user": {user}, "password": {password}})
	return res
}

func TestWhoIsLetIn(t *testing.T) {
	r := newRig(t)
	stranger, withCert := r.client(), r.client(r.cert)
	for path, status := range map[string]int{"/": 303, "/containers": 303, "/logs": 303, "/logs/stream": 303, "/bundle": 303, "/metrics": 401,
		"/healthz": 200, "/readyz": 200, "/login": 200, "/style.css": 200, "/nothing": 404} {
		if res, _ := stranger.do("GET", path, nil); res.StatusCode != status {
			t.Errorf("%s for a stranger: %d, want %d", path, res.StatusCode, status)
		}
	}
	for _, path := range []string{"/", "/containers", "/events", "/logs", "/metrics", "/bundle"} {
		if res, _ := withCert.do("GET", path, nil); res.StatusCode != 200 {
			t.Errorf("%s with a certificate: %d", path, res.StatusCode)
		}
	}
	_, _, foreign := pair(t, "mallory", nil, nil)
	mallory := r.client()
	mallory.http.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &foreign, nil // though the server did not ask for that authority
	}
	if res, err := mallory.http.Get(r.server.URL + "/"); err == nil {
		t.Errorf("a certificate of another authority is let in: %d", res.StatusCode)
	}
	if res, _ := stranger.do("POST", "/plugins/vsphere/restart", url.Values{}); res.StatusCode != 401 || len(r.plugins.restarted) != 0 {
		t.Errorf("a stranger restarts a plugin: %d", res.StatusCode)
	}
}

func TestLoginAndLogout(t *testing.T) {
	r := newRig(t)
	c := r.client()
	if res := c.login("alice", "right"); res.StatusCode != 303 || c.cookie == nil {
		t.Fatalf("%d", res.StatusCode)
	}
	if k := c.cookie; !k.HttpOnly || !k.Secure || k.SameSite != http.SameSiteStrictMode || k.Path != "/" || len(k.Value) < 40 {
		t.Errorf("cookie %+v", k)
	}
	if res, body := c.do("GET", "/", nil); res.StatusCode != 200 || !strings.Contains(body, "alice") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	old := *c.cookie
	r.now = r.now.Add(idleTimeout - time.Second)
	if res, _ := c.do("GET", "/", nil); res.StatusCode != 200 {
		t.Errorf("before the idle time-out: %d", res.StatusCode)
	}
	c.do("POST", "/logout", url.Values{})
	c.cookie = &old
	if res, _ := c.do("GET", "/", nil); res.StatusCode != 303 {
		t.Errorf("after the logout: %d", res.StatusCode)
	}
	c.login("alice", "right")
	r.now = r.now.Add(idleTimeout + time.Second)
	if res, _ := c.do("GET", "/", nil); res.StatusCode != 303 {
		t.Errorf("after the idle time-out: %d", res.StatusCode)
	}
}

func TestFailedLoginsAreLimitedAndLogged(t *testing.T) {
	r := newRig(t)
	c := r.client()
	for i := range perPair {
		if res := c.login("alice", "wrong"); res.StatusCode != 401 {
			t.Fatalf("try %d: %d", i, res.StatusCode)
		}
	}
	res := c.login("alice", "right")
	if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" || r.tries != perPair {
		t.Errorf("%d after %d tries, Retry-After %q", res.StatusCode, r.tries, res.Header.Get("Retry-After"))
	}
	r.now = r.now.Add(limitWindow + time.Second)
	for range 2 * perPair { // those that succeed do not count
		if res := c.login("alice", "right"); res.StatusCode != 303 {
			t.Fatalf("after the window: %d", res.StatusCode)
		}
		c.cookie = nil
	}
	var log strings.Builder
	_, _ = r.logs.WriteLast(&log, 1000)
	if n := strings.Count(log.String(), "login refused"); n != perPair || !strings.Contains(log.String(), "user=alice address=127.0.0.1") {
		t.Errorf("%d refusals are logged:\n%s", n, log.String())
	}
	if strings.Contains(log.String(), "wrong") {
		t.Error("a password is in the log")
	}
	for range perPair + 1 {
		if res := c.login("broken", "x"); res.StatusCode != 503 {
			t.Errorf("while the platform is away: %d", res.StatusCode)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	r := newRig(t)
	c := r.client(r.cert)
	c.header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
	if res, _ := c.do("POST", "/plugins/vsphere/restart", url.Values{}); res.StatusCode != 403 || len(r.plugins.restarted) != 0 {
		t.Errorf("%d %v", res.StatusCode, r.plugins.restarted)
	}
	c.header = http.Header{"Sec-Fetch-Site": {"same-origin"}}
	if res, _ := c.do("POST", "/plugins/vsphere/restart", url.Values{}); res.StatusCode != 303 || len(r.plugins.restarted) != 1 {
		t.Errorf("%d %v", res.StatusCode, r.plugins.restarted)
	}
	if res, body := c.do("POST", "/plugins/none/restart", url.Values{}); res.StatusCode != 404 || !strings.Contains(body, "not found") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestPagesTellAndEscape(t *testing.T) {
	r := newRig(t)
	c := r.client(r.cert)
	for path, wants := range map[string][]string{
		"/":           {"Ready", "vsphere", "vCenter 8", "ds1", "75 %", "server", "Certificates"},
		"/containers": {"web", "0123456789ab", "&lt;b&gt;nginx", "172.16.0.2", "vm-7"},
		"/events":     {"went &lt;i&gt;off", "web-1", "error"},
		"/logs":       {"plugin vsphere", "Follow"},
	} {
		_, body := c.do("GET", path, nil)
		for _, w := range wants {
			if !strings.Contains(body, w) {
				t.Errorf("%s lacks %q", path, w)
			}
		}
	}
	r.waiting, r.down = "plugin vsphere is refused", errors.New("vCenter is away")
	if _, body := c.do("GET", "/", nil); !strings.Contains(body, "Not ready: plugin vsphere is refused") || !strings.Contains(body, "vCenter is away") {
		t.Error(body)
	}
	if res, body := r.client().do("GET", "/readyz", nil); res.StatusCode != 503 || strings.Contains(body, "refused") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// What a reader's software needs: a language, one h1, captions, header cells, labels; and nothing that
// the policy forbids.
func TestPagesAreAccessible(t *testing.T) {
	r := newRig(t)
	withCert, stranger := r.client(r.cert), r.client()
	for path, c := range map[string]*client{"/": withCert, "/containers": withCert, "/events": withCert, "/logs": withCert, "/login": stranger} {
		res, body := c.do("GET", path, nil)
		if p := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'") || strings.Contains(p, "unsafe") {
			t.Errorf("%s: policy %q", path, p)
		}
		doc, err := html.Parse(strings.NewReader(body))
		must(t, err)
		n := map[string]int{}
		labels, ids := map[string]bool{}, map[string]bool{}
		var fields []string
		for x := range doc.Descendants() {
			if x.Type != html.ElementNode {
				continue
			}
			n[x.Data]++
			a := map[string]string{}
			for _, at := range x.Attr {
				a[at.Key] = at.Val
				if strings.HasPrefix(at.Key, "on") || at.Key == "style" {
					t.Errorf("%s: <%s %s>", path, x.Data, at.Key)
				}
			}
			if id := a["id"]; id != "" && ids[id] {
				t.Errorf("%s: id %s twice", path, id)
			}
			ids[a["id"]] = true
			switch x.Data {
			case "html":
				if a["lang"] == "" {
					t.Errorf("%s: no language", path)
				}
			case "label":
				labels[a["for"]] = true
			case "input", "select":
				fields = append(fields, a["id"])
			case "th":
				if a["scope"] == "" {
					t.Errorf("%s: a header cell without scope", path)
				}
			case "script", "iframe", "img":
				t.Errorf("%s: <%s>", path, x.Data)
			}
		}
		for _, f := range fields {
			if !labels[f] {
				t.Errorf("%s: field %q has no label", path, f)
			}
		}
		if n["h1"] != 1 || n["main"] != 1 || n["title"] != 1 || n["caption"] != n["table"] {
			t.Errorf("%s: %v", path, n)
		}
	}
}

func TestTheLogIsFollowed(t *testing.T) {
	r := newRig(t)
	log := slog.New(slog.NewTextHandler(r.logs, nil))
	log.Info("before", "plugin", "vsphere")
	log.Info("of another", "plugin", "other")
	c := r.client(r.cert)
	res, err := c.http.Get(r.server.URL + "/logs/stream?plugin=vsphere")
	must(t, err)
	defer res.Body.Close()
	b := make([]byte, 4096)
	n, err := res.Body.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), "before") || strings.Contains(string(b[:n]), "another") {
		t.Fatalf("%q %v", b[:n], err)
	}
	log.Info("of another again", "plugin", "other")
	log.Info("after", "plugin", "vsphere")
	for text := ""; !strings.Contains(text, "after"); text += string(b[:n]) {
		if n, err = res.Body.Read(b); err != nil || strings.Contains(text, "another") {
			t.Fatalf("%q %v", text, err)
		}
	}
}

func TestThePageOfTheLogGrows(t *testing.T) {
	r := newRig(t)
	log := slog.New(slog.NewTextHandler(r.logs, nil))
	log.Warn("before")
	c := r.client(r.cert)
	res, err := c.http.Get(r.server.URL + "/logs?follow=on")
	must(t, err)
	defer res.Body.Close()
	text, b := "", make([]byte, 4096)
	until := func(want string) {
		t.Helper()
		for !strings.Contains(text, want) {
			n, err := res.Body.Read(b)
			if err != nil {
				t.Fatalf("no %q in %q, %v", want, text, err)
			}
			text += string(b[:n])
		}
	}
	until(`<span class="warning">`)
	until("msg=before</span>\n")
	log.Info("after <b>this</b>")
	until("after &lt;b&gt;this&lt;/b&gt;")
	if !strings.Contains(text, "</h1>") || strings.Contains(text, "</pre>") || strings.Contains(text, "Nothing was logged") {
		t.Error(text)
	}
}

func TestTheBundleHoldsNoSecret(t *testing.T) {
	r := newRig(t)
	log := slog.New(slog.NewTextHandler(r.logs, nil))
	log.Error("cannot log in with Zebra99! at https://root:hunter22@vc/sdk", "password", "p4ss word", "Authorization", "Bearer abc.def")
	_, _ = r.logs.Write([]byte("-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----\n"))
	res, body := r.client(r.cert).do("GET", "/bundle", nil)
	if d := res.Header.Get("Content-Disposition"); !strings.Contains(d, "vic-vch1-") {
		t.Errorf("name %q", d)
	}
	zip, err := gzip.NewReader(strings.NewReader(body))
	must(t, err)
	files := map[string]string{}
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		b, err := io.ReadAll(in)
		must(t, err)
		_, name, _ := strings.Cut(h.Name, "/")
		files[name] = string(b)
		for _, secret := range []string{"Zebra99!", "hunter22", "p4ss word", "abc.def", "MHcCAQ"} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s holds %s", h.Name, secret)
			}
		}
	}
	for _, name := range []string{"README.txt", "vicd.log", "plugins.json", "containers.json", "platform.json", "metrics.txt", "goroutines.txt",
		"system/meminfo"} {
		if files[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	if !strings.Contains(files["vicd.log"], "cannot log in with [removed] at https://root:[removed]@vc/sdk") {
		t.Error(files["vicd.log"])
	}
	for name, text := range files {
		if strings.HasSuffix(name, "vsphere.toml") && (!strings.Contains(text, `user = "ops"`) || !strings.Contains(text, "password = [removed]")) {
			t.Error(text)
		}
	}
}
