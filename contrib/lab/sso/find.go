package sso

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/vmware/govmomi/ssoadmin/methods"
	"github.com/vmware/govmomi/ssoadmin/types"
)

// name is what a principal's ID means to the directory.
func name(id types.PrincipalId) string { return id.Name + "@" + strings.ToLower(id.Domain) }

func id(full string) types.PrincipalId {
	user, domain := Split(full)
	return types.PrincipalId{Name: user, Domain: domain}
}

func personUser(u User) types.AdminPersonUser {
	return types.AdminPersonUser{Id: id(u.Name), Disabled: u.Disabled, Locked: u.Locked,
		Details: types.AdminPersonDetails{FirstName: u.FirstName, LastName: u.LastName, EmailAddress: u.Email}}
}

func adminUser(u User) types.AdminUser { return types.AdminUser{Id: id(u.Name), Kind: "person"} }

func adminGroup(g Group) types.AdminGroup {
	return types.AdminGroup{Id: id(g.Name), Details: types.AdminGroupDetails{Description: g.Description}}
}

func solutionUser(s Solution) types.AdminSolutionUser {
	return types.AdminSolutionUser{Id: id(s.Name), Details: types.AdminSolutionDetails{Description: s.Description,
		Certificate: base64.StdEncoding.EncodeToString(s.Certificate)}}
}

// found are those of a list that match, at most limit, in the form of the API.
func found[T, R any](all []T, limit int32, match func(T) bool, to func(T) R) (l []R) {
	for _, v := range all {
		if int32(len(l)) < limit && match(v) {
			l = append(l, to(v))
		}
	}
	return l
}

// asked says whether a user is one of a search.
func asked(search, domain string) func(User) bool {
	return func(u User) bool {
		user, d := Split(u.Name)
		return (domain == "" || strings.EqualFold(domain, d)) && matches(search, user, u.FirstName, u.LastName)
	}
}

func findPersonUser(c *caller, req *types.FindPersonUser) (any, *fault) {
	res := &types.FindPersonUserResponse{}
	if u, ok := c.server.cfg.Directory.User(name(req.UserId)); ok {
		p := personUser(u)
		res.Returnval = &p
	}
	return &methods.FindPersonUserBody{Res: res}, nil
}

func findPersonUsers(c *caller, req *types.FindPersonUsers) (any, *fault) {
	match := asked(req.Criteria.SearchString, req.Criteria.Domain)
	return &methods.FindPersonUsersBody{Res: &types.FindPersonUsersResponse{
		Returnval: found(c.server.cfg.Directory.Users(), req.Limit, match, personUser)}}, nil
}

func findUser(c *caller, req *types.FindUser) (any, *fault) {
	res := &types.FindUserResponse{}
	if u, ok := c.server.cfg.Directory.User(name(req.UserId)); ok {
		a := adminUser(u)
		res.Returnval = &a
	}
	return &methods.FindUserBody{Res: res}, nil
}

func findSolutionUser(c *caller, req *types.FindSolutionUser) (any, *fault) {
	res := &types.FindSolutionUserResponse{}
	for _, s := range c.server.cfg.Directory.Solutions() {
		if key(s.Name) == key(req.UserName) {
			u := solutionUser(s)
			res.Returnval = &u
		}
	}
	return &methods.FindSolutionUserBody{Res: res}, nil
}

func findSolutionUsers(c *caller, req *types.FindSolutionUsers) (any, *fault) {
	match := func(s Solution) bool { return matches(req.SearchString, s.Name) }
	return &methods.FindSolutionUsersBody{Res: &types.FindSolutionUsersResponse{
		Returnval: found(c.server.cfg.Directory.Solutions(), req.Limit, match, solutionUser)}}, nil
}

func findGroup(c *caller, req *types.FindGroup) (any, *fault) {
	res := &types.FindGroupResponse{}
	if g, ok := c.server.cfg.Directory.Group(name(req.GroupId)); ok {
		a := adminGroup(g)
		res.Returnval = &a
	}
	return &methods.FindGroupBody{Res: res}, nil
}

func findGroups(c *caller, req *types.FindGroups) (any, *fault) {
	match := func(g Group) bool {
		return (req.Criteria.Domain == "" || strings.EqualFold(req.Criteria.Domain, Domain)) && matches(req.Criteria.SearchString, g.Name)
	}
	return &methods.FindGroupsBody{Res: &types.FindGroupsResponse{
		Returnval: found(c.server.cfg.Directory.Groups(), req.Limit, match, adminGroup)}}, nil
}

