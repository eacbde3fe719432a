package main

import (
	"context"
	"fmt"

	"github.com/openvic/vic/plugins/internal/oidc"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

// beginOpenID sends a browser to vCenter's OpenID provider.
func (d *driver) beginOpenID(ctx context.Context, req auth.BeginRequest) (auth.Redirect, error) {
	return d.openID.Begin(ctx, req)
}

// finishOpenID returns the user's name of the token.
func (d *driver) finishOpenID(ctx context.Context, req auth.FinishRequest) (name, logout string, err error) {
	if d.openID == nil { // Begin sealed nothing of the kind
		return "", "", fmt.Errorf("the browser comes from a sign-in that was not begun here: %w", errdef.ErrDenied)
	}
	t, err := d.openID.Finish(ctx, req)
	if err != nil {
		return "", "", err
	}
	return oidc.Text(t.Claims, d.config.OpenID.UserClaim), d.openID.LogoutURL(ctx), nil
}
