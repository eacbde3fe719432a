// Package signin asks the auth plugins, in their order, who somebody is, and keeps the answer fresh: a user whose
// platform says that they left, or are in other groups now, is what the platform says after the plugin's refresh time
// at the latest.
package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Source is one auth plugin.
type Source struct {
	Name         string // in the configuration
	Driver       auth.Driver
	Capabilities []string
}

// Options are what a Signer is made of.
type Options struct {
	// Sources gives the plugins in the order in which they are asked, as they are now.
	Sources func() []Source
	People  *people.People
	Limiter *access.Limiter
	Sealer  *seal.Sealer
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
	// Oldest is how old an answer of a source may be before it is asked again, whatever longer time the source names; 0: 10
	// min. What changed there (a password, groups, a user who left) counts here after that time at the latest.
	Oldest time.Duration
	// Outage is how long the last answer counts of a source that does not answer; 0: 12 h.
	Outage time.Duration
}

// Signer signs people in. It may be used by several goroutines.
type Signer struct {
	o Options

	mu sync.Mutex
	// known are the descriptions of sources, by name, as they were last given; plugins come and go.
	known map[string]auth.Description
	// away are sources that did not answer, with the time before which they are not asked for a user who is known.
	away map[string]time.Time
	// checks are those under way, by user: who comes meanwhile waits for the same answer.
	checks map[string]*check
}

type check struct {
	done   chan struct{}
	person people.Person
	err    error
}

// New makes a Signer.
func New(o Options) *Signer {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Oldest, o.Outage = cmp.Or(o.Oldest, 10*time.Minute), cmp.Or(o.Outage, 12*time.Hour)
	return &Signer{o: o, known: map[string]auth.Description{}, away: map[string]time.Time{}, checks: map[string]*check{}}
}

// LimitedError says that there were too many failed sign-ins.
type LimitedError struct{ Wait time.Duration }

// Error implements error.
func (e *LimitedError) Error() string {
	return fmt.Sprintf("too many failed sign-ins; try again in %s", max(e.Wait.Round(time.Second), time.Second))
}

// Is makes it errdef.ErrExhausted.
func (e *LimitedError) Is(target error) bool { return target == errdef.ErrExhausted }

// describe asks a source for its description; the last answer counts while it does not answer.
func (s *Signer) describe(ctx context.Context, src Source) (auth.Description, error) {
	d, err := src.Driver.Describe(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.known[src.Name] = d
		return d, nil
	}
	if d, ok := s.known[src.Name]; ok {
		return d, nil
	}
	return d, err
}

// described are the sources that can be asked, each with its own domains alone: of two that claim a domain the first one
// has it, so that a plugin cannot speak for another's users.
func (s *Signer) described(ctx context.Context) (all []described, errs []error) {
	taken := map[string]bool{}
	for _, src := range s.o.Sources() {
		d, err := s.describe(ctx, src)
		if err != nil {
			errs = append(errs, fmt.Errorf("identity source %s: %w", src.Name, err))
			continue
		}
		var own []string
		for _, domain := range d.Domains {
			if !taken[domain] {
				taken[domain] = true
				own = append(own, domain)
			}
		}
		if len(own) > 0 {
			src.Driver = auth.Confine(src.Driver, own...)
			all = append(all, described{Source: src, Description: d, domains: own})
		}
	}
	return all, errs
}

type described struct {
	Source
	auth.Description
	domains []string
}

func (d described) can(capability string) bool { return slices.Contains(d.Capabilities, capability) }

