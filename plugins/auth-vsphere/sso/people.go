package sso

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/ssoadmin"
	"github.com/vmware/govmomi/ssoadmin/methods"
	"github.com/vmware/govmomi/ssoadmin/types"
	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25/soap"
	vim "github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/errdef"
)

// serviceContent asks where the parts of the administration are.
func serviceContent(ctx context.Context, admin *ssoadmin.Client) error {
	res, err := methods.SsoAdminServiceInstance(ctx, admin, &types.SsoAdminServiceInstance{This: ssoadmin.ServiceInstance})
	if err != nil {
		return err
	}
	admin.ServiceContent = res.Returnval
	check, err := methods.SsoGroupcheckServiceInstance(ctx, admin, &types.SsoGroupcheckServiceInstance{
		This: vim.ManagedObjectReference{Type: "SsoGroupcheckServiceInstance", Value: "ServiceInstance"}})
	if err != nil {
		return err
	}
	admin.GroupCheck = check.Returnval
	return nil
}

func isFailedAuthentication(f *soap.Fault) bool {
	return strings.HasSuffix(f.Code, ":FailedAuthentication")
}

// Password asks for a token with a user's name and password, user@domain, checks it, and returns the name as the service
// spells it. errdef.ErrDenied: they are wrong, or the user may not sign in; errdef.ErrConflict: the password has expired;
// errdef.ErrUnavailable: it could not be found out.
func (c *Client) Password(ctx context.Context, name, password string) (string, error) {
	signer, err := c.sts.Issue(ctx, sts.TokenRequest{Userinfo: url.UserPassword(name, password)})
	f, is := faultOf(err)
	switch {
	case is && isFailedAuthentication(f) && strings.Contains(f.String, "assword") && strings.Contains(f.String, "expired"):
		return "", fmt.Errorf("the password has expired: change it in vCenter first: %w", errdef.ErrConflict)
	case is && isFailedAuthentication(f):
		return "", fmt.Errorf("%s: %w", printable(f.String), errdef.ErrDenied)
	case err != nil:
		return "", unavailable(ctx, "ask for a token", err)
	}
	trusted, err := c.trusted(ctx, false)
	if err != nil {
		return "", err
	}
	user, err := check(signer.Token, trusted, c.o.Now())
	if errors.Is(err, errUntrusted) { // its key may be new
		if trusted, err = c.trusted(ctx, true); err != nil {
			return "", err
		}
		user, err = check(signer.Token, trusted, c.o.Now())
	}
	if err != nil { // no fault of the user's
		return "", fmt.Errorf("the token that vCenter Single Sign-On issued is refused: %w: %w", err, errdef.ErrUnavailable)
	}
	return user, nil
}

