package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/plugins/auth-vsphere/sso"
	"github.com/openvic/vic/plugins/internal/oidc"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// driver implements auth.Driver. It keeps nothing but a session at vCenter Single Sign-On and the certificates of its tokens.
type driver struct {
	auth.Unsupported
	config  Config
	refresh time.Duration
	sso     *sso.Client
	openID  *oidc.Client // nil: the hub is no OpenID client of vCenter's
	now     func() time.Time
	server  server
}

var _ auth.Driver = (*driver)(nil)

// open checks the configuration, and asks nobody yet: vCenter may be away when the hub starts.
func open(c Config, now func() time.Time) (*driver, error) {
	refresh, err := c.check()
	if err != nil {
		return nil, err
	}
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	text, err := readSecret("certificate", c.Certificate)
	if err != nil {
		return nil, err
	}
	cert, err := sso.ParseCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("certificate: %s: %w", c.Certificate, err)
	}
	if now == nil {
		now = time.Now
	}
	d := &driver{config: c, refresh: refresh, now: now}
	if d.sso, err = sso.New(sso.Options{Server: c.Server, Domain: c.Domain, Roots: roots, Certificate: cert, Now: now}); err != nil {
		return nil, err
	}
	if c.OpenID.ClientID == "" {
		return d, nil
	}
	password, err := readSecret("openid.secret_file", c.OpenID.SecretFile)
	if err != nil {
		return nil, err
	}
	issuer := c.OpenID.Issuer
	if issuer == "" {
		issuer = "https://" + c.Server + "/openidconnect/" + c.Domain
	}
	d.openID, err = oidc.New(oidc.Options{Issuer: issuer, ClientID: c.OpenID.ClientID, ClientSecret: secret.Text(strings.TrimSpace(string(password))),
		Roots: roots, Now: now})
	if err != nil {
		return nil, fmt.Errorf("openid: %w", err)
	}
	return d, nil
}

// who is a user or group of the platform.
type who struct{ name, domain string }

func (w who) id() string { return auth.ID(strings.ToLower(w.domain), strings.ToLower(w.name)) }

