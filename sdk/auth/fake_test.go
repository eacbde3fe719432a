package auth_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/authtest"
	"github.com/openvic/vic/sdk/internal/wiretest"
	"github.com/openvic/vic/sdk/secret"
)

const password secret.Text = "dev's password"

// newFake has a user in nested groups, and enough others for several pages.
func newFake(t *testing.T) *auth.Fake {
	t.Helper()
	f := auth.NewFake("example.org")
	save := func(name string, kind auth.Kind, pw secret.Text, groups ...string) {
		p := auth.Principal{ID: auth.ID("example.org", name), Kind: kind, Name: name}
		if kind == auth.User {
			p.Name, p.FullName, p.Email = name+"@example.org", strings.ToUpper(name[:1])+name[1:]+" Person", name+"@mail.example.org"
		}
		for i, g := range groups {
			groups[i] = auth.ID("example.org", g)
		}
		if err := f.Save(t.Context(), auth.SaveRequest{Principal: p, Password: pw, Groups: groups, SetGroups: true}); err != nil {
			t.Fatal(err)
		}
	}
	save("staff", auth.Group, "")
	save("administrators", auth.Group, "")
	save("developers", auth.Group, "", "staff")
	save("dev", auth.User, password, "developers")
	for _, name := range []string{"ann", "bob", "carol", "dave"} {
		save(name, auth.User, "the password of "+secret.Text(name))
	}
	return f
}

func fixture(t *testing.T, f *auth.Fake, driver auth.Driver, again func(*testing.T) auth.Driver) authtest.Fixture {
	e, err := f.Lookup(t.Context(), auth.LookupRequest{ID: "example.org/dev"})
	if err != nil {
		t.Fatal(err)
	}
	save := func(t *testing.T, req auth.SaveRequest) {
		if err := f.Save(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	return authtest.Fixture{
		Driver: driver, Again: again, Capabilities: auth.Capabilities(),
		User: e.Principal, Names: []string{"dev", "dev@example.org", "DEV@EXAMPLE.ORG", `example.org\dev`},
		Password: password, Direct: "example.org/developers", Outer: "example.org/staff", Other: "nobody",
		Browse: func(t *testing.T, address string) map[string]string {
			p, err := f.SignIn(address, "dev", password)
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Token: func(*testing.T) secret.Text { return f.Issue("example.org/dev") },
		Leave: func(t *testing.T) { save(t, auth.SaveRequest{Principal: e.Principal, SetGroups: true}) },
		Disable: func(t *testing.T) {
			p := e.Principal
			p.Disabled = true
			save(t, auth.SaveRequest{Principal: p})
		},
		Expire: func(*testing.T) { f.Expire("example.org/dev") },
		Groups: true,
	}
}

func TestFakeConforms(t *testing.T) {
	authtest.Suite(t, func(t *testing.T) authtest.Fixture {
		f := newFake(t)
		return fixture(t, f, f, nil)
	})
}

func dial(t *testing.T, d auth.Driver) auth.Driver {
	return auth.NewClient(wiretest.TLS(t, func(r grpc.ServiceRegistrar) {
		auth.Register(r, func() (auth.Driver, error) { return d, nil })
	}))
}

func TestFakeConformsOverTheWire(t *testing.T) {
	authtest.Suite(t, func(t *testing.T) authtest.Fixture {
		f := newFake(t)
		again := func(t *testing.T) auth.Driver { return dial(t, f) }
		return fixture(t, f, again(t), again)
	})
}

func TestFakeWithoutCapabilitiesConforms(t *testing.T) {
	authtest.Suite(t, func(t *testing.T) authtest.Fixture {
		f := newFake(t)
		x := fixture(t, f, auth.Confine(dial(t, f), "example.org"), nil)
		f.Capabilities = []string{auth.CapPassword}
		x.Capabilities, x.Groups, x.Leave, x.Disable = f.Capabilities, false, nil, nil
		return x
	})
}
