// Package oidc is the client of an OpenID Connect provider that the auth plugins share: discovery, the code flow with
// PKCE, the checks of what comes back, userinfo, and refresh. The libraries coreos/go-oidc and x/oauth2 do the protocol;
// this package sets its bounds and turns its failures into the classes of sdk/auth.
//
// A provider is trusted to say who somebody is. It is not trusted with the plugin: each answer has a bound in bytes and
// time, redirects are not followed, endpoints without TLS are refused, and tokens are accepted only when they are signed
// with an algorithm of a fixed list by a key of the provider, for this client, for this sign-in, and now.
package oidc

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Options say which provider, and who this client is there.
type Options struct {
	// Issuer is the provider's address, https, letter by letter as its discovery document and tokens have it.
	Issuer string
	// ClientID and ClientSecret are this client's at the provider; no secret: a public client, by PKCE alone.
	ClientID     string
	ClientSecret secret.Text
	// Scopes are asked for beside "openid".
	Scopes []string
	// Algorithms that tokens may be signed with; empty: DefaultAlgorithms. Never "none", nor one with a shared key.
	Algorithms []string
	// Roots are the authorities of the provider's certificate; nil: the system's.
	Roots *x509.CertPool
	// Skew is how far the provider's clock may be from this one; 0: 1 minute.
	Skew time.Duration
	Now  func() time.Time // nil: time.Now
}

// DefaultAlgorithms are those that a token may be signed with: all that have a public key.
func DefaultAlgorithms() []string {
	return []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}
}

// Client talks to one provider. It may be used by several goroutines.
type Client struct {
	o    Options
	http *http.Client
	// discovery is held by who asks for the provider's endpoints, and guards the two below.
	discovery chan struct{}
	found     *endpoints
	at        time.Time // when they were found
}

// New checks the options and makes a client. It asks nobody yet: a provider that is away does not keep a plugin from
// starting. errdef.ErrInvalid names the option that is wrong.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, fmt.Errorf("issuer: %q is not https://HOST or https://HOST/PATH: %w", o.Issuer, errdef.ErrInvalid)
	case o.ClientID == "":
		return nil, fmt.Errorf("client_id: is empty: give the name under which the provider knows the hub: %w", errdef.ErrInvalid)
	}
	for _, a := range o.Algorithms {
		if !slices.Contains(DefaultAlgorithms(), a) {
			return nil, fmt.Errorf("algorithms: %q is not one of %s: %w", a, strings.Join(DefaultAlgorithms(), ", "), errdef.ErrInvalid)
		}
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = DefaultAlgorithms()
	}
	o.Skew = cmp.Or(o.Skew, time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{o: o, http: newClient(o.Roots), discovery: make(chan struct{}, 1)}, nil
}

// Tokens are what a provider gave for a user.
type Tokens struct {
	// Subject is the user's lasting name at the provider ("sub").
	Subject string
	// Claims are those of the signed token; AddUserInfo adds to them.
	Claims map[string]any
	// Access asks the provider's userinfo; Refresh gets new tokens, empty if the provider gave none.
	Access, Refresh secret.Text
	// Expires is when Access and the claims end; zero if the provider does not say.
	Expires time.Time
}

// Begin makes the address of a sign-in. Sealed is the verifier of PKCE.
func (c *Client) Begin(ctx context.Context, req auth.BeginRequest) (auth.Redirect, error) {
	e, err := c.endpoints(ctx)
	if err != nil {
		return auth.Redirect{}, err
	}
	verifier := oauth2.GenerateVerifier()
	to := e.config(c.o, req.Callback).AuthCodeURL(req.State, oidc.Nonce(req.Nonce), oauth2.S256ChallengeOption(verifier))
	return auth.Redirect{URL: to, Sealed: secret.Text(verifier)}, nil
}

// Finish redeems the code that a browser came back with, and checks the token that it gives. errdef.ErrDenied: the
// provider refused, or what came back is not of this sign-in; errdef.ErrUnavailable: it could not be found out.
func (c *Client) Finish(ctx context.Context, req auth.FinishRequest) (Tokens, error) {
	e, err := c.endpoints(ctx)
	if err != nil {
		return Tokens{}, err
	}
	p := req.Parameters
	iss, has := p["iss"] // RFC 9207: the answer of another provider is not taken for this one's
	switch {
	case has && iss != e.meta.Issuer, !has && e.meta.SaysIssuer:
		return Tokens{}, denied("the answer is another provider's")
	case p["error"] != "":
		return Tokens{}, denied("the provider refused: %s", printable(p["error"]))
	case p["code"] == "" || req.Sealed == "" || req.Nonce == "":
		return Tokens{}, denied("the browser came back without a code, or from another sign-in")
	}
	t, err := e.config(c.o, req.Callback).Exchange(c.context(ctx), p["code"], oauth2.VerifierOption(string(req.Sealed)))
	if err != nil {
		return Tokens{}, c.refused(ctx, err)
	}
	raw, _ := t.Extra("id_token").(string)
	if raw == "" {
		return Tokens{}, fault("it gave no id_token: does the client there have the scope openid?")
	}
	return c.accept(ctx, e, t, raw, req.Nonce)
}

