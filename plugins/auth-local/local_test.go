package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

func configured(t *testing.T) Config {
	t.Helper()
	c := defaults()
	c.File = filepath.Join(t.TempDir(), "data", "users.json")
	return c
}

func opened(t *testing.T, c Config) *driver {
	t.Helper()
	d, err := open(t.Context(), c)
	must(t, err)
	return d
}

func TestConformance(t *testing.T) {
	authtest.Suite(t, func(t *testing.T) authtest.Fixture {
		c := configured(t)
		d := opened(t, c)
		const password = "correct horse battery"
		user := auth.Principal{ID: "local/dev", Kind: auth.User, Name: "dev@local", FullName: "Dev Eloper", Email: "dev@example.com"}
		save := func(req auth.SaveRequest) { t.Helper(); must(t, d.Save(t.Context(), req)) }
		save(auth.SaveRequest{Principal: auth.Principal{ID: "local/outer", Kind: auth.Group}})
		save(auth.SaveRequest{Principal: auth.Principal{ID: "local/direct", Kind: auth.Group}, Groups: []string{"local/outer"}, SetGroups: true})
		save(auth.SaveRequest{Principal: user, Password: password, Groups: []string{"local/direct"}, SetGroups: true})
		return authtest.Fixture{Driver: d, Capabilities: capabilities(), User: user, Names: []string{"dev", "Dev@local", `LOCAL\dev`}, Password: password,
			Direct: "local/direct", Outer: "local/outer", Other: "nobody", Groups: true,
			// Another process reads what this one has written.
			Again: func(t *testing.T) auth.Driver { return opened(t, c) },
			Leave: func(t *testing.T) { t.Helper(); save(auth.SaveRequest{Principal: user, SetGroups: true}) },
			Disable: func(t *testing.T) {
				t.Helper()
				off := user
				off.Disabled = true
				save(auth.SaveRequest{Principal: off})
			}}
	})
}

func TestTheFirstAdministrator(t *testing.T) {
	c := configured(t)
	d := opened(t, c)
	path := filepath.Join(filepath.Dir(c.File), "first-password")
	text, err := os.ReadFile(path)
	must(t, err)
	for _, f := range []string{path, c.File} {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f, info.Mode(), err)
		}
	}
	password := secret.Text(strings.TrimSpace(string(text)))
	id, err := d.Password(t.Context(), auth.PasswordRequest{Name: "admin", Password: password})
	if err != nil || len(id.Groups) != 1 || id.Groups[0] != "local/administrators" || len(password) < 20 {
		t.Fatalf("%+v %v", id, err)
	}
	kept, err := os.ReadFile(c.File)
	must(t, err)
	if strings.Contains(string(kept), string(password)) {
		t.Error("the password itself is in the file")
	}
	must(t, os.Remove(path))
	again := opened(t, c) // makes nobody
	if _, err := again.Password(t.Context(), auth.PasswordRequest{Name: "admin", Password: password}); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a second password was made: %v", err)
	}
	if err := d.Remove(t.Context(), auth.RemoveRequest{ID: "local/administrators"}); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("the group of administrators is removed: %v", err)
	}
	none := configured(t)
	none.FirstAdmin = ""
	if n := len(opened(t, none).now()); n != 1 {
		t.Errorf("%d entries, want the group alone", n)
	}
}

// Who installs a hub may choose the first password; one that the rules refuse makes nobody.
func TestTheFirstPasswordIsGiven(t *testing.T) {
	c := configured(t)
	c.FirstPassword = filepath.Join(t.TempDir(), "given")
	if _, err := open(t.Context(), c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	must(t, os.WriteFile(c.FirstPassword, []byte("short\n"), 0o600))
	if _, err := open(t.Context(), c); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("a short one: %v", err)
	}
	must(t, os.WriteFile(c.FirstPassword, []byte("chosen by the installer\n"), 0o600))
	d := opened(t, c)
	if _, err := d.Password(t.Context(), auth.PasswordRequest{Name: "admin", Password: "chosen by the installer"}); err != nil {
		t.Error(err)
	}
	must(t, os.Remove(c.FirstPassword))
	opened(t, c) // it is of no use any more
}

