package main

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	lab "github.com/openvic/vic/contrib/lab/sso"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/authtest"
	"github.com/openvic/vic/sdk/errdef"
)

// newOldPlatform is a vCenter without OpenID Connect, into which an administrator has imported the hub's metadata.
func newOldPlatform(t *testing.T) *platform {
	t.Helper()
	p := newPlatformOf(t, true)
	p.config.OpenID = OpenID{UserClaim: "sub"}
	file := filepath.Join(t.TempDir(), "vsphere.toml")
	text := fmt.Sprintf("server = %q\nca = %q\ncertificate = %q\n", p.config.Server, p.config.CA, p.config.Certificate)
	must(t, os.WriteFile(file, []byte(text), 0o600))
	var out bytes.Buffer
	must(t, metadata(&out, []string{file, callback}))
	must(t, p.dir.ImportProvider(out.String()))
	return p
}

var formField = regexp.MustCompile(`name="(SAMLResponse|RelayState)" value="([^"]*)"`)

// brings plays a browser: it fills in vCenter's form, and returns what it brings to the hub.
func (p *platform) brings(t *testing.T, address, user, password string) map[string]string {
	t.Helper()
	res, err := p.web.Client().PostForm(address, url.Values{"username": {user}, "password": {password}})
	must(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	got := map[string]string{}
	for _, m := range formField.FindAllStringSubmatch(string(text), -1) {
		got[m[1]] = html.UnescapeString(m[2])
	}
	if res.StatusCode != http.StatusOK || len(got) != 2 || !strings.Contains(string(text), `action="`+callback+`"`) {
		t.Fatalf("%s %.500s", res.Status, text)
	}
	got["state"] = got["RelayState"]
	delete(got, "RelayState")
	return got
}

func TestConformanceOfSAML(t *testing.T) {
	authtest.Suite(t, func(t *testing.T) authtest.Fixture {
		p := newOldPlatform(t)
		yes := true
		return authtest.Fixture{Driver: p.open(nil), Capabilities: capabilities(),
			User:  auth.Principal{ID: "vsphere.local/dev", Kind: auth.User, Name: "dev@vsphere.local", FullName: "Dev Eloper", Email: "dev@example.com"},
			Names: []string{"dev"}, Password: password, Direct: "vsphere.local/devs", Outer: "vsphere.local/all", Other: "nobody",
			Again:   func(*testing.T) auth.Driver { return p.open(nil) },
			Browse:  func(t *testing.T, address string) map[string]string { return p.brings(t, address, "dev", password) },
			Leave:   func(t *testing.T) { t.Helper(); must(t, p.dir.Leave("devs", "dev")) },
			Disable: func(t *testing.T) { t.Helper(); must(t, p.dir.ChangeUser("dev", lab.UserChange{Disabled: &yes})) },
			Expire: func(t *testing.T) {
				t.Helper()
				must(t, p.dir.ChangeUser("dev", lab.UserChange{PasswordExpired: &yes}))
			},
		}
	})
}

var begin = auth.BeginRequest{Callback: callback, State: "state", Nonce: "nonce"}

// came is a sign-in of dev that came back.
func (p *platform) came(t *testing.T, d *driver) auth.FinishRequest {
	t.Helper()
	to, err := d.Begin(t.Context(), begin)
	must(t, err)
	if !to.FormPost || !strings.HasPrefix(to.URL, p.web.URL+"/websso/SAML2/SSO/vsphere.local?SAMLRequest=") {
		t.Fatalf("%+v", to)
	}
	got := p.brings(t, to.URL, "dev", password)
	if got["state"] != begin.State {
		t.Errorf("state %q", got["state"])
	}
	delete(got, "state")
	return auth.FinishRequest{Callback: callback, Nonce: begin.Nonce, Sealed: to.Sealed, Parameters: got}
}

// The lab refuses what vCenter does, so that the tests above say that the hub's requests are good.
func TestTheRequestIsSignedAndForThisVCenter(t *testing.T) {
	p := newOldPlatform(t)
	d := p.open(nil)
	to, err := d.Begin(t.Context(), begin)
	must(t, err)
	late, err := p.open(func() time.Time { return time.Now().Add(-time.Hour) }).Begin(t.Context(), begin)
	must(t, err)
	status := func(address string) int {
		t.Helper()
		res, err := p.web.Client().Get(address)
		must(t, err)
		must(t, res.Body.Close())
		return res.StatusCode
	}
	if got := status(to.URL); got != http.StatusOK {
		t.Errorf("the request as it is: %d", got)
	}
	unsigned, _, _ := strings.Cut(to.URL, "&SigAlg=")
	for name, address := range map[string]string{"unsigned": unsigned, "another state": strings.Replace(to.URL, "RelayState=state", "RelayState=other", 1),
		"an old one": late.URL} {
		if got := status(address); got != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got)
		}
	}
	must(t, p.dir.ImportProvider(strings.ReplaceAll(strangersMetadata(t, p), callback, "https://other.example.org/callback")))
	if got := status(to.URL); got != http.StatusOK {
		t.Errorf("another provider takes the place of this one: %d", got)
	}
}

