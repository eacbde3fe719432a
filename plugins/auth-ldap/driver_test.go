package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

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

func opened(t *testing.T, c Config) *driver {
	t.Helper()
	d, err := open(c)
	must(t, err)
	return d
}

const (
	devDN    = "uid=dev,ou=people,dc=example,dc=com"
	directDN = "cn=direct,ou=groups,dc=example,dc=com"
	outerDN  = "cn=Outer,ou=groups,dc=example,dc=com"
)

func (d *directory) putDev(more ...string) {
	d.put(devDN, append([]string{"objectClass=person", "uid=Dev", "cn=Dev Eloper", "mail=dev@example.com", "userPassword=correct horse"}, more...)...)
}

// people makes a user in a group that is in another, which is in the first again.
func (d *directory) people() {
	d.putDev()
	d.put(directDN, "objectClass=groupOfNames", "cn=direct", "member="+devDN, "member="+outerDN)
	d.put(outerDN, "objectClass=groupOfNames", "cn=Outer", "member="+directDN)
}

var principal = auth.Principal{ID: "ldap/dev", Kind: auth.User, Name: "Dev@ldap", FullName: "Dev Eloper", Email: "dev@example.com"}

func TestConformance(t *testing.T) {
	for _, scheme := range []string{"ldaps", "ldap"} {
		t.Run(scheme, func(t *testing.T) {
			authtest.Suite(t, func(t *testing.T) authtest.Fixture {
				s := newDirectory(t, scheme == "ldap")
				s.people()
				c := s.configured(t, scheme)
				t.Cleanup(func() {
					s.mu.Lock()
					defer s.mu.Unlock()
					if s.clear > 0 {
						t.Errorf("%d passwords came in clear text", s.clear)
					}
				})
				return authtest.Fixture{Driver: opened(t, c), Capabilities: capabilities(), User: principal, Names: []string{"dev", "Dev@ldap", `LDAP\DEV`},
					Password: "correct horse", Direct: "ldap/direct", Outer: "ldap/outer", Other: "nobody",
					Again:   func(t *testing.T) auth.Driver { return opened(t, c) },
					Leave:   func(*testing.T) { s.put(directDN, "objectClass=groupOfNames", "cn=direct") },
					Disable: func(*testing.T) { s.putDev("locked=yes") },
					Expire:  func(*testing.T) { s.expire(devDN) },
				}
			})
		})
	}
}

func TestASessionEndsWithItsPasswordAndItsEntry(t *testing.T) {
	s := newDirectory(t, false)
	d := opened(t, s.configured(t, "ldaps"))
	s.people()
	s.putDev("pwdChangedTime=1")
	i, err := d.Password(t.Context(), auth.PasswordRequest{Name: "dev", Password: "correct horse"})
	must(t, err)
	verify := func() error {
		_, err := d.Verify(t.Context(), auth.VerifyRequest{ID: i.Principal.ID, Session: i.Session})
		return err
	}
	must(t, verify())
	s.remove(devDN) // and somebody else gets the name
	s.put("uid=dev,ou=more,ou=people,dc=example,dc=com", "objectClass=person", "uid=dev", "userPassword=other", "pwdChangedTime=1")
	if err := verify(); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("as another entry of the name: %v", err)
	}
	s.remove("uid=dev,ou=more,ou=people,dc=example,dc=com")
	s.putDev("pwdChangedTime=2")
	if err := verify(); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("after the change: %v", err)
	}
	s.remove(devDN)
	if err := verify(); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("after the removal: %v", err)
	}
}

// What is typed is a name, never a part of a filter, and a bind without a password lets nobody in.
func TestWhatIsTyped(t *testing.T) {
	s := newDirectory(t, false)
	s.people()
	d := opened(t, s.configured(t, "ldaps"))
	for _, r := range []auth.PasswordRequest{
		{Name: "*", Password: "correct horse"},
		{Name: "d*", Password: "correct horse"},
		{Name: "dev)(uid=*", Password: "correct horse"},
		{Name: "*)(objectClass=*", Password: "correct horse"},
		{Name: devDN, Password: "correct horse"},
		{Name: "dev\x00", Password: "correct horse"},
		{Name: strings.Repeat("a", 500), Password: "correct horse"},
		{Name: "direct", Password: "correct horse"},
		{Name: "dev"},
		{Name: "nobody"},
	} {
		if i, err := d.Password(t.Context(), r); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("%q: %+v, %v", r.Name, i, err)
		}
	}
	if got, err := d.Search(t.Context(), auth.SearchRequest{Text: "*", Limit: 10}); err != nil || len(got.Principals) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	s.put("uid=dev,ou=more,ou=people,dc=example,dc=com", "objectClass=person", "uid=dev", "userPassword=other")
	for _, password := range []secret.Text{"correct horse", "other"} {
		if i, err := d.Password(t.Context(), auth.PasswordRequest{Name: "dev", Password: password}); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("a name of two: %+v, %v", i, err)
		}
	}
}