// trusted are the certificates that tokens are signed with; if renew is set, those of now, but they are asked for only so
// often.
func (c *Client) trusted(ctx context.Context, renew bool) ([]*x509.Certificate, error) {
	c.keys.mu.Lock()
	known := c.keys.trusted
	if len(known) > 0 && (!renew || c.o.Now().Sub(c.keys.asked) < c.keys.every) {
		c.keys.mu.Unlock()
		return known, nil
	}
	c.keys.asked = c.o.Now()
	c.keys.mu.Unlock()
	var texts []string
	err := c.do(ctx, "ask for its certificates", func(a *ssoadmin.Client) (err error) {
		texts, err = a.GetTrustedCertificates(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, text := range texts {
		if cert, err := certificate(text); err == nil { // others may be there that nothing here is signed with
			all = append(all, cert)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("vCenter Single Sign-On names no certificate that its tokens are signed with: %w", errdef.ErrUnavailable)
	}
	c.keys.mu.Lock()
	defer c.keys.mu.Unlock()
	c.keys.trusted = all
	return all, nil
}

// certificate reads base64 of DER, or PEM.
func certificate(text string) (*x509.Certificate, error) {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return x509.ParseCertificate(block.Bytes)
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Person is a user.
type Person struct {
	Name, Domain    string
	FullName, Email string
	Disabled        bool
}

// Group is a group.
type Group struct{ Name, Domain, Description string }

func person(u types.AdminPersonUser) Person {
	return Person{Name: u.Id.Name, Domain: u.Id.Domain, FullName: strings.TrimSpace(u.Details.FirstName + " " + u.Details.LastName),
		Email: u.Details.EmailAddress, Disabled: u.Disabled}
}

func group(g types.AdminGroup) Group {
	return Group{Name: g.Id.Name, Domain: g.Id.Domain, Description: g.Details.Description}
}

// Person finds a user. errdef.ErrNotFound.
func (c *Client) Person(ctx context.Context, name, domain string) (Person, error) {
	var u *types.AdminPersonUser
	err := c.do(ctx, "find a user", func(a *ssoadmin.Client) (err error) {
		u, err = a.FindPersonUser(ctx, name+"@"+domain)
		return err
	})
	if err == nil && u == nil {
		err = fmt.Errorf("user %s@%s: %w", name, domain, errdef.ErrNotFound)
	}
	if err != nil {
		return Person{}, err
	}
	return person(*u), nil
}

// Group finds a group. errdef.ErrNotFound.
func (c *Client) Group(ctx context.Context, name, domain string) (Group, error) {
	var g *types.AdminGroup
	err := c.do(ctx, "find a group", func(a *ssoadmin.Client) (err error) {
		g, err = a.FindGroup(ctx, name+"@"+domain)
		return err
	})
	if err == nil && g == nil {
		err = fmt.Errorf("group %s@%s: %w", name, domain, errdef.ErrNotFound)
	}
	if err != nil {
		return Group{}, err
	}
	return group(*g), nil
}

// GroupsOf lists all groups that a user is in, nested ones too.
func (c *Client) GroupsOf(ctx context.Context, name, domain string) ([]Group, error) {
	var ids []types.PrincipalId
	err := c.do(ctx, "find a user's groups", func(a *ssoadmin.Client) (err error) {
		ids, err = a.FindParentGroups(ctx, types.PrincipalId{Name: name, Domain: domain})
		return err
	})
	var all []Group
	for _, id := range ids {
		all = append(all, Group{Name: id.Name, Domain: id.Domain})
	}
	return all, err
}

// maxDepth bounds the way up from a group.
const maxDepth = 32

// GroupsAround lists all groups that a group is in, nested ones too.
func (c *Client) GroupsAround(ctx context.Context, name, domain string) ([]Group, error) {
	seen := map[types.PrincipalId]bool{}
	var all []Group
	err := c.do(ctx, "find the groups that a group is in", func(a *ssoadmin.Client) error {
		all = nil
		clear(seen)
		next := []types.PrincipalId{{Name: name, Domain: domain}}
		for depth := 0; len(next) > 0 && depth < maxDepth; depth++ {
			var above []types.PrincipalId
			for _, id := range next {
				res, err := methods.FindDirectParentGroups(ctx, a, &types.FindDirectParentGroups{This: a.ServiceContent.PrincipalDiscoveryService, PrincipalId: id})
				if err != nil {
					return err
				}
				for _, g := range res.Returnval {
					if !seen[g.Id] && len(seen) < maxFound {
						seen[g.Id] = true
						all = append(all, group(g))
						above = append(above, g.Id)
					}
				}
			}
			next = above
		}
		return nil
	})
	return all, err
}

// Persons finds users of a domain whose name or full name has a text in it, at most maxFound.
func (c *Client) Persons(ctx context.Context, domain, text string) (all []Person, err error) {
	err = c.do(ctx, "search for users", func(a *ssoadmin.Client) error {
		res, err := methods.FindPersonUsers(ctx, a, &types.FindPersonUsers{This: a.ServiceContent.PrincipalDiscoveryService, Limit: maxFound,
			Criteria: types.AdminPrincipalDiscoveryServiceSearchCriteria{Domain: domain, SearchString: text}})
		if err != nil {
			return err
		}
		all = nil
		for _, u := range res.Returnval[:min(len(res.Returnval), maxFound)] {
			all = append(all, person(u))
		}
		return nil
	})
	return all, err
}

// Groups finds groups of a domain whose name has a text in it, at most maxFound.
func (c *Client) Groups(ctx context.Context, domain, text string) (all []Group, err error) {
	err = c.do(ctx, "search for groups", func(a *ssoadmin.Client) error {
		res, err := methods.FindGroups(ctx, a, &types.FindGroups{This: a.ServiceContent.PrincipalDiscoveryService, Limit: maxFound,
			Criteria: types.AdminPrincipalDiscoveryServiceSearchCriteria{Domain: domain, SearchString: text}})
		if err != nil {
			return err
		}
		all = nil
		for _, g := range res.Returnval[:min(len(res.Returnval), maxFound)] {
			all = append(all, group(g))
		}
		return nil
	})
	return all, err
}
