package vsphere

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/authz"
	"github.com/openvic/vic/contrib/lab/sso"
)

// accessFile is what is kept of users, roles and permissions.
type accessFile struct {
	sso.State
	Authz authz.State `json:"authz"`
}

func (s *Server) accessPath() string { return filepath.Join(s.cfg.Dir, "state", "access.json") }

// openAccess makes the roles and brings back what was saved. The inventory is there already.
func (s *Server) openAccess() error {
	m, ok := s.reg.Get(*s.content.AuthorizationManager).(*simulator.AuthorizationManager)
	if !ok {
		return errors.New("the simulator has no authorization manager")
	}
	s.authz = authz.NewStore(m.RoleList)
	s.accounts = sso.NewDirectory(s.cfg.User, s.cfg.Password, s.saveAccess)
	b, err := os.ReadFile(s.accessPath())
	if err == nil {
		var f accessFile
		if err := json.Unmarshal(b, &f); err != nil {
			return fmt.Errorf("%s: %w", s.accessPath(), err)
		}
		s.accounts.Restore(f.State)
		s.authz.Restore(f.Authz, func(ref authz.Ref) bool { return s.reg.Get(ref) != nil })
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if f := s.authz.SetPermissions(s.Root(), []types.Permission{{Principal: principal(s.cfg.User), RoleId: authz.RoleAdmin, Propagate: true}}); f != nil {
		return fmt.Errorf("the administrator's role: %T", f)
	}
	m.RoleList = s.authz.Roles()
	return nil
}

// saveAccess writes the file after each change: they are few.
func (s *Server) saveAccess() error {
	s.accessMu.Lock()
	defer s.accessMu.Unlock()
	b, err := json.MarshalIndent(accessFile{State: s.accounts.State(), Authz: s.authz.State()}, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.accessPath()), 0o700); err != nil {
		return err
	}
	tmp := s.accessPath() + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, s.accessPath())
}

// Directory is who there is: users, groups, solution users. errStandalone for a host that no vCenter manages.
func (s *Server) Directory() (*sso.Directory, error) {
	if s.cfg.ESX {
		return nil, errStandalone
	}
	return s.accounts, nil
}

// SSO is vCenter Single Sign-On; errStandalone for a host that no vCenter manages.
func (s *Server) SSO() (*sso.Server, error) {
	if s.cfg.ESX {
		return nil, errStandalone
	}
	return s.sso, nil
}

var errStandalone = errors.New("the lab's stand-alone host has its administrator alone")

// AddUser makes an account. It can do nothing, not even log in to vCenter, before it has a permission.
func (s *Server) AddUser(name, password string, groups []string) error {
	d, err := s.Directory()
	if err != nil {
		return err
	}
	return d.AddUser(sso.User{Name: name, Groups: groups}, password)
}

// serveSSO puts Single Sign-On beside vCenter's API.
func (s *Server) serveSSO() (err error) {
	if s.cfg.ESX {
		return nil
	}
	cfg := sso.Config{Directory: s.accounts, Dir: filepath.Join(s.cfg.Dir, "tls"), Key: s.cfg.SSOKey, Log: s.cfg.Log}
	if s.cfg.TLS != nil && len(s.cfg.TLS.Certificates) > 0 {
		cfg.TLS = s.cfg.TLS.Certificates[0].Certificate[0]
	}
	if s.sso, err = sso.New(cfg); err == nil {
		s.sso.Mount(s.service.ServeMux)
	}
	return err
}

// labAuthz is the authorization manager: the simulator's keeps roles and permissions, but answers
// every question with yes.
type labAuthz struct {
	*simulator.AuthorizationManager
	base
}

// changed saves, and shows the roles as they are now.
func (m *labAuthz) changed(ctx *simulator.Context, f types.BaseMethodFault) *soap.Fault {
	if f != nil {
		return simulator.Fault("", f)
	}
	ctx.Update(m.AuthorizationManager, []types.PropertyChange{{Name: "roleList", Val: m.lab.authz.Roles()}})
	if err := m.lab.saveAccess(); err != nil {
		m.lab.cfg.Log.Error("permissions are not saved", "err", err)
	}
	return nil
}

// AddAuthorizationRole makes a role.
func (m *labAuthz) AddAuthorizationRole(ctx *simulator.Context, req *types.AddAuthorizationRole) soap.HasFault {
	id, f := m.lab.authz.AddRole(req.Name, req.PrivIds)
	b := &methods.AddAuthorizationRoleBody{Fault_: m.changed(ctx, f)}
	if f == nil {
		b.Res = &types.AddAuthorizationRoleResponse{Returnval: id}
	}
	return b
}

// UpdateAuthorizationRole changes a role.
func (m *labAuthz) UpdateAuthorizationRole(ctx *simulator.Context, req *types.UpdateAuthorizationRole) soap.HasFault {
	b := &methods.UpdateAuthorizationRoleBody{Fault_: m.changed(ctx, m.lab.authz.UpdateRole(req.RoleId, req.NewName, req.PrivIds))}
	if b.Fault_ == nil {
		b.Res = &types.UpdateAuthorizationRoleResponse{}
	}
	return b
}

