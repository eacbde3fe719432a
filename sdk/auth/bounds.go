package auth

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/internal/wire"
)

// The bounds of what crosses the wire. Texts are in bytes. Both sides enforce them.
const (
	MaxID             = 512
	MaxName           = 256 // also of FullName, Email, Description.Title, SearchRequest.Text
	MaxDomains        = 64
	MaxAdministrators = 16
	MaxGroups         = 4096 // of an identity
	MaxSavedGroups    = 64   // of a SaveRequest
	MaxPassword       = 4 << 10
	MaxToken          = 64 << 10
	MaxURL            = 8 << 10
	MaxState          = 256 // also of Nonce
	MaxSealed         = 2 << 10
	MaxSession        = 16 << 10
	MaxParameters     = 64
	MaxParameterBytes = 256 << 10 // all together
	MaxLimit          = 200
	MaxPage           = 1 << 10
	MinRefresh        = time.Minute
	MaxRefresh        = 24 * time.Hour
	maxMessage        = 8 << 20
)

// ID makes a principal's ID.
func ID(domain, name string) string { return domain + "/" + name }

// SplitID is the way back: the domain has no slash, the name may. ok is false for what is no ID.
func SplitID(id string) (domain, name string, ok bool) {
	domain, name, _ = strings.Cut(id, "/")
	return domain, name, domain != "" && name != ""
}

type check struct{ wire.Check }

func (c *check) id(field, id string) {
	c.Line(field, id, MaxID)
	_, _, ok := SplitID(id)
	c.That(ok, "%s: %q is not <domain>/<name>", field, id)
}

// ids also refuses an ID that is there twice.
func (c *check) ids(field string, ids []string, max int) {
	c.Count(field, len(ids), max)
	if c.Err() != nil {
		return
	}
	seen := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		c.id(field, id)
		_, twice := seen[id]
		c.That(!twice, "%s: %q is there twice", field, id)
		seen[id] = struct{}{}
	}
}

// address accepts what a browser may be sent to: never "javascript:" and its like.
func (c *check) address(field, s string) {
	c.Line(field, s, MaxURL)
	if c.Err() != nil {
		return
	}
	u, err := url.Parse(s)
	c.That(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "", "%s: is no address with https or http", field)
}

func (c *check) principal(p Principal) {
	c.id("id", p.ID)
	c.That(p.Kind == User || p.Kind == Group, "kind: %q is neither user nor group", p.Kind)
	c.Line("name", p.Name, MaxName)
	c.That(p.Name != "", "name: is empty")
	c.Line("full name", p.FullName, MaxName)
	c.Line("email", p.Email, MaxName)
}

func (i Identity) check() error {
	var c check
	c.principal(i.Principal)
	c.That(i.Principal.Kind == User, "principal: %q is no user", i.Principal.ID)
	c.That(!i.Principal.Disabled, "principal: %q is disabled", i.Principal.ID)
	c.ids("groups", i.Groups, MaxGroups)
	c.Time("expires", i.Expires)
	c.Size("session", len(i.Session), MaxSession)
	if i.LogoutURL != "" {
		c.address("logout URL", i.LogoutURL)
	}
	return c.Err()
}

// checkVerified checks the answer to req: about somebody else would hand a session over.
func (i Identity) checkVerified(req VerifyRequest) error {
	var c check
	c.That(i.Principal.ID == req.ID, "principal: %q was not asked for", i.Principal.ID)
	if c.Err() != nil {
		return c.Err()
	}
	return i.check()
}

func (d Description) check() error {
	var c check
	c.Line("title", d.Title, MaxName)
	c.That(d.Title != "", "title: is empty")
	c.Lines("domains", d.Domains, MaxDomains, MaxName)
	c.That(len(d.Domains) > 0, "domains: there are none")
	for _, domain := range d.Domains {
		c.That(domain != "" && !strings.Contains(domain, "/"), "domains: %q is empty or has a slash", domain)
	}
	c.ids("administrators", d.Administrators, MaxAdministrators)
	c.That(d.Refresh >= MinRefresh && d.Refresh <= MaxRefresh, "refresh: %v is not between %v and %v", d.Refresh, MinRefresh, MaxRefresh)
	return c.Err()
}

