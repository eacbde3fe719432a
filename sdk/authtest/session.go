package authtest

import (
	"maps"
	"net/url"
	"slices"
	"testing"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

// begin begins a sign-in by redirect.
func (s *suite) begin(t *testing.T) (auth.BeginRequest, auth.Redirect) {
	t.Helper()
	req := auth.BeginRequest{Callback: "https://hub.example.org/callback", State: "state-1", Nonce: "nonce-1"}
	to, err := s.Driver.Begin(s.ctx(t), req)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return req, to
}

// finish is the request that a good browser comes back with.
func (s *suite) finish(t *testing.T, begin auth.BeginRequest, to auth.Redirect) auth.FinishRequest {
	t.Helper()
	got := maps.Clone(s.Browse(t, to.URL))
	if got["state"] != "" && got["state"] != begin.State {
		t.Errorf("the browser came back with the state %q, not %q", got["state"], begin.State)
	}
	delete(got, "state")
	return auth.FinishRequest{Callback: begin.Callback, Nonce: begin.Nonce, Sealed: to.Sealed, Parameters: got}
}

func redirect(t *testing.T, s *suite) {
	begin, to := s.begin(t)
	if u, err := url.Parse(to.URL); err != nil || u.Host == "" {
		t.Errorf("address %q, %v", to.URL, err)
	}
	i, err := s.again(t).Finish(s.ctx(t), s.finish(t, begin, to))
	s.see(t, "Finish", i, err)
}

func forged(t *testing.T, s *suite) {
	for name, change := range map[string]func(r *auth.FinishRequest){
		"another nonce":       func(r *auth.FinishRequest) { r.Nonce = "nonce-2" },
		"nothing came back":   func(r *auth.FinishRequest) { r.Parameters = nil },
		"the provider denied": func(r *auth.FinishRequest) { r.Parameters = map[string]string{"error": "access_denied"} },
		"all values made up": func(r *auth.FinishRequest) {
			for k := range r.Parameters {
				r.Parameters[k] = "made-up"
			}
		},
	} {
		begin, to := s.begin(t)
		req := s.finish(t, begin, to)
		change(&req)
		_, err := s.Driver.Finish(s.ctx(t), req)
		want(t, "Finish: "+name, err, errdef.ErrDenied)
	}
	begin, to := s.begin(t)
	if to.Sealed == "" {
		return
	}
	req := s.finish(t, begin, to)
	_, other := s.begin(t)
	for name, sealed := range map[string]auth.Redirect{"none": {}, "of another sign-in": other} {
		req.Sealed = sealed.Sealed
		_, err := s.Driver.Finish(s.ctx(t), req)
		want(t, "Finish with sealed "+name, err, errdef.ErrDenied)
	}
}

func replay(t *testing.T, s *suite) {
	begin, to := s.begin(t)
	req := s.finish(t, begin, to)
	i, err := s.Driver.Finish(s.ctx(t), req)
	s.see(t, "Finish", i, err)
	i, err = s.again(t).Finish(s.ctx(t), req)
	if err == nil {
		s.see(t, "Finish again", i, nil)
		return
	}
	want(t, "Finish again", err, errdef.ErrDenied)
}

func token(t *testing.T, s *suite) {
	tok := s.Token(t)
	i, err := s.Driver.Token(s.ctx(t), auth.TokenRequest{Token: tok})
	s.see(t, "Token", i, err)
	for _, bad := range []auth.TokenRequest{{}, {Token: "no token"}, {Token: tok[:len(tok)/2]}, {Token: tok + "x"}} {
		_, err := s.Driver.Token(s.ctx(t), bad)
		want(t, "Token that is none", err, errdef.ErrDenied)
	}
}

func verify(t *testing.T, s *suite) {
	i := s.signIn(t)
	for range 3 {
		next, err := s.again(t).Verify(s.ctx(t), auth.VerifyRequest{ID: i.Principal.ID, Session: i.Session})
		s.see(t, "Verify", next, err)
		i = next
	}
	domain, _, _ := auth.SplitID(s.User.ID)
	_, err := s.Driver.Verify(s.ctx(t), auth.VerifyRequest{ID: auth.ID(domain, "no-such-user"), Session: i.Session})
	want(t, "Verify of nobody", err, errdef.ErrDenied)
}

func verifyGroups(t *testing.T, s *suite) {
	if s.Leave == nil {
		t.Skip("the fixture cannot take the user out of a group")
	}
	i := s.signIn(t)
	s.Leave(t)
	i, err := s.Driver.Verify(s.ctx(t), auth.VerifyRequest{ID: i.Principal.ID, Session: i.Session})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(i.Groups, s.Direct) || slices.Contains(i.Groups, s.Outer) {
		t.Errorf("the user left %q, and is in %q", s.Direct, i.Groups)
	}
}

func disabled(t *testing.T, s *suite) {
	if s.Disable == nil {
		t.Skip("the fixture cannot disable the user")
	}
	i := s.signIn(t)
	s.Disable(t)
	_, err := s.Driver.Verify(s.ctx(t), auth.VerifyRequest{ID: i.Principal.ID, Session: i.Session})
	want(t, "Verify", err, errdef.ErrDenied)
	if s.has(auth.CapPassword) {
		_, err := s.Driver.Password(s.ctx(t), auth.PasswordRequest{Name: s.Names[0], Password: s.Password})
		want(t, "Password", err, errdef.ErrDenied)
	}
	if s.has(auth.CapLookup) {
		e, err := s.Driver.Lookup(s.ctx(t), auth.LookupRequest{ID: i.Principal.ID})
		if err != nil || !e.Principal.Disabled {
			t.Errorf("Lookup: %+v, %v", e, err)
		}
	}
}
