package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	lab "github.com/openvic/vic/contrib/lab/sso"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/authtest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
	"github.com/openvic/vic/sdk/serve/strict"
)

const (
	password = "correct horse battery"
	admin    = "administrator@vsphere.local"
	adminPW  = "VMware1!"
	callback = "https://hub.example.org/callback"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stsKey is made once: it takes a while.
var stsKey = sync.OnceValue(func() *tls.Certificate {
	key, err := lab.NewCertificate("ssoserverSign")
	if err != nil {
		panic(err)
	}
	return &key
})

// platform is the lab's Single Sign-On, with the user dev in devs, which is in all, and a hub that is registered.
type platform struct {
	t      *testing.T
	dir    *lab.Directory
	server *lab.Server
	web    *httptest.Server
	config Config
}

// certificate and key of a hub, made once.
var hubFile = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "vic-auth-vsphere-")
	if err != nil {
		panic(err)
	}
	return filepath.Join(dir, "sso.pem")
})

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(filepath.Dir(hubFile()))
	os.Exit(code)
}

func newPlatform(t *testing.T) *platform { return newPlatformOf(t, false) }

// newPlatformOf makes one with OpenID Connect, or an old one without.
func newPlatformOf(t *testing.T, old bool) *platform {
	t.Helper()
	p := &platform{t: t, dir: lab.NewDirectory(admin, adminPW, nil)}
	var err error
	p.server, err = lab.New(lab.Config{Directory: p.dir, Key: stsKey(), Old: old})
	must(t, err)
	mux := http.NewServeMux()
	p.server.Mount(mux)
	p.web = httptest.NewTLSServer(mux)
	t.Cleanup(p.web.Close)
	must(t, p.dir.AddGroup(lab.Group{Name: "devs", Groups: []string{"all"}}))
	must(t, p.dir.AddUser(lab.User{Name: "dev", FirstName: "Dev", LastName: "Eloper", Email: "dev@example.com", Groups: []string{"devs"}}, password))
	must(t, p.dir.AddClient(lab.Client{ID: "vic-hub", Secret: "client secret", Redirects: []string{callback}}))
	p.config = defaults()
	c, tmp := &p.config, t.TempDir()
	c.Server = strings.TrimPrefix(p.web.URL, "https://")
	c.CA, c.Certificate = filepath.Join(tmp, "ca.pem"), hubFile()
	c.OpenID.ClientID, c.OpenID.SecretFile = "vic-hub", filepath.Join(tmp, "secret")
	must(t, os.WriteFile(c.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.web.Certificate().Raw}), 0o600))
	must(t, os.WriteFile(c.OpenID.SecretFile, []byte("client secret\n"), 0o600))
	must(t, p.registration("register", adminPW))
	return p
}

// registration runs the program's command.
func (p *platform) registration(verb, password string) error {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "vsphere.toml")
	text := "server = '" + p.config.Server + "'\nca = '" + p.config.CA + "'\ncertificate = '" + p.config.Certificate + "'\n"
	must(p.t, os.WriteFile(file, []byte(text), 0o600))
	env := map[string]string{userEnv: "administrator", passwordEnv: password}
	var out bytes.Buffer
	err := registration(p.t.Context(), &out, []string{verb, file}, func(k string) string { return env[k] })
	if strings.Contains(out.String(), password) || err != nil && strings.Contains(err.Error(), password) {
		p.t.Errorf("the password is in %q, %v", out.String(), err)
	}
	return err
}

func (p *platform) open(now func() time.Time) *driver {
	p.t.Helper()
	d, err := open(p.config, now)
	must(p.t, err)
	p.t.Cleanup(func() { _ = d.close(p.t.Context()) })
	return d
}

