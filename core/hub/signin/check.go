package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Check returns who a user is now. An answer of the platform that is too old is asked for again; while the platform
// does not answer the old one counts, until its own end or the end of Options.Outage. errdef.ErrDenied: they may not come
// in any more; errdef.ErrUnavailable: the platform has not answered for too long.
func (s *Signer) Check(ctx context.Context, user string) (people.Person, error) {
	p, err := s.o.People.Get(ctx, user)
	if errors.Is(err, errdef.ErrNotFound) || err == nil && p.Disabled {
		return people.Person{}, fmt.Errorf("%s may not sign in any more: %w", user, errdef.ErrDenied)
	}
	if err != nil {
		return people.Person{}, err
	}
	now := s.o.Now()
	if !p.Expires.IsZero() && now.After(p.Expires) {
		return people.Person{}, fmt.Errorf("the sign-in of %s has ended at its identity source; sign in again: %w", user, errdef.ErrDenied)
	}
	s.mu.Lock()
	// A hub that has just started has not heard how often the source wants to be asked; the check tells it.
	refresh := min(cmp.Or(s.known[p.Source].Refresh, auth.MinRefresh), s.o.Oldest)
	if now.Sub(p.Checked) < refresh || now.Before(s.away[p.Source]) {
		s.mu.Unlock()
		return s.still(p)
	}
	c, under := s.checks[user]
	if !under {
		c = &check{done: make(chan struct{})}
		s.checks[user] = c
	}
	s.mu.Unlock()
	if !under {
		s.settle(context.WithoutCancel(ctx), p, c)
	}
	select {
	case <-c.done:
		return c.person, c.err
	case <-ctx.Done():
		return people.Person{}, ctx.Err()
	}
}

// settle does a check, and lets go of those who wait for it whatever happens.
func (s *Signer) settle(ctx context.Context, p people.Person, c *check) {
	c.err = fmt.Errorf("the check of %s was cut off: %w", p.ID, errdef.ErrUnavailable)
	defer func() {
		s.mu.Lock()
		delete(s.checks, p.ID)
		s.mu.Unlock()
		close(c.done)
	}()
	// The answer of a check that has just ended may be younger than what the caller had read before it.
	now, err := s.o.People.Get(store.Anew(ctx), p.ID)
	if err == nil && !now.Disabled && now.Checked.After(p.Checked) {
		c.person, c.err = now, nil
		return
	}
	mine, err := s.o.People.Claim(ctx, p.ID, p.Checked, s.o.Now().Add(claimTime))
	switch {
	case err != nil:
		c.err = err
	case !mine: // another hub asks, or has just asked
		c.person, c.err = s.still(p)
	default:
		c.person, c.err = s.verify(ctx, p)
	}
}

// still is what counts while a source is not asked: its last answer, for the time of an outage.
func (s *Signer) still(p people.Person) (people.Person, error) {
	if age := s.o.Now().Sub(p.Checked); age > s.o.Outage {
		return people.Person{}, fmt.Errorf("identity source %s has not spoken for %s for %s: %w", p.Source, p.ID, age.Round(time.Second), errdef.ErrUnavailable)
	}
	return p, nil
}

// A platform that does not answer holds up requests for verifyTimeout, and then none for awayPause. claimTime is how long
// other hubs leave a user to the one that asks, should it die meanwhile.
const (
	verifyTimeout = 10 * time.Second
	claimTime     = 15 * time.Second
	awayPause     = 30 * time.Second
)

func (s *Signer) verify(ctx context.Context, p people.Person) (people.Person, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	id, err := s.verifyAt(ctx, p)
	switch {
	case err == nil && !id.Principal.Disabled:
		return s.seen(ctx, p.Source, id)
	case err == nil, errors.Is(err, errdef.ErrDenied), errors.Is(err, errdef.ErrNotFound):
		s.o.Log.Info("user may not sign in any more", "user", p.ID, "source", p.Source, "err", err)
		if err := s.o.People.Gone(ctx, p.ID, p.Session); err != nil {
			return people.Person{}, err
		}
		return people.Person{}, fmt.Errorf("%s may not sign in any more: %w", p.ID, errdef.ErrDenied)
	}
	s.o.Log.Warn("identity source does not answer; what it said last counts", "user", p.ID, "source", p.Source, "err", err)
	s.mu.Lock()
	s.away[p.Source] = s.o.Now().Add(awayPause)
	s.mu.Unlock()
	return s.still(p)
}

func (s *Signer) verifyAt(ctx context.Context, p people.Person) (auth.Identity, error) {
	all, errs := s.described(ctx)
	i := slices.IndexFunc(all, func(d described) bool { return d.Name == p.Source })
	if i < 0 {
		return auth.Identity{}, errors.Join(append(errs, fmt.Errorf("identity source %s: %w", p.Source, errdef.ErrUnavailable))...)
	}
	var session []byte
	if len(p.Session) > 0 {
		var err error
		if session, err = s.o.Sealer.Open(sessionName(p.ID), p.Session); err != nil {
			return auth.Identity{}, err
		}
	}
	return all[i].Driver.Verify(ctx, auth.VerifyRequest{ID: p.ID, Session: secret.Text(session)})
}