// typed takes what people type: dev, dev@vsphere.local, VSPHERE.LOCAL\dev. ok is false for a domain that is none of the
// plugin's.
func (d *driver) typed(name string) (who, bool) {
	w := who{name: name, domain: d.config.Domain}
	if domain, user, ok := strings.Cut(name, `\`); ok {
		w = who{user, domain}
	} else if i := strings.LastIndexByte(name, '@'); i >= 0 {
		w = who{name[:i], name[i+1:]}
	}
	w.domain = strings.ToLower(w.domain)
	return w, w.name != "" && !strings.ContainsAny(w.name, `@\/`) && slices.Contains(d.config.domains(), w.domain)
}

// ofID is the way back from an ID.
func (d *driver) ofID(id string) (who, bool) {
	domain, name, ok := auth.SplitID(id)
	return who{name, domain}, ok && slices.Contains(d.config.domains(), domain) && !strings.ContainsAny(name, `@\/`)
}

func userOf(p sso.Person) auth.Principal {
	w := who{p.Name, p.Domain}
	return auth.Principal{ID: w.id(), Kind: auth.User, Name: p.Name + "@" + strings.ToLower(p.Domain), FullName: clipped(p.FullName),
		Email: clipped(p.Email), Disabled: p.Disabled}
}

func groupOf(g sso.Group) auth.Principal {
	w := who{g.Name, g.Domain}
	return auth.Principal{ID: w.id(), Kind: auth.Group, Name: g.Name + "@" + strings.ToLower(g.Domain), FullName: clipped(g.Description)}
}

// clipped is text that is shown only: what the bounds do not take is left out.
func clipped(s string) string {
	if len(s) > auth.MaxName || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return ""
	}
	return s
}

// ids are the groups of the plugin's domains, each once.
func (d *driver) ids(groups []sso.Group) ([]string, error) {
	var all []string
	for _, g := range groups {
		w := who{g.Name, strings.ToLower(g.Domain)}
		if id := w.id(); slices.Contains(d.config.domains(), w.domain) && len(id) <= auth.MaxID {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > auth.MaxGroups {
		return nil, fmt.Errorf("the user is in %d groups, more than %d: %w", len(all), auth.MaxGroups, errdef.ErrExhausted)
	}
	return all, nil
}

// identity is of a user as the platform has them now. errdef.ErrNotFound. All ways in get groups from here, so that
// they are the same ones.
func (d *driver) identity(ctx context.Context, w who) (auth.Identity, error) {
	p, err := d.sso.Person(ctx, w.name, w.domain)
	if err != nil {
		return auth.Identity{}, err
	}
	found := who{p.Name, p.Domain}
	if found.id() != w.id() { // an alias of the name: the principal's own is the one that lasts
		slog.Debug("user is found under another name", "asked", w.id(), "user", found.id())
	}
	if !slices.Contains(d.config.domains(), strings.ToLower(p.Domain)) {
		return auth.Identity{}, fmt.Errorf("%s is of the domain %s: %w", w.id(), p.Domain, errdef.ErrNotFound)
	}
	groups, err := d.sso.GroupsOf(ctx, p.Name, p.Domain)
	if err != nil {
		return auth.Identity{}, err
	}
	ids, err := d.ids(groups)
	return auth.Identity{Principal: userOf(p), Groups: ids}, err
}

// mayCome turns an identity away that may not sign in.
func mayCome(i auth.Identity, err error, text string) (auth.Identity, error) {
	if errors.Is(err, errdef.ErrNotFound) || err == nil && i.Principal.Disabled {
		return auth.Identity{}, fmt.Errorf("%s: %w", text, errdef.ErrDenied)
	}
	if err != nil {
		return auth.Identity{}, err
	}
	return i, nil
}

// Describe implements auth.Driver.
func (d *driver) Describe(ctx context.Context) (auth.Description, error) {
	return auth.Description{Title: "vCenter Single Sign-On", Domains: d.config.domains(), Administrators: d.config.Administrators, Refresh: d.refresh}, ctx.Err()
}

// wrong is the one text of refused passwords.
const wrong = "name or password is wrong"

// Password implements auth.Driver.
func (d *driver) Password(ctx context.Context, req auth.PasswordRequest) (auth.Identity, error) {
	if err := ctx.Err(); err != nil {
		return auth.Identity{}, err
	}
	w, ok := d.typed(req.Name)
	if !ok || req.Password == "" {
		return auth.Identity{}, fmt.Errorf("%s: %w", wrong, errdef.ErrDenied)
	}
	name, err := d.sso.Password(ctx, w.name+"@"+w.domain, string(req.Password))
	if errors.Is(err, errdef.ErrDenied) {
		slog.Debug("password was refused", "user", w.id(), "err", err) // locked, disabled or wrong: told to nobody else
		return auth.Identity{}, fmt.Errorf("%s: %w", wrong, errdef.ErrDenied)
	}
	if err != nil {
		return auth.Identity{}, err
	}
	if w, ok = d.typed(name); !ok {
		return auth.Identity{}, fmt.Errorf("%s: %w", wrong, errdef.ErrDenied)
	}
	i, err := d.identity(ctx, w)
	return mayCome(i, err, wrong)
}

// Verify implements auth.Driver: the user is there and not disabled. A locked user's sessions go on: whoever guesses
// passwords must not be able to put others out.
func (d *driver) Verify(ctx context.Context, req auth.VerifyRequest) (auth.Identity, error) {
	if err := ctx.Err(); err != nil {
		return auth.Identity{}, err
	}
	text := req.ID + " may not sign in any more"
	w, ok := d.ofID(req.ID)
	if !ok {
		return auth.Identity{}, fmt.Errorf("%s: %w", text, errdef.ErrDenied)
	}
	i, err := d.identity(ctx, w)
	if err == nil && i.Principal.ID != req.ID {
		err = errdef.ErrNotFound
	}
	return mayCome(i, err, text)
}

// Lookup implements auth.Driver: a user of the name, or else a group.
func (d *driver) Lookup(ctx context.Context, req auth.LookupRequest) (auth.Entry, error) {
	if err := ctx.Err(); err != nil {
		return auth.Entry{}, err
	}
	w, ok := d.ofID(req.ID)
	if req.ID == "" {
		w, ok = d.typed(req.Name)
	}
	if !ok {
		return auth.Entry{}, fmt.Errorf("%s%s: %w", req.ID, req.Name, errdef.ErrNotFound)
	}
	i, err := d.identity(ctx, w)
	if err == nil && (req.ID == "" || i.Principal.ID == req.ID) {
		return auth.Entry{Principal: i.Principal, Groups: i.Groups}, nil
	}
	if err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return auth.Entry{}, err
	}
	g, err := d.sso.Group(ctx, w.name, w.domain)
	if err != nil {
		return auth.Entry{}, err
	}
	p := groupOf(g)
	if req.ID != "" && p.ID != req.ID {
		return auth.Entry{}, fmt.Errorf("%s: %w", req.ID, errdef.ErrNotFound)
	}
	around, err := d.sso.GroupsAround(ctx, g.Name, g.Domain)
	if err != nil {
		return auth.Entry{}, err
	}
	ids, err := d.ids(around)
	return auth.Entry{Principal: p, Groups: ids}, err
}

// close lets go of connections.
func (d *driver) close(context.Context) error {
	d.sso.Close()
	return nil
}
