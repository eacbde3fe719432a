package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/openvic/vic/plugins/internal/oidc"
	"github.com/openvic/vic/plugins/internal/oidc/oidctest"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/authtest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
	"github.com/openvic/vic/sdk/serve/strict"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// configured is a configuration for a provider, with files of its own.
func configured(t *testing.T, p *oidctest.Provider) Config {
	t.Helper()
	c := defaults()
	dir := t.TempDir()
	c.Issuer, c.ClientID, c.ClientSecretFile, c.CA = p.URL, oidctest.ClientID, filepath.Join(dir, "secret"), filepath.Join(dir, "ca.pem")
	c.GroupsSeparator = "/"
	must(t, os.WriteFile(c.ClientSecretFile, []byte(oidctest.ClientSecret+"\n"), 0o600))
	must(t, os.WriteFile(c.CA, p.CA(), 0o600))
	return c
}

func opened(t *testing.T, c Config) *driver {
	t.Helper()
	d, err := open(c)
	must(t, err)
	return d
}

func dev(groups ...string) oidctest.User {
	return oidctest.User{Subject: "f81d4fae", Claims: map[string]any{"preferred_username": "dev", "name": "Dev Eloper", "groups": groups},
		InfoOnly: map[string]any{"email": "dev@example.com"}}
}

var principal = auth.Principal{ID: "oidc/f81d4fae", Kind: auth.User, Name: "dev@oidc", FullName: "Dev Eloper", Email: "dev@example.com"}

// signIn plays a browser all the way.
func signIn(t *testing.T, d *driver, p *oidctest.Provider) (auth.Identity, error) {
	t.Helper()
	const callback = "https://hub.example.com/c/oidc/callback"
	to, err := d.Begin(t.Context(), auth.BeginRequest{Callback: callback, State: "s", Nonce: "n"})
	if err != nil {
		return auth.Identity{}, err
	}
	return d.Finish(t.Context(), auth.FinishRequest{Callback: callback, Nonce: "n", Sealed: to.Sealed, Parameters: p.Browse(t, to.URL)})
}

func TestConformance(t *testing.T) {
	authtest.Suite(t, func(t *testing.T) authtest.Fixture {
		p := oidctest.New(t)
		p.Save(dev("/outer/direct"))
		c := configured(t, p)
		return authtest.Fixture{Driver: opened(t, c), Capabilities: capabilities(), User: principal, Names: []string{"dev"}, Password: "none",
			Direct: "oidc/outer/direct", Outer: "oidc/outer", Other: "nobody",
			Again:   func(t *testing.T) auth.Driver { return opened(t, c) },
			Browse:  func(t *testing.T, address string) map[string]string { return p.Browse(t, address) },
			Leave:   func(*testing.T) { p.Save(dev()) },
			Disable: func(*testing.T) { u := dev(); u.Gone = true; p.Save(u) },
		}
	})
}

func TestGroups(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *Config)
		claims map[string]any
		want   []string
	}{
		"a list":        {nil, map[string]any{"groups": []string{"b", "a", "b"}}, []string{"oidc/a", "oidc/b"}},
		"one text":      {nil, map[string]any{"groups": "a"}, []string{"oidc/a"}},
		"none":          {nil, map[string]any{}, nil},
		"no list":       {nil, map[string]any{"groups": map[string]any{"a": 1}}, nil},
		"with parts":    {nil, map[string]any{"groups": []string{"/a/b/c", "a/b"}}, []string{"oidc/a", "oidc/a/b", "oidc/a/b/c"}},
		"without parts": {func(c *Config) { c.GroupsSeparator = "" }, map[string]any{"groups": []string{"/a/b"}}, []string{"oidc//a/b"}},
		"a path":        {func(c *Config) { c.GroupsClaim = "realm.roles" }, map[string]any{"realm": map[string]any{"roles": []string{"a"}}}, []string{"oidc/a"}},
		"filtered": {func(c *Config) { c.GroupsFilter = "hub-.*|x" }, map[string]any{"groups": []string{"hub-a", "my-hub-a", "x", "xy"}},
			[]string{"oidc/hub-a", "oidc/x"}},
		"not wanted":        {func(c *Config) { c.GroupsClaim = "" }, map[string]any{"groups": []string{"a"}}, nil},
		"what is no name":   {nil, map[string]any{"groups": []any{"a", 1, nil, "", "b\x00", strings.Repeat("x", 600)}}, []string{"oidc/a"}},
		"in userinfo alone": {nil, map[string]any{"userinfo": []string{"a"}}, []string{"oidc/a"}},
	} {
		p := oidctest.New(t)
		u := oidctest.User{Subject: "1", Claims: c.claims}
		if in, ok := c.claims["userinfo"]; ok {
			u = oidctest.User{Subject: "1", InfoOnly: map[string]any{"groups": in}}
		}
		p.Save(u)
		config := configured(t, p)
		if c.change != nil {
			c.change(&config)
		}
		i, err := signIn(t, opened(t, config), p)
		if err != nil || !slices.Equal(i.Groups, c.want) {
			t.Errorf("%s: %q, %v; want %q", name, i.Groups, err, c.want)
		}
	}
}

