package signin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

// Way is a way to sign in: one identity source, as people choose it.
type Way struct {
	// Name is the source's in the configuration; Title is for people.
	Name, Title string
	// Domains are what people may write behind their name: user@domain.
	Domains []string
	// Password and Redirect say how one signs in there; both, one, or, for a source that only knows people, none.
	Password, Redirect bool
}

// Ways are the sources that people may sign in at, in their order. A source that has never answered is not among them.
func (s *Signer) Ways(ctx context.Context) []Way {
	sources, _ := s.described(ctx)
	all := []Way{}
	for _, d := range sources {
		w := Way{Name: d.Name, Title: d.Title, Domains: d.domains, Password: d.can(auth.CapPassword), Redirect: d.can(auth.CapRedirect)}
		if w.Password || w.Redirect {
			all = append(all, w)
		}
	}
	return all
}

// Redirects says whether a source signs people in by a redirect of their browser.
func (s *Signer) Redirects(source string) bool {
	return slices.ContainsFunc(s.o.Sources(), func(src Source) bool {
		return src.Name == source && slices.Contains(src.Capabilities, auth.CapRedirect)
	})
}

// redirecting finds a source for a browser; "" is the first one that takes them. errdef.ErrNotFound.
func (s *Signer) redirecting(ctx context.Context, source string) (described, error) {
	all, errs := s.described(ctx)
	for _, d := range all {
		if d.can(auth.CapRedirect) && (source == "" || d.Name == source) {
			return d, nil
		}
	}
	if len(errs) > 0 {
		return described{}, fmt.Errorf("%w: %w", errors.Join(errs...), errdef.ErrUnavailable)
	}
	return described{}, fmt.Errorf("no identity source %q signs in by a browser: %w", source, errdef.ErrNotFound)
}

// Begin begins a sign-in by redirect at a source, or at the first that takes browsers if source is "". It returns the
// source's name, and where the browser goes. errdef.ErrNotFound.
func (s *Signer) Begin(ctx context.Context, source string, req auth.BeginRequest) (string, auth.Redirect, error) {
	d, err := s.redirecting(ctx, source)
	if err != nil {
		return "", auth.Redirect{}, err
	}
	to, err := d.Driver.Begin(ctx, req)
	if err != nil {
		return "", auth.Redirect{}, fmt.Errorf("identity source %s: %w", d.Name, err)
	}
	return d.Name, to, nil
}

// Finish finishes it, for a browser at an address. The caller has compared the state. It returns who signed in, and where
// a browser signs out of the source too. errdef.ErrDenied, errdef.ErrUnavailable; LimitedError for who comes again and
// again with what is denied.
func (s *Signer) Finish(ctx context.Context, source string, req auth.FinishRequest, address string) (people.Person, string, error) {
	// Nobody guesses an account here; who makes the hub ask the provider for nothing is slowed down by their address alone.
	try, wait := s.o.Limiter.Take(ctx, "redirect from "+address, address)
	if try == nil {
		return people.Person{}, "", &LimitedError{wait}
	}
	defer try.Done()
	d, err := s.redirecting(ctx, source)
	var id auth.Identity
	if err == nil {
		id, err = d.Driver.Finish(ctx, req)
	}
	switch {
	case err == nil && id.Principal.Disabled, errors.Is(err, errdef.ErrDenied):
		return people.Person{}, "", fmt.Errorf("identity source %s: %w", source, errors.Join(err, errdef.ErrDenied))
	case err != nil:
		try.TakeBack()
		return people.Person{}, "", fmt.Errorf("identity source %s: %w", source, err)
	}
	try.TakeBack()
	p, err := s.seen(ctx, d.Name, id)
	return p, id.LogoutURL, err
}
