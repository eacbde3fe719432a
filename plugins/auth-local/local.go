package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Config is the plugin's configuration; README.md explains each key.
type Config struct {
	File          string `toml:"file"`
	Domain        string `toml:"domain"`
	LeastPassword int    `toml:"least_password"`
	FirstAdmin    string `toml:"first_admin"`
	// FirstPassword is a file with the first administrator's password; empty: the plugin makes one.
	FirstPassword string `toml:"first_password_file"`
}

func defaults() Config {
	return Config{File: "/var/lib/vic-hub/users.json", Domain: "local", LeastPassword: 10, FirstAdmin: "admin"}
}

// administrators is the group that a hub makes cloud administrators.
const administrators = "administrators"

var (
	namePattern   = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)
	domainPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$`)
)

// driver implements auth.Driver.
type driver struct {
	auth.Unsupported
	config Config
	hasher *hasher

	// mu guards entries, which are never changed in place: a change makes new ones, writes the file, and puts them here.
	mu      sync.RWMutex
	entries map[string]*entry
	// changing holds off one change from another; it is taken before mu.
	changing sync.Mutex
}

var _ auth.Driver = (*driver)(nil)

// open reads the file, and makes the first administrator if there is no user.
func open(ctx context.Context, c Config) (*driver, error) {
	switch {
	case !filepath.IsAbs(c.File):
		return nil, fmt.Errorf("file: %q is not an absolute path: %w", c.File, errdef.ErrInvalid)
	case !domainPattern.MatchString(c.Domain):
		return nil, fmt.Errorf("domain: %q is not lower-case letters, digits, dots and hyphens: %w", c.Domain, errdef.ErrInvalid)
	case c.LeastPassword < 8 || c.LeastPassword > 100:
		return nil, fmt.Errorf("least_password: %d is not between 8 and 100: %w", c.LeastPassword, errdef.ErrInvalid)
	case c.FirstAdmin != "" && !namePattern.MatchString(c.FirstAdmin):
		return nil, fmt.Errorf("first_admin: %q is no name of a user: %w", c.FirstAdmin, errdef.ErrInvalid)
	}
	if err := os.MkdirAll(filepath.Dir(c.File), 0o700); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	f, err := read(c.File)
	if err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	d := &driver{config: c, hasher: newHasher(), entries: f.Entries}
	return d, d.first(ctx)
}

// first makes the group of administrators and, if there is no user at all, one in it with a password that nobody knows
// but who may read the file beside: the password is written first, so that a crash leaves no user without it.
func (d *driver) first(ctx context.Context) error {
	next := maps.Clone(d.entries)
	if next[administrators] == nil {
		next[administrators] = &entry{Group: true, FullName: "Administrators"}
	}
	name := d.config.FirstAdmin
	users := slices.ContainsFunc(slices.Collect(maps.Values(next)), func(e *entry) bool { return !e.Group })
	if name != "" && !users && next[name] == nil {
		password, path, err := d.firstPassword(name)
		if err != nil {
			return fmt.Errorf("password of the first administrator: %w", err)
		}
		hash, err := d.hasher.hash(ctx, password)
		if err != nil {
			return err
		}
		next[name] = &entry{Hash: hash, Stamp: rand.Text(), Groups: []string{administrators}}
		slog.Info("first administrator was made", "user", name+"@"+d.config.Domain, "password_file", path)
	}
	if len(next) == len(d.entries) {
		return nil
	}
	return d.store(next)
}

// firstPassword reads the first administrator's password, or makes one and writes it down; path is where it is.
func (d *driver) firstPassword(name string) (password, path string, err error) {
	if path = d.config.FirstPassword; path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", path, err
		}
		password = strings.TrimRight(string(text), "\r\n")
		return password, path, rules(name, password, d.config.LeastPassword)
	}
	path = filepath.Join(filepath.Dir(d.config.File), "first-password")
	password = rand.Text()
	return password, path, replace(path, []byte(password+"\n"))
}

// store writes entries and puts them in effect.
func (d *driver) store(next map[string]*entry) error {
	if err := write(d.config.File, content{Version: fileVersion, Entries: next}); err != nil {
		return fmt.Errorf("%s: %w: %w", d.config.File, err, errdef.ErrUnavailable)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = next
	return nil
}

// now returns the entries; they are not to be changed.
func (d *driver) now() map[string]*entry {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.entries
}

func (d *driver) id(name string) string { return auth.ID(d.config.Domain, name) }

// key is the entry's name for what people type: dev, dev@local, LOCAL\dev.
func (d *driver) key(typed string) string {
	s := strings.ToLower(typed)
	s, _ = strings.CutSuffix(s, "@"+d.config.Domain)
	s, _ = strings.CutPrefix(s, d.config.Domain+`\`)
	return s
}

// keyOf is the entry's name of an ID; "" if it is of another domain.
func (d *driver) keyOf(id string) string {
	domain, name, ok := auth.SplitID(id)
	if !ok || domain != d.config.Domain {
		return ""
	}
	return name
}

func (d *driver) principal(name string, e *entry) auth.Principal {
	p := auth.Principal{ID: d.id(name), Kind: auth.User, Name: cmp.Or(e.Name, name+"@"+d.config.Domain), FullName: e.FullName, Email: e.Email,
		Disabled: e.Disabled}
	if e.Group {
		p.Kind = auth.Group
	}
	return p
}

// nested is all groups of an entry, by name, sorted.
func nested(entries map[string]*entry, name string) []string {
	seen := map[string]bool{}
	var walk func(string)
	walk = func(n string) {
		if entries[n] == nil {
			return
		}
		for _, g := range entries[n].Groups {
			if entries[g] != nil && !seen[g] {
				seen[g] = true
				walk(g)
			}
		}
	}
	walk(name)
	return slices.Sorted(maps.Keys(seen))
}

func (d *driver) groups(entries map[string]*entry, name string) []string {
	all := nested(entries, name)
	for i, g := range all {
		all[i] = d.id(g)
	}
	return all
}

// identity is of a user who may sign in.
func (d *driver) identity(entries map[string]*entry, name string) auth.Identity {
	e := entries[name]
	return auth.Identity{Principal: d.principal(name, e), Groups: d.groups(entries, name), Session: secret.Text(e.Stamp)}
}

// Describe implements auth.Driver.
func (d *driver) Describe(ctx context.Context) (auth.Description, error) {
	return auth.Description{Title: "Local users", Domains: []string{d.config.Domain}, Administrators: []string{d.id(administrators)},
		Refresh: auth.MinRefresh}, ctx.Err()
}

// Password implements auth.Driver.
func (d *driver) Password(ctx context.Context, req auth.PasswordRequest) (auth.Identity, error) {
	if err := ctx.Err(); err != nil {
		return auth.Identity{}, err
	}
	entries, name := d.now(), d.key(req.Name)
	kept := nobodys
	e := entries[name]
	if e != nil && !e.Group && e.Hash != "" {
		kept = e.Hash
	}
	right, err := d.hasher.matches(ctx, kept, string(req.Password))
	if err != nil {
		return auth.Identity{}, err
	}
	if !right || e == nil || e.Group || e.Disabled || req.Password == "" {
		return auth.Identity{}, fmt.Errorf("name or password is wrong: %w", errdef.ErrDenied)
	}
	return d.identity(entries, name), nil
}

// Verify implements auth.Driver: the user is there, may sign in, and has the password of the session.
func (d *driver) Verify(ctx context.Context, req auth.VerifyRequest) (auth.Identity, error) {
	if err := ctx.Err(); err != nil {
		return auth.Identity{}, err
	}
	entries, name := d.now(), d.keyOf(req.ID)
	e := entries[name]
	if e == nil || e.Group || e.Disabled || e.Stamp == "" || string(req.Session) != e.Stamp {
		return auth.Identity{}, fmt.Errorf("the session of %s has ended: %w", req.ID, errdef.ErrDenied)
	}
	return d.identity(entries, name), nil
}

// Lookup implements auth.Driver.
func (d *driver) Lookup(ctx context.Context, req auth.LookupRequest) (auth.Entry, error) {
	if err := ctx.Err(); err != nil {
		return auth.Entry{}, err
	}
	entries, name := d.now(), d.keyOf(req.ID)
	if req.ID == "" {
		name = d.key(req.Name)
	}
	e := entries[name]
	if e == nil {
		return auth.Entry{}, fmt.Errorf("%s%s: %w", req.ID, req.Name, errdef.ErrNotFound)
	}
	return auth.Entry{Principal: d.principal(name, e), Groups: d.groups(entries, name)}, nil
}

// Search implements auth.Driver. A page goes on behind the last name of the one before.
func (d *driver) Search(ctx context.Context, req auth.SearchRequest) (auth.SearchResult, error) {
	if err := ctx.Err(); err != nil {
		return auth.SearchResult{}, err
	}
	entries, text := d.now(), strings.ToLower(req.Text)
	var out auth.SearchResult
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		p := d.principal(name, entries[name])
		if name <= req.Page || req.Kind != "" && p.Kind != req.Kind ||
			!strings.Contains(strings.ToLower(p.Name), text) && !strings.Contains(strings.ToLower(p.FullName), text) {
			continue
		}
		if len(out.Principals) == req.Limit {
			out.NextPage = d.keyOf(out.Principals[req.Limit-1].ID)
			break
		}
		out.Principals = append(out.Principals, p)
	}
	return out, nil
}

// Save implements auth.Driver.
func (d *driver) Save(ctx context.Context, req auth.SaveRequest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	entries, name := d.now(), d.keyOf(req.Principal.ID)
	e := entries[name]
	if err := d.allowed(entries, name, req); err != nil {
		return err
	}
	same, err := false, error(nil)
	if e != nil && req.Password != "" {
		if same, err = d.hasher.matches(ctx, e.Hash, string(req.Password)); err != nil {
			return err
		}
	}
	next := &entry{Group: req.Principal.Kind == auth.Group, Name: req.Principal.Name, FullName: req.Principal.FullName, Email: req.Principal.Email,
		Disabled: req.Principal.Disabled}
	if e != nil {
		next.Hash, next.Stamp, next.Groups = e.Hash, e.Stamp, e.Groups
	}
	if req.Password != "" && !same {
		if next.Hash, err = d.hasher.hash(ctx, string(req.Password)); err != nil {
			return err
		}
		next.Stamp = rand.Text()
	}
	if req.SetGroups {
		next.Groups = nil
		for _, g := range req.Groups {
			next.Groups = append(next.Groups, d.keyOf(g))
		}
		slices.Sort(next.Groups)
	}
	if e != nil && equal(e, next) {
		return nil
	}
	if e != nil && req.OnlyNew {
		return fmt.Errorf("%s: %w", req.Principal.ID, errdef.ErrExists)
	}
	all := maps.Clone(entries)
	all[name] = next
	return d.store(all)
}

func equal(a, b *entry) bool {
	return a.Group == b.Group && a.Name == b.Name && a.FullName == b.FullName && a.Email == b.Email && a.Disabled == b.Disabled && a.Hash == b.Hash &&
		slices.Equal(a.Groups, b.Groups)
}

// allowed says whether the rules let a request change an entry, which is not there for a new one.
func (d *driver) allowed(entries map[string]*entry, name string, req auth.SaveRequest) error {
	p, e := req.Principal, entries[name]
	group := p.Kind == auth.Group
	switch {
	case !namePattern.MatchString(name):
		return fmt.Errorf("%q is no ID here: want %s/NAME of lower-case letters, digits, dots, hyphens and underscores: %w", p.ID, d.config.Domain, errdef.ErrInvalid)
	case p.Name != "" && d.key(p.Name) != name:
		return fmt.Errorf("the name %q does not go with the ID %q: %w", p.Name, p.ID, errdef.ErrInvalid)
	case e != nil && e.Group != group:
		return fmt.Errorf("%s is there as another kind: %w", p.ID, errdef.ErrConflict)
	case e == nil && !group && req.Password == "":
		return fmt.Errorf("%s: a new user needs a password: %w", p.ID, errdef.ErrInvalid)
	case group && req.Password != "":
		return fmt.Errorf("%s: a group has no password: %w", p.ID, errdef.ErrInvalid)
	case e == nil && len(entries) >= maxEntries:
		return fmt.Errorf("there are %d users and groups, the most that a file holds: use a directory instead: %w", maxEntries, errdef.ErrExhausted)
	}
	if req.Password != "" {
		if err := rules(name, string(req.Password), d.config.LeastPassword); err != nil {
			return err
		}
	}
	for _, g := range req.Groups {
		in := d.keyOf(g)
		if entries[in] == nil || !entries[in].Group {
			return fmt.Errorf("group %s: %w", g, errdef.ErrNotFound)
		}
		if in == name || slices.Contains(nested(entries, in), name) {
			return fmt.Errorf("%s and %s would contain each other: %w", p.ID, g, errdef.ErrConflict)
		}
	}
	return nil
}

// Remove implements auth.Driver.
func (d *driver) Remove(ctx context.Context, req auth.RemoveRequest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	entries, name := d.now(), d.keyOf(req.ID)
	switch {
	case name == administrators:
		return fmt.Errorf("%s is where administrators come from: %w", req.ID, errdef.ErrDenied)
	case entries[name] == nil:
		return nil
	}
	all := make(map[string]*entry, len(entries))
	for n, e := range entries {
		if n == name {
			continue
		}
		if slices.Contains(e.Groups, name) {
			c := *e
			c.Groups = slices.DeleteFunc(slices.Clone(e.Groups), func(g string) bool { return g == name })
			e = &c
		}
		all[n] = e
	}
	return d.store(all)
}
