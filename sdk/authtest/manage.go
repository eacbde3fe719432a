package authtest

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Passwords that follow any rules.
const (
	firstPassword  secret.Text = "Correct-horse-1-battery"
	secondPassword secret.Text = "Correct-horse-2-battery"
)

// made is a new principal that is removed when the test ends.
func (s *suite) made(t *testing.T, kind auth.Kind) auth.Principal {
	t.Helper()
	domain, _, _ := auth.SplitID(s.User.ID)
	name := "made-" + strings.ToLower(rand.Text())
	p := auth.Principal{ID: auth.ID(domain, name), Kind: kind, Name: name}
	if kind == auth.User {
		p.FullName = "Made for a test"
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
		defer cancel()
		if err := s.Driver.Remove(ctx, auth.RemoveRequest{ID: p.ID}); err != nil {
			t.Errorf("Remove after the test: %v", err)
		}
	})
	return p
}

func (s *suite) save(t *testing.T, req auth.SaveRequest) {
	t.Helper()
	if err := s.Driver.Save(s.ctx(t), req); err != nil {
		t.Fatalf("Save of %s: %v", req.Principal.ID, err)
	}
}

// tries signs in by password, if the driver can.
func (s *suite) tries(t *testing.T, p auth.Principal, pw secret.Text, class error) auth.Identity {
	t.Helper()
	if !s.has(auth.CapPassword) {
		return auth.Identity{}
	}
	i, err := s.Driver.Password(s.ctx(t), auth.PasswordRequest{Name: p.Name, Password: pw})
	want(t, "Password of "+p.Name, err, class)
	return i
}

func life(t *testing.T, s *suite) {
	p := s.made(t, auth.User)
	s.save(t, auth.SaveRequest{Principal: p, Password: firstPassword, OnlyNew: true})
	if i := s.tries(t, p, firstPassword, nil); s.has(auth.CapPassword) && i.Principal != p {
		t.Errorf("%+v was saved as %+v", p, i.Principal)
	}
	s.save(t, auth.SaveRequest{Principal: p, Password: secondPassword})
	s.tries(t, p, firstPassword, errdef.ErrDenied)
	i := s.tries(t, p, secondPassword, nil)

	p.Disabled = true
	s.save(t, auth.SaveRequest{Principal: p})
	s.tries(t, p, secondPassword, errdef.ErrDenied)
	p.Disabled = false
	s.save(t, auth.SaveRequest{Principal: p})
	s.tries(t, p, secondPassword, nil)

	want(t, "Remove", s.Driver.Remove(s.ctx(t), auth.RemoveRequest{ID: p.ID}), nil)
	want(t, "Remove again", s.Driver.Remove(s.ctx(t), auth.RemoveRequest{ID: p.ID}), nil)
	s.tries(t, p, secondPassword, errdef.ErrDenied)
	_, err := s.Driver.Verify(s.ctx(t), auth.VerifyRequest{ID: p.ID, Session: i.Session})
	want(t, "Verify of who was removed", err, errdef.ErrDenied)
}

func saveTwice(t *testing.T, s *suite) {
	p := s.made(t, auth.User)
	req := auth.SaveRequest{Principal: p, Password: firstPassword, OnlyNew: true}
	s.save(t, req)
	s.save(t, req)
	req.Password = secondPassword
	want(t, "Save of another with OnlyNew", s.Driver.Save(s.ctx(t), req), errdef.ErrExists)
	s.tries(t, p, firstPassword, nil)
	if !s.has(auth.CapLookup) {
		return
	}
	e, err := s.Driver.Lookup(s.ctx(t), auth.LookupRequest{ID: p.ID})
	if err != nil || e.Principal != p {
		t.Errorf("saved %+v, found %+v, %v", p, e.Principal, err)
	}
}

func groups(t *testing.T, s *suite) {
	if !s.Groups {
		t.Skip("the driver keeps no groups")
	}
	outer, inner, p := s.made(t, auth.Group), s.made(t, auth.Group), s.made(t, auth.User)
	s.save(t, auth.SaveRequest{Principal: outer})
	s.save(t, auth.SaveRequest{Principal: inner, Groups: []string{outer.ID}, SetGroups: true})
	s.save(t, auth.SaveRequest{Principal: p, Password: firstPassword, Groups: []string{inner.ID}, SetGroups: true})
	circle := auth.SaveRequest{Principal: outer, Groups: []string{inner.ID}, SetGroups: true}
	want(t, "Save of a circle", s.Driver.Save(s.ctx(t), circle), errdef.ErrConflict)
	see := func(when string, wanted ...string) {
		t.Helper()
		if !s.has(auth.CapLookup) {
			return
		}
		e, err := s.Driver.Lookup(s.ctx(t), auth.LookupRequest{ID: p.ID})
		slices.Sort(e.Groups)
		slices.Sort(wanted)
		if err != nil || !slices.Equal(e.Groups, wanted) {
			t.Errorf("%s: the groups are %q, %v, not %q", when, e.Groups, err, wanted)
		}
	}
	see("in a nested group", inner.ID, outer.ID)
	s.save(t, auth.SaveRequest{Principal: p, Password: secondPassword})
	see("after a change without groups", inner.ID, outer.ID)
	s.save(t, auth.SaveRequest{Principal: p, Groups: []string{outer.ID}, SetGroups: true})
	see("in another group", outer.ID)
	want(t, "Remove", s.Driver.Remove(s.ctx(t), auth.RemoveRequest{ID: outer.ID}), nil)
	see("after the group has gone")
}

func refuse(t *testing.T, s *suite) {
	domain, _, _ := auth.SplitID(s.User.ID)
	p := s.made(t, auth.User)
	elsewhere := p
	elsewhere.ID = auth.ID("not-"+domain, "somebody")
	for _, c := range []struct {
		name  string
		req   auth.SaveRequest
		class error
	}{
		{"a new user without a password", auth.SaveRequest{Principal: p}, errdef.ErrInvalid},
		{"another's domain", auth.SaveRequest{Principal: elsewhere, Password: firstPassword}, errdef.ErrInvalid},
		{"a group that is not there", auth.SaveRequest{Principal: p, Password: firstPassword, SetGroups: true,
			Groups: []string{auth.ID(domain, "no-such-group")}}, errdef.ErrNotFound},
	} {
		want(t, "Save: "+c.name, s.Driver.Save(s.ctx(t), c.req), c.class)
		s.tries(t, p, firstPassword, errdef.ErrDenied)
	}
}
