// Package authtest is the conformance suite for auth drivers: what auth.Driver promises, as tests. A
// driver's author calls Suite with a factory.
package authtest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Fixture is a driver and a user that it knows.
type Fixture struct {
	Driver auth.Driver
	// Capabilities are the component's. Cases for others see that the method is errdef.ErrUnsupported.
	Capabilities []string
	// Again, if set, is another process of the driver on the same platform.
	Again func(t *testing.T) auth.Driver
	// User signs in. It is in Direct, which is in Outer: the suite sees both. Other is nobody's name.
	User     auth.Principal
	Names    []string // what people type for User; at least one
	Password secret.Text
	Direct   string // ID of a group
	Outer    string // likewise
	Other    string
	// Browse, with CapRedirect, plays a browser at an address of Begin: it signs User in and returns the
	// parameters that the callback gets.
	Browse func(t *testing.T, address string) map[string]string
	// Token, with CapToken, is a token of the platform for User.
	Token func(t *testing.T) secret.Text
	// Leave, if set, takes User out of Direct. Disable, if set, disables User.
	Leave, Disable func(t *testing.T)
	// Expire, if set, lets the password of User expire.
	Expire func(t *testing.T)
	// Groups, with CapManage: the driver keeps groups, and puts them into each other.
	Groups bool
	// Timeout of one call; 0 means 10 s.
	Timeout time.Duration
}

// Factory makes a fixture for one test; what it makes ends with t.
type Factory func(t *testing.T) Fixture

// Suite runs all cases.
func Suite(t *testing.T, factory Factory) {
	cases := []struct {
		name string
		need string // a capability
		run  func(t *testing.T, s *suite)
	}{
		{"Describe tells domains and a time", "", describe},
		{"methods without their capability are ErrUnsupported", "", unsupported},
		{"a call whose context has ended says so", "", canceled},
		{"name and password sign in, with nested groups", auth.CapPassword, password},
		{"wrong names and wrong passwords are told alike", auth.CapPassword, wrongPassword},
		{"a password that has expired is told from a wrong one", auth.CapPassword, expired},
		{"many sign in at once", auth.CapPassword, concurrent},
		{"a browser signs in by redirect", auth.CapRedirect, redirect},
		{"what a browser forges is denied", auth.CapRedirect, forged},
		{"what a browser brings twice is one sign-in", auth.CapRedirect, replay},
		{"a token of the platform signs in", auth.CapToken, token},
		{"a session goes on, also in another process", "", verify},
		{"a session tells the groups of now", "", verifyGroups},
		{"who is disabled is denied", "", disabled},
		{"Lookup finds by ID and by name", auth.CapLookup, lookup},
		{"Search ignores case and keeps to the kind", auth.CapSearch, search},
		{"Search gives all in pages, each once", auth.CapSearch, pages},
		{"the life of a user", auth.CapManage, life},
		{"Save again changes nothing", auth.CapManage, saveTwice},
		{"groups nest, and never in a circle", auth.CapManage, groups},
		{"what Save refuses", auth.CapManage, refuse},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{Fixture: factory(t)}
			if s.Timeout == 0 {
				s.Timeout = 10 * time.Second
			}
			if c.need != "" && !s.has(c.need) {
				t.Skipf("the driver does not have the capability %q", c.need)
			}
			c.run(t, s)
		})
	}
}

type suite struct{ Fixture }

func (s *suite) has(capability string) bool { return slices.Contains(s.Capabilities, capability) }

func (s *suite) ctx(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	t.Cleanup(cancel)
	return ctx
}

// again is another process, if there can be one.
func (s *suite) again(t *testing.T) auth.Driver {
	if s.Again == nil {
		return s.Driver
	}
	return s.Again(t)
}

func want(t *testing.T, call string, err, class error) {
	t.Helper()
	if class == nil && err != nil || class != nil && !errors.Is(err, class) {
		t.Errorf("%s: got %v, want %v", call, err, class)
	}
}

// see demands the user with its groups.
func (s *suite) see(t *testing.T, call string, i auth.Identity, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", call, err)
	}
	if i.Principal != s.User || i.Principal.Kind != auth.User {
		t.Errorf("%s: got %+v, want %+v", call, i.Principal, s.User)
	}
	for _, g := range []string{s.Direct, s.Outer} {
		if !slices.Contains(i.Groups, g) {
			t.Errorf("%s: the groups %q lack %q", call, i.Groups, g)
		}
	}
	if !i.Expires.IsZero() && i.Expires.Before(time.Now()) {
		t.Errorf("%s: the identity expired at %v", call, i.Expires)
	}
}

// signIn signs the user in by the way that the driver has.
func (s *suite) signIn(t *testing.T) auth.Identity {
	t.Helper()
	var i auth.Identity
	var err error
	switch {
	case s.has(auth.CapPassword):
		i, err = s.Driver.Password(s.ctx(t), auth.PasswordRequest{Name: s.Names[0], Password: s.Password})
	case s.has(auth.CapRedirect):
		begin, to := s.begin(t)
		i, err = s.Driver.Finish(s.ctx(t), s.finish(t, begin, to))
	case s.has(auth.CapToken):
		i, err = s.Driver.Token(s.ctx(t), auth.TokenRequest{Token: s.Token(t)})
	default:
		t.Skip("the driver signs nobody in")
	}
	s.see(t, "sign-in", i, err)
	return i
}

