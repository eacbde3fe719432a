package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wiretest"
	authv1 "github.com/openvic/vic/sdk/proto/auth/v1"
	"github.com/openvic/vic/sdk/secret"
)

func many(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("a/%d", i)
	}
	return ids
}

const callback = "https://hub.example.org/callback"

// user is a good principal, changed.
func user(change func(p *Principal)) Principal {
	p := Principal{ID: "a/dev", Kind: User, Name: "dev"}
	change(&p)
	return p
}

func same(*Principal) {}

func TestRequestsHaveBounds(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	dark := func(n int) secret.Text { return secret.Text(long(n)) }
	finish := func(sealed secret.Text, p map[string]string) FinishRequest {
		return FinishRequest{callback, "n", sealed, p}
	}
	in := func(set bool, groups ...string) SaveRequest {
		return SaveRequest{Principal: user(same), Groups: groups, SetGroups: set}
	}
	for name, c := range map[string]struct {
		good, bad interface{ check() error }
	}{
		"a long name":          {PasswordRequest{Name: long(MaxName)}, PasswordRequest{Name: long(MaxName + 1)}},
		"a control character":  {PasswordRequest{Name: "dév"}, PasswordRequest{Name: "dev\n"}},
		"a long password":      {PasswordRequest{Password: dark(MaxPassword)}, PasswordRequest{Password: dark(MaxPassword + 1)}},
		"a password not UTF-8": {PasswordRequest{Password: "é\x01"}, PasswordRequest{Password: "\xe9"}},
		"a callback":           {BeginRequest{callback, "s", "n"}, BeginRequest{"javascript:alert(1)", "s", "n"}},
		"a relative callback":  {BeginRequest{callback, "s", "n"}, BeginRequest{"/callback", "s", "n"}},
		"no state":             {BeginRequest{callback, "s", "n"}, BeginRequest{callback, "", "n"}},
		"no nonce":             {BeginRequest{callback, "s", "n"}, BeginRequest{callback, "s", ""}},
		"many parameters":      {finish("", nil), finish("", tooMany())},
		"large parameters": {
			finish("", map[string]string{"a": long(MaxParameterBytes - 1)}),
			finish("", map[string]string{"a": long(MaxParameterBytes / 2), "b": long(MaxParameterBytes / 2)}),
		},
		"sealed":                 {finish(dark(MaxSealed), nil), finish(dark(MaxSealed+1), nil)},
		"a long token":           {TokenRequest{dark(MaxToken)}, TokenRequest{dark(MaxToken + 1)}},
		"an ID":                  {VerifyRequest{ID: "a/b/c"}, VerifyRequest{ID: "a"}},
		"an ID without a name":   {VerifyRequest{ID: "a/b"}, VerifyRequest{ID: "a/"}},
		"an ID without a domain": {VerifyRequest{ID: "a/b"}, VerifyRequest{ID: "/b"}},
		"a long session":         {VerifyRequest{"a/b", dark(MaxSession)}, VerifyRequest{"a/b", dark(MaxSession + 1)}},
		"nobody":                 {LookupRequest{ID: "a/b"}, LookupRequest{}},
		"two at once":            {LookupRequest{Name: "b"}, LookupRequest{ID: "a/b", Name: "b"}},
		"no limit":               {SearchRequest{Limit: 1}, SearchRequest{}},
		"a large limit":          {SearchRequest{Limit: MaxLimit}, SearchRequest{Limit: MaxLimit + 1}},
		"a kind":                 {SearchRequest{Limit: 1, Kind: Group}, SearchRequest{Limit: 1, Kind: "robot"}},
		"a long page":            {SearchRequest{Limit: 1, Page: long(MaxPage)}, SearchRequest{Limit: 1, Page: long(MaxPage + 1)}},
		"groups unset":           {in(true, "a/g"), in(false, "a/g")},
		"many groups":            {in(true, many(MaxSavedGroups)...), in(true, many(MaxSavedGroups+1)...)},
		"in itself":              {in(true), in(true, "a/dev")},
		"a group's password":     {SaveRequest{Principal: ops}, SaveRequest{Principal: ops, Password: "p"}},
		"a principal's kind":     {SaveRequest{Principal: user(same)}, SaveRequest{Principal: user(func(p *Principal) { p.Kind = "" })}},
		"a principal's name":     {SaveRequest{Principal: user(same)}, SaveRequest{Principal: user(func(p *Principal) { p.Name = "" })}},
		"removing nobody":        {RemoveRequest{"a/b"}, RemoveRequest{}},
	} {
		if err := c.good.check(); err != nil {
			t.Errorf("%s: %+v is refused: %v", name, c.good, err)
		}
		if err := c.bad.check(); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %T passed: %v", name, c.bad, err)
		}
	}
}

