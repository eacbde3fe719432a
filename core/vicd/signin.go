package vicd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// administrator says whether a user may administer this host. The plugins in the role auth are asked in
// their order; the first one that lets the user in decides, and the user must be in a group that it names
// for administrators. errdef.ErrDenied if not; errdef.ErrUnavailable if a plugin that might know the user
// does not answer.
func (d *daemon) administrator(ctx context.Context, user, password string) error {
	return administrator(ctx, plugin.Role(d.host, auth.Plugin()), auth.PasswordRequest{Name: user, Password: secret.Text(password)})
}

func administrator(ctx context.Context, plugins []plugin.Player[auth.Driver], req auth.PasswordRequest) error {
	var away []error
	taken := map[string]bool{}
	for _, p := range plugins {
		ok, err := administers(ctx, p, taken, req)
		switch {
		case err == nil && ok:
			return nil
		case err == nil:
			return fmt.Errorf("plugin %s: the user may not administer this host: %w", p.Plugin, errdef.ErrDenied)
		case !errors.Is(err, errdef.ErrDenied) && !errors.Is(err, errdef.ErrUnsupported):
			away = append(away, fmt.Errorf("plugin %s: %w", p.Plugin, err))
		}
	}
	if len(away) > 0 {
		return errors.Join(away...)
	}
	return fmt.Errorf("no plugin of the role auth lets the user in: %w", errdef.ErrDenied)
}

// administers signs a user in with one plugin. taken are the domains of the plugins before: none speaks for
// another's users.
func administers(ctx context.Context, p plugin.Player[auth.Driver], taken map[string]bool, req auth.PasswordRequest) (bool, error) {
	about, err := p.Driver.Describe(ctx)
	if err != nil {
		return false, err
	}
	var own []string
	for _, domain := range about.Domains {
		if !taken[domain] {
			taken[domain] = true
			own = append(own, domain)
		}
	}
	id, err := auth.Confine(p.Driver, own...).Password(ctx, req)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(id.Groups, func(g string) bool { return slices.Contains(about.Administrators, g) }), nil
}
