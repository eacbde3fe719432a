package vsphere

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/openvic/vic/contrib/lab/authz"
)

const (
	defaultDomain = "vsphere.local"
	// hashRounds is small: the lab's accounts guard nothing, but passwords do not belong in a file.
	hashRounds = 1000
	hashSize   = 32
)

// Errors of accounts.
var (
	ErrNoUser     = errors.New("there is no such user")
	ErrUserExists = errors.New("the user exists")
	ErrBadUser    = errors.New("a user's name is letters, digits, '.', '_' and '-', with or without @" + defaultDomain)
)

// Account is a user who can log in.
type Account struct {
	Name   string   `json:"name"` // with its domain
	Groups []string `json:"groups,omitempty"`
	Salt   []byte   `json:"salt,omitempty"`
	Hash   []byte   `json:"hash,omitempty"`

	password string // the administrator's, which the command line gives
	admin    bool
}

func (a *Account) subject() authz.Subject {
	return authz.Subject{Name: principal(a.Name), Groups: a.Groups}
}

func (a *Account) accepts(password string) bool {
	if a.admin {
		return subtle.ConstantTimeCompare([]byte(a.password), []byte(password)) == 1
	}
	h, err := pbkdf2.Key(sha256.New, password, a.Salt, hashRounds, hashSize)
	return err == nil && subtle.ConstantTimeCompare(h, a.Hash) == 1
}

// principal is how vCenter spells a user in permissions: VSPHERE.LOCAL\name.
func principal(name string) string {
	user, domain := split(name)
	return strings.ToUpper(domain) + `\` + user
}

// split takes user@domain, DOMAIN\user or user, which is in the default domain.
func split(name string) (user, domain string) {
	if d, u, ok := strings.Cut(name, `\`); ok {
		return u, strings.ToLower(d)
	}
	if u, d, ok := strings.Cut(name, "@"); ok {
		return u, strings.ToLower(d)
	}
	return name, defaultDomain
}

// accounts are the users of the lab.
type accounts struct {
	mu   sync.RWMutex
	list []Account
}

func newAccounts(admin, password string) *accounts {
	user, domain := split(admin)
	return &accounts{list: []Account{{Name: user + "@" + domain, password: password, admin: true}}}
}

// find takes a name in any spelling.
func (a *accounts) find(name string) (*Account, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	user, domain := split(name)
	for i := range a.list {
		u, d := split(a.list[i].Name)
		if strings.EqualFold(u, user) && d == domain {
			found := a.list[i]
			return &found, true
		}
	}
	return nil, false
}

func (a *accounts) login(name, password string) bool {
	acc, ok := a.find(name)
	return ok && acc.accepts(password)
}

func (a *accounts) add(name, password string, groups []string) error {
	user, domain := split(name)
	if !regexp.MustCompile(`^[A-Za-z0-9._-]+$`).MatchString(user) || domain != defaultDomain {
		return fmt.Errorf("%q: %w", name, ErrBadUser)
	}
	if password == "" {
		return fmt.Errorf("%s: a password is missing", name)
	}
	if _, ok := a.find(name); ok {
		return fmt.Errorf("%s: %w", name, ErrUserExists)
	}
	acc := Account{Name: user + "@" + domain, Salt: make([]byte, 16)}
	for _, g := range groups {
		acc.Groups = append(acc.Groups, principal(g))
	}
	_, _ = rand.Read(acc.Salt) // never fails
	var err error
	if acc.Hash, err = pbkdf2.Key(sha256.New, password, acc.Salt, hashRounds, hashSize); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, acc)
	return nil
}

func (a *accounts) remove(name string) error {
	acc, ok := a.find(name)
	if !ok || acc.admin {
		return fmt.Errorf("%s: %w", name, ErrNoUser)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = slices.DeleteFunc(a.list, func(o Account) bool { return o.Name == acc.Name })
	return nil
}

// users lists the accounts by name, without what is secret.
func (a *accounts) users() []Account {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var l []Account
	for _, acc := range a.list {
		l = append(l, Account{Name: acc.Name, Groups: acc.Groups})
	}
	sort.Slice(l, func(i, j int) bool { return l[i].Name < l[j].Name })
	return l
}

// known says that a principal of a permission exists; groups exist by being named.
func (a *accounts) known(name string, group bool) bool {
	if group {
		return true
	}
	_, ok := a.find(name)
	return ok
}

// saved returns the accounts for the file.
func (a *accounts) saved() []Account {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(a.list), func(o Account) bool { return o.admin })
}

func (a *accounts) restore(l []Account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, l...)
}