// RemoveAuthorizationRole removes a role.
func (m *labAuthz) RemoveAuthorizationRole(ctx *simulator.Context, req *types.RemoveAuthorizationRole) soap.HasFault {
	b := &methods.RemoveAuthorizationRoleBody{Fault_: m.changed(ctx, m.lab.authz.RemoveRole(req.RoleId, req.FailIfUsed))}
	if b.Fault_ == nil {
		b.Res = &types.RemoveAuthorizationRoleResponse{}
	}
	return b
}

// MergePermissions moves permissions to another role.
func (m *labAuthz) MergePermissions(ctx *simulator.Context, req *types.MergePermissions) soap.HasFault {
	b := &methods.MergePermissionsBody{Fault_: m.changed(ctx, m.lab.authz.MergePermissions(req.SrcRoleId, req.DstRoleId))}
	if b.Fault_ == nil {
		b.Res = &types.MergePermissionsResponse{}
	}
	return b
}

// principals brings names into the spelling of permissions; one that is nobody's is a fault.
func (m *labAuthz) principals(ps []types.Permission) ([]types.Permission, types.BaseMethodFault) {
	var l []types.Permission
	for _, p := range ps {
		if !m.lab.known(p.Principal, p.Group) {
			return nil, &types.UserNotFound{Principal: p.Principal}
		}
		p.Principal = principal(p.Principal)
		l = append(l, p)
	}
	return l, nil
}

func (m *labAuthz) entity(ref authz.Ref) types.BaseMethodFault {
	if m.lab.reg.Get(ref) == nil {
		return &types.ManagedObjectNotFound{Obj: ref}
	}
	return nil
}

// SetEntityPermissions adds permissions to an object's.
func (m *labAuthz) SetEntityPermissions(ctx *simulator.Context, req *types.SetEntityPermissions) soap.HasFault {
	l, f := m.principals(req.Permission)
	if f == nil {
		f = m.entity(req.Entity)
	}
	if f == nil {
		f = m.lab.authz.SetPermissions(req.Entity, l)
	}
	b := &methods.SetEntityPermissionsBody{Fault_: m.changed(ctx, f)}
	if f == nil {
		b.Res = &types.SetEntityPermissionsResponse{}
	}
	return b
}

// ResetEntityPermissions replaces an object's permissions.
func (m *labAuthz) ResetEntityPermissions(ctx *simulator.Context, req *types.ResetEntityPermissions) soap.HasFault {
	l, f := m.principals(req.Permission)
	if f == nil {
		f = m.entity(req.Entity)
	}
	if f == nil {
		f = m.lab.authz.ResetPermissions(req.Entity, l)
	}
	b := &methods.ResetEntityPermissionsBody{Fault_: m.changed(ctx, f)}
	if f == nil {
		b.Res = &types.ResetEntityPermissionsResponse{}
	}
	return b
}

// RemoveEntityPermission removes one of an object's permissions.
func (m *labAuthz) RemoveEntityPermission(ctx *simulator.Context, req *types.RemoveEntityPermission) soap.HasFault {
	f := m.lab.authz.RemovePermission(req.Entity, principal(req.User), req.IsGroup)
	b := &methods.RemoveEntityPermissionBody{Fault_: m.changed(ctx, f)}
	if f == nil {
		b.Res = &types.RemoveEntityPermissionResponse{}
	}
	return b
}

// RetrieveEntityPermissions lists an object's permissions, and those that reach it from above.
func (m *labAuthz) RetrieveEntityPermissions(_ *simulator.Context, req *types.RetrieveEntityPermissions) soap.HasFault {
	l := m.lab.authz.On(req.Entity)
	if req.Inherited {
		seen := map[authz.Ref]bool{req.Entity: true}
		for above := m.lab.Parents(req.Entity); len(above) > 0; above = above[1:] {
			if p := above[0]; !seen[p] {
				seen[p] = true
				above = append(above, m.lab.Parents(p)...)
				for _, perm := range m.lab.authz.On(p) {
					if perm.Propagate {
						l = append(l, perm)
					}
				}
			}
		}
	}
	return &methods.RetrieveEntityPermissionsBody{Res: &types.RetrieveEntityPermissionsResponse{Returnval: l}}
}

// RetrieveAllPermissions lists all permissions.
func (m *labAuthz) RetrieveAllPermissions(_ *simulator.Context, _ *types.RetrieveAllPermissions) soap.HasFault {
	return &methods.RetrieveAllPermissionsBody{Res: &types.RetrieveAllPermissionsResponse{
		Returnval: m.lab.authz.Permissions(func(types.Permission) bool { return true })}}
}

// RetrieveRolePermissions lists the permissions that use a role.
func (m *labAuthz) RetrieveRolePermissions(_ *simulator.Context, req *types.RetrieveRolePermissions) soap.HasFault {
	return &methods.RetrieveRolePermissionsBody{Res: &types.RetrieveRolePermissionsResponse{
		Returnval: m.lab.authz.Permissions(func(p types.Permission) bool { return p.RoleId == req.RoleId })}}
}
