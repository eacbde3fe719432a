package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/openvic/vic/plugins/internal/oidc"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

// identity makes what the host is told of the claims of a user.
func (d *driver) identity(ctx context.Context, t oidc.Tokens) (auth.Identity, error) {
	id := auth.ID(d.config.Domain, t.Subject)
	if !plain(t.Subject, auth.MaxID-len(d.config.Domain)-1) {
		return auth.Identity{}, fmt.Errorf("the provider's lasting name of the user is longer than %d bytes, or no text: %w", auth.MaxID, errdef.ErrDenied)
	}
	p := auth.Principal{ID: id, Kind: auth.User, Name: d.name(t),
		FullName: oidc.Text(t.Claims, d.config.FullNameClaim), Email: oidc.Text(t.Claims, d.config.EmailClaim)}
	if !plain(p.FullName, auth.MaxName) {
		p.FullName = ""
	}
	if !plain(p.Email, auth.MaxName) {
		p.Email = ""
	}
	groups, err := d.groups(ctx, t)
	if err != nil {
		return auth.Identity{}, err
	}
	i, err := d.complete(auth.Identity{Principal: p, Groups: groups}, t)
	if err == nil {
		i.LogoutURL = d.client.LogoutURL(ctx)
	}
	return i, err
}

// name is what people call the user, with the domain behind it: so nobody gives themselves the name of another source's
// user at the provider.
func (d *driver) name(t oidc.Tokens) string {
	suffix := "@" + d.config.Domain
	for _, name := range []string{oidc.Text(t.Claims, d.config.NameClaim), t.Subject} {
		if n := len(name); n > len(suffix) && strings.EqualFold(name[n-len(suffix):], suffix) {
			name = name[:n-len(suffix)]
		}
		if plain(name, auth.MaxName-len(suffix)) && name != "" {
			return name + suffix
		}
	}
	return "user" + suffix
}

// plain says whether a text is one line of letters, within a bound.
func plain(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// groups are the user's, by ID, each once.
func (d *driver) groups(ctx context.Context, t oidc.Tokens) ([]string, error) {
	if d.config.GroupsClaim == "" {
		return nil, nil
	}
	// Entra ID leaves the claim out and tells where the groups can be asked for.
	if elsewhere, _ := oidc.Claim(t.Claims, "_claim_names").(map[string]any); elsewhere[d.config.GroupsClaim] != nil {
		return nil, fmt.Errorf("the user is in more groups than the provider puts into a token: filter them there: %w", errdef.ErrExhausted)
	}
	seen := map[string]bool{}
	skipped := 0
	for _, name := range oidc.Texts(t.Claims, d.config.GroupsClaim) {
		for _, g := range d.nested(name) {
			if !plain(g, auth.MaxID-len(d.config.Domain)-1) || g == "" {
				skipped++
				continue
			}
			if d.filter == nil || d.filter.MatchString(g) {
				seen[auth.ID(d.config.Domain, g)] = true
			}
		}
		if len(seen) > auth.MaxGroups {
			return nil, fmt.Errorf("the user is in more than %d groups: %w", auth.MaxGroups, errdef.ErrExhausted)
		}
	}
	if skipped > 0 {
		slog.WarnContext(ctx, "groups whose names are too long, empty or no text were left out", "groups", skipped)
	}
	all := make([]string, 0, len(seen))
	for g := range seen {
		all = append(all, g)
	}
	slices.Sort(all)
	return all, nil
}

// maxDepth bounds the parts of one group's name.
const maxDepth = 16

// nested is a group and those that it is in by its name: "/a/b" is "a/b" and "a".
func (d *driver) nested(name string) []string {
	sep := d.config.GroupsSeparator
	if sep == "" {
		return []string{name}
	}
	name = strings.Trim(name, sep)
	all := []string{name}
	for i := strings.LastIndex(name, sep); i > 0 && len(all) < maxDepth; i = strings.LastIndex(name, sep) {
		name = name[:i]
		all = append(all, name)
	}
	return all
}
