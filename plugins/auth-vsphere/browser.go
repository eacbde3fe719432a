package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

var (
	errNoBrowsers = fmt.Errorf("browsers do not sign in at vCenter: the plugin's key browsers is none: %w", errdef.ErrUnsupported)
	errNoOpenID   = fmt.Errorf("browsers cannot sign in at vCenter: the plugin's openid.client_id is not set: %w", errdef.ErrUnsupported)
)

// knownFor is how long what vCenter said of its ways counts: an upgrade brings another one.
const knownFor = 5 * time.Minute

// server remembers what vCenter said of its ways.
type server struct {
	mu     sync.Mutex
	openID bool
	asked  time.Time // zero: never
}

// way is how browsers sign in: byOpenID or bySAML. What the configuration leaves open, vCenter says: one before 7.0 has no
// OpenID Connect. errdef.ErrUnsupported: in no way.
func (d *driver) way(ctx context.Context) (string, error) {
	switch {
	case d.config.Browsers == byNone:
		return "", errNoBrowsers
	case d.config.Browsers != byAuto:
		return d.config.Browsers, nil
	case d.config.OpenID.Issuer != "" && d.openID != nil: // another provider than vCenter itself
		return byOpenID, nil
	}
	has, err := d.hasOpenID(ctx)
	switch {
	case err != nil:
		return "", err
	case !has:
		return bySAML, nil
	case d.openID == nil:
		return "", errNoOpenID
	}
	return byOpenID, nil
}

func (d *driver) hasOpenID(ctx context.Context) (bool, error) {
	d.server.mu.Lock()
	has, known := d.server.openID, !d.server.asked.IsZero() && d.now().Sub(d.server.asked) < knownFor
	d.server.mu.Unlock()
	if known {
		return has, nil
	}
	has, err := d.sso.HasOpenID(ctx)
	if err != nil {
		return false, err
	}
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	d.server.openID, d.server.asked = has, d.now()
	return has, nil
}

// Begin implements auth.Driver.
func (d *driver) Begin(ctx context.Context, req auth.BeginRequest) (auth.Redirect, error) {
	if err := ctx.Err(); err != nil {
		return auth.Redirect{}, err
	}
	way, err := d.way(ctx)
	switch {
	case err != nil:
		return auth.Redirect{}, err
	case way == bySAML:
		return d.beginSAML(req)
	}
	return d.beginOpenID(ctx, req)
}

// Finish implements auth.Driver. What came back says who it is; the rest is asked as for a password.
func (d *driver) Finish(ctx context.Context, req auth.FinishRequest) (auth.Identity, error) {
	if err := ctx.Err(); err != nil {
		return auth.Identity{}, err
	}
	var name, logout string
	var err error
	if strings.HasPrefix(string(req.Sealed), samlMark) {
		name, err = d.finishSAML(ctx, req)
	} else {
		name, logout, err = d.finishOpenID(ctx, req)
	}
	if err != nil {
		return auth.Identity{}, err
	}
	const text = "vCenter Single Sign-On signed in a user who may not use the hub"
	w, ok := d.typed(name)
	if !ok {
		return auth.Identity{}, fmt.Errorf("%s: %w", text, errdef.ErrDenied)
	}
	i, err := d.identity(ctx, w)
	i, err = mayCome(i, err, text)
	if err == nil {
		i.LogoutURL = logout
	}
	return i, err
}