// browse plays a browser: it fills in vCenter's form, and returns what the hub's callback gets.
func (p *platform) browse(t *testing.T, address, user, password string) map[string]string {
	t.Helper()
	client := p.web.Client()
	jar, err := cookiejar.New(nil)
	must(t, err)
	browser := &http.Client{Transport: client.Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := browser.Get(address)
	must(t, err)
	form, err := io.ReadAll(res.Body)
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusOK || !strings.Contains(string(form), `name="password"`) {
		t.Fatalf("no form: %s %s", res.Status, form)
	}
	res, err = browser.PostForm(address, url.Values{"username": {user}, "password": {password}})
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusFound {
		t.Fatalf("the form was answered with %s", res.Status)
	}
	back, err := res.Location()
	must(t, err)
	got := map[string]string{}
	for k := range back.Query() {
		got[k] = back.Query().Get(k)
	}
	return got
}

func TestConformance(t *testing.T) {
	authtest.Suite(t, func(t *testing.T) authtest.Fixture {
		p := newPlatform(t)
		yes := true
		return authtest.Fixture{Driver: p.open(nil), Capabilities: capabilities(),
			User:  auth.Principal{ID: "vsphere.local/dev", Kind: auth.User, Name: "dev@vsphere.local", FullName: "Dev Eloper", Email: "dev@example.com"},
			Names: []string{"dev", "Dev@vsphere.local", "DEV@VSPHERE.LOCAL", `vsphere.local\dev`}, Password: password,
			Direct: "vsphere.local/devs", Outer: "vsphere.local/all", Other: "nobody",
			Again:   func(*testing.T) auth.Driver { return p.open(nil) },
			Browse:  func(t *testing.T, address string) map[string]string { return p.browse(t, address, "dev", password) },
			Leave:   func(t *testing.T) { t.Helper(); must(t, p.dir.Leave("devs", "dev")) },
			Disable: func(t *testing.T) { t.Helper(); must(t, p.dir.ChangeUser("dev", lab.UserChange{Disabled: &yes})) },
			Expire: func(t *testing.T) {
				t.Helper()
				must(t, p.dir.ChangeUser("dev", lab.UserChange{PasswordExpired: &yes}))
			},
		}
	})
}

func (p *platform) password(d *driver) error {
	p.t.Helper()
	_, err := d.Password(p.t.Context(), auth.PasswordRequest{Name: "dev", Password: password})
	return err
}

func (p *platform) verify(d *driver) (auth.Identity, error) {
	return d.Verify(p.t.Context(), auth.VerifyRequest{ID: "vsphere.local/dev"})
}

// wants is an error of a class with words in its text.
func wants(t *testing.T, what string, err, class error, words ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("%s: %v, want %v", what, err, class)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q lacks %q", what, err, w)
		}
	}
}

func TestAServiceThatIsAwayDeniesNobody(t *testing.T) {
	p := newPlatform(t)
	d := p.open(nil)
	p.server.SetFaults(lab.Faults{Away: true}) // before anything was asked
	wants(t, "password", p.password(d), errdef.ErrUnavailable, "503")
	_, err := p.verify(d)
	wants(t, "verify", err, errdef.ErrUnavailable)
	p.server.SetFaults(lab.Faults{})
	must(t, p.password(d))
	p.server.SetFaults(lab.Faults{Away: true})
	wants(t, "password", p.password(d), errdef.ErrUnavailable)
	_, err = p.verify(d)
	wants(t, "verify", err, errdef.ErrUnavailable)
	p.server.SetFaults(lab.Faults{})
	must(t, p.password(d))
	_, err = p.verify(d)
	must(t, err)

	nobody := p.config
	nobody.Server = "127.0.0.1:1"
	d, err = open(nobody, nil)
	must(t, err)
	wants(t, "nothing listens", p.password(d), errdef.ErrUnavailable)
	stranger := p.config
	stranger.CA = ""
	d, err = open(stranger, nil)
	must(t, err)
	wants(t, "an unknown authority", p.password(d), errdef.ErrUnavailable, "certificate")
}

func TestClocksThatDifferAreNotThePasswordsFault(t *testing.T) {
	p := newPlatform(t)
	p.server.SetFaults(lab.Faults{Skew: time.Hour})
	wants(t, "vCenter is ahead", p.password(p.open(nil)), errdef.ErrUnavailable, "clock skew problem")
	p.server.SetFaults(lab.Faults{})
	for _, by := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		d := p.open(func() time.Time { return time.Now().Add(by) })
		wants(t, "the hub is off by "+by.String(), p.password(d), errdef.ErrUnavailable, "compare the clocks")
	}
	for _, by := range []time.Duration{30 * time.Second, -30 * time.Second} {
		must(t, p.password(p.open(func() time.Time { return time.Now().Add(by) })))
	}
}

