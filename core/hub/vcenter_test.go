package hub

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/contrib/lab/sso"
	"github.com/openvic/vic/core/store"
)

const (
	administrator = "administrator@vsphere.local"
	adminPassword = "VMware1!"
	userPassword  = "a password of a user"
)

// vcenter is the lab's Single Sign-On.
type vcenter struct {
	t      *testing.T
	dir    *sso.Directory
	server *sso.Server
	web    *httptest.Server
}

func newVCenter(t *testing.T) *vcenter { return newVCenterOf(t, false) }

// newVCenterOf makes one with OpenID Connect, or an old one without.
func newVCenterOf(t *testing.T, old bool) *vcenter {
	t.Helper()
	key, err := sso.NewCertificate("ssoserverSign")
	must(t, err)
	v := &vcenter{t: t, dir: sso.NewDirectory(administrator, adminPassword, nil)}
	v.server, err = sso.New(sso.Config{Directory: v.dir, Key: &key, Old: old})
	must(t, err)
	mux := http.NewServeMux()
	v.server.Mount(mux)
	v.web = httptest.NewTLSServer(mux)
	t.Cleanup(v.web.Close)
	for user, groups := range map[string][]string{"dev": {"devs"}, "viewer": {"viewers"}, "stranger": nil, "leaver": {"devs"}, "chief": {"chiefs"}} {
		must(t, v.dir.AddUser(sso.User{Name: user, Groups: groups}, userPassword))
	}
	must(t, v.dir.Join("viewers", "devs")) // nested: viewers are all that are in devs too
	return v
}

// newHub is a hub of this vCenter's, with a solution user of its own, that the plugin itself registers.
func (v *vcenter) newHub(name string) *world {
	v.t.Helper()
	w := &world{t: v.t, dir: v.t.TempDir()}
	file := func(name string, text []byte) string {
		path := filepath.Join(w.dir, name)
		must(v.t, os.WriteFile(path, text, 0o600))
		return path
	}
	ca := file("vcenter.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.web.Certificate().Raw}))
	text := fmt.Sprintf("server = %q\nca = %q\nsolution_user = %q\ncertificate = %q\nrefresh = '1m'\n[openid]\nclient_id = %q\nsecret_file = %q\n",
		strings.TrimPrefix(v.web.URL, "https://"), ca, name, filepath.Join(w.dir, "sso.pem"), name, file("secret", []byte("client secret")))
	cmd := exec.Command(buildPlugin(v.t, "auth-vsphere"), "register", file("register.toml", []byte(text)))
	cmd.Env = append(os.Environ(), "VIC_SSO_USER="+administrator, "VIC_SSO_PASSWORD="+adminPassword)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "is registered") {
		v.t.Fatalf("%v: %s", err, out)
	}
	w.begin("sqlite", "vsphere", text)
	must(v.t, v.dir.AddClient(sso.Client{ID: name, Secret: "client secret", Redirects: []string{"https://" + w.hub.Addr().String() + "/c/oidc/callback"}}))
	within(v.t, "the group Administrators is cloud administrator", func() bool {
		status, body := w.api(administrator, adminPassword, "GET", "/cloud-admins", "")
		return status == 200 && strings.Contains(body, "vsphere.local/administrators")
	})
	return w
}

// api sends a request with a name and password.
func (w *world) api(user, password, method, path, body string) (int, string) {
	w.t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	status, _, text := w.do(method, "/api/v2.0"+path, basicAuth(user, password), contentType, body)
	return status, text
}

// administrate is api as the administrator, for what must be answered with a status.
func (w *world) administrate(want int, method, path, body string) {
	w.t.Helper()
	if status, text := w.api(administrator, adminPassword, method, path, body); status != want {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, status, text, want)
	}
}

// manifests pushes or pulls as a user, and returns the status.
func (w *world) manifests(method, user string) int {
	w.t.Helper()
	header, status := w.bearer(user, userPassword, "repository:shop/app:pull,push")
	if status != 200 {
		return status
	}
	body := ""
	if method == "PUT" {
		body = manifest
	}
	status, _, _ = w.do(method, "/v2/shop/app/manifests/1", header, indexType, body)
	return status
}

// visit is a browser that signed in.
type visit struct {
	w      *world
	client *http.Client
}