func TestASessionEndsWithItsPassword(t *testing.T) {
	d := opened(t, configured(t))
	user := auth.Principal{ID: "local/dev", Kind: auth.User}
	must(t, d.Save(t.Context(), auth.SaveRequest{Principal: user, Password: "first password"}))
	id, err := d.Password(t.Context(), auth.PasswordRequest{Name: "dev", Password: "first password"})
	must(t, err)
	must(t, d.Save(t.Context(), auth.SaveRequest{Principal: user, Password: "first password"})) // the same again
	if _, err := d.Verify(t.Context(), auth.VerifyRequest{ID: user.ID, Session: id.Session}); err != nil {
		t.Error(err)
	}
	must(t, d.Save(t.Context(), auth.SaveRequest{Principal: user, Password: "second password"}))
	if _, err := d.Verify(t.Context(), auth.VerifyRequest{ID: user.ID, Session: id.Session}); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("after the change: %v", err)
	}
}

func TestPasswordRules(t *testing.T) {
	d := opened(t, configured(t))
	for password, ok := range map[string]bool{
		"short":                    false,
		"123456789":                false,
		"aaaaaaaaaaaa":             false,
		"developer1":               false,
		"line\nfeed and more":      false,
		"\xff\xfe not text at all": false,
		"ten chars!":               true,
		"zehn Ümläute":             true,
		"developer has a dog":      true,
	} {
		err := d.Save(t.Context(), auth.SaveRequest{Principal: auth.Principal{ID: "local/developer", Kind: auth.User}, Password: secret.Text(password)})
		if (err == nil) != ok || err != nil && !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%q: %v", password, err)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%q is in the error", password)
		}
	}
}

func TestWrongConfigurationsAndFiles(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"file":           func(c *Config) { c.File = "users.json" },
		"domain":         func(c *Config) { c.Domain = "Local Users" },
		"least_password": func(c *Config) { c.LeastPassword = 3 },
		"first_admin":    func(c *Config) { c.FirstAdmin = "A B" },
	} {
		c := configured(t)
		change(&c)
		if _, err := open(t.Context(), c); !errors.Is(err, errdef.ErrInvalid) || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for text, want := range map[string]string{"{": "restore it", `{"version":2}`: "version 2", `{"version":1,"entries":{"a":null}}`: `entry "a"`} {
		c := configured(t)
		must(t, os.MkdirAll(filepath.Dir(c.File), 0o700))
		must(t, os.WriteFile(c.File, []byte(text), 0o600))
		if _, err := open(t.Context(), c); !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c := Config{}
	must(t, strict.Decode("README.md", example(), &c))
	if c != defaults() {
		t.Errorf("the README shows %+v, the defaults are %+v", c, defaults())
	}
}

func TestHashesThatAreNone(t *testing.T) {
	h := newHasher()
	matches := func(kept, password string) bool {
		right, err := h.matches(t.Context(), kept, password)
		must(t, err)
		return right
	}
	good, err := h.hash(t.Context(), "secret")
	must(t, err)
	if !matches(good, "secret") || matches(good, "other") {
		t.Errorf("%s", good)
	}
	for _, bad := range []string{"", "x", "$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA",
		"$argon2id$v=19$m=99999999,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA",
		"$argon2id$v=19$m=19456,t=0,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + strings.Repeat("A", 43),
		"$argon2id$v=16$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + strings.Repeat("A", 43)} {
		if matches(bad, "") || matches(bad, "secret") {
			t.Errorf("%q matches", bad)
		}
	}
	if matches(nobodys, "") {
		t.Error("nobody has an empty password")
	}
	if _, _, _, _, err := parseHash(nobodys); err != nil {
		t.Errorf("nobody's hash takes no time: %v", err)
	}
}

// Who has hung up does not wait for the hashes of others, nor has one of their own worked.
func TestWhoHangsUpDoesNotWaitForATurn(t *testing.T) {
	d := opened(t, configured(t))
	for range atOnce {
		d.hasher.slots <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := d.Password(ctx, auth.PasswordRequest{Name: "admin", Password: "x"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