func TestANewKeyOfTheTokenService(t *testing.T) {
	p := newPlatform(t)
	ahead := time.Duration(0)
	d := p.open(func() time.Time { return time.Now().Add(ahead) })
	must(t, p.password(d))
	must(t, p.server.RollOver())
	wants(t, "within a minute of asking for certificates", p.password(d), errdef.ErrUnavailable, "not signed by vCenter Single Sign-On")
	ahead = 2 * time.Minute
	must(t, p.password(d))
}

func TestSessionsAtVCenterEndAndBeginAgain(t *testing.T) {
	p := newPlatform(t)
	d := p.open(nil)
	must(t, p.password(d))
	p.server.EndSessions()
	_, err := p.verify(d)
	must(t, err)
}

func TestChangesOfUsersAndGroupsShow(t *testing.T) {
	p := newPlatform(t)
	d := p.open(nil)
	must(t, p.dir.AddGroup(lab.Group{Name: "Ops"}))
	must(t, p.dir.Join("Ops", "all"))
	i, err := p.verify(d)
	if err != nil || !slices.Equal(i.Groups, []string{"vsphere.local/all", "vsphere.local/devs", "vsphere.local/ops"}) {
		t.Errorf("%q, %v", i.Groups, err)
	}
	yes, no := true, false
	must(t, p.dir.ChangeUser("dev", lab.UserChange{Locked: &yes}))
	wants(t, "password of a locked user", p.password(d), errdef.ErrDenied, wrong)
	_, err = p.verify(d)
	must(t, err) // whoever guesses passwords puts nobody out
	must(t, p.dir.ChangeUser("dev", lab.UserChange{Locked: &no}))
	must(t, p.dir.Remove("dev"))
	_, err = p.verify(d)
	wants(t, "a removed user", err, errdef.ErrDenied)
	must(t, p.dir.AddGroup(lab.Group{Name: "dev"})) // the name is a group's now
	_, err = p.verify(d)
	wants(t, "a group is no user", err, errdef.ErrDenied)
}

func TestRegistration(t *testing.T) {
	p := newPlatform(t)
	d := p.open(nil)
	must(t, p.password(d))
	must(t, p.registration("register", adminPW)) // again: nothing is wrong with that
	must(t, p.password(p.open(nil)))
	wants(t, "a wrong password", p.registration("register", "wrong one"), errdef.ErrDenied, "administrator@vsphere.local")
	must(t, p.registration("unregister", adminPW))
	must(t, p.registration("unregister", adminPW))
	wants(t, "without a solution user", p.password(p.open(nil)), errdef.ErrUnavailable, "register it again")
	wants(t, "in a session of before", p.password(d), errdef.ErrUnavailable, "register it again")
	must(t, p.registration("register", adminPW))
	must(t, p.password(d))
	if info, err := os.Stat(p.config.Certificate); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	env := map[string]string{userEnv: "dev", passwordEnv: password}
	file := filepath.Join(t.TempDir(), "vsphere.toml")
	must(t, os.WriteFile(file, []byte("server = '"+p.config.Server+"'\nca = '"+p.config.CA+"'\ncertificate = '"+p.config.Certificate+"'\n"), 0o600))
	err := registration(t.Context(), io.Discard, []string{"register", file}, func(k string) string { return env[k] })
	wants(t, "who is no administrator", err, errdef.ErrDenied, "Administrators")
}

