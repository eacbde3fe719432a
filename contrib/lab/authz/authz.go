// Package authz is vSphere's authorization, as the lab enforces it: roles, permissions on the objects
// of the inventory, what follows from them for a user on an object, and which privileges each method of
// the API asks for. It knows the rules alone; package vsphere applies them to calls.
//
// The rules are those of the vSphere Security guide ("Hierarchical Inheritance of Permissions",
// "Multiple Permission Settings"):
//   - of the permissions on the way from an object to the root, the nearest one that is for the user
//     or for one of the user's groups decides; above the object itself only those that propagate count;
//   - where the user and a group have a permission on the same object, the user's decides; several
//     groups add up;
//   - an object with two parents (a VM in a folder and in a pool) has what either way gives.
package authz

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25/types"
)

// The privileges that all roles have; and the roles of the system, which cannot be changed.
const (
	Anonymous = "System.Anonymous"
	View      = "System.View"
	Read      = "System.Read"

	RoleAdmin    int32 = -1
	RoleReadOnly int32 = -2
	RoleNoAccess int32 = -5
)

// Ref is short for a reference.
type Ref = types.ManagedObjectReference

// Subject is who calls: a user and the groups that the user is in.
type Subject struct {
	Name   string
	Groups []string
}

// Store holds roles and permissions. Its methods may be called concurrently.
type Store struct {
	mu          sync.RWMutex
	roles       map[int32]types.AuthorizationRole
	next        int32
	all         map[string]bool // the privileges that there are
	permissions map[Ref][]types.Permission
}

// NewStore takes the system's roles; the role Admin says which privileges there are.
func NewStore(system []types.AuthorizationRole) *Store {
	s := &Store{roles: map[int32]types.AuthorizationRole{}, all: map[string]bool{}, permissions: map[Ref][]types.Permission{}, next: 1000}
	for _, r := range system {
		s.roles[r.RoleId] = r
		if r.RoleId == RoleAdmin {
			for _, p := range r.Privilege {
				s.all[p] = true
			}
		}
	}
	return s
}

// Known says that there is such a privilege.
func (s *Store) Known(privilege string) bool { return s.all[privilege] }

// Roles lists all roles by number.
func (s *Store) Roles() []types.AuthorizationRole {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var l []types.AuthorizationRole
	for _, r := range s.roles {
		l = append(l, r)
	}
	sort.Slice(l, func(i, j int) bool { return l[i].RoleId < l[j].RoleId })
	return l
}

// privileges completes and checks a role's privileges.
func (s *Store) privileges(ids []string) ([]string, types.BaseMethodFault) {
	l := append([]string{Anonymous, Read, View}, ids...)
	for _, id := range l {
		if !s.all[id] {
			return nil, &types.InvalidArgument{InvalidProperty: "privIds"}
		}
	}
	slices.Sort(l)
	return slices.Compact(l), nil
}

func (s *Store) named(name string) (int32, bool) {
	for id, r := range s.roles {
		if r.Name == name {
			return id, true
		}
	}
	return 0, false
}

