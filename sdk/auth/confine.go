package auth

import (
	"context"

	"github.com/openvic/vic/sdk/internal/wire"
)

// Confine returns a driver whose answers name principals and groups of the given domains only. A host
// with several auth plugins gives each the domains that no other has: a plugin cannot speak for another's
// users. An answer that names anybody else is errdef.ErrInternal.
func Confine(d Driver, domains ...string) Driver { return &confined{Driver: d, domains: domains} }

type confined struct {
	Driver
	domains []string
}

var _ Driver = (*confined)(nil)

func (c *confined) identity(i Identity, err error) (Identity, error) {
	if err == nil {
		err = wire.Answer(outside(c.domains, append([]string{i.Principal.ID}, i.Groups...)...))
	}
	if err != nil {
		return Identity{}, err
	}
	return i, nil
}

// Describe leaves out nothing: a domain that is not the plugin's is an error.
func (c *confined) Describe(ctx context.Context) (Description, error) {
	d, err := c.Driver.Describe(ctx)
	if err != nil {
		return Description{}, err
	}
	ids := append([]string(nil), d.Administrators...)
	for _, domain := range d.Domains {
		ids = append(ids, ID(domain, ""))
	}
	if err := wire.Answer(outside(c.domains, ids...)); err != nil {
		return Description{}, err
	}
	return d, nil
}

func (c *confined) Password(ctx context.Context, req PasswordRequest) (Identity, error) {
	return c.identity(c.Driver.Password(ctx, req))
}

func (c *confined) Finish(ctx context.Context, req FinishRequest) (Identity, error) {
	return c.identity(c.Driver.Finish(ctx, req))
}

func (c *confined) Token(ctx context.Context, req TokenRequest) (Identity, error) {
	return c.identity(c.Driver.Token(ctx, req))
}

func (c *confined) Verify(ctx context.Context, req VerifyRequest) (Identity, error) {
	return c.identity(c.Driver.Verify(ctx, req))
}

func (c *confined) Lookup(ctx context.Context, req LookupRequest) (Entry, error) {
	e, err := c.Driver.Lookup(ctx, req)
	if err == nil {
		err = wire.Answer(outside(c.domains, append([]string{e.Principal.ID}, e.Groups...)...))
	}
	if err != nil {
		return Entry{}, err
	}
	return e, nil
}

func (c *confined) Search(ctx context.Context, req SearchRequest) (SearchResult, error) {
	r, err := c.Driver.Search(ctx, req)
	if err == nil {
		err = wire.Answer(outside(c.domains, wire.Map(r.Principals, func(p Principal) string { return p.ID })...))
	}
	if err != nil {
		return SearchResult{}, err
	}
	return r, nil
}