func strangersMetadata(t *testing.T, p *platform) string {
	t.Helper()
	text, err := p.open(nil).sso.Metadata(callback, callback)
	must(t, err)
	return text
}

func TestWhatCameBackIsOfOneSignIn(t *testing.T) {
	p := newOldPlatform(t)
	d := p.open(nil)
	good := p.came(t, d)
	other := p.came(t, d)
	for name, change := range map[string]func(r *auth.FinishRequest){
		"another callback":        func(r *auth.FinishRequest) { r.Callback = "https://other.example.org/callback" },
		"another nonce":           func(r *auth.FinishRequest) { r.Nonce = "other" },
		"another sign-in's seal":  func(r *auth.FinishRequest) { r.Sealed = other.Sealed },
		"another sign-in's token": func(r *auth.FinishRequest) { r.Parameters = other.Parameters },
		"no answer":               func(r *auth.FinishRequest) { r.Parameters = map[string]string{"code": "x"} },
		"sealed by nobody":        func(r *auth.FinishRequest) { r.Sealed = "x" },
	} {
		r := good
		change(&r)
		_, err := d.Finish(t.Context(), r)
		wants(t, name, err, errdef.ErrDenied)
	}
	for name, by := range map[string]time.Duration{"later": 7 * time.Minute, "earlier": -7 * time.Minute} {
		_, err := p.open(func() time.Time { return time.Now().Add(by) }).Finish(t.Context(), good)
		// The solution user's own request is off by less than vCenter tolerates.
		wants(t, name, err, errdef.ErrDenied, "compare the clocks")
	}
	i, err := d.Finish(t.Context(), good)
	if err != nil || i.Principal.ID != "vsphere.local/dev" || len(i.Groups) != 2 {
		t.Errorf("%+v, %v", i, err)
	}
	disabled := true
	must(t, p.dir.ChangeUser("dev", lab.UserChange{Disabled: &disabled}))
	_, err = d.Finish(t.Context(), other)
	wants(t, "who was disabled meanwhile", err, errdef.ErrDenied)
}

func TestANewKeyOfVCenterSignsBrowsersIn(t *testing.T) {
	p := newOldPlatform(t)
	ahead := time.Duration(0)
	d := p.open(func() time.Time { return time.Now().Add(ahead) })
	must(t, p.password(d)) // knows the first key
	must(t, p.server.RollOver())
	ahead = 2 * time.Minute // the certificates may be asked for again
	if _, err := d.Finish(t.Context(), p.came(t, d)); err != nil {
		t.Error(err)
	}
}

// How browsers sign in follows from what vCenter says, and from what the configuration leaves open.
func TestTheWayOfBrowsers(t *testing.T) {
	for _, c := range []struct {
		old      bool
		browsers string
		client   string
		want     string
		err      error
	}{
		{false, byAuto, "vic-hub", "/openidconnect/", nil},
		{false, byAuto, "", "", errdef.ErrUnsupported},
		{false, bySAML, "vic-hub", "/websso/", nil},
		{false, byNone, "vic-hub", "", errdef.ErrUnsupported},
		{true, byAuto, "vic-hub", "/websso/", nil},
		{true, byAuto, "", "/websso/", nil},
		{true, byOpenID, "vic-hub", "", errdef.ErrUnavailable},
	} {
		p := newPlatformOf(t, c.old)
		p.config.Browsers, p.config.OpenID.ClientID = c.browsers, c.client
		to, err := p.open(nil).Begin(t.Context(), begin)
		if c.err != nil {
			wants(t, fmt.Sprint(c), err, c.err)
			continue
		}
		if err != nil || !strings.HasPrefix(to.URL, p.web.URL+c.want) {
			t.Errorf("%v: %s, %v", c, to.URL, err)
		}
	}
	p := newPlatformOf(t, true)
	p.server.SetFaults(lab.Faults{Away: true})
	d := p.open(nil)
	_, err := d.Begin(t.Context(), begin)
	wants(t, "away", err, errdef.ErrUnavailable)
	p.server.SetFaults(lab.Faults{})
	if _, err := d.Begin(t.Context(), begin); err != nil {
		t.Errorf("back: %v", err)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Browsers = "smoke" },
		func(c *Config) { c.Browsers, c.OpenID.ClientID = byOpenID, "" },
		func(c *Config) { c.SAML.EntityID = "a b" },
		func(c *Config) { c.SAML.EntityID = strings.Repeat("x", maxEntityID+1) },
	} {
		c := p.config
		change(&c)
		_, err := open(c, nil)
		wants(t, fmt.Sprintf("%q %.10q", c.Browsers, c.SAML.EntityID), err, errdef.ErrInvalid)
	}
	if err := metadata(io.Discard, []string{"x", "http://hub"}); err == nil {
		t.Error("metadata for an address that is not https")
	}
}