// signIn signs a browser in with a name and password in the hub's form.
func (w *world) signIn(user string) *visit {
	w.t.Helper()
	v := &visit{w, w.browser(nil)}
	res, err := v.client.PostForm("https://"+w.hub.Addr().String()+"/c/login", url.Values{"principal": {user}, "password": {userPassword}})
	must(w.t, err)
	must(w.t, res.Body.Close())
	if res.StatusCode != 200 {
		w.t.Fatalf("sign-in of %s: %s", user, res.Status)
	}
	return v
}

// browser follows no redirects, keeps cookies, and trusts the hub and another.
func (w *world) browser(other *x509.Certificate) *http.Client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	must(w.t, err)
	transport := w.client.Transport.(*http.Transport).Clone()
	if other != nil {
		transport.TLSClientConfig.RootCAs = transport.TLSClientConfig.RootCAs.Clone()
		transport.TLSClientConfig.RootCAs.AddCert(other)
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get is the status of an address of the API.
func (v *visit) get(path string) int {
	v.w.t.Helper()
	res, err := v.client.Get("https://" + v.w.hub.Addr().String() + "/api/v2.0" + path)
	must(v.w.t, err)
	must(v.w.t, res.Body.Close())
	return res.StatusCode
}

// age lets a minute go by: what vCenter said of users must be asked again.
func (w *world) age() {
	w.t.Helper()
	must(w.t, w.hub.db.Tx(w.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE principal SET checked = checked - 60`)
		return err
	}))
}

// TestVCentersUsersUseTwoHubs is the story of two hubs on one vCenter: the same people with different roles, the guard of
// the last cloud administrators, what happens when people and groups change in vCenter, and when it goes away.
func TestVCentersUsersUseTwoHubs(t *testing.T) {
	v := newVCenter(t)
	first, second := v.newHub("vic-hub-1"), v.newHub("vic-hub-2")
	for _, w := range []*world{first, second} {
		w.administrate(201, "POST", "/projects", `{"project_name":"shop","metadata":{"public":"false"}}`)
	}
	// In the first hub devs develop and viewers look on; in the second one dev looks on, and nobody else comes in.
	first.administrate(201, "POST", "/projects/shop/members", `{"role_id":2,"member_group":{"group_name":"devs@vsphere.local"}}`)
	first.administrate(201, "POST", "/projects/shop/members", `{"role_id":3,"member_group":{"group_name":"viewers@vsphere.local"}}`)
	second.administrate(201, "POST", "/projects/shop/members", `{"role_id":3,"member_user":{"username":"dev@vsphere.local"}}`)
	for _, c := range []struct {
		w            *world
		method, user string
		want         int
	}{
		{first, "PUT", "dev@vsphere.local", 201},
		{first, "GET", "viewer@vsphere.local", 200},
		{first, "PUT", "viewer@vsphere.local", 403},
		{first, "GET", `VSPHERE.LOCAL\Dev`, 200},
		{first, "GET", "stranger@vsphere.local", 404}, // who may see nothing is told that there is nothing
		{first, "GET", "nobody@vsphere.local", 401},
		{second, "PUT", "dev", 403},
	} {
		if got := c.w.manifests(c.method, c.user); got != c.want {
			t.Errorf("%s by %s: %d, want %d", c.method, c.user, got, c.want)
		}
	}
	for user, want := range map[string]int{"dev": 200, "viewer": 404} {
		if status, text := second.api(user, userPassword, "GET", "/projects/shop", ""); status != want {
			t.Errorf("%s sees the project of the second hub: %d %s", user, status, text)
		}
	}
	if _, status := first.bearer("dev", "wrong", "repository:shop/app:pull"); status != 401 {
		t.Errorf("a wrong password: %d", status)
	}

	// The first cloud administrators cannot lose the role before others have it.
	first.administrate(409, "DELETE", "/cloud-admins/vsphere.local/administrators", "")
	first.administrate(201, "POST", "/cloud-admins", `{"principal":"vsphere.local/chiefs"}`)
	if status, text := first.api("chief", userPassword, "DELETE", "/cloud-admins/vsphere.local/administrators", ""); status != 200 {
		t.Errorf("revocation: %d %s", status, text)
	}
	first.administrate(403, "GET", "/cloud-admins", "")
	second.administrate(200, "GET", "/cloud-admins", "") // of the other hub nothing was taken

	// What changes in vCenter shows in sessions that are there.
	viewer, leaver, dev := first.signIn("viewer"), first.signIn("leaver"), first.signIn("dev")
	for name, x := range map[string]*visit{"viewer": viewer, "leaver": leaver, "dev": dev} {
		if got := x.get("/projects/shop"); got != 200 {
			t.Errorf("%s sees the project: %d", name, got)
		}
	}
	must(t, v.dir.Leave("viewers", "viewer"))
	must(t, v.dir.Remove("leaver"))
	first.age()
	if got := viewer.get("/projects/shop"); got != 404 {
		t.Errorf("who left the group sees the project: %d", got)
	}
	if got := leaver.get("/users/current"); got != 401 {
		t.Errorf("the session of who was removed: %d", got)
	}
	if got := dev.get("/projects/shop"); got != 200 {
		t.Errorf("others: %d", got)
	}

	// A clock that is wrong is nobody's wrong password.
	v.server.SetFaults(sso.Faults{Skew: time.Hour})
	if status, text := first.api("dev", userPassword, "GET", "/projects/shop", ""); status != 503 || !strings.Contains(text, "the identity source") {
		t.Errorf("with a wrong clock: %d %s", status, text)
	}
	// While vCenter is away sessions go on, and new sign-ins say why they do not.
	v.server.SetFaults(sso.Faults{Away: true})
	first.age()
	if got := dev.get("/projects/shop"); got != 200 {
		t.Errorf("a session while vCenter is away: %d", got)
	}
	if status, text := first.api("dev", userPassword, "GET", "/projects/shop", ""); status != 503 || !strings.Contains(text, "the identity source does not answer") {
		t.Errorf("a new sign-in: %d %s", status, text)
	}
	v.server.SetFaults(sso.Faults{})
	if status, text := first.api("dev", userPassword, "GET", "/projects/shop", ""); status != 200 {
		t.Errorf("after vCenter is back: %d %s", status, text)
	}
}

// TestABrowserSignsInAtVCenter goes from the hub to vCenter's form and back.
func TestABrowserSignsInAtVCenter(t *testing.T) {
	v := newVCenter(t)
	w := v.newHub("vic-hub")
	client := w.browser(v.web.Certificate())
	follow := func(res *http.Response, err error, want int) string {
		t.Helper()
		must(t, err)
		must(t, res.Body.Close())
		to, err := res.Location()
		if res.StatusCode != want || err != nil {
			t.Fatalf("%s %s: %s, %v", res.Request.Method, res.Request.URL, res.Status, err)
		}
		return to.String()
	}
	res, err := client.Get("https://" + w.hub.Addr().String() + "/c/oidc/login?source=vsphere&redirect_url=/portal")
	form := follow(res, err, http.StatusSeeOther)
	if !strings.HasPrefix(form, v.web.URL+"/openidconnect/") || !strings.Contains(form, "code_challenge_method=S256") {
		t.Fatalf("sent to %s", form)
	}
	res, err = client.PostForm(form, url.Values{"username": {"dev"}, "password": {userPassword}})
	back := follow(res, err, http.StatusFound)
	res, err = client.Get(back)
	if to := follow(res, err, http.StatusSeeOther); !strings.HasSuffix(to, "/portal") {
		t.Errorf("in the end sent to %s", to)
	}
	res, err = client.Get("https://" + w.hub.Addr().String() + "/api/v2.0/users/current")
	must(t, err)
	defer res.Body.Close()
	var me struct{ Username string }
	must(t, json.NewDecoder(res.Body).Decode(&me))
	if me.Username != "dev@vsphere.local" {
		t.Errorf("signed in as %q", me.Username)
	}
	// What came back is good once, and in that browser alone.
	for name, other := range map[string]*http.Client{"again": client, "in another browser": w.browser(nil)} {
		res, err := other.Get(back)
		must(t, err)
		must(t, res.Body.Close())
		if to := res.Header.Get("Location"); res.StatusCode == http.StatusSeeOther && strings.HasSuffix(to, "/portal") {
			t.Errorf("the address that came back works %s", name)
		}
	}
}
