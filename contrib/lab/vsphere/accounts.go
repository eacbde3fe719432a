package vsphere

import (
	"strings"

	"github.com/openvic/vic/contrib/lab/authz"
	"github.com/openvic/vic/contrib/lab/sso"
)

// Account is a user who can log in.
type Account = sso.User

// subjectOf is a user as permissions know them, with all groups.
func (s *Server) subjectOf(a Account) authz.Subject {
	who := authz.Subject{Name: principal(a.Name)}
	for _, g := range s.accounts.Nested(a.Name) {
		who.Groups = append(who.Groups, principal(g))
	}
	return who
}

// principal is how vCenter spells a user or group in permissions: VSPHERE.LOCAL\name.
func principal(name string) string {
	user, domain := sso.Split(name)
	return strings.ToUpper(domain) + `\` + user
}

// known says that a principal of a permission exists; groups exist by being named.
func (s *Server) known(name string, group bool) bool {
	if group {
		return true
	}
	_, ok := s.accounts.User(name)
	return ok
}

// logsIn says whether a name and password are those of a user who may sign in.
func (s *Server) logsIn(name, password string) bool {
	_, _, ok := s.accounts.Login(name, password)
	return ok
}
