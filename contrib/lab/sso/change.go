package sso

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// change does f with the lock, and saves if that was well.
func (d *Directory) change(f func() error) error {
	d.mu.Lock()
	err := f()
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return d.changed()
}

// free says whether a name is right and nobody's.
func (d *Directory) free(name string) (user string, err error) {
	user, domain := Split(name)
	if !namePattern.MatchString(user) || domain != Domain {
		return "", fmt.Errorf("%q: %w", name, ErrBadName)
	}
	k := key(name)
	if d.users[k] != nil || d.groups[k] != nil || d.solutions[k] != nil {
		return "", fmt.Errorf("%s: %w", name, ErrExists)
	}
	return user, nil
}

// AddUser makes a user. Groups that are not there are made.
func (d *Directory) AddUser(u User, password string) error {
	return d.change(func() error {
		user, err := d.free(u.Name)
		if err != nil {
			return err
		}
		u.Name, u.admin = user+"@"+Domain, false
		if err := u.setPassword(password); err != nil {
			return err
		}
		u.Groups = d.named(u.Groups)
		d.users[key(u.Name)] = &u
		return nil
	})
}

// UserChange changes what is not nil.
type UserChange struct {
	Password        *string   `json:"password,omitempty"`
	Groups          *[]string `json:"groups,omitempty"`
	Disabled        *bool     `json:"disabled,omitempty"`
	Locked          *bool     `json:"locked,omitempty"`
	PasswordExpired *bool     `json:"password_expired,omitempty"`
}

// ChangeUser changes a user.
func (d *Directory) ChangeUser(name string, c UserChange) error {
	return d.change(func() error {
		old := d.users[key(name)]
		if old == nil {
			return fmt.Errorf("%s: %w", name, ErrNoUser)
		}
		if old.admin {
			return errImmutable
		}
		u := *old
		if c.Password != nil {
			if err := u.setPassword(*c.Password); err != nil {
				return err
			}
		}
		if c.Groups != nil {
			u.Groups = d.named(*c.Groups)
		}
		for to, from := range map[*bool]*bool{&u.Disabled: c.Disabled, &u.Locked: c.Locked, &u.PasswordExpired: c.PasswordExpired} {
			if from != nil {
				*to = *from
			}
		}
		d.users[key(name)] = &u
		return nil
	})
}

// AddGroup makes a group in other groups, which are made if they are not there.
func (d *Directory) AddGroup(g Group) error {
	return d.change(func() error {
		name, err := d.free(g.Name)
		if err != nil {
			return err
		}
		g.Name, g.Groups = name, d.named(g.Groups)
		d.groups[key(name)] = &g
		return nil
	})
}

// Join puts users and groups directly into a group.
func (d *Directory) Join(group string, members ...string) error {
	return d.membership(group, members, func(groups []string, name string) []string {
		if slices.Contains(groups, name) {
			return groups
		}
		return append(slices.Clone(groups), name)
	})
}

// Leave takes users and groups out of a group.
func (d *Directory) Leave(group string, members ...string) error {
	return d.membership(group, members, func(groups []string, name string) []string {
		return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == name })
	})
}

func (d *Directory) membership(group string, members []string, change func(groups []string, name string) []string) error {
	return d.change(func() error {
		g := d.groups[key(group)]
		if g == nil {
			return fmt.Errorf("%s: %w", group, ErrNoGroup)
		}
		for _, m := range members {
			k := key(m)
			switch u, inner := d.users[k], d.groups[k]; {
			case u != nil && u.admin:
				return errImmutable
			case u != nil:
				u.Groups = change(u.Groups, g.Name)
			case inner != nil && (inner == g || slices.Contains(d.nested(group), inner.Name)):
				return fmt.Errorf("%s and %s: %w", group, m, ErrCircle)
			case inner != nil:
				inner.Groups = change(inner.Groups, g.Name)
			default:
				return fmt.Errorf("%s: %w", m, ErrNoUser)
			}
		}
		return nil
	})
}

// Remove removes a user, group or solution user.
func (d *Directory) Remove(name string) error {
	return d.change(func() error {
		k := key(name)
		u, g := d.users[k], d.groups[k]
		switch {
		case u != nil && u.admin || g != nil && g.Name == Administrators:
			return errImmutable
		case u == nil && g == nil && d.solutions[k] == nil:
			return fmt.Errorf("%s: %w", name, ErrNoUser)
		}
		delete(d.users, k)
		delete(d.solutions, k)
		delete(d.groups, k)
		if g == nil {
			return nil
		}
		without := func(l []string) []string {
			return slices.DeleteFunc(slices.Clone(l), func(o string) bool { return o == g.Name })
		}
		for _, o := range d.users {
			o.Groups = without(o.Groups)
		}
		for _, o := range d.groups {
			o.Groups = without(o.Groups)
		}
		return nil
	})
}

// AddSolution makes a solution user; a certificate is one user's alone.
func (d *Directory) AddSolution(s Solution) error {
	if _, err := x509.ParseCertificate(s.Certificate); err != nil {
		return fmt.Errorf("certificate of %s: %w", s.Name, err)
	}
	return d.change(func() error {
		name, err := d.free(s.Name)
		if err != nil {
			return err
		}
		for _, o := range d.solutions {
			if slices.Equal(o.Certificate, s.Certificate) {
				return fmt.Errorf("certificate of %s: %w", o.Name, ErrExists)
			}
		}
		s.Name = name
		d.solutions[key(name)] = &s
		return nil
	})
}

// changeSolution changes a solution user.
func (d *Directory) changeSolution(name string, f func(*Solution)) error {
	return d.change(func() error {
		s := d.solutions[key(name)]
		if s == nil {
			return fmt.Errorf("%s: %w", name, ErrNoUser)
		}
		c := *s
		f(&c)
		d.solutions[key(name)] = &c
		return nil
	})
}

// matches is how searches look: anywhere, whatever the case.
func matches(search string, texts ...string) bool {
	search = strings.ToLower(search)
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), search) })
}
