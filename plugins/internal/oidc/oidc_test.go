package oidc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/plugins/internal/oidc"
	"github.com/openvic/vic/plugins/internal/oidc/oidctest"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

const callback = "https://hub.example.com/c/oidc/callback"

func client(t *testing.T, p *oidctest.Provider) *oidc.Client {
	t.Helper()
	c, err := oidc.New(oidc.Options{Issuer: p.URL, ClientID: oidctest.ClientID, ClientSecret: oidctest.ClientSecret, Roots: p.Roots(), Scopes: []string{"groups"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func provider(t *testing.T) *oidctest.Provider {
	t.Helper()
	p := oidctest.New(t)
	p.Save(oidctest.User{Subject: "1", Claims: map[string]any{"preferred_username": "dev", "realm": map[string]any{"roles": []string{"a", "b"}}},
		InfoOnly: map[string]any{"email": "dev@example.com"}})
	return p
}

// signIn goes all the way.
func signIn(t *testing.T, c *oidc.Client, p *oidctest.Provider) (oidc.Tokens, error) {
	t.Helper()
	to, err := c.Begin(t.Context(), auth.BeginRequest{Callback: callback, State: "s", Nonce: "n"})
	if err != nil {
		return oidc.Tokens{}, err
	}
	return c.Finish(t.Context(), auth.FinishRequest{Callback: callback, Nonce: "n", Sealed: to.Sealed, Parameters: p.Browse(t, to.URL)})
}

func TestASignIn(t *testing.T) {
	p := provider(t)
	c := client(t, p)
	got, err := signIn(t, c, p)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != "1" || oidc.Text(got.Claims, "preferred_username") != "dev" || got.Expires.Before(time.Now()) {
		t.Errorf("%+v", got)
	}
	if roles := oidc.Texts(got.Claims, "realm.roles"); len(roles) != 2 {
		t.Errorf("roles: %q", roles)
	}
	if err := c.AddUserInfo(t.Context(), &got); err != nil || oidc.Text(got.Claims, "email") != "dev@example.com" {
		t.Errorf("userinfo: %v, %v", got.Claims, err)
	}
	next, err := c.Refresh(t.Context(), got.Refresh, "1")
	if err != nil || next.Subject != "1" || next.Refresh == got.Refresh {
		t.Errorf("%+v, %v", next, err)
	}
	if _, err := c.Refresh(t.Context(), got.Refresh, "1"); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("a refresh token that was used up: %v", err)
	}
	if _, err := c.Refresh(t.Context(), next.Refresh, "2"); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("a refresh token of somebody else: %v", err)
	}
	if u := c.LogoutURL(t.Context()); u != p.URL+"/logout?client_id=vic-hub" {
		t.Error(u)
	}
}

// A provider changes its keys now and then.
func TestAnotherKeyIsFetched(t *testing.T) {
	p := provider(t)
	c := client(t, p)
	for range 2 {
		if _, err := signIn(t, c, p); err != nil {
			t.Fatal(err)
		}
		p.Rotate(t)
	}
	if n := p.Asked("/keys"); n != 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
	if n := p.Asked("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("the discovery document was fetched %d times", n)
	}
}

// What a hostile or broken provider answers ends a sign-in with the class that says whose fault it is, and in bounds.
func TestWhatIsNotAccepted(t *testing.T) {
	const discovery = "/.well-known/openid-configuration"
	for _, c := range []struct {
		fault oidctest.Fault
		at    string
		class error
		says  string
	}{
		{oidctest.AlgNone, "", errdef.ErrDenied, "none"},
		{oidctest.AlgSymmetric, "", errdef.ErrDenied, "HS256"},
		{oidctest.WrongKey, "", errdef.ErrDenied, "signature"},
		{oidctest.WrongNonce, "", errdef.ErrDenied, "another sign-in"},
		{oidctest.WrongIssuer, "", errdef.ErrDenied, "different provider"},
		{oidctest.WrongAudience, "", errdef.ErrDenied, "audience"},
		{oidctest.ManyAudiences, "", errdef.ErrDenied, `made for "another"`},
		{oidctest.Expired, "", errdef.ErrDenied, "expired"},
		{oidctest.Future, "", errdef.ErrDenied, "clocks"},
		{oidctest.Nobody, "", errdef.ErrDenied, "nobody"},
		{oidctest.NoToken, "", errdef.ErrUnavailable, "id_token"},
		{oidctest.RefusesClient, "", errdef.ErrUnavailable, "client_secret"},
		{oidctest.NotEncrypted, "", errdef.ErrUnavailable, "https"},
		{oidctest.OtherDiscovery, "", errdef.ErrUnavailable, "letter by letter"},
		{oidctest.Endless, discovery, errdef.ErrUnavailable, "longer than"},
		{oidctest.Endless, "/token", errdef.ErrUnavailable, "token endpoint"},
		{oidctest.Endless, "/keys", errdef.ErrUnavailable, "keys"},
		{oidctest.Redirect, discovery, errdef.ErrUnavailable, "redirect"},
		{oidctest.Redirect, "/token", errdef.ErrUnavailable, "redirect"},
		{oidctest.Redirect, "/keys", errdef.ErrUnavailable, "redirect"},
		{oidctest.Broken, discovery, errdef.ErrUnavailable, "500"},
		{oidctest.Broken, "/token", errdef.ErrUnavailable, "500"},
		{oidctest.Broken, "/keys", errdef.ErrUnavailable, "500"},
		{oidctest.Garbage, discovery, errdef.ErrUnavailable, "JSON"},
		{oidctest.Garbage, "/token", errdef.ErrUnavailable, "token endpoint"},
		{oidctest.Garbage, "/keys", errdef.ErrUnavailable, "keys"},
	} {
		t.Run(string(c.fault)+" "+c.at, func(t *testing.T) {
			p := provider(t)
			p.Misbehave(c.fault, c.at)
			_, err := signIn(t, client(t, p), p)
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v with %q", err, c.class, c.says)
			}
			if err != nil && strings.Contains(err.Error(), oidctest.ClientSecret) {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

func TestUserInfoThatIsNotAccepted(t *testing.T) {
	for fault, class := range map[oidctest.Fault]error{oidctest.SomebodyElse: errdef.ErrDenied, oidctest.Endless: errdef.ErrUnavailable,
		oidctest.Redirect: errdef.ErrUnavailable, oidctest.Garbage: errdef.ErrUnavailable, oidctest.Broken: errdef.ErrUnavailable} {
		p := provider(t)
		c := client(t, p)
		got, err := signIn(t, c, p)
		if err != nil {
			t.Fatal(err)
		}
		p.Misbehave(fault, "/userinfo")
		if err := c.AddUserInfo(t.Context(), &got); !errors.Is(err, class) {
			t.Errorf("%s: %v", fault, err)
		}
		if _, has := got.Claims["email"]; has {
			t.Errorf("%s: its claims were taken", fault)
		}
		if fault == oidctest.SomebodyElse {
			if _, err := c.Refresh(t.Context(), got.Refresh, "1"); !errors.Is(err, errdef.ErrDenied) {
				t.Errorf("a refresh that speaks of somebody else: %v", err)
			}
		}
	}
}

func TestWhatABrowserBrings(t *testing.T) {
	p := provider(t)
	c := client(t, p)
	for name, change := range map[string]func(r *auth.FinishRequest){
		"an answer of another provider":   func(r *auth.FinishRequest) { r.Parameters["iss"] = "https://elsewhere.example.com" },
		"an answer that names none":       func(r *auth.FinishRequest) { delete(r.Parameters, "iss") },
		"another verifier":                func(r *auth.FinishRequest) { r.Sealed = "x" },
		"no verifier":                     func(r *auth.FinishRequest) { r.Sealed = "" },
		"another callback":                func(r *auth.FinishRequest) { r.Callback += "2" },
		"a refusal with control letters":  func(r *auth.FinishRequest) { r.Parameters["error"] = "a\r\nb" + strings.Repeat("x", 1000) },
		"a code that the browser made up": func(r *auth.FinishRequest) { r.Parameters["code"] = "x" },
	} {
		to, err := c.Begin(t.Context(), auth.BeginRequest{Callback: callback, State: "s", Nonce: "n"})
		if err != nil {
			t.Fatal(err)
		}
		req := auth.FinishRequest{Callback: callback, Nonce: "n", Sealed: to.Sealed, Parameters: p.Browse(t, to.URL)}
		change(&req)
		_, err = c.Finish(t.Context(), req)
		if !errors.Is(err, errdef.ErrDenied) || strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptionsThatAreWrong(t *testing.T) {
	for name, o := range map[string]oidc.Options{
		"issuer":     {Issuer: "http://sso.example.com", ClientID: "x"},
		"client_id":  {Issuer: "https://sso.example.com"},
		"algorithms": {Issuer: "https://sso.example.com", ClientID: "x", Algorithms: []string{"none"}},
	} {
		if _, err := oidc.New(o); !errors.Is(err, errdef.ErrInvalid) || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A provider that does not answer holds nobody longer than their own patience.
func TestWhoHangsUp(t *testing.T) {
	p := provider(t)
	c := client(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Begin(ctx, auth.BeginRequest{Callback: callback, State: "s", Nonce: "n"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestClaims(t *testing.T) {
	claims := map[string]any{"a": map[string]any{"b": []any{"x", 1, "y"}}, "https://example.com/groups": "z", "n": 1}
	for name, want := range map[string]int{"a.b": 2, "https://example.com/groups": 1, "a": 0, "a.b.c": 0, "n": 0, "none": 0, "": 0} {
		if got := oidc.Texts(claims, name); len(got) != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
