package sso

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

const (
	// Domain is the domain of all users and groups.
	Domain = "vsphere.local"
	// Administrators is the group that the administrator is in.
	Administrators = "Administrators"
	// hashRounds is small: the lab's accounts guard nothing, but passwords do not belong in a file.
	hashRounds = 1000
	hashSize   = 32
)

// Errors of the directory.
var (
	ErrNoUser    = errors.New("there is no such user")
	ErrNoGroup   = errors.New("there is no such group")
	ErrExists    = errors.New("the name is taken")
	ErrBadName   = errors.New("a name is letters, digits, '.', '_' and '-', with or without @" + Domain)
	ErrCircle    = errors.New("the groups would contain each other")
	errImmutable = errors.New("the administrator and the group " + Administrators + " stay as they are")
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// User is a person who can sign in.
type User struct {
	Name            string   `json:"name"` // with its domain
	FirstName       string   `json:"first_name,omitempty"`
	LastName        string   `json:"last_name,omitempty"`
	Email           string   `json:"email,omitempty"`
	Groups          []string `json:"groups,omitempty"` // those that the user is directly in
	Disabled        bool     `json:"disabled,omitempty"`
	Locked          bool     `json:"locked,omitempty"`
	PasswordExpired bool     `json:"password_expired,omitempty"`
	Salt            []byte   `json:"salt,omitempty"`
	Hash            []byte   `json:"hash,omitempty"`

	password string // the administrator's, which the command line gives
	admin    bool
}

// Admin says that this is the lab's own administrator.
func (u User) Admin() bool { return u.admin }

func (u User) accepts(password string) bool {
	if u.admin {
		return subtle.ConstantTimeCompare([]byte(u.password), []byte(password)) == 1
	}
	h, err := pbkdf2.Key(sha256.New, password, u.Salt, hashRounds, hashSize)
	return err == nil && subtle.ConstantTimeCompare(h, u.Hash) == 1
}

func (u *User) setPassword(password string) (err error) {
	if password == "" {
		return fmt.Errorf("%s: a password is missing", u.Name)
	}
	u.Salt = make([]byte, 16)
	_, _ = rand.Read(u.Salt) // never fails
	u.Hash, err = pbkdf2.Key(sha256.New, password, u.Salt, hashRounds, hashSize)
	u.PasswordExpired = false
	return err
}

// Group contains users and groups.
type Group struct {
	Name        string   `json:"name"` // without a domain
	Description string   `json:"description,omitempty"`
	Groups      []string `json:"groups,omitempty"` // those that it is directly in
}

// Solution is a program that signs in with a certificate.
type Solution struct {
	Name        string `json:"name"` // without a domain
	Description string `json:"description,omitempty"`
	Certificate []byte `json:"certificate"`    // DER
	Role        string `json:"role,omitempty"` // RegularUser reads the directory, Administrator changes it
	ActAs       bool   `json:"act_as,omitempty"`
}

// State is what a file keeps of a directory.
type State struct {
	Users     []User     `json:"users"`
	Groups    []Group    `json:"groups,omitempty"`
	Solutions []Solution `json:"solutions,omitempty"`
	Clients   []Client   `json:"clients,omitempty"`
	Providers []Provider `json:"providers,omitempty"`
}

// Directory is who there is: users, groups in groups, solution users, OpenID clients, SAML providers. Case does not matter in names.
// Its methods may be called concurrently.
type Directory struct {
	mu        sync.RWMutex
	users     map[string]*User // by key; so are the others
	groups    map[string]*Group
	solutions map[string]*Solution
	clients   map[string]Client
	providers map[string]Provider // by entity ID
	// changed is called after each change, without the lock; it saves.
	changed func() error
}

// NewDirectory makes one with the administrator in the group Administrators. changed saves what State returns; it may be nil.
func NewDirectory(admin, password string, changed func() error) *Directory {
	if changed == nil {
		changed = func() error { return nil }
	}
	user, domain := Split(admin)
	d := &Directory{users: map[string]*User{}, groups: map[string]*Group{}, solutions: map[string]*Solution{}, clients: map[string]Client{},
		providers: map[string]Provider{}, changed: changed}
	d.users[key(admin)] = &User{Name: user + "@" + domain, LastName: domain, FirstName: user, Groups: []string{Administrators}, password: password, admin: true}
	d.groups[key(Administrators)] = &Group{Name: Administrators, Description: "Administrators of vCenter and of Single Sign-On"}
	return d
}

// Split takes user@domain, DOMAIN\user or user, which is in the default domain.
func Split(name string) (user, domain string) {
	if d, u, ok := strings.Cut(name, `\`); ok {
		return u, strings.ToLower(d)
	}
	if u, d, ok := strings.Cut(name, "@"); ok {
		return u, strings.ToLower(d)
	}
	return name, Domain
}

// key is one form of all the spellings of a name.
func key(name string) string {
	user, domain := Split(name)
	return strings.ToLower(user) + "@" + domain
}

// User finds a user by a name in any spelling.
func (d *Directory) User(name string) (User, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	u, ok := d.users[key(name)]
	if !ok {
		return User{}, false
	}
	return *u, true
}

// Group finds a group.
func (d *Directory) Group(name string) (Group, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	g, ok := d.groups[key(name)]
	if !ok {
		return Group{}, false
	}
	return *g, true
}

// Login says whether a password is right, and then what keeps the user out nevertheless, as Single Sign-On words it.
func (d *Directory) Login(name, password string) (u User, obstacle string, ok bool) {
	u, ok = d.User(name)
	if !ok || password == "" || !u.accepts(password) {
		return User{}, "Invalid credentials", false
	}
	switch {
	case u.Locked:
		return u, "User account locked: {Name: " + u.Name + "}", false
	case u.Disabled:
		return u, "User account disabled: {Name: " + u.Name + "}", false
	case u.PasswordExpired:
		return u, "Password of the user logging on is expired. :: User account expired: {Name: " + u.Name + "}", false
	}
	return u, "", true
}

// SolutionBy finds the solution user of a certificate.
func (d *Directory) SolutionBy(cert *x509.Certificate) (Solution, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, s := range d.solutions {
		if slices.Equal(s.Certificate, cert.Raw) {
			return *s, true
		}
	}
	return Solution{}, false
}

// parents returns the groups that a user or group is directly in.
func (d *Directory) parents(k string) []string {
	if u, ok := d.users[k]; ok {
		return u.Groups
	}
	if g, ok := d.groups[k]; ok {
		return g.Groups
	}
	return nil
}

func (d *Directory) nested(name string) []string {
	seen := map[string]string{}
	var walk func(string)
	walk = func(k string) {
		for _, p := range d.parents(k) {
			pk := key(p)
			if g, ok := d.groups[pk]; ok && seen[pk] == "" {
				seen[pk] = g.Name
				walk(pk)
			}
		}
	}
	walk(key(name))
	return slices.Sorted(maps.Values(seen))
}

// Nested lists the groups that a user or group is in, directly and through others, by name.
func (d *Directory) Nested(name string) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.nested(name)
}

// State returns a copy of all but the administrator.
func (d *Directory) State() (s State) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, k := range slices.Sorted(maps.Keys(d.users)) {
		if !d.users[k].admin {
			s.Users = append(s.Users, *d.users[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(d.groups)) {
		s.Groups = append(s.Groups, *d.groups[k])
	}
	for _, k := range slices.Sorted(maps.Keys(d.solutions)) {
		s.Solutions = append(s.Solutions, *d.solutions[k])
	}
	for _, k := range slices.Sorted(maps.Keys(d.clients)) {
		s.Clients = append(s.Clients, d.clients[k])
	}
	for _, k := range slices.Sorted(maps.Keys(d.providers)) {
		s.Providers = append(s.Providers, d.providers[k])
	}
	return s
}

// Restore puts back what State returned. Groups that users name without being there are made: files of earlier versions
// had no list of groups.
func (d *Directory) Restore(s State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range s.Groups {
		d.groups[key(g.Name)] = &g
	}
	for _, u := range s.Users {
		u.Groups = d.named(u.Groups)
		d.users[key(u.Name)] = &u
	}
	for _, o := range s.Solutions {
		d.solutions[key(o.Name)] = &o
	}
	for _, c := range s.Clients {
		d.clients[c.ID] = c
	}
	for _, p := range s.Providers {
		d.providers[p.EntityID] = p
	}
}

// named returns plain names of groups, and makes those that are not there.
func (d *Directory) named(groups []string) (names []string) {
	for _, g := range groups {
		g, _ = Split(g)
		k := key(g)
		if d.groups[k] == nil {
			d.groups[k] = &Group{Name: g}
		}
		names = append(names, d.groups[k].Name)
	}
	return names
}

// Users lists users by name, without what is secret.
func (d *Directory) Users() (l []User) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, k := range slices.Sorted(maps.Keys(d.users)) {
		u := *d.users[k]
		u.Salt, u.Hash, u.password = nil, nil, ""
		l = append(l, u)
	}
	return l
}

// Groups lists groups by name.
func (d *Directory) Groups() (l []Group) { return d.State().Groups }

// Solutions lists solution users by name.
func (d *Directory) Solutions() (l []Solution) { return d.State().Solutions }
