package auth

import (
	"context"
	"fmt"
	"slices"

	"github.com/openvic/vic/sdk/errdef"
)

// fakeShortest is the password rule of the fake.
const fakeShortest = 4

// Save makes or changes a principal.
func (f *Fake) Save(ctx context.Context, req SaveRequest) error {
	err := f.enter(ctx, "Save", CapManage)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	e := f.entries[req.Principal.ID]
	if err := f.allowed(e, req); err != nil {
		return err
	}
	next := &fakeEntry{principal: req.Principal, groups: slices.Clone(req.Groups), password: req.Password}
	if e != nil && !req.SetGroups {
		next.groups = e.groups
	}
	if e != nil && req.Password == "" {
		next.password, next.expired = e.password, e.expired
	}
	if e != nil && req.OnlyNew && !e.equal(next) {
		return fmt.Errorf("%s: %w", req.Principal.ID, errdef.ErrExists)
	}
	f.entries[req.Principal.ID] = next
	return nil
}

func (e *fakeEntry) equal(o *fakeEntry) bool {
	return e.principal == o.principal && e.password == o.password && slices.Equal(e.groups, o.groups)
}

// allowed says whether the rules let req change e, which is nil for a new principal.
func (f *Fake) allowed(e *fakeEntry, req SaveRequest) error {
	p := req.Principal
	domain, _, _ := SplitID(p.ID)
	switch {
	case domain != f.domain:
		return fmt.Errorf("%s: the domain is %s: %w", p.ID, f.domain, errdef.ErrInvalid)
	case e != nil && e.principal.Kind != p.Kind:
		return fmt.Errorf("%s is a %s: %w", p.ID, e.principal.Kind, errdef.ErrConflict)
	case e == nil && p.Kind == User && req.Password == "":
		return fmt.Errorf("%s: a new user needs a password: %w", p.ID, errdef.ErrInvalid)
	case req.Password != "" && len(req.Password) < fakeShortest:
		return fmt.Errorf("the password is shorter than %d bytes: %w", fakeShortest, errdef.ErrInvalid)
	}
	for _, g := range req.Groups {
		if in := f.entries[g]; in == nil || in.principal.Kind != Group {
			return fmt.Errorf("group %s: %w", g, errdef.ErrNotFound)
		}
		if slices.Contains(f.nested(g), p.ID) {
			return fmt.Errorf("%s and %s would contain each other: %w", p.ID, g, errdef.ErrConflict)
		}
	}
	return nil
}

// Remove removes a principal, also from the groups' members.
func (f *Fake) Remove(ctx context.Context, req RemoveRequest) error {
	err := f.enter(ctx, "Remove", CapManage)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	delete(f.entries, req.ID)
	for _, e := range f.entries {
		e.groups = slices.DeleteFunc(e.groups, func(g string) bool { return g == req.ID })
	}
	return nil
}