func TestTooManyGroups(t *testing.T) {
	many := make([]string, auth.MaxGroups+1)
	for i := range many {
		many[i] = fmt.Sprint("g", i)
	}
	for name, u := range map[string]oidctest.User{
		"many": {Subject: "1", InfoOnly: map[string]any{"groups": many}},
		"more than the token holds": {Subject: "2", Claims: map[string]any{"_claim_names": map[string]string{"groups": "src1"},
			"_claim_sources": map[string]any{"src1": map[string]string{"endpoint": "https://graph.example.com"}}}},
	} {
		p := oidctest.New(t)
		p.Save(u)
		if _, err := signIn(t, opened(t, configured(t, p)), p); !errors.Is(err, errdef.ErrExhausted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A name is shown with the domain, whatever a user chose at the provider: nobody passes for another source's user.
func TestNames(t *testing.T) {
	for given, want := range map[string]string{"dev": "dev@oidc", "dev@oidc": "dev@oidc", "Dev@OIDC": "Dev@oidc", "admin@local": "admin@local@oidc",
		"": "sub@oidc", "a\nb": "sub@oidc", strings.Repeat("x", 300): "sub@oidc"} {
		p := oidctest.New(t)
		p.Save(oidctest.User{Subject: "sub", Claims: map[string]any{"preferred_username": given, "name": "a\x00b", "email": strings.Repeat("e", 300)}})
		i, err := signIn(t, opened(t, configured(t, p)), p)
		if err != nil || i.Principal.Name != want || i.Principal.ID != "oidc/sub" || i.Principal.FullName != "" || i.Principal.Email != "" {
			t.Errorf("%q: %+v, %v; want %q", given, i.Principal, err, want)
		}
	}
	p := oidctest.New(t)
	p.Save(oidctest.User{Subject: "a\nb"})
	if _, err := signIn(t, opened(t, configured(t, p)), p); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("a subject that is no text: %v", err)
	}
}

// A provider whose token endpoint takes the refresh token, and whose userinfo fails then, does not put anybody out.
func TestASessionOutlivesHalfAnAnswer(t *testing.T) {
	p := oidctest.New(t)
	p.Save(dev("/outer/direct"))
	d := opened(t, configured(t, p))
	i, err := signIn(t, d, p)
	must(t, err)
	p.Misbehave(oidctest.Broken, "/userinfo")
	half, err := d.Verify(t.Context(), auth.VerifyRequest{ID: i.Principal.ID, Session: i.Session})
	must(t, err)
	if half.Principal != principal || !slices.Equal(half.Groups, i.Groups) || half.Session == i.Session {
		t.Errorf("%+v", half)
	}
	p.Misbehave(oidctest.None, "")
	if next, err := d.Verify(t.Context(), auth.VerifyRequest{ID: i.Principal.ID, Session: half.Session}); err != nil || next.Principal != principal {
		t.Errorf("%+v, %v", next, err)
	}
	for fault, class := range map[oidctest.Fault]error{oidctest.Broken: errdef.ErrUnavailable, oidctest.RefusesClient: errdef.ErrUnavailable} {
		i, err := signIn(t, d, p)
		must(t, err)
		p.Misbehave(fault, "/token")
		if _, err := d.Verify(t.Context(), auth.VerifyRequest{ID: i.Principal.ID, Session: i.Session}); !errors.Is(err, class) {
			t.Errorf("%s: %v", fault, err)
		}
		p.Misbehave(oidctest.None, "")
	}
}

// Without a refresh token a sign-in lasts as long as the provider's tokens, and the host is told so.
func TestASignInWithoutARefreshToken(t *testing.T) {
	p := oidctest.New(t)
	p.Save(dev("/outer/direct"))
	p.Misbehave(oidctest.NoRefresh, "")
	for _, info := range []bool{true, false} {
		c := configured(t, p)
		c.UserInfo = info
		d := opened(t, c)
		i, err := signIn(t, d, p)
		must(t, err)
		if i.Expires.IsZero() || i.Expires.After(time.Now().Add(10*time.Minute)) {
			t.Errorf("it expires at %v", i.Expires)
		}
		next, err := d.Verify(t.Context(), auth.VerifyRequest{ID: i.Principal.ID, Session: i.Session})
		if err != nil || next.Principal.ID != principal.ID || !slices.Equal(next.Groups, i.Groups) || !next.Expires.Equal(i.Expires) {
			t.Errorf("userinfo %t: %+v, %v", info, next, err)
		}
		var k kept
		must(t, json.Unmarshal([]byte(i.Session), &k))
		k.Ends = time.Now().Add(-time.Second)
		text, err := json.Marshal(k)
		must(t, err)
		if _, err := d.Verify(t.Context(), auth.VerifyRequest{ID: i.Principal.ID, Session: secret.Text(text)}); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("after its end: %v", err)
		}
	}
}

func TestWrongConfigurations(t *testing.T) {
	p := oidctest.New(t)
	for name, change := range map[string]func(c *Config){
		"issuer":             func(c *Config) { c.Issuer = "http://sso.example.com" },
		"client_id":          func(c *Config) { c.ClientID = "" },
		"client_secret_file": func(c *Config) { must(t, os.Chmod(c.ClientSecretFile, 0o644)) },
		"ca":                 func(c *Config) { c.CA = c.ClientSecretFile },
		"title":              func(c *Config) { c.Title = "" },
		"domain":             func(c *Config) { c.Domain = "Corp/x" },
		"name_claim":         func(c *Config) { c.NameClaim = "" },
		"groups_filter":      func(c *Config) { c.GroupsFilter = "(" },
		"groups_separator":   func(c *Config) { c.GroupsSeparator = "::" },
		"admin_group":        func(c *Config) { c.AdminGroup = "a\nb" },
		"algorithms":         func(c *Config) { c.Algorithms = []string{"HS256"} },
		"skew":               func(c *Config) { c.Skew = time.Hour },
		"refresh":            func(c *Config) { c.Refresh = time.Second },
	} {
		c := configured(t, p)
		change(&c)
		if _, err := open(c); !errors.Is(err, errdef.ErrInvalid) || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := Config{}
	must(t, strict.Decode("README.md", example(), &c))
	want := defaults()
	want.Issuer, want.Algorithms = "https://sso.example.com/realms/main", []string{} // examples
	if !reflect.DeepEqual(c, want) {
		t.Errorf("the README shows %+v, the defaults are %+v", c, want)
	}
}

// What comes back as a session is what the host kept, or made up: it never becomes somebody else's.
func TestSessionsThatAreNone(t *testing.T) {
	p := oidctest.New(t)
	p.Save(dev())
	d := opened(t, configured(t, p))
	i, err := signIn(t, d, p)
	must(t, err)
	for _, session := range []secret.Text{"", "x", "{}", "[]", `{"sub":"other","refresh":"x"}`, `{"sub":"f81d4fae","refresh":"x"}`, `{"sub":"f81d4fae"}`,
		`{"sub":"f81d4fae","access":"x","ends":"2100-01-01T00:00:00Z"}`, i.Session[:len(i.Session)/2]} {
		if got, err := d.Verify(t.Context(), auth.VerifyRequest{ID: i.Principal.ID, Session: session}); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("%s: %+v, %v", string(session), got, err)
		}
	}
}

// Whatever a provider claims of a user, the host is told what it takes, or an error.
func FuzzIdentity(f *testing.F) {
	for _, seed := range []string{`{"preferred_username":"dev","groups":["/a/b","c"]}`, `{"groups":"a","_claim_names":{"groups":"x"}}`,
		`{"preferred_username":{"a":1},"groups":[[],{}]}`, `{"preferred_username":"\u0000","groups":["//","/"]}`, `null`} {
		f.Add("1", seed)
	}
	c := defaults()
	c.Issuer, c.GroupsSeparator = "https://127.0.0.1:1", "/"
	d, err := open(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, subject, text string) {
		var claims map[string]any
		if json.Unmarshal([]byte(text), &claims) != nil {
			return
		}
		i, err := d.identity(t.Context(), oidc.Tokens{Subject: subject, Claims: claims, Refresh: "r"})
		if err != nil {
			return
		}
		p := i.Principal
		for _, s := range append([]string{p.ID, p.Name, p.FullName, p.Email}, i.Groups...) {
			if len(s) > auth.MaxID || strings.ContainsAny(s, "\x00\r\n") || !utf8.ValidString(s) {
				t.Errorf("%q is no text", s)
			}
		}
		if !strings.HasSuffix(p.Name, "@oidc") || len(p.Name) > auth.MaxName || len(i.Groups) > auth.MaxGroups || len(i.Session) > auth.MaxSession {
			t.Errorf("%+v", i)
		}
		for _, g := range i.Groups {
			if domain, name, ok := auth.SplitID(g); !ok || domain != "oidc" || name == "" {
				t.Errorf("%q is no ID", g)
			}
		}
	})
}
