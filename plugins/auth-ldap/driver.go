package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// driver implements auth.Driver.
type driver struct {
	auth.Unsupported
	config   Config
	address  string
	startTLS bool
	tls      *tls.Config
	password secret.Text
	turns    chan struct{} // held by each connection
}

var _ auth.Driver = (*driver)(nil)

// maxName bounds a name without its domain.
const maxName = auth.MaxName - 65

// plain says whether a text can be a name.
func plain(s string) bool {
	return len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// found is an entry of the directory.
type found struct {
	dn        string
	key       string // the name in lower case, as IDs have it
	principal auth.Principal
	changed   string // of the password
}

func (d *driver) userAttributes() []string {
	return slices.DeleteFunc([]string{d.config.NameAttribute, d.config.FullNameAttribute, d.config.EmailAttribute, d.config.PasswordChangedAttribute},
		func(s string) bool { return s == "" })
}

// entry makes what is told of an entry; ok is false for one without a name.
func (d *driver) entry(e *ldap.Entry, kind auth.Kind) (f found, ok bool) {
	attribute := d.config.NameAttribute
	if kind == auth.Group {
		attribute = d.config.GroupNameAttribute
	}
	name := e.GetEqualFoldAttributeValue(attribute)
	key := strings.ToLower(name)
	f = found{dn: e.DN, key: key, principal: auth.Principal{ID: auth.ID(d.config.Domain, key), Kind: kind, Name: name + "@" + d.config.Domain}}
	if kind == auth.User {
		f.principal.FullName, f.principal.Email = value(e, d.config.FullNameAttribute), value(e, d.config.EmailAttribute)
		f.changed = value(e, d.config.PasswordChangedAttribute)
	}
	return f, name != "" && plain(name) && plain(key)
}

// value is an attribute that can be shown; "" if it is not there, or no line of text.
func value(e *ldap.Entry, attribute string) string {
	if attribute == "" {
		return ""
	}
	if s := e.GetEqualFoldAttributeValue(attribute); plain(s) {
		return s
	}
	return ""
}

// typed is the name of what people type: dev, dev@ldap, LDAP\dev.
func (d *driver) typed(s string) string {
	s = strings.ToLower(s)
	s, _ = strings.CutSuffix(s, "@"+d.config.Domain)
	s, _ = strings.CutPrefix(s, d.config.Domain+`\`)
	return s
}

// keyOf is the name in an ID; "" if it is of another domain.
func (d *driver) keyOf(id string) string {
	domain, name, ok := auth.SplitID(id)
	if !ok || domain != d.config.Domain {
		return ""
	}
	return name
}

// one finds the entry of a name; errdef.ErrNotFound, also if there are several.
func (d *driver) one(c *ldap.Conn, kind auth.Kind, key string) (found, error) {
	base, filter, attribute, attributes := d.config.UserBase, d.config.UserFilter, d.config.NameAttribute, d.userAttributes()
	if kind == auth.Group {
		base, filter, attribute = d.config.GroupBase, d.config.GroupFilter, d.config.GroupNameAttribute
		attributes = []string{attribute}
	}
	missing := fmt.Errorf("%s: %w", key, errdef.ErrNotFound)
	if key == "" || base == "" || !plain(key) {
		return found{}, missing
	}
	list, err := d.search(c, base, ldap.ScopeWholeSubtree, "(&"+filter+"("+attribute+"="+ldap.EscapeFilter(key)+"))", attributes...)
	if err != nil {
		return found{}, err
	}
	// A server may take more for equal than this plugin: spaces, accents.
	var f found
	n := 0
	for _, e := range list {
		if x, ok := d.entry(e, kind); ok && x.key == key {
			f = x
			n++
		}
	}
	if n != 1 {
		return found{}, missing
	}
	if kind == auth.User && d.config.DisabledFilter != "" {
		list, err := d.search(c, f.dn, ldap.ScopeBaseObject, d.config.DisabledFilter, "1.1")
		if err != nil {
			return found{}, err
		}
		f.principal.Disabled = len(list) > 0
	}
	return f, nil
}

// Describe implements auth.Driver.
func (d *driver) Describe(ctx context.Context) (auth.Description, error) {
	out := auth.Description{Title: d.config.Title, Domains: []string{d.config.Domain}, Refresh: d.config.Refresh}
	if d.config.AdminGroup != "" {
		out.Administrators = []string{auth.ID(d.config.Domain, strings.ToLower(d.config.AdminGroup))}
	}
	return out, ctx.Err()
}

// kept is what Verify needs of a sign-in.
type kept struct {
	DN      string `json:"dn"`
	Changed string `json:"changed,omitempty"`
}

// identity is of a user who may sign in.
func (d *driver) identity(c *ldap.Conn, f found) (auth.Identity, error) {
	groups, err := d.groups(c, f)
	if err != nil {
		return auth.Identity{}, err
	}
	session, err := json.Marshal(kept{f.dn, f.changed})
	return auth.Identity{Principal: f.principal, Groups: groups, Session: secret.Text(session)}, err
}

// Password implements auth.Driver. A name that is not there is bound as well, so that the time tells little of it.
func (d *driver) Password(ctx context.Context, req auth.PasswordRequest) (auth.Identity, error) {
	if err := ctx.Err(); err != nil {
		return auth.Identity{}, err
	}
	if req.Password == "" { // a server takes it for an anonymous bind, and says yes
		return auth.Identity{}, errWrong
	}
	var i auth.Identity
	var who found
	err := d.with(ctx, func(c *ldap.Conn) (err error) {
		if who, err = d.one(c, auth.User, d.typed(req.Name)); err == nil && !who.principal.Disabled {
			i, err = d.identity(c, who)
		}
		return err
	})
	unknown := errors.Is(err, errdef.ErrNotFound)
	if err != nil && !unknown && !errors.Is(err, errdef.ErrExhausted) {
		return auth.Identity{}, err
	}
	dn := who.dn
	if unknown || who.principal.Disabled {
		dn = d.config.NameAttribute + "=" + rand.Text() + "," + d.config.UserBase
	}
	if bound := d.bind(ctx, dn, req.Password); bound != nil {
		return auth.Identity{}, bound
	}
	if unknown || who.principal.Disabled {
		return auth.Identity{}, errWrong
	}
	return i, err
}

// Verify implements auth.Driver: the entry is there, is the one of the session, may sign in, and has the password of then.
func (d *driver) Verify(ctx context.Context, req auth.VerifyRequest) (auth.Identity, error) {
	if err := ctx.Err(); err != nil {
		return auth.Identity{}, err
	}
	over := fmt.Errorf("the session of %s has ended: %w", req.ID, errdef.ErrDenied)
	var k kept
	if json.Unmarshal([]byte(req.Session), &k) != nil || k.DN == "" {
		return auth.Identity{}, over
	}
	var i auth.Identity
	err := d.with(ctx, func(c *ldap.Conn) error {
		f, err := d.one(c, auth.User, d.keyOf(req.ID))
		switch {
		case errors.Is(err, errdef.ErrNotFound):
			return over
		case err != nil:
			return err
		case f.principal.Disabled, f.changed != k.Changed, !strings.EqualFold(f.dn, k.DN):
			return over
		}
		i, err = d.identity(c, f)
		return err
	})
	return i, err
}

// Lookup implements auth.Driver: a user before a group.
func (d *driver) Lookup(ctx context.Context, req auth.LookupRequest) (auth.Entry, error) {
	if err := ctx.Err(); err != nil {
		return auth.Entry{}, err
	}
	key := d.keyOf(req.ID)
	if req.ID == "" {
		key = d.typed(req.Name)
	}
	var out auth.Entry
	err := d.with(ctx, func(c *ldap.Conn) error {
		f, err := d.one(c, auth.User, key)
		if errors.Is(err, errdef.ErrNotFound) {
			f, err = d.one(c, auth.Group, key)
		}
		if err != nil {
			return err
		}
		out.Principal = f.principal
		out.Groups, err = d.groups(c, f)
		return err
	})
	return out, err
}

// Search implements auth.Driver. A page goes on behind the last ID of the one before.
func (d *driver) Search(ctx context.Context, req auth.SearchRequest) (auth.SearchResult, error) {
	if err := ctx.Err(); err != nil {
		return auth.SearchResult{}, err
	}
	var all []auth.Principal
	err := d.with(ctx, func(c *ldap.Conn) error {
		for _, kind := range []auth.Kind{auth.User, auth.Group} {
			if req.Kind != "" && req.Kind != kind {
				continue
			}
			list, err := d.matching(c, kind, strings.ToLower(req.Text))
			if err != nil {
				return err
			}
			all = append(all, list...)
		}
		return nil
	})
	if err != nil {
		return auth.SearchResult{}, err
	}
	slices.SortFunc(all, func(a, b auth.Principal) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(string(a.Kind), string(b.Kind)))
	})
	all = slices.CompactFunc(all, func(a, b auth.Principal) bool { return a.ID == b.ID })
	at, _ := slices.BinarySearchFunc(all, req.Page, func(p auth.Principal, after string) int {
		if p.ID <= after {
			return -1
		}
		return 1
	})
	out := auth.SearchResult{Principals: all[at:]}
	if len(out.Principals) > req.Limit {
		out.Principals = out.Principals[:req.Limit]
		out.NextPage = out.Principals[req.Limit-1].ID
	}
	return out, nil
}

// matching finds those who have a text anywhere in their name or full name.
func (d *driver) matching(c *ldap.Conn, kind auth.Kind, text string) ([]auth.Principal, error) {
	base, filter, attributes := d.config.UserBase, d.config.UserFilter, d.userAttributes()
	in := []string{d.config.NameAttribute, d.config.FullNameAttribute}
	if kind == auth.Group {
		base, filter, attributes, in = d.config.GroupBase, d.config.GroupFilter, []string{d.config.GroupNameAttribute}, []string{d.config.GroupNameAttribute}
	}
	if base == "" {
		return nil, nil
	}
	if text != "" {
		either := ""
		// The domain is no part of the attribute: "ev@lda" is the end of a name, and the begin of the domain.
		if i := strings.LastIndexByte(text, '@'); i >= 0 && strings.HasPrefix(d.config.Domain, text[i+1:]) {
			either = "(" + in[0] + "=*" + ldap.EscapeFilter(text[:i]) + ")"
		}
		for _, a := range in {
			if a != "" {
				either += "(" + a + "=*" + ldap.EscapeFilter(text) + "*)"
			}
		}
		filter = "(&" + filter + "(|" + either + "))"
	}
	list, err := d.search(c, base, ldap.ScopeWholeSubtree, filter, attributes...)
	var out []auth.Principal
	for _, e := range list {
		if f, ok := d.entry(e, kind); ok {
			out = append(out, f.principal)
		}
	}
	return out, err
}
