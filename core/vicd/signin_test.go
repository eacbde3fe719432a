package vicd

import (
	"errors"
	"testing"

	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// people makes a plugin of the role auth whose users have the password "secret of NAME".
func people(t *testing.T, domain string, administrators, others []string) (*auth.Fake, plugin.Player[auth.Driver]) {
	t.Helper()
	f := auth.NewFake(domain)
	save := func(name string, kind auth.Kind, groups ...string) {
		req := auth.SaveRequest{Principal: auth.Principal{ID: auth.ID(domain, name), Kind: kind, Name: name}, Groups: groups, SetGroups: true}
		if kind == auth.User {
			req.Password = "secret of " + secret.Text(name)
		}
		if err := f.Save(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	save("administrators", auth.Group)
	for _, name := range administrators {
		save(name, auth.User, auth.ID(domain, "administrators"))
	}
	for _, name := range others {
		save(name, auth.User)
	}
	return f, plugin.Player[auth.Driver]{Plugin: domain, Driver: f}
}

func TestWhoAdministersTheHost(t *testing.T) {
	_, one := people(t, "one", []string{"ann", "both"}, []string{"bob"})
	_, two := people(t, "two", []string{"carol"}, []string{"both"})
	// liar says that it knows the people of the first.
	_, liar := people(t, "one", []string{"mallory"}, nil)
	all := []plugin.Player[auth.Driver]{one, two, liar}
	for user, want := range map[string]error{
		"ann": nil, "carol": nil, "bob": errdef.ErrDenied, "nobody": errdef.ErrDenied, "mallory": errdef.ErrInternal, "": errdef.ErrDenied,
		"both": nil, // the first one decides
	} {
		err := administrator(t.Context(), all, auth.PasswordRequest{Name: user, Password: "secret of " + secret.Text(user)})
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", user, err, want)
		}
		if err := administrator(t.Context(), all, auth.PasswordRequest{Name: user, Password: "wrong"}); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("%q with a wrong password: %v", user, err)
		}
	}
	if err := administrator(t.Context(), nil, auth.PasswordRequest{Name: "ann", Password: "secret of ann"}); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("without a plugin: %v", err)
	}
}

func TestAPluginThatDoesNotAnswerDeniesNobody(t *testing.T) {
	f, one := people(t, "one", []string{"ann"}, nil)
	_, two := people(t, "two", []string{"carol"}, nil)
	try := func(user string) error {
		f.Fail("Password", errdef.ErrUnavailable)
		return administrator(t.Context(), []plugin.Player[auth.Driver]{one, two}, auth.PasswordRequest{Name: user, Password: "secret of " + secret.Text(user)})
	}
	if err := try("ann"); !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("whom the plugin that is away may know: %v", err)
	}
	if err := try("carol"); err != nil {
		t.Errorf("whom the other plugin knows: %v", err)
	}
}