func tooMany() map[string]string {
	m := map[string]string{}
	for _, id := range many(MaxParameters + 1) {
		m[id] = ""
	}
	return m
}

// rogue is a plugin that answers as it likes, without the SDK's checks.
type rogue struct {
	authv1.UnimplementedAuthServiceServer
	identity *authv1.Identity
	describe *authv1.DescribeResponse
	begin    *authv1.BeginResponse
	lookup   *authv1.LookupResponse
	search   *authv1.SearchResponse
	err      error
}

func (r *rogue) Describe(context.Context, *authv1.DescribeRequest) (*authv1.DescribeResponse, error) {
	return r.describe, r.err
}

func (r *rogue) Password(context.Context, *authv1.PasswordRequest) (*authv1.PasswordResponse, error) {
	return &authv1.PasswordResponse{Identity: r.identity}, r.err
}

func (r *rogue) Finish(context.Context, *authv1.FinishRequest) (*authv1.FinishResponse, error) {
	return &authv1.FinishResponse{Identity: r.identity}, r.err
}

func (r *rogue) Token(context.Context, *authv1.TokenRequest) (*authv1.TokenResponse, error) {
	return &authv1.TokenResponse{Identity: r.identity}, r.err
}

func (r *rogue) Verify(context.Context, *authv1.VerifyRequest) (*authv1.VerifyResponse, error) {
	return &authv1.VerifyResponse{Identity: r.identity}, r.err
}

func (r *rogue) Begin(context.Context, *authv1.BeginRequest) (*authv1.BeginResponse, error) {
	return r.begin, r.err
}

func (r *rogue) Lookup(context.Context, *authv1.LookupRequest) (*authv1.LookupResponse, error) {
	return r.lookup, r.err
}

func (r *rogue) Search(context.Context, *authv1.SearchRequest) (*authv1.SearchResponse, error) {
	return r.search, r.err
}

func (r *rogue) client(t *testing.T) Driver {
	return NewClient(wiretest.Memory(t, func(s grpc.ServiceRegistrar) { authv1.RegisterAuthServiceServer(s, r) }))
}

func identity(change func(i *Identity)) *authv1.Identity {
	i := Identity{Principal: Principal{ID: "a/dev", Kind: User, Name: "dev"}, Groups: []string{"a/ops"}}
	change(&i)
	return identityToWire(i)
}

func TestAHostileIdentityIsNone(t *testing.T) {
	r := &rogue{}
	d := r.client(t)
	ways := map[string]func() (Identity, error){
		"Password": func() (Identity, error) { return d.Password(t.Context(), PasswordRequest{Name: "dev", Password: "p"}) },
		"Finish":   func() (Identity, error) { return d.Finish(t.Context(), FinishRequest{Callback: callback, Nonce: "n"}) },
		"Token":    func() (Identity, error) { return d.Token(t.Context(), TokenRequest{Token: "t"}) },
		"Verify":   func() (Identity, error) { return d.Verify(t.Context(), VerifyRequest{ID: "a/dev"}) },
	}
	r.identity = identity(func(i *Identity) { i.Groups = many(MaxGroups) })
	for way, call := range ways {
		if i, err := call(); err != nil || len(i.Groups) != MaxGroups {
			t.Errorf("%s: a good identity is refused: %v", way, err)
		}
	}
	for name, bad := range map[string]*authv1.Identity{
		"none":             nil,
		"an empty one":     {},
		"too many groups":  identity(func(i *Identity) { i.Groups = many(MaxGroups + 1) }),
		"a group twice":    identity(func(i *Identity) { i.Groups = []string{"a/ops", "a/ops"} }),
		"a group's form":   identity(func(i *Identity) { i.Groups = []string{"ops"} }),
		"a disabled user":  identity(func(i *Identity) { i.Principal.Disabled = true }),
		"a group":          identity(func(i *Identity) { i.Principal.Kind = Group }),
		"a line break":     identity(func(i *Identity) { i.Principal.Name = "dev\nERROR" }),
		"a long email":     identity(func(i *Identity) { i.Principal.Email = strings.Repeat("x", MaxName+1) }),
		"a long ID":        identity(func(i *Identity) { i.Principal.ID = "a/" + strings.Repeat("x", MaxID) }),
		"a large session":  identity(func(i *Identity) { i.Session = secret.Text(strings.Repeat("x", MaxSession+1)) }),
		"a year":           identity(func(i *Identity) { i.Expires = time.Unix(1<<40, 0) }),
		"a script":         identity(func(i *Identity) { i.LogoutURL = "javascript:alert(1)" }),
		"a large message":  identity(func(i *Identity) { i.Session = secret.Text(strings.Repeat("x", maxMessage+1)) }),
		"a number of Kind": {Principal: &authv1.Principal{Id: "a/dev", Name: "dev", Kind: 7}},
	} {
		r.identity = bad
		for way, call := range ways {
			if i, err := call(); !errors.Is(err, errdef.ErrInternal) || i.Principal.ID != "" || errors.Is(err, errdef.ErrInvalid) {
				t.Errorf("%s: %s: got %+v, %v", way, name, i.Principal, err)
			}
		}
	}
	r.identity = identity(func(i *Identity) { i.Principal.ID = "a/root" })
	if _, err := ways["Verify"](); !errors.Is(err, errdef.ErrInternal) {
		t.Errorf("Verify became another user: %v", err)
	}
}

