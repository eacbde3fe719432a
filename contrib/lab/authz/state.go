package authz

import "github.com/vmware/govmomi/vim25/types"

// State is what a Store holds beside the system's roles, for a file.
type State struct {
	Next        int32              `json:"next"`
	Roles       []SavedRole        `json:"roles"`
	Permissions []types.Permission `json:"permissions"`
}

// SavedRole is a role that someone made.
type SavedRole struct {
	ID         int32    `json:"id"`
	Name       string   `json:"name"`
	Privileges []string `json:"privileges"`
}

// State returns what is there.
func (s *Store) State() State {
	st := State{Permissions: s.Permissions(func(types.Permission) bool { return true })}
	for _, r := range s.Roles() {
		if !r.System {
			st.Roles = append(st.Roles, SavedRole{r.RoleId, r.Name, r.Privilege})
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Next = s.next
	return st
}

// Restore puts back what State returned; keep says which objects are there still.
func (s *Store) Restore(st State, keep func(Ref) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = max(s.next, st.Next)
	for _, r := range st.Roles {
		s.roles[r.ID] = newRole(r.ID, r.Name, r.Privileges)
	}
	s.permissions = map[Ref][]types.Permission{}
	for _, p := range st.Permissions {
		if p.Entity != nil && keep(*p.Entity) {
			s.permissions[*p.Entity] = append(s.permissions[*p.Entity], p)
		}
	}
}
