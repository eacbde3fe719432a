package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/openvic/vic/plugins/internal/oidc"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// driver implements auth.Driver.
type driver struct {
	auth.Unsupported
	config Config
	client *oidc.Client
	filter *regexp.Regexp // of groups; nil: all
}

var _ auth.Driver = (*driver)(nil)

// Describe implements auth.Driver.
func (d *driver) Describe(ctx context.Context) (auth.Description, error) {
	out := auth.Description{Title: d.config.Title, Domains: []string{d.config.Domain}, Refresh: d.config.Refresh}
	if d.config.AdminGroup != "" {
		out.Administrators = []string{auth.ID(d.config.Domain, d.config.AdminGroup)}
	}
	return out, ctx.Err()
}

// Begin implements auth.Driver.
func (d *driver) Begin(ctx context.Context, req auth.BeginRequest) (auth.Redirect, error) {
	return d.client.Begin(ctx, req)
}

// Finish implements auth.Driver.
func (d *driver) Finish(ctx context.Context, req auth.FinishRequest) (auth.Identity, error) {
	t, err := d.client.Finish(ctx, req)
	if err != nil {
		return auth.Identity{}, err
	}
	if err := d.ask(ctx, &t); err != nil {
		return auth.Identity{}, err
	}
	return d.identity(ctx, t)
}

// ask adds what the provider's userinfo tells, if it is wanted and there is one.
func (d *driver) ask(ctx context.Context, t *oidc.Tokens) error {
	if !d.config.UserInfo || t.Access == "" {
		return nil
	}
	has, err := d.client.HasUserInfo(ctx)
	if err != nil || !has {
		return err
	}
	return d.client.AddUserInfo(ctx, t)
}

// kept is what Verify needs of a sign-in.
type kept struct {
	Subject string    `json:"sub"`
	Refresh string    `json:"refresh,omitempty"`
	Access  string    `json:"access,omitempty"` // if there is no Refresh
	Ends    time.Time `json:"ends,omitzero"`    // likewise
	// Last is what the provider said last, for when it says only a half; nil if it would not fit.
	Last *last `json:"last,omitempty"`
}

type last struct {
	Principal auth.Principal `json:"principal"`
	Groups    []string       `json:"groups"`
}

// Verify implements auth.Driver.
func (d *driver) Verify(ctx context.Context, req auth.VerifyRequest) (auth.Identity, error) {
	if err := ctx.Err(); err != nil {
		return auth.Identity{}, err
	}
	var k kept
	if err := json.Unmarshal([]byte(req.Session), &k); err != nil || k.Subject == "" || req.ID != auth.ID(d.config.Domain, k.Subject) {
		return auth.Identity{}, fmt.Errorf("the session is not one of %s: %w", req.ID, errdef.ErrDenied)
	}
	if k.Refresh == "" {
		return d.verifyOnce(ctx, k)
	}
	t, err := d.client.Refresh(ctx, secret.Text(k.Refresh), k.Subject)
	if err != nil {
		return auth.Identity{}, err
	}
	if t.Refresh == "" {
		t.Refresh = secret.Text(k.Refresh) // it was not rotated
	}
	// The old token is used up from here on: an answer without the new one would put the user out.
	err = d.ask(ctx, &t)
	switch {
	case errors.Is(err, errdef.ErrDenied):
		return auth.Identity{}, err
	case err != nil, len(t.Claims) == 0:
		return d.again(k, t, err)
	}
	return d.identity(ctx, t)
}

// verifyOnce is for a sign-in without a refresh token, which lasts as long as its access token.
func (d *driver) verifyOnce(ctx context.Context, k kept) (auth.Identity, error) {
	if time.Now().After(k.Ends) {
		return auth.Identity{}, fmt.Errorf("the provider gave no refresh token, and its sign-in has ended: %w", errdef.ErrDenied)
	}
	t := oidc.Tokens{Subject: k.Subject, Claims: map[string]any{}, Access: secret.Text(k.Access), Expires: k.Ends}
	if err := d.ask(ctx, &t); err != nil {
		return auth.Identity{}, err
	}
	if len(t.Claims) == 0 {
		return d.again(k, t, nil)
	}
	return d.identity(ctx, t)
}

// again tells what the provider said last: it has just taken the session, and did not tell more.
func (d *driver) again(k kept, t oidc.Tokens, why error) (auth.Identity, error) {
	if k.Last == nil {
		return auth.Identity{}, fmt.Errorf("the provider does not tell who %s is when it is asked again: %w", k.Subject, errors.Join(why, errdef.ErrUnavailable))
	}
	if why != nil {
		slog.Warn("the provider took a session and did not tell more; what it said last counts", "user", k.Last.Principal.ID, "err", why)
	}
	return d.complete(auth.Identity{Principal: k.Last.Principal, Groups: k.Last.Groups}, t)
}

// complete adds what the host keeps for the next Verify.
func (d *driver) complete(i auth.Identity, t oidc.Tokens) (auth.Identity, error) {
	k := kept{Subject: t.Subject, Refresh: string(t.Refresh), Last: &last{i.Principal, i.Groups}}
	if t.Refresh == "" {
		k.Access, k.Ends, i.Expires = string(t.Access), t.Expires, t.Expires
	}
	text, err := json.Marshal(k)
	if err == nil && len(text) > auth.MaxSession {
		k.Last = nil
		text, err = json.Marshal(k)
	}
	if err != nil {
		return auth.Identity{}, err
	}
	if len(text) > auth.MaxSession {
		return auth.Identity{}, fmt.Errorf("the provider's refresh token is longer than %d bytes: %w", auth.MaxSession, errdef.ErrUnavailable)
	}
	i.Session = secret.Text(text)
	return i, nil
}