func describe(t *testing.T, s *suite) {
	first, err := s.Driver.Describe(s.ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.again(t).Describe(s.ctx(t))
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("first %+v, then %+v, %v", first, second, err)
	}
	if domain, _, _ := auth.SplitID(s.User.ID); !slices.Contains(first.Domains, domain) {
		t.Errorf("the domain of %q is not one of %q", s.User.ID, first.Domains)
	}
	if first.Title == "" || first.Refresh < auth.MinRefresh || first.Refresh > auth.MaxRefresh {
		t.Errorf("description %+v lacks something", first)
	}
	for _, c := range s.Capabilities {
		if !slices.Contains(auth.Capabilities(), c) {
			t.Errorf("the capability %q is none", c)
		}
	}
}

func unsupported(t *testing.T, s *suite) {
	const address = "https://hub.example.org/callback"
	p := auth.Principal{ID: s.User.ID, Kind: auth.User, Name: s.User.Name}
	for _, m := range []struct {
		name, capability string
		call             func(ctx context.Context) error
	}{
		{"Password", auth.CapPassword, func(ctx context.Context) error {
			_, err := s.Driver.Password(ctx, auth.PasswordRequest{Name: "a", Password: "b"})
			return err
		}},
		{"Begin", auth.CapRedirect, func(ctx context.Context) error {
			_, err := s.Driver.Begin(ctx, auth.BeginRequest{Callback: address, State: "s", Nonce: "n"})
			return err
		}},
		{"Finish", auth.CapRedirect, func(ctx context.Context) error {
			_, err := s.Driver.Finish(ctx, auth.FinishRequest{Callback: address, Nonce: "n"})
			return err
		}},
		{"Token", auth.CapToken, func(ctx context.Context) error {
			_, err := s.Driver.Token(ctx, auth.TokenRequest{Token: "t"})
			return err
		}},
		{"Lookup", auth.CapLookup, func(ctx context.Context) error {
			_, err := s.Driver.Lookup(ctx, auth.LookupRequest{ID: s.User.ID})
			return err
		}},
		{"Search", auth.CapSearch, func(ctx context.Context) error {
			_, err := s.Driver.Search(ctx, auth.SearchRequest{Limit: 1})
			return err
		}},
		{"Save", auth.CapManage, func(ctx context.Context) error { return s.Driver.Save(ctx, auth.SaveRequest{Principal: p}) }},
		{"Remove", auth.CapManage, func(ctx context.Context) error { return s.Driver.Remove(ctx, auth.RemoveRequest{ID: p.ID}) }},
	} {
		if s.has(m.capability) {
			continue
		}
		want(t, m.name, m.call(s.ctx(t)), errdef.ErrUnsupported)
	}
}

func canceled(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(s.ctx(t))
	cancel()
	_, err := s.Driver.Verify(ctx, auth.VerifyRequest{ID: s.User.ID})
	want(t, "Verify", err, context.Canceled)
}

func password(t *testing.T, s *suite) {
	for _, name := range s.Names {
		i, err := s.Driver.Password(s.ctx(t), auth.PasswordRequest{Name: name, Password: s.Password})
		s.see(t, "Password of "+name, i, err)
	}
}

func wrongPassword(t *testing.T, s *suite) {
	var texts []string
	for _, r := range []auth.PasswordRequest{
		{Name: s.Names[0], Password: s.Password + "x"},
		{Name: s.Names[0], Password: s.Password[:len(s.Password)-1]},
		{Name: s.Names[0]},
		{Name: s.Other, Password: s.Password},
		{Name: s.Other},
		{Name: "", Password: s.Password},
	} {
		_, err := s.Driver.Password(s.ctx(t), r)
		want(t, "Password of "+r.Name, err, errdef.ErrDenied)
		if err != nil {
			if r.Name != "" {
				err = errors.New(strings.ReplaceAll(err.Error(), r.Name, "NAME"))
			}
			texts = append(texts, err.Error())
		}
	}
	if texts = slices.Compact(texts); len(texts) != 1 {
		t.Errorf("the texts differ: %q", texts)
	}
}

func expired(t *testing.T, s *suite) {
	if s.Expire == nil {
		t.Skip("the fixture cannot let a password expire")
	}
	s.Expire(t)
	_, err := s.Driver.Password(s.ctx(t), auth.PasswordRequest{Name: s.Names[0], Password: s.Password})
	want(t, "Password", err, errdef.ErrConflict)
	_, err = s.Driver.Password(s.ctx(t), auth.PasswordRequest{Name: s.Names[0], Password: s.Password + "x"})
	want(t, "Password that is wrong", err, errdef.ErrDenied)
}

func concurrent(t *testing.T, s *suite) {
	var wg sync.WaitGroup
	for n := range 8 {
		ctx := s.ctx(t)
		wg.Go(func() {
			req, class := auth.PasswordRequest{Name: s.Names[0], Password: s.Password}, error(nil)
			if n%4 == 3 {
				req.Name, class = s.Other, errdef.ErrDenied
			}
			i, err := s.Driver.Password(ctx, req)
			want(t, "Password", err, class)
			if err == nil && i.Principal.ID != s.User.ID {
				t.Errorf("%q signed in as %q", req.Name, i.Principal.ID)
			}
		})
	}
	wg.Wait()
}
