package main

import (
	"context"
	"fmt"

	"github.com/openvic/vic/plugins/internal/oidc"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

var errNoOpenID = fmt.Errorf("browsers cannot sign in at vCenter: the plugin's openid.client_id is not set: %w", errdef.ErrUnsupported)

// Begin implements auth.Driver.
func (d *driver) Begin(ctx context.Context, req auth.BeginRequest) (auth.Redirect, error) {
	if d.openID == nil {
		return auth.Redirect{}, errNoOpenID
	}
	return d.openID.Begin(ctx, req)
}

// Finish implements auth.Driver. The token says who it is; the rest is asked as for a password.
func (d *driver) Finish(ctx context.Context, req auth.FinishRequest) (auth.Identity, error) {
	if d.openID == nil {
		return auth.Identity{}, errNoOpenID
	}
	t, err := d.openID.Finish(ctx, req)
	if err != nil {
		return auth.Identity{}, err
	}
	const text = "vCenter Single Sign-On signed in a user who may not use the hub"
	w, ok := d.typed(oidc.Text(t.Claims, d.config.OpenID.UserClaim))
	if !ok {
		return auth.Identity{}, fmt.Errorf("%s: %w", text, errdef.ErrDenied)
	}
	i, err := d.identity(ctx, w)
	i, err = mayCome(i, err, text)
	if err == nil {
		i.LogoutURL = d.openID.LogoutURL(ctx)
	}
	return i, err
}