// AddRole makes a role and returns its number.
func (s *Store) AddRole(name string, ids []string) (int32, types.BaseMethodFault) {
	l, f := s.privileges(ids)
	if f != nil {
		return 0, f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "" {
		return 0, &types.InvalidName{}
	}
	if _, ok := s.named(name); ok {
		return 0, &types.AlreadyExists{Name: name}
	}
	s.next++
	s.roles[s.next] = newRole(s.next, name, l)
	return s.next, nil
}

func newRole(id int32, name string, privileges []string) types.AuthorizationRole {
	return types.AuthorizationRole{RoleId: id, Name: name, Info: &types.Description{Label: name, Summary: name}, Privilege: privileges}
}

// role returns a role that may be changed.
func (s *Store) role(id int32) (types.AuthorizationRole, types.BaseMethodFault) {
	r, ok := s.roles[id]
	switch {
	case !ok:
		return r, &types.NotFound{}
	case r.System:
		return r, &types.InvalidArgument{InvalidProperty: "roleId"}
	}
	return r, nil
}

// UpdateRole gives a role a new name and new privileges.
func (s *Store) UpdateRole(id int32, name string, ids []string) types.BaseMethodFault {
	l, f := s.privileges(ids)
	if f != nil {
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, f := s.role(id); f != nil {
		return f
	}
	if other, ok := s.named(name); ok && other != id {
		return &types.AlreadyExists{Name: name}
	}
	s.roles[id] = newRole(id, name, l)
	return nil
}

// RemoveRole removes a role; one that is in use only if its permissions may go too.
func (s *Store) RemoveRole(id int32, failIfUsed bool) types.BaseMethodFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, f := s.role(id); f != nil {
		return f
	}
	uses := func(p types.Permission) bool { return p.RoleId == id }
	for e, l := range s.permissions {
		if slices.ContainsFunc(l, uses) && failIfUsed {
			return &types.ResourceInUse{Type: "AuthorizationRole", Name: s.roles[id].Name}
		}
		s.permissions[e] = slices.DeleteFunc(slices.Clone(l), uses)
	}
	delete(s.roles, id)
	return nil
}

// MergePermissions moves the permissions of one role to another.
func (s *Store) MergePermissions(from, to int32) types.BaseMethodFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.roles[to]; !ok {
		return &types.NotFound{}
	}
	if _, ok := s.roles[from]; !ok {
		return &types.NotFound{}
	}
	for _, l := range s.permissions {
		for i := range l {
			if l[i].RoleId == from {
				l[i].RoleId = to
			}
		}
	}
	return nil
}

func same(a, b types.Permission) bool {
	return a.Group == b.Group && strings.EqualFold(a.Principal, b.Principal)
}

// SetPermissions defines permissions on an object, replacing those for the same users and groups.
func (s *Store) SetPermissions(entity Ref, ps []types.Permission) types.BaseMethodFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range ps {
		if _, ok := s.roles[p.RoleId]; !ok {
			return &types.NotFound{}
		}
	}
	for _, p := range ps {
		p.Entity = &Ref{Type: entity.Type, Value: entity.Value}
		l := slices.DeleteFunc(slices.Clone(s.permissions[entity]), func(o types.Permission) bool { return same(o, p) })
		s.permissions[entity] = append(l, p)
	}
	return nil
}

// ResetPermissions replaces all permissions on an object.
func (s *Store) ResetPermissions(entity Ref, ps []types.Permission) types.BaseMethodFault {
	s.mu.Lock()
	old := s.permissions[entity]
	delete(s.permissions, entity)
	s.mu.Unlock()
	f := s.SetPermissions(entity, ps)
	if f != nil {
		s.mu.Lock()
		s.permissions[entity] = old
		s.mu.Unlock()
	}
	return f
}

// RemovePermission removes a user's or a group's permission on an object.
func (s *Store) RemovePermission(entity Ref, principal string, group bool) types.BaseMethodFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := func(p types.Permission) bool { return same(p, types.Permission{Principal: principal, Group: group}) }
	if !slices.ContainsFunc(s.permissions[entity], is) {
		return &types.NotFound{}
	}
	s.permissions[entity] = slices.DeleteFunc(slices.Clone(s.permissions[entity]), is)
	return nil
}

// Forget removes the permissions on an object that is gone. It reports whether there were any.
func (s *Store) Forget(entity Ref) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.permissions[entity])
	delete(s.permissions, entity)
	return n > 0
}

// Permissions lists the permissions that keep accepts, by object.
func (s *Store) Permissions(keep func(types.Permission) bool) []types.Permission {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var l []types.Permission
	for _, ps := range s.permissions {
		for _, p := range ps {
			if keep(p) {
				l = append(l, p)
			}
		}
	}
	sort.Slice(l, func(i, j int) bool {
		if *l[i].Entity != *l[j].Entity {
			return l[i].Entity.String() < l[j].Entity.String()
		}
		return l[i].Principal < l[j].Principal
	})
	return l
}

// On lists the permissions that are defined on an object.
func (s *Store) On(entity Ref) []types.Permission {
	return s.Permissions(func(p types.Permission) bool { return *p.Entity == entity })
}