func TestNamesOfOtherDomainsAreNobodys(t *testing.T) {
	p := newPlatform(t)
	d := p.open(nil)
	for _, name := range []string{"dev@corp.example.com", `CORP\dev`, "dev@vsphere.local@vsphere.local", "dev/x", "@vsphere.local", `vsphere.local\`, ""} {
		_, err := d.Password(t.Context(), auth.PasswordRequest{Name: name, Password: password})
		wants(t, name, err, errdef.ErrDenied, wrong)
	}
	for _, id := range []string{"corp/dev", "vsphere.local/Dev", "vsphere.local/dev@vsphere.local"} {
		_, err := d.Verify(t.Context(), auth.VerifyRequest{ID: id})
		wants(t, id, err, errdef.ErrDenied)
		_, err = d.Lookup(t.Context(), auth.LookupRequest{ID: id})
		wants(t, id, err, errdef.ErrNotFound)
	}
	e, err := d.Lookup(t.Context(), auth.LookupRequest{Name: "ADMINISTRATORS"})
	if err != nil || e.Principal.ID != "vsphere.local/administrators" || e.Principal.Kind != auth.Group {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestWithoutAnOpenIDClient(t *testing.T) {
	p := newPlatform(t)
	p.config.OpenID = OpenID{}
	_, err := p.open(nil).Begin(t.Context(), auth.BeginRequest{Callback: callback, State: "s", Nonce: "n"})
	wants(t, "Begin", err, errdef.ErrUnsupported, "client_id")
}

func TestWrongConfigurations(t *testing.T) {
	p := newPlatform(t)
	open0 := filepath.Join(t.TempDir(), "open")
	must(t, os.WriteFile(open0, []byte("x"), 0o644))
	shut := filepath.Join(t.TempDir(), "shut")
	must(t, os.WriteFile(shut, []byte("x"), 0o600))
	for name, change := range map[string]func(c *Config){
		"server:":             func(c *Config) { c.Server = "https://vc/" },
		"server: ":            func(c *Config) { c.Server = "" },
		"domain":              func(c *Config) { c.Domain = "VSPHERE" },
		"domain:":             func(c *Config) { c.Domains = []string{"a/b"} },
		"domains":             func(c *Config) { c.Domains = many(auth.MaxDomains + 1) },
		"solution_user":       func(c *Config) { c.SolutionUser = "a b" },
		"administrators":      func(c *Config) { c.Administrators = []string{"corp/admins"} },
		"administrators:":     func(c *Config) { c.Administrators = []string{"vsphere.local/Administrators"} },
		"refresh":             func(c *Config) { c.Refresh = "5s" },
		"ca:":                 func(c *Config) { c.CA = open0 },
		"ca":                  func(c *Config) { c.CA = "/none" },
		"certificate":         func(c *Config) { c.Certificate = open0 },
		"certificate:":        func(c *Config) { c.Certificate = shut },
		"openid.secret_file":  func(c *Config) { c.OpenID.SecretFile = "" },
		"openid.secret_file:": func(c *Config) { c.OpenID.SecretFile = open0 },
		"openid: issuer":      func(c *Config) { c.OpenID.Issuer = "http://x" },
	} {
		c := p.config
		change(&c)
		if _, err := open(c, nil); !errors.Is(err, errdef.ErrInvalid) || !strings.HasPrefix(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	want := defaults()
	want.Server = "vcenter.example.com"
	c := defaults()
	must(t, strict.Decode("README.md", example(), &c))
	c.Domains = nil
	if c.Server != want.Server || c.Refresh != want.Refresh || c.Certificate != want.Certificate || c.OpenID != want.OpenID || c.Domain != want.Domain ||
		c.SolutionUser != want.SolutionUser || !slices.Equal(c.Administrators, want.Administrators) || c.CA != "" {
		t.Errorf("the README shows %+v, the defaults are %+v", c, want)
	}
}

// many are names of domains.
func many(n int) (all []string) {
	for i := range n {
		all = append(all, "d"+strings.Repeat("x", i%50+1)+string(rune('a'+i/50)))
	}
	return all
}

// No password and no key turns up in what the plugin logs or says.
func TestSecretsAreInNoLog(t *testing.T) {
	var log bytes.Buffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(old) })
	p := newPlatform(t)
	d := p.open(nil)
	must(t, p.password(d))
	const guess secret.Text = "a wrong guess"
	_, err := d.Password(t.Context(), auth.PasswordRequest{Name: "dev", Password: guess})
	wants(t, "a wrong password", err, errdef.ErrDenied)
	if !strings.Contains(log.String(), "password was refused") {
		t.Errorf("the log lacks the refusal: %s", log.String())
	}
	for _, s := range []string{password, string(guess), adminPW} {
		if strings.Contains(log.String(), s) || strings.Contains(err.Error(), s) {
			t.Errorf("%q is in %q or in %v", s, log.String(), err)
		}
	}
}