func TestOtherHostileAnswersAreNone(t *testing.T) {
	d := Description{Title: "T", Domains: []string{"a"}, Administrators: many(MaxAdministrators), Refresh: MinRefresh}
	described := func(change func(d *Description)) *rogue {
		c := d
		change(&c)
		return &rogue{describe: descriptionToWire(c)}
	}
	p := principalToWire(user(same))
	for name, c := range map[string]struct {
		rogue *rogue
		good  bool
	}{
		"a description":            {described(func(*Description) {}), true},
		"no domain":                {described(func(d *Description) { d.Domains = nil }), false},
		"a domain with a slash":    {described(func(d *Description) { d.Domains = []string{"a/b"} }), false},
		"many administrators":      {described(func(d *Description) { d.Administrators = many(MaxAdministrators + 1) }), false},
		"a short refresh":          {described(func(d *Description) { d.Refresh = time.Second }), false},
		"a refresh of never":       {described(func(d *Description) { d.Refresh = 48 * time.Hour }), false},
		"a redirect":               {&rogue{begin: &authv1.BeginResponse{Url: "https://sso/?a=b"}}, true},
		"a redirect to a script":   {&rogue{begin: &authv1.BeginResponse{Url: "javascript:alert(1)"}}, false},
		"a redirect to data":       {&rogue{begin: &authv1.BeginResponse{Url: "data:text/html,x"}}, false},
		"much sealed":              {&rogue{begin: &authv1.BeginResponse{Url: "https://sso", Sealed: make([]byte, MaxSealed+1)}}, false},
		"an entry":                 {&rogue{lookup: &authv1.LookupResponse{Principal: p, Groups: []string{"a/g"}}}, true},
		"another entry":            {&rogue{lookup: &authv1.LookupResponse{Principal: principalToWire(ops)}}, false},
		"a page":                   {&rogue{search: &authv1.SearchResponse{Principals: []*authv1.Principal{p}, NextPage: "2"}}, true},
		"more than the limit":      {&rogue{search: &authv1.SearchResponse{Principals: []*authv1.Principal{p, principalToWire(ops), principalToWire(dev)}}}, false},
		"a principal twice":        {&rogue{search: &authv1.SearchResponse{Principals: []*authv1.Principal{p, p}}}, false},
		"a page that is the same":  {&rogue{search: &authv1.SearchResponse{NextPage: "1"}}, false},
		"a principal without form": {&rogue{search: &authv1.SearchResponse{Principals: []*authv1.Principal{{}}}}, false},
	} {
		client := c.rogue.client(t)
		var err error
		switch {
		case c.rogue.describe != nil:
			_, err = client.Describe(t.Context())
		case c.rogue.begin != nil:
			_, err = client.Begin(t.Context(), BeginRequest{callback, "s", "n"})
		case c.rogue.lookup != nil:
			_, err = client.Lookup(t.Context(), LookupRequest{ID: "a/dev"})
		default:
			_, err = client.Search(t.Context(), SearchRequest{Limit: 2, Page: "1"})
		}
		if c.good && err != nil || !c.good && !errors.Is(err, errdef.ErrInternal) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestATextOfAnErrorHasBounds(t *testing.T) {
	r := &rogue{err: errdef.ToGRPC(fmt.Errorf("%s\r\n\x1b[2J: %w", strings.Repeat("é", 100_000), errdef.ErrDenied))}
	_, err := r.client(t).Password(t.Context(), PasswordRequest{Name: "dev"})
	if !errors.Is(err, errdef.ErrDenied) || len(err.Error()) > 5000 || strings.ContainsAny(err.Error(), "\r\n\x1b") {
		t.Errorf("%d bytes: %.20q", len(err.Error()), err)
	}
}

// careless answers what breaks the rules.
type careless struct {
	Unsupported
	calls int
}

func (*careless) Describe(context.Context) (Description, error) { return Description{}, nil }

func (*careless) Verify(context.Context, VerifyRequest) (Identity, error) { return Identity{}, nil }

func (c *careless) Password(context.Context, PasswordRequest) (Identity, error) {
	c.calls++
	return Identity{Principal: user(same), Groups: many(MaxGroups + 1)}, nil
}

func TestTheServerChecksBothWays(t *testing.T) {
	d := &careless{}
	raw := authv1.NewAuthServiceClient(wiretest.Memory(t, func(r grpc.ServiceRegistrar) {
		Register(r, func() (Driver, error) { return d, nil })
	}))
	_, err := raw.Password(t.Context(), &authv1.PasswordRequest{Name: "dev\n"})
	if !errors.Is(errdef.FromGRPC(err), errdef.ErrInvalid) || d.calls != 0 {
		t.Errorf("a bad request: %v after %d calls", err, d.calls)
	}
	_, err = raw.Password(t.Context(), &authv1.PasswordRequest{Name: "dev"})
	if !errors.Is(errdef.FromGRPC(err), errdef.ErrInternal) || d.calls != 1 {
		t.Errorf("a bad answer: %v after %d calls", err, d.calls)
	}
}

func TestAConfinedPluginSpeaksForItsDomainsOnly(t *testing.T) {
	r := &rogue{
		describe: descriptionToWire(Description{Title: "T", Domains: []string{"b"}, Refresh: MinRefresh}),
		lookup:   &authv1.LookupResponse{Principal: principalToWire(user(func(p *Principal) { p.ID = "b/dev" }))},
		search:   &authv1.SearchResponse{Principals: []*authv1.Principal{principalToWire(user(func(p *Principal) { p.ID = "b/dev" }))}},
	}
	inner := r.client(t)
	for _, c := range []struct {
		name    string
		domains []string
		user    string
		groups  []string
		good    bool
	}{
		{"its own", []string{"a", "b"}, "a/dev", []string{"b/g"}, true},
		{"a user of another's", []string{"b"}, "a/dev", nil, false},
		{"a group of another's", []string{"a"}, "a/dev", []string{"a/g", "b/administrators"}, false},
		{"a domain that begins alike", []string{"a"}, "ab/dev", nil, false},
	} {
		r.identity = identity(func(i *Identity) { i.Principal.ID, i.Groups = c.user, c.groups })
		d := Confine(inner, c.domains...)
		for way, call := range map[string]func() (Identity, error){
			"Password": func() (Identity, error) { return d.Password(t.Context(), PasswordRequest{}) },
			"Finish":   func() (Identity, error) { return d.Finish(t.Context(), FinishRequest{Callback: callback, Nonce: "n"}) },
			"Token":    func() (Identity, error) { return d.Token(t.Context(), TokenRequest{}) },
			"Verify":   func() (Identity, error) { return d.Verify(t.Context(), VerifyRequest{ID: c.user}) },
		} {
			if _, err := call(); c.good && err != nil || !c.good && !errors.Is(err, errdef.ErrInternal) {
				t.Errorf("%s: %s: got %v", way, c.name, err)
			}
		}
	}
	for domain, good := range map[string]bool{"a": false, "b": true} {
		d := Confine(inner, domain)
		_, derr := d.Describe(t.Context())
		_, lerr := d.Lookup(t.Context(), LookupRequest{ID: "b/dev"})
		_, serr := d.Search(t.Context(), SearchRequest{Limit: 1})
		for _, err := range []error{derr, lerr, serr} {
			if good && err != nil || !good && !errors.Is(err, errdef.ErrInternal) {
				t.Errorf("%s: got %v", domain, err)
			}
		}
	}
}