// domainOf is the domain that a typed name begins or ends with: user@domain, DOMAIN\user, domain/user.
func domainOf(name string) string {
	if d, _, ok := strings.Cut(name, `\`); ok {
		return d
	}
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		return name[i+1:]
	}
	if d, _, ok := strings.Cut(name, "/"); ok {
		return d
	}
	return ""
}

// account is what guesses of a name count for: the name without its domain, so that one account has no more tries for
// being written in several ways (dev, dev@local, LOCAL\dev). Users of one name in two domains share them.
func account(name string) string {
	if _, user, ok := strings.Cut(name, `\`); ok {
		name = user
	} else if i := strings.LastIndexByte(name, '@'); i >= 0 {
		name = name[:i]
	} else if _, user, ok := strings.Cut(name, "/"); ok {
		name = user
	}
	return strings.ToLower(strings.TrimSpace(name))
}

// Password signs in with name and password, from an address. A name with a domain asks the source of that domain alone,
// if there is one; any other name asks all in their order. errdef.ErrDenied: name or password is wrong; LimitedError:
// too many tries; errdef.ErrUnavailable: a source that might know the name does not answer.
func (s *Signer) Password(ctx context.Context, name string, password secret.Text, address string) (people.Person, error) {
	if name == "" || password == "" || len(name) > auth.MaxName || len(password) > auth.MaxPassword {
		return people.Person{}, errWrong
	}
	try, wait := s.o.Limiter.Take(ctx, account(name), address)
	if try == nil {
		return people.Person{}, &LimitedError{wait}
	}
	defer try.Done()
	src, id, err := s.ask(ctx, name, password)
	if err == nil && id.Principal.Disabled {
		err = errWrong
	}
	switch {
	case err == nil:
		try.Succeeded()
		return s.seen(ctx, src.Name, id)
	case errors.Is(err, errdef.ErrDenied):
		return people.Person{}, errWrong
	default:
		try.TakeBack() // nobody's guess
		return people.Person{}, err
	}
}

var errWrong = fmt.Errorf("name or password is wrong: %w", errdef.ErrDenied)

// ask asks the sources for a password.
func (s *Signer) ask(ctx context.Context, name string, password secret.Text) (described, auth.Identity, error) {
	all, errs := s.described(ctx)
	if domain := domainOf(name); domain != "" {
		of := slices.DeleteFunc(slices.Clone(all), func(d described) bool {
			return !slices.ContainsFunc(d.domains, func(o string) bool { return strings.EqualFold(o, domain) })
		})
		if len(of) > 0 {
			all, errs = of, nil
		}
	}
	for _, d := range all {
		if !d.can(auth.CapPassword) {
			continue
		}
		id, err := d.Driver.Password(ctx, auth.PasswordRequest{Name: name, Password: password})
		if err == nil {
			return d, id, nil
		}
		if errors.Is(err, errdef.ErrConflict) { // it is the right one, and must be changed first
			return described{}, auth.Identity{}, err
		}
		if !errors.Is(err, errdef.ErrDenied) {
			errs = append(errs, fmt.Errorf("identity source %s: %w", d.Name, err))
		}
	}
	if len(errs) > 0 {
		return described{}, auth.Identity{}, errors.Join(errs...)
	}
	return described{}, auth.Identity{}, errWrong
}

func sessionName(id string) string { return "session at the identity source of " + id }

// seen keeps an answer.
func (s *Signer) seen(ctx context.Context, source string, id auth.Identity) (people.Person, error) {
	var sealed []byte
	if id.Session != "" {
		sealed = s.o.Sealer.Seal(sessionName(id.Principal.ID), []byte(id.Session))
	}
	return s.o.People.Seen(ctx, source, id, sealed)
}

// Administrators are the groups that the sources name as the first cloud administrators. An error if a source could not be asked:
// groups are made cloud administrators once, so all of them are wanted.
func (s *Signer) Administrators(ctx context.Context) (groups []string, err error) {
	all, errs := s.described(ctx)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for _, d := range all {
		for _, id := range d.Administrators {
			if domain, _, ok := auth.SplitID(id); ok && slices.Contains(d.domains, domain) {
				groups = append(groups, id)
			}
		}
	}
	return groups, nil
}

// Search finds users and groups in all sources that can search, at most limit; what it could not ask is an error only if
// nothing was found.
func (s *Signer) Search(ctx context.Context, text string, kind auth.Kind, limit int) ([]auth.Principal, error) {
	all, errs := s.described(ctx)
	var found []auth.Principal
	for _, d := range all {
		if !d.can(auth.CapSearch) || len(found) >= limit {
			continue
		}
		res, err := d.Driver.Search(ctx, auth.SearchRequest{Text: text, Kind: kind, Limit: min(limit-len(found), auth.MaxLimit)})
		if err != nil {
			errs = append(errs, fmt.Errorf("identity source %s: %w", d.Name, err))
			continue
		}
		if err := s.o.People.Found(ctx, d.Name, res.Principals); err != nil {
			return nil, err
		}
		found = append(found, res.Principals...)
	}
	if len(found) == 0 {
		return nil, errors.Join(errs...)
	}
	return found, nil
}

// Lookup finds a user or group by ID or by the name that people write, in the sources in their order, and keeps what it
// found; errdef.ErrNotFound if no source that answers knows them. A source that cannot look anybody up, as an OpenID
// provider, is taken at its word later: the ID of somebody in its domain who has not been here is that of a group.
func (s *Signer) Lookup(ctx context.Context, text string) (auth.Principal, error) {
	all, errs := s.described(ctx)
	for _, d := range all {
		if !d.can(auth.CapLookup) {
			if domain, _, ok := auth.SplitID(text); ok && slices.Contains(d.domains, domain) && isLine(text) {
				return auth.Principal{ID: text, Kind: auth.Group, Name: text}, nil
			}
			continue
		}
		req := auth.LookupRequest{Name: text}
		if domain, _, ok := auth.SplitID(text); ok && slices.Contains(d.domains, domain) {
			req = auth.LookupRequest{ID: text}
		}
		if len(text) > auth.MaxName && req.ID == "" {
			continue
		}
		e, err := d.Driver.Lookup(ctx, req)
		switch {
		case err == nil:
			return e.Principal, s.o.People.Found(ctx, d.Name, []auth.Principal{e.Principal})
		case !errors.Is(err, errdef.ErrNotFound):
			errs = append(errs, fmt.Errorf("identity source %s: %w", d.Name, err))
		}
	}
	if len(errs) > 0 {
		return auth.Principal{}, errors.Join(errs...)
	}
	return auth.Principal{}, fmt.Errorf("no identity source knows %q: %w", text, errdef.ErrNotFound)
}

// isLine says whether a text may be an ID.
func isLine(s string) bool {
	return len(s) <= auth.MaxID && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// manager is the first source that keeps users of its own; errdef.ErrUnsupported if there is none.
func (s *Signer) manager(ctx context.Context) (described, error) {
	all, errs := s.described(ctx)
	for _, d := range all {
		if d.can(auth.CapManage) {
			return d, nil
		}
	}
	if len(errs) > 0 {
		return described{}, errors.Join(errs...)
	}
	return described{}, fmt.Errorf("no identity source keeps users of the hub's own; make them where the others are kept: %w", errdef.ErrUnsupported)
}

// Create makes a user in the first source that keeps users of its own; errdef.ErrExists, errdef.ErrInvalid for a name or
// password that its rules refuse, errdef.ErrUnsupported if there is no such source.
func (s *Signer) Create(ctx context.Context, user auth.Principal, password secret.Text) (people.Person, error) {
	d, err := s.manager(ctx)
	if err != nil {
		return people.Person{}, err
	}
	name := strings.ToLower(user.Name)
	if domain := domainOf(name); strings.EqualFold(domain, d.domains[0]) {
		name, _, _ = strings.Cut(name, "@")
	}
	user.ID, user.Kind, user.Name = auth.ID(d.domains[0], name), auth.User, name+"@"+d.domains[0]
	// The source takes the same again as done; a name that is taken is an error here.
	if _, err := d.Driver.Lookup(ctx, auth.LookupRequest{ID: user.ID}); err == nil {
		return people.Person{}, fmt.Errorf("%s: %w", user.ID, errdef.ErrExists)
	}
	if err := d.Driver.Save(ctx, auth.SaveRequest{Principal: user, Password: password, OnlyNew: true}); err != nil {
		return people.Person{}, err
	}
	if err := s.o.People.Found(ctx, d.Name, []auth.Principal{user}); err != nil {
		return people.Person{}, err
	}
	return s.o.People.Get(ctx, user.ID)
}

// kept finds the source that keeps a user, with the user as the source has it.
func (s *Signer) kept(ctx context.Context, id string) (described, auth.Principal, error) {
	all, _ := s.described(ctx)
	domain, _, _ := auth.SplitID(id)
	for _, d := range all {
		if !d.can(auth.CapManage) || !slices.Contains(d.domains, domain) {
			continue
		}
		e, err := d.Driver.Lookup(ctx, auth.LookupRequest{ID: id})
		return d, e.Principal, err
	}
	return described{}, auth.Principal{}, fmt.Errorf("%s is not kept by the hub: change it where it is kept: %w", id, errdef.ErrUnsupported)
}

// SetPassword gives a user of the hub's own another password. Sessions of the old one end when they
// are checked next, and tokens at once.
func (s *Signer) SetPassword(ctx context.Context, id string, password secret.Text) error {
	d, user, err := s.kept(ctx, id)
	if err != nil {
		return err
	}
	if err := d.Driver.Save(ctx, auth.SaveRequest{Principal: user, Password: password}); err != nil {
		return err
	}
	return s.o.People.End(ctx, id)
}

// SetProfile changes the full name and the address of a user of the hub's own; nil leaves it as it is.
func (s *Signer) SetProfile(ctx context.Context, id string, fullName, email *string) error {
	d, user, err := s.kept(ctx, id)
	if err != nil {
		return err
	}
	if fullName != nil {
		user.FullName = *fullName
	}
	if email != nil {
		user.Email = *email
	}
	if err := d.Driver.Save(ctx, auth.SaveRequest{Principal: user}); err != nil {
		return err
	}
	return s.o.People.Found(ctx, d.Name, []auth.Principal{user})
}

// Delete removes a user of the hub's own, and takes their roles first; errdef.ErrConflict for the last cloud administrator.
func (s *Signer) Delete(ctx context.Context, id string) error {
	d, _, err := s.kept(ctx, id)
	if err != nil {
		return err
	}
	if err := s.o.People.Remove(ctx, id); err != nil {
		return err
	}
	return d.Driver.Remove(ctx, auth.RemoveRequest{ID: id})
}