func TestGroupsByNameAndTooMany(t *testing.T) {
	s := newDirectory(t, false)
	s.putDev()
	c := s.configured(t, "ldaps")
	c.GroupFilter, c.GroupMemberAttribute = "(objectClass=posixGroup)", "memberUid"
	s.put(directDN, "objectClass=posixGroup", "cn=direct", "memberUid=dev")
	s.put(outerDN, "objectClass=posixGroup", "cn=outer", "memberUid=direct")
	i, err := opened(t, c).Password(t.Context(), auth.PasswordRequest{Name: "dev", Password: "correct horse"})
	if err != nil || !slices.Equal(i.Groups, []string{"ldap/direct"}) {
		t.Errorf("%q, %v", i.Groups, err)
	}
	for n := range maxEntries + 1 {
		s.put(fmt.Sprintf("cn=g%d,%s", n, c.GroupBase), "objectClass=posixGroup", fmt.Sprintf("cn=g%d", n), "memberUid=dev")
	}
	if _, err := opened(t, c).Password(t.Context(), auth.PasswordRequest{Name: "dev", Password: "correct horse"}); !errors.Is(err, errdef.ErrExhausted) {
		t.Errorf("too many: %v", err)
	}
	if _, err := opened(t, c).Password(t.Context(), auth.PasswordRequest{Name: "dev", Password: "wrong"}); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("too many, and a wrong password: %v", err)
	}
	c.GroupBase = ""
	if i, err := opened(t, c).Password(t.Context(), auth.PasswordRequest{Name: "dev", Password: "correct horse"}); err != nil || len(i.Groups) != 0 {
		t.Errorf("no groups: %q, %v", i.Groups, err)
	}
}

// A server that is away, is not the one of the certificate, refuses the plugin or never ends its answer denies nobody.
func TestAServerThatIsNotGood(t *testing.T) {
	s := newDirectory(t, false)
	s.people()
	good := s.configured(t, "ldaps")
	endless, err := tls.Listen("tcp", "127.0.0.1:0", s.tls)
	must(t, err)
	defer endless.Close()
	plainText, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer plainText.Close()
	for l, answer := range map[net.Listener][]byte{
		endless:   append([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, slices.Repeat([]byte{0x04, 0x81, 0x80}, 1)...),
		plainText: {0x30, 0x0c, 0x02, 0x01, 0x01, 0x78, 0x07, 0x0a, 0x01, 0x02, 0x04, 0x00, 0x04, 0x00}, // it does not know StartTLS
	} {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					_, err := c.Write(answer)
					for zero := make([]byte, 64<<10); err == nil && l == endless; {
						_, err = c.Write(zero)
					}
					_, _ = io.Copy(io.Discard, c)
				}()
			}
		}()
	}
	for name, change := range map[string]func(c *Config){
		"away":             func(c *Config) { c.URL = "ldaps://127.0.0.1:1" },
		"other authority":  func(c *Config) { c.CA = "" },
		"other account":    func(c *Config) { must(t, os.WriteFile(c.BindPasswordFile, []byte("wrong"), 0o600)) },
		"endless":          func(c *Config) { c.URL = "ldaps://" + endless.Addr().String() },
		"without StartTLS": func(c *Config) { c.URL = "ldap://" + plainText.Addr().String() },
	} {
		c := s.configured(t, "ldaps")
		change(&c)
		d := opened(t, c)
		if _, err := d.Password(t.Context(), auth.PasswordRequest{Name: "dev", Password: "correct horse"}); !errors.Is(err, errdef.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "correct horse") || strings.Contains(err.Error(), "the hub's") {
			t.Errorf("%s: a password is in %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := opened(t, good).Password(ctx, auth.PasswordRequest{Name: "dev", Password: "correct horse"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWrongConfigurations(t *testing.T) {
	s := newDirectory(t, false)
	for name, change := range map[string]func(c *Config){
		"url":                    func(c *Config) { c.URL = "http://ldap.example.com" },
		"ca":                     func(c *Config) { c.CA = c.BindPasswordFile },
		"bind_dn":                func(c *Config) { c.BindDN = "" },
		"bind_password_file":     func(c *Config) { must(t, os.Chmod(c.BindPasswordFile, 0o644)) },
		"title":                  func(c *Config) { c.Title = "" },
		"domain":                 func(c *Config) { c.Domain = "a/b" },
		"user_base":              func(c *Config) { c.UserBase = "people" },
		"user_filter":            func(c *Config) { c.UserFilter = "(x" },
		"disabled_filter":        func(c *Config) { c.DisabledFilter = "x)" },
		"name_attribute":         func(c *Config) { c.NameAttribute = "uid=*)(" },
		"group_filter":           func(c *Config) { c.GroupFilter = "" },
		"group_member_attribute": func(c *Config) { c.GroupMemberAttribute = "" },
		"admin_group":            func(c *Config) { c.AdminGroup = "a\nb" },
		"refresh":                func(c *Config) { c.Refresh = 1 },
	} {
		c := s.configured(t, "ldaps")
		change(&c)
		if _, err := open(c); !errors.Is(err, errdef.ErrInvalid) || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := Config{}
	must(t, strict.Decode("README.md", example(), &c))
	want := defaults()
	want.URL, want.UserBase, want.GroupBase = "ldaps://ldap.example.com", "ou=people,dc=example,dc=com", "ou=groups,dc=example,dc=com" // examples
	if !reflect.DeepEqual(c, want) {
		t.Errorf("the README shows %+v, the defaults are %+v", c, want)
	}
}