// members are the users who are directly in a group and match a search; a fault if there is no such group.
func members[R any](c *caller, group types.PrincipalId, search string, limit int32, to func(User) R) ([]R, *fault) {
	g, ok := c.server.cfg.Directory.Group(name(group))
	if !ok {
		return nil, invalidPrincipal(group)
	}
	match := asked(search, "")
	return found(c.server.cfg.Directory.Users(), limit, func(u User) bool { return slices.Contains(u.Groups, g.Name) && match(u) }, to), nil
}

func findPersonUsersInGroup(c *caller, req *types.FindPersonUsersInGroup) (any, *fault) {
	l, f := members(c, req.GroupId, req.SearchString, req.Limit, personUser)
	return &methods.FindPersonUsersInGroupBody{Res: &types.FindPersonUsersInGroupResponse{Returnval: l}}, f
}

func findUsersInGroup(c *caller, req *types.FindUsersInGroup) (any, *fault) {
	l, f := members(c, req.GroupId, req.SearchString, req.Limit, adminUser)
	return &methods.FindUsersInGroupBody{Res: &types.FindUsersInGroupResponse{Returnval: l}}, f
}

func findGroupsInGroup(c *caller, req *types.FindGroupsInGroup) (any, *fault) {
	g, ok := c.server.cfg.Directory.Group(name(req.GroupId))
	if !ok {
		return nil, invalidPrincipal(req.GroupId)
	}
	match := func(o Group) bool { return slices.Contains(o.Groups, g.Name) && matches(req.SearchString, o.Name) }
	return &methods.FindGroupsInGroupBody{Res: &types.FindGroupsInGroupResponse{
		Returnval: found(c.server.cfg.Directory.Groups(), req.Limit, match, adminGroup)}}, nil
}

func invalidPrincipal(p types.PrincipalId) *fault {
	return &fault{"SsoAdminFaultInvalidPrincipalFault", "Principal " + p.Name + "@" + p.Domain + " is not found."}
}

// parentGroups are those of a user or group, nested ones too if all is set.
func parentGroups(c *caller, p types.PrincipalId, all bool) ([]Group, *fault) {
	d := c.server.cfg.Directory
	u, user := d.User(name(p))
	g, group := d.Group(name(p))
	if !user && !group {
		return nil, invalidPrincipal(p)
	}
	names := u.Groups
	if group {
		names = g.Groups
	}
	if all {
		names = d.Nested(name(p))
	}
	var l []Group
	for _, n := range names {
		if g, ok := d.Group(n); ok {
			l = append(l, g)
		}
	}
	return l, nil
}

func findDirectParentGroups(c *caller, req *types.FindDirectParentGroups) (any, *fault) {
	l, f := parentGroups(c, req.PrincipalId, false)
	return &methods.FindDirectParentGroupsBody{Res: &types.FindDirectParentGroupsResponse{Returnval: all(l, adminGroup)}}, f
}

func findNestedParentGroups(c *caller, req *types.FindNestedParentGroups) (any, *fault) {
	l, f := parentGroups(c, req.UserId, true)
	return &methods.FindNestedParentGroupsBody{Res: &types.FindNestedParentGroupsResponse{Returnval: all(l, adminGroup)}}, f
}

func findAllParentGroups(c *caller, req *types.FindAllParentGroups) (any, *fault) {
	l, f := parentGroups(c, req.UserId, true)
	return &methods.FindAllParentGroupsBody{Res: &types.FindAllParentGroupsResponse{
		Returnval: all(l, func(g Group) types.PrincipalId { return id(g.Name) })}}, f
}

func all[T, R any](from []T, to func(T) R) (l []R) {
	for _, v := range from {
		l = append(l, to(v))
	}
	return l
}

func getTrustedCertificates(c *caller, _ *types.GetTrustedCertificates) (any, *fault) {
	res := &types.GetTrustedCertificatesResponse{}
	for _, cert := range c.server.keys().trusted {
		res.Returnval = append(res.Returnval, base64.StdEncoding.EncodeToString(cert.Raw))
	}
	return &methods.GetTrustedCertificatesBody{Res: res}, nil
}

func getDefaultDomains(*caller, *types.GetDefaultDomains) (any, *fault) {
	return &methods.GetDefaultDomainsBody{Res: &types.GetDefaultDomainsResponse{Returnval: []string{Domain}}}, nil
}
