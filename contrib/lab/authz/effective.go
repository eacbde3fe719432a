package authz

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// Tree is the inventory as far as permissions go.
type Tree interface {
	// Parents are the objects from which an object inherits: none, one or two.
	Parents(Ref) []Ref
}

// maxDepth ends a walk up an inventory that is being changed under it.
const maxDepth = 64

// Has says that a subject has a privilege on an object.
func (s *Store) Has(t Tree, who Subject, privilege string, on Ref) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.has(t, who, privilege, on, true, maxDepth) || privilege == Anonymous || privilege == View && s.above(t, who, on)
}

func (s *Store) has(t Tree, who Subject, privilege string, on Ref, direct bool, depth int) bool {
	if depth == 0 {
		return false
	}
	if ps := s.applicable(who, on, direct); len(ps) > 0 {
		return slices.ContainsFunc(ps, func(p types.Permission) bool { return s.grants(p.RoleId, privilege) })
	}
	return slices.ContainsFunc(t.Parents(on), func(p Ref) bool { return s.has(t, who, privilege, p, false, depth-1) })
}

func (s *Store) grants(role int32, privilege string) bool {
	r, ok := s.roles[role]
	return ok && (role == RoleAdmin || slices.Contains(r.Privilege, privilege))
}

// applicable returns the permissions on one object that decide for a subject.
func (s *Store) applicable(who Subject, on Ref, direct bool) []types.Permission {
	var groups []types.Permission
	for _, p := range s.permissions[on] {
		if !direct && !p.Propagate {
			continue
		}
		if !p.Group && strings.EqualFold(p.Principal, who.Name) {
			return []types.Permission{p}
		}
		if p.Group && slices.ContainsFunc(who.Groups, func(g string) bool { return strings.EqualFold(g, p.Principal) }) {
			groups = append(groups, p)
		}
	}
	return groups
}

// above says that an object is on the way from the root to one on which the subject has a
// permission: such objects can be seen, else nobody could find the way.
func (s *Store) above(t Tree, who Subject, on Ref) bool {
	for e := range s.permissions {
		visible := slices.ContainsFunc(s.applicable(who, e, true), func(p types.Permission) bool { return s.grants(p.RoleId, View) })
		if visible && within(t, e, on, maxDepth) {
			return true
		}
	}
	return false
}

func within(t Tree, e, ancestor Ref, depth int) bool {
	return depth > 0 && slices.ContainsFunc(t.Parents(e), func(p Ref) bool { return p == ancestor || within(t, p, ancestor, depth-1) })
}

// All lists the privileges of a subject on an object.
func (s *Store) All(t Tree, who Subject, on Ref) []string {
	var l []string
	for p := range s.all {
		if s.Has(t, who, p, on) {
			l = append(l, p)
		}
	}
	slices.Sort(l)
	return l
}

// Missing is a privilege that is needed on an object.
type Missing struct {
	Privilege string
	On        Ref
}

// NoPermission is the fault for privileges that are missing; nil for none. As vCenter does, it names
// the first by the fields that old clients know, and all by object.
func NoPermission(l []Missing) types.BaseMethodFault {
	if len(l) == 0 {
		return nil
	}
	f := &types.NoPermission{Object: &Ref{Type: l[0].On.Type, Value: l[0].On.Value}, PrivilegeId: l[0].Privilege}
	for _, m := range l {
		i := slices.IndexFunc(f.MissingPrivileges, func(e types.NoPermissionEntityPrivileges) bool { return e.Entity == m.On })
		if i < 0 {
			f.MissingPrivileges = append(f.MissingPrivileges, types.NoPermissionEntityPrivileges{Entity: m.On})
			i = len(f.MissingPrivileges) - 1
		}
		f.MissingPrivileges[i].PrivilegeIds = append(f.MissingPrivileges[i].PrivilegeIds, m.Privilege)
	}
	return f
}
