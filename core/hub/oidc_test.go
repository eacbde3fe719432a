package hub

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/contrib/lab/sso"
	"github.com/openvic/vic/core/store"
)

// newOpenIDHub is a hub whose users come from the OpenID provider of this vCenter, taken as any provider.
func (v *vcenter) newOpenIDHub() *world {
	v.t.Helper()
	w := &world{t: v.t, dir: v.t.TempDir()}
	file := func(name string, text []byte) string {
		path := filepath.Join(w.dir, name)
		must(v.t, os.WriteFile(path, text, 0o600))
		return path
	}
	ca := file("provider.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.web.Certificate().Raw}))
	w.begin("sqlite", "oidc", fmt.Sprintf("issuer = %q\nclient_id = 'hub'\nclient_secret_file = %q\nca = %q\ndomain = 'vsphere.local'\nname_claim = 'acct'\n"+
		"groups_claim = 'group_names'\nadmin_group = 'vsphere.local\\chiefs'\n", v.web.URL+"/openidconnect/"+sso.Domain, file("secret", []byte("client secret")), ca))
	must(v.t, v.dir.AddClient(sso.Client{ID: "hub", Secret: "client secret", Redirects: []string{"https://" + w.hub.Addr().String() + "/c/oidc/callback"}}))
	return w
}

// comes is a browser that goes to the provider's form and back.
func (v *vcenter) comes(w *world, user string) *visit {
	v.t.Helper()
	x := &visit{w, w.browser(v.web.Certificate())}
	follow := func(res *http.Response, err error) string {
		v.t.Helper()
		must(v.t, err)
		must(v.t, res.Body.Close())
		to, err := res.Location()
		if err != nil {
			v.t.Fatalf("%s %s: %s, %v", res.Request.Method, res.Request.URL, res.Status, err)
		}
		return to.String()
	}
	res, err := x.client.Get("https://" + w.hub.Addr().String() + "/c/oidc/login")
	form := follow(res, err)
	res, err = x.client.PostForm(form, url.Values{"username": {user}, "password": {userPassword}})
	back := follow(res, err)
	res, err = x.client.Get(back)
	if to := follow(res, err); !strings.HasSuffix(to, "/") {
		v.t.Fatalf("%s was sent to %s", user, to)
	}
	return x
}

// ask sends JSON with the browser's session, and reads the answer into out unless it is nil.
func (x *visit) ask(want int, method, path, body string, out any) {
	x.w.t.Helper()
	req, err := http.NewRequestWithContext(x.w.t.Context(), method, "https://"+x.w.hub.Addr().String()+"/api/v2.0"+path, strings.NewReader(body))
	must(x.w.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := x.client.Do(req)
	must(x.w.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(x.w.t, err)
	if res.StatusCode != want {
		x.w.t.Fatalf("%s %s: %s %s, want %d", method, path, res.Status, text, want)
	}
	if out != nil {
		must(x.w.t, json.Unmarshal(text, out))
	}
}

// TestUsersOfAnOpenIDProvider is the story of a hub whose users have no password there: the first administrator comes by a
// group, a group gets a role before anybody of it came, and docker login works by a secret, as long as the provider's word
// counts.
func TestUsersOfAnOpenIDProvider(t *testing.T) {
	v := newVCenter(t)
	w := v.newOpenIDHub()
	within(t, "the group of the configuration is cloud administrator", func() bool {
		list, err := w.hub.people.CloudAdmins(t.Context())
		return err == nil && len(list) == 1 && list[0].Principal == `vsphere.local/vsphere.local\chiefs`
	})
	chief := v.comes(w, "chief")
	chief.ask(201, "POST", "/projects", `{"project_name":"shop","metadata":{"public":"false"}}`, nil)
	chief.ask(201, "POST", "/projects/shop/members", `{"role_id":2,"member_group":{"group_name":"vsphere.local/vsphere.local\\devs"}}`, nil)
	if got := v.comes(w, "stranger").get("/projects/shop"); got != 404 {
		t.Errorf("a stranger sees the project: %d", got)
	}
	dev := v.comes(w, "dev")
	var me struct {
		ID   int64  `json:"user_id"`
		Name string `json:"username"`
		OIDC *struct {
			Subject string `json:"subiss"`
		} `json:"oidc_user_meta"`
	}
	dev.ask(200, "GET", "/users/current", "", &me)
	if me.Name != "dev@vsphere.local" || me.OIDC == nil || !strings.HasPrefix(me.OIDC.Subject, "vsphere.local/") {
		t.Errorf("%+v", me)
	}
	var first, second struct{ Secret string }
	at := fmt.Sprintf("/users/%d/cli_secret", me.ID)
	const scope = "repository:shop/app:pull,push"
	dev.ask(200, "PUT", at, "{}", &first)
	bearer, status := w.bearer("dev@vsphere.local", first.Secret, scope)
	push := func() int {
		status, _, _ := w.do("PUT", "/v2/shop/app/manifests/1", bearer, indexType, manifest)
		return status
	}
	if got := push(); status != 200 || got != 201 {
		t.Errorf("sign-in by the secret: %d, push: %d", status, got)
	}
	if _, status := w.bearer("dev@vsphere.local", userPassword, scope); status != 401 {
		t.Errorf("the provider's password at docker login: %d", status)
	}
	if _, status := w.bearer("chief@vsphere.local", first.Secret, scope); status != 401 {
		t.Errorf("another's secret: %d", status)
	}
	dev.ask(200, "PUT", at, "{}", &second)
	if got := push(); got != 401 {
		t.Errorf("push with a token of the secret before: %d", got)
	}
	if bearer, status = w.bearer("dev@vsphere.local", second.Secret, scope); status != 200 || push() != 201 {
		t.Errorf("sign-in by the new secret: %d", status)
	}
	// The provider gives no refresh token: its word ends, and with it the session, the secret and the tokens.
	must(t, w.hub.db.Tx(t.Context(), func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE principal SET expires = 1 WHERE name = 'dev@vsphere.local' AND expires > 1`)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows have an end", n)
		}
		return err
	}))
	_, status = w.bearer("dev@vsphere.local", second.Secret, scope)
	if got := dev.get("/users/current"); got != 401 || status != 401 || push() != 401 {
		t.Errorf("after the end of the provider's word: session %d, secret %d", got, status)
	}
	if got := v.comes(w, "dev").get("/users/current"); got != 200 {
		t.Errorf("signed in again: %d", got)
	}
	if bearer, status = w.bearer("dev@vsphere.local", second.Secret, scope); status != 200 || push() != 201 {
		t.Errorf("the secret works again: %d", status)
	}
}
