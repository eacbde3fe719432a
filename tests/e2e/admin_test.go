package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/openvic/vic/tests/harness"
)

// browser speaks to the admin site; it keeps a login and follows no redirect.
type browser struct {
	t      *testing.T
	http   http.Client
	cookie *http.Cookie
}

func newBrowser(t *testing.T, withCert bool) *browser {
	t.Helper()
	file := func(name string) string { return filepath.Join(theLab.Certs, name) }
	pem, err := os.ReadFile(file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	config.RootCAs.AppendCertsFromPEM(pem)
	if withCert {
		cert, err := tls.LoadX509KeyPair(file("admin-cert.pem"), file("admin-key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	tr := &http.Transport{TLSClientConfig: config}
	t.Cleanup(tr.CloseIdleConnections)
	return &browser{t: t, http: http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) do(method, path string, form url.Values) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "https://"+harness.AdminAddr+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.cookie != nil {
		req.AddCookie(b.cookie)
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		b.cookie = c
	}
	return res.StatusCode, string(body)
}

func (b *browser) get(path string) string {
	b.t.Helper()
	code, body := b.do(http.MethodGet, path, nil)
	if code != http.StatusOK {
		b.t.Fatalf("GET %s: %d\n%s", path, code, body)
	}
	return body
}

// shows gets a page, again if it must, until all wants are in it: a page that asks vSphere goes without what does
// not come in time, and says so.
func (b *browser) shows(path string, wants ...string) {
	b.t.Helper()
	var page string
	await(b.t, func() string {
		page = b.get(path)
		for _, w := range wants {
			if !strings.Contains(page, w) {
				return fmt.Sprintf("no %q in %s:\n%s", w, path, page)
			}
		}
		return ""
	})
}

func (b *browser) login(user, password string) int {
	b.t.Helper()
	code, _ := b.do(http.MethodPost, "/login", url.Values{"user": {user}, "password": {password}})
	return code
}

func wantIn(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in:\n%s", w, text)
		}
	}
}

func TestAdminSiteLetsCertificatesIn(t *testing.T) {
	beside(t)
	stranger, admin := newBrowser(t, false), newBrowser(t, true)
	for path, want := range map[string]int{"/": 303, "/bundle": 303, "/metrics": 401, "/v1/plugins": 401, "/healthz": 200, "/readyz": 200} {
		if code, body := stranger.do(http.MethodGet, path, nil); code != want {
			t.Errorf("%s for a stranger: %d, want %d\n%s", path, code, want, body)
		}
	}
	id := container(t, "--name", "let-in", "busybox", "sleep", "36000")
	admin.shows("/", "Ready", "vsphere", "datastore1", "volumes default", "server", "docker-ca")
	admin.shows("/containers", id[:12], "let-in", "busybox", "running")
	// What the endpoint does in vSphere it does as the operations user.
	docker(t, "restart", "-t", "0", id) // others have events too, and the page shows the latest
	admin.shows("/events", "let-in-"+id[:12], strings.Split(harness.OpsUser, "@")[0])
	admin.shows("/logs?lines=10000", "vicd is ready", "plugin=vsphere")
}

func TestAdminSiteLogins(t *testing.T) {
	later(t, harness.Own("the tries of a password")) // it uses them up, for a minute
	if err := theLab.AddUser("reader", "reader-secret"); err != nil {
		t.Fatal(err)
	}
	if _, err := theLab.Govc("permissions.set", "-principal", "reader@vsphere.local", "-role", "ReadOnly", "-propagate=true", "/dc1"); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, false)
	if code := b.login("reader@vsphere.local", "reader-secret"); code != http.StatusUnauthorized {
		t.Errorf("a user who may only read: %d", code)
	}
	if code := b.login(harness.User, harness.Password); code != http.StatusSeeOther || b.cookie == nil {
		t.Fatalf("the administrator: %d", code)
	}
	b.shows("/", "datastore1", harness.User, "Log out")
	guesser := newBrowser(t, false)
	code := 0
	for range 6 {
		code = guesser.login(harness.User, "wrong-guess")
	}
	if code != http.StatusTooManyRequests || guesser.cookie != nil {
		t.Errorf("the sixth wrong password: %d", code)
	}
	log := b.get("/logs?lines=10000")
	wantIn(t, log, "admin site: login refused", "too many failed logins", "reader@vsphere.local")
	if strings.Contains(log, "wrong-guess") || strings.Contains(log, "reader-secret") {
		t.Error("a password is in the log")
	}
	b.do(http.MethodPost, "/logout", url.Values{})
	if code, _ := b.do(http.MethodGet, "/", nil); code != http.StatusSeeOther {
		t.Errorf("after the logout: %d", code)
	}
}

// Containers reach the Docker API, which asks for a certificate, but not the administrators' one: their
// tries would count as those of a person who logs in.
func TestContainersDoNotReachTheAdminAPI(t *testing.T) {
	beside(t)
	about, err := harness.Command(theLab.Bin("vic-machine"), append([]string{"inspect", "--name", harness.VCH}, theLab.Access()...)...)
	public := regexp.MustCompile(`192\.168\.127\.\d+`).FindString(about)
	if err != nil || public == "" {
		t.Fatal(err, about)
	}
	out := docker(t, "run", "--rm", "busybox", "sh", "-c", "ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p' > /gw; "+
		"for a in $(cat /gw) "+public+"; do for p in 2376 2378; do nc -w 20 $a $p </dev/null && echo $p open; done; done; true")
	if got := strings.Fields(out); strings.Join(got, " ") != "2376 open 2376 open" {
		t.Errorf("a container says: %s", out)
	}
}

func TestMetricsTell(t *testing.T) {
	beside(t)
	container(t, "busybox", "sleep", "36000")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(newBrowser(t, true).get("/metrics")))
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string, labels ...string) float64 {
		t.Helper()
		f := all[name]
		if f == nil {
			t.Errorf("no %s", name)
			return 0
		}
		sum := 0.0
		for _, m := range f.GetMetric() {
			if has(m, labels) {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		return sum
	}
	if value("vic_ready") != 1 || value("vic_plugin_up", "vsphere") != 1 || value("vic_containers", "running") < 1 {
		t.Error("not ready, no plugin or no container")
	}
	if value("vic_plugin_calls_total", "compute/Create", "OK") < 1 || value("vic_link_connects_total") < 1 {
		t.Error("no call was counted")
	}
	if value("vic_certificate_expiry_timestamp_seconds", "server") < 1.7e9 || value("go_goroutines") < 1 {
		t.Error("no end of the certificate, or nothing of Go")
	}
}

// has says that a metric has all these label values.
func has(m *dto.Metric, values []string) bool {
	for _, v := range values {
		found := false
		for _, l := range m.GetLabel() {
			found = found || l.GetValue() == v
		}
		if !found {
			return false
		}
	}
	return true
}

// A privilege that is taken away is missed, and the message says which; given back, all works again.
func TestMissingPrivilegeIsNamed(t *testing.T) {
	undisturbed(t, turnUndisturbed)
	const role, privilege = "VIC operations, vch", "VirtualMachine.Interact.PowerOn"
	id := strings.TrimSpace(docker(t, "create", "busybox", "true"))
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rm", "-f", id) })
	if _, err := theLab.Govc("role.update", "-r", role, privilege); err != nil {
		t.Fatal(err)
	}
	r := dockerRun(t.Context(), nil, "start", id)
	if _, err := theLab.Govc("role.update", "-a", role, privilege); err != nil {
		t.Fatal(err)
	}
	if r.Code == 0 {
		t.Fatal("the container starts without the privilege")
	}
	wantIn(t, r.Stderr, privilege, "VirtualMachine vm-", "--ops-grant-perms")
	docker(t, "start", id)
}