func (r PasswordRequest) check() error {
	var c check
	c.Line("name", r.Name, MaxName)
	c.Secret("password", string(r.Password), MaxPassword)
	return c.Err()
}

func (r BeginRequest) check() error {
	var c check
	c.address("callback", r.Callback)
	c.Line("state", r.State, MaxState)
	c.Line("nonce", r.Nonce, MaxState)
	c.That(r.State != "" && r.Nonce != "", "state and nonce: one is empty")
	return c.Err()
}

func (r Redirect) check() error {
	var c check
	c.address("URL", r.URL)
	c.Size("sealed", len(r.Sealed), MaxSealed)
	return c.Err()
}

func (r FinishRequest) check() error {
	var c check
	c.address("callback", r.Callback)
	c.Line("nonce", r.Nonce, MaxState)
	c.That(r.Nonce != "", "nonce: is empty")
	c.Size("sealed", len(r.Sealed), MaxSealed)
	c.Map("parameters", r.Parameters, MaxParameters, MaxName, MaxParameterBytes)
	size := 0
	for k, v := range r.Parameters {
		size += len(k) + len(v)
	}
	c.Size("parameters", size, MaxParameterBytes)
	return c.Err()
}

func (r TokenRequest) check() error {
	var c check
	c.Secret("token", string(r.Token), MaxToken)
	return c.Err()
}

func (r VerifyRequest) check() error {
	var c check
	c.id("id", r.ID)
	c.Size("session", len(r.Session), MaxSession)
	return c.Err()
}

func (r LookupRequest) check() error {
	var c check
	c.That((r.ID == "") != (r.Name == ""), "lookup: needs an ID or a name, one of the two")
	if r.ID != "" {
		c.id("id", r.ID)
	}
	c.Line("name", r.Name, MaxName)
	return c.Err()
}

// check checks the answer to req.
func (e Entry) check(req LookupRequest) error {
	var c check
	c.principal(e.Principal)
	c.That(req.ID == "" || e.Principal.ID == req.ID, "principal: %q was not asked for", e.Principal.ID)
	c.ids("groups", e.Groups, MaxGroups)
	return c.Err()
}

func (r SearchRequest) check() error {
	var c check
	c.Line("text", r.Text, MaxName)
	c.That(r.Kind == "" || r.Kind == User || r.Kind == Group, "kind: %q is neither user nor group", r.Kind)
	c.That(r.Limit >= 1 && r.Limit <= MaxLimit, "limit: %d is not between 1 and %d", r.Limit, MaxLimit)
	c.Line("page", r.Page, MaxPage)
	return c.Err()
}

// check checks the answer to req.
func (r SearchResult) check(req SearchRequest) error {
	var c check
	c.Count("principals", len(r.Principals), req.Limit)
	c.Line("next page", r.NextPage, MaxPage)
	c.That(r.NextPage == "" || r.NextPage != req.Page, "next page: is the page itself")
	if c.Err() != nil {
		return c.Err()
	}
	ids := make([]string, 0, len(r.Principals))
	for _, p := range r.Principals {
		c.principal(p)
		c.That(req.Kind == "" || p.Kind == req.Kind, "principals: %q is no %s", p.ID, req.Kind)
		ids = append(ids, p.ID)
	}
	c.ids("principals", ids, req.Limit)
	return c.Err()
}

func (r SaveRequest) check() error {
	var c check
	c.principal(r.Principal)
	c.Secret("password", string(r.Password), MaxPassword)
	c.That(r.Principal.Kind == User || r.Password == "", "password: a group has none")
	c.That(r.SetGroups || len(r.Groups) == 0, "groups: are there without SetGroups")
	c.ids("groups", r.Groups, MaxSavedGroups)
	c.That(!slices.Contains(r.Groups, r.Principal.ID), "groups: %q is in itself", r.Principal.ID)
	return c.Err()
}

func (r RemoveRequest) check() error {
	var c check
	c.id("id", r.ID)
	return c.Err()
}

// outside names the first ID that is in none of the domains.
func outside(domains []string, ids ...string) error {
	for _, id := range ids {
		if domain, _, _ := SplitID(id); !slices.Contains(domains, domain) {
			return fmt.Errorf("%q is in none of the plugin's domains %q", id, domains)
		}
	}
	return nil
}