// Refresh gets tokens of now for a sign-in of before. errdef.ErrDenied: the provider does not know the sign-in any more,
// or speaks of somebody else. The token that was given is used up where the provider rotates them: keep the new one.
func (c *Client) Refresh(ctx context.Context, refresh secret.Text, subject string) (Tokens, error) {
	e, err := c.endpoints(ctx)
	if err != nil {
		return Tokens{}, err
	}
	t, err := e.config(c.o, "").TokenSource(c.context(ctx), &oauth2.Token{RefreshToken: string(refresh)}).Token()
	if err != nil {
		return Tokens{}, c.refused(ctx, err)
	}
	out := Tokens{Subject: subject, Claims: map[string]any{}, Access: secret.Text(t.AccessToken), Refresh: secret.Text(t.RefreshToken), Expires: t.Expiry}
	if raw, _ := t.Extra("id_token").(string); raw != "" { // providers need not give one here
		if out, err = c.accept(ctx, e, t, raw, ""); err != nil {
			return Tokens{}, err
		}
	}
	if out.Subject != subject {
		return Tokens{}, denied("the provider speaks of somebody else now")
	}
	return out, nil
}

// HasUserInfo says whether the provider has an endpoint for AddUserInfo.
func (c *Client) HasUserInfo(ctx context.Context) (bool, error) {
	e, err := c.endpoints(ctx)
	return err == nil && e.meta.UserInfo != "", err
}

// AddUserInfo asks the provider's userinfo and adds its claims to those of the token, which win. errdef.ErrDenied: the
// access token does not count any more, or the answer is about somebody else.
func (c *Client) AddUserInfo(ctx context.Context, t *Tokens) error {
	e, err := c.endpoints(ctx)
	if err != nil {
		return err
	}
	claims, err := c.userInfo(ctx, e, t.Access)
	if err != nil {
		return err
	}
	if sub, _ := claims["sub"].(string); sub != t.Subject {
		return denied("userinfo speaks of somebody else")
	}
	for k, v := range claims {
		if _, has := t.Claims[k]; !has {
			t.Claims[k] = v
		}
	}
	return nil
}

// LogoutURL is where a browser signs out of the provider too; "" if it has no such page, or has not answered yet. It asks
// nobody.
func (c *Client) LogoutURL(ctx context.Context) string {
	select {
	case c.discovery <- struct{}{}:
		defer func() { <-c.discovery }()
	case <-ctx.Done():
		return ""
	}
	if c.found == nil || c.found.meta.Logout == "" {
		return ""
	}
	u, err := url.Parse(c.found.meta.Logout)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("client_id", c.o.ClientID)
	u.RawQuery = q.Encode()
	return u.String()
}

// context carries the client to the libraries.
func (c *Client) context(ctx context.Context) context.Context { return oidc.ClientContext(ctx, c.http) }

// denied says that somebody may not come in.
func denied(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errdef.ErrDenied)
}

// fault says that the provider, or the hub's registration there, has to be mended. Nobody is put out by it.
func fault(format string, args ...any) error {
	return fmt.Errorf("OpenID provider: %s: %w", fmt.Sprintf(format, args...), errdef.ErrUnavailable)
}

// refused is what an error of the token endpoint means: only the provider's own word about the code or the refresh token
// denies; a wrong secret or a failing server does not end sessions.
func (c *Client) refused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var r *oauth2.RetrieveError
	if !errors.As(err, &r) {
		return fault("the token endpoint does not answer: %s", cause(err))
	}
	switch {
	case r.ErrorCode == "invalid_grant", r.ErrorCode == "access_denied":
		return denied("the provider refused: %s", r.ErrorCode)
	case r.ErrorCode == "invalid_client", r.ErrorCode == "unauthorized_client":
		return fault("it refuses this client (%s): check client_id and client_secret", r.ErrorCode)
	}
	status := 0
	if r.Response != nil {
		status = r.Response.StatusCode
	}
	return fault("the token endpoint answered with status %d %s", status, printable(r.ErrorCode))
}

// cause leaves out the address, which may hold what is not for logs.
func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return printable(err.Error())
}

// printable makes a provider's or a browser's text fit for a log: short, and no control characters.
func printable(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}
