package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Fake is a driver in memory for tests: one domain with users and nested groups, and the provider that
// browsers are sent to. Save makes users and groups; SignIn plays the browser.
type Fake struct {
	// Capabilities are what it serves; set by NewFake to all. Change them before the first call.
	Capabilities []string
	// Description is what Describe tells; set by NewFake. Change it before the first call.
	Description Description
	// FormPost has browsers come back with a form.
	FormPost bool

	mu       sync.Mutex
	domain   string
	entries  map[string]*fakeEntry
	sessions map[secret.Text]string // to the user's ID
	tokens   map[secret.Text]string
	codes    map[string]fakeCode
	failures map[string]error
}

type fakeEntry struct {
	principal Principal
	password  secret.Text
	expired   bool // the password
	groups    []string
}

var _ Driver = (*Fake)(nil)

// NewFake makes a driver for a domain with nobody in it.
func NewFake(domain string) *Fake {
	return &Fake{
		Capabilities: Capabilities(),
		Description: Description{
			Title: "Fake " + domain, Domains: []string{domain},
			Administrators: []string{ID(domain, "administrators")}, Refresh: 5 * time.Minute,
		},
		domain: domain, entries: map[string]*fakeEntry{}, sessions: map[secret.Text]string{}, tokens: map[secret.Text]string{},
		codes: map[string]fakeCode{}, failures: map[string]error{},
	}
}

// Fail makes the next call of a method ("Password") fail.
func (f *Fake) Fail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[method] = err
}

// Expire makes a user's password one that must be changed first.
func (f *Fake) Expire(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.entries[id]; e != nil {
		e.expired = true
	}
}

// Issue makes a token of the platform for a user.
func (f *Fake) Issue(id string) secret.Text {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := secret.Text("token-" + rand.Text())
	f.tokens[t] = id
	return t
}

// enter locks and returns the failure that a test asked for. The caller unlocks.
func (f *Fake) enter(ctx context.Context, method, capability string) error {
	f.mu.Lock()
	if err := f.failures[method]; err != nil {
		delete(f.failures, method)
		return err
	}
	if capability != "" && !slices.Contains(f.Capabilities, capability) {
		return unsupported(method)
	}
	return ctx.Err()
}

// named finds a user or group by its name in any of the forms that people type.
func (f *Fake) named(name string) *fakeEntry {
	name = strings.ToLower(name)
	name, _ = strings.CutSuffix(name, "@"+f.domain)
	name, _ = strings.CutPrefix(name, f.domain+`\`)
	return f.entries[ID(f.domain, name)]
}

// nested is all groups of a principal, sorted.
func (f *Fake) nested(id string) []string {
	seen := map[string]bool{}
	var walk func(id string)
	walk = func(id string) {
		for _, g := range f.entries[id].groups {
			if f.entries[g] != nil && !seen[g] {
				seen[g] = true
				walk(g)
			}
		}
	}
	walk(id)
	var all []string
	for g := range seen {
		all = append(all, g)
	}
	slices.Sort(all)
	return all
}

// identity signs a user in, or denies it.
func (f *Fake) identity(id string) (Identity, error) {
	e := f.entries[id]
	if e == nil || e.principal.Kind != User || e.principal.Disabled {
		return Identity{}, fmt.Errorf("the user may not sign in: %w", errdef.ErrDenied)
	}
	s := secret.Text("session-" + rand.Text())
	f.sessions[s] = id
	return Identity{Principal: e.principal, Groups: f.nested(id), Session: s, LogoutURL: "https://sso." + f.domain + "/logout"}, nil
}

// Describe tells the Description.
func (f *Fake) Describe(ctx context.Context) (Description, error) {
	err := f.enter(ctx, "Describe", "")
	defer f.mu.Unlock()
	return f.Description, err
}

// Password compares the password.
func (f *Fake) Password(ctx context.Context, req PasswordRequest) (Identity, error) {
	err := f.enter(ctx, "Password", CapPassword)
	defer f.mu.Unlock()
	if err != nil {
		return Identity{}, err
	}
	e := f.named(req.Name)
	if e == nil || e.principal.Kind != User || e.principal.Disabled || req.Password == "" || e.password != req.Password {
		return Identity{}, fmt.Errorf("name or password is wrong: %w", errdef.ErrDenied)
	}
	if e.expired {
		return Identity{}, fmt.Errorf("the password has expired: %w", errdef.ErrConflict)
	}
	return f.identity(e.principal.ID)
}

// Token looks the token up.
func (f *Fake) Token(ctx context.Context, req TokenRequest) (Identity, error) {
	err := f.enter(ctx, "Token", CapToken)
	defer f.mu.Unlock()
	if err != nil {
		return Identity{}, err
	}
	return f.identity(f.tokens[req.Token])
}

// Verify demands a session that was given to the user.
func (f *Fake) Verify(ctx context.Context, req VerifyRequest) (Identity, error) {
	err := f.enter(ctx, "Verify", "")
	defer f.mu.Unlock()
	if err != nil {
		return Identity{}, err
	}
	if f.sessions[req.Session] != req.ID {
		return Identity{}, fmt.Errorf("the session is not one of %s: %w", req.ID, errdef.ErrDenied)
	}
	return f.identity(req.ID)
}

// Lookup finds a principal by its ID or name.
func (f *Fake) Lookup(ctx context.Context, req LookupRequest) (Entry, error) {
	err := f.enter(ctx, "Lookup", CapLookup)
	defer f.mu.Unlock()
	if err != nil {
		return Entry{}, err
	}
	e := f.entries[req.ID]
	if req.ID == "" {
		e = f.named(req.Name)
	}
	if e == nil {
		return Entry{}, fmt.Errorf("%s%s: %w", req.ID, req.Name, errdef.ErrNotFound)
	}
	return Entry{Principal: e.principal, Groups: f.nested(e.principal.ID)}, nil
}

// Search pages by the last ID of a page.
func (f *Fake) Search(ctx context.Context, req SearchRequest) (SearchResult, error) {
	err := f.enter(ctx, "Search", CapSearch)
	defer f.mu.Unlock()
	if err != nil {
		return SearchResult{}, err
	}
	text := strings.ToLower(req.Text)
	var found []Principal
	for _, e := range f.entries {
		p := e.principal
		if p.ID > req.Page && (req.Kind == "" || p.Kind == req.Kind) &&
			(strings.Contains(strings.ToLower(p.Name), text) || strings.Contains(strings.ToLower(p.FullName), text)) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b Principal) int { return strings.Compare(a.ID, b.ID) })
	if len(found) <= req.Limit {
		return SearchResult{Principals: found}, nil
	}
	found = found[:req.Limit]
	return SearchResult{Principals: found, NextPage: found[len(found)-1].ID}, nil
}
