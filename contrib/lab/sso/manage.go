package sso

import (
	"encoding/base64"
	"errors"

	"github.com/vmware/govmomi/ssoadmin/methods"
	"github.com/vmware/govmomi/ssoadmin/types"
)

// failed is the fault of an error of the directory.
func failed(err error) *fault {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoUser), errors.Is(err, ErrNoGroup):
		return &fault{"SsoAdminFaultInvalidPrincipalFault", err.Error()}
	case errors.Is(err, ErrExists):
		return &fault{"SsoAdminFaultDuplicateSolutionCertificateFault", err.Error()}
	}
	return &fault{"SsoFaultInvalidArgument", err.Error()}
}

func createPersonUser(c *caller, req *types.CreateLocalPersonUser) (any, *fault) {
	u := User{Name: req.UserName, FirstName: req.UserDetails.FirstName, LastName: req.UserDetails.LastName, Email: req.UserDetails.EmailAddress}
	err := c.server.cfg.Directory.AddUser(u, req.Password)
	return &methods.CreateLocalPersonUserBody{Res: &types.CreateLocalPersonUserResponse{}}, failed(err)
}

func resetPassword(c *caller, req *types.ResetLocalPersonUserPassword) (any, *fault) {
	err := c.server.cfg.Directory.ChangeUser(req.UserName, UserChange{Password: &req.NewPassword})
	return &methods.ResetLocalPersonUserPasswordBody{Res: &types.ResetLocalPersonUserPasswordResponse{}}, failed(err)
}

func createGroup(c *caller, req *types.CreateLocalGroup) (any, *fault) {
	err := c.server.cfg.Directory.AddGroup(Group{Name: req.GroupName, Description: req.GroupDetails.Description})
	return &methods.CreateLocalGroupBody{Res: &types.CreateLocalGroupResponse{}}, failed(err)
}

// each does something with each of the principals of a request.
func each(ids []types.PrincipalId, f func(name string) error) (done []bool, err error) {
	for _, p := range ids {
		if err = f(name(p)); err != nil {
			return done, err
		}
		done = append(done, true)
	}
	return done, nil
}

func addUsers(c *caller, req *types.AddUsersToLocalGroup) (any, *fault) {
	done, err := each(req.UserIds, func(n string) error { return c.server.cfg.Directory.Join(req.GroupName, n) })
	return &methods.AddUsersToLocalGroupBody{Res: &types.AddUsersToLocalGroupResponse{Returnval: done}}, failed(err)
}

func addGroups(c *caller, req *types.AddGroupsToLocalGroup) (any, *fault) {
	done, err := each(req.GroupIds, func(n string) error { return c.server.cfg.Directory.Join(req.GroupName, n) })
	return &methods.AddGroupsToLocalGroupBody{Res: &types.AddGroupsToLocalGroupResponse{Returnval: done}}, failed(err)
}

func removeFromGroup(c *caller, req *types.RemovePrincipalsFromLocalGroup) (any, *fault) {
	done, err := each(req.PrincipalsIds, func(n string) error { return c.server.cfg.Directory.Leave(req.GroupName, n) })
	return &methods.RemovePrincipalsFromLocalGroupBody{Res: &types.RemovePrincipalsFromLocalGroupResponse{Returnval: done}}, failed(err)
}

func createSolutionUser(c *caller, req *types.CreateLocalSolutionUser) (any, *fault) {
	der, err := base64.StdEncoding.DecodeString(req.UserDetails.Certificate)
	if err == nil {
		err = c.server.cfg.Directory.AddSolution(Solution{Name: req.UserName, Description: req.UserDetails.Description, Certificate: der})
	}
	return &methods.CreateLocalSolutionUserBody{Res: &types.CreateLocalSolutionUserResponse{}}, failed(err)
}

func updateSolutionUser(c *caller, req *types.UpdateLocalSolutionUserDetails) (any, *fault) {
	cert, err := parseCertificate(req.UserDetails.Certificate)
	if err == nil {
		err = c.server.cfg.Directory.changeSolution(req.UserName, func(s *Solution) {
			s.Description, s.Certificate = req.UserDetails.Description, cert.Raw
		})
	}
	return &methods.UpdateLocalSolutionUserDetailsBody{Res: &types.UpdateLocalSolutionUserDetailsResponse{}}, failed(err)
}

func deletePrincipal(c *caller, req *types.DeleteLocalPrincipal) (any, *fault) {
	err := c.server.cfg.Directory.Remove(req.PrincipalName)
	return &methods.DeleteLocalPrincipalBody{Res: &types.DeleteLocalPrincipalResponse{}}, failed(err)
}

func setRole(c *caller, req *types.SetRole) (any, *fault) {
	if req.Role != types.RoleRegularUser && req.Role != types.RoleAdministrator {
		return nil, &fault{"SsoFaultInvalidArgument", "there is no role " + req.Role}
	}
	err := c.server.cfg.Directory.changeSolution(name(req.UserId), func(s *Solution) { s.Role = req.Role })
	return &methods.SetRoleBody{Res: &types.SetRoleResponse{Returnval: err == nil}}, failed(err)
}

func grantTrust(c *caller, req *types.GrantWSTrustRole) (any, *fault) {
	err := c.server.cfg.Directory.changeSolution(name(req.UserId), func(s *Solution) { s.ActAs = true })
	return &methods.GrantWSTrustRoleBody{Res: &types.GrantWSTrustRoleResponse{Returnval: err == nil}}, failed(err)
}

func revokeTrust(c *caller, req *types.RevokeWSTrustRole) (any, *fault) {
	err := c.server.cfg.Directory.changeSolution(name(req.UserId), func(s *Solution) { s.ActAs = false })
	return &methods.RevokeWSTrustRoleBody{Res: &types.RevokeWSTrustRoleResponse{Returnval: err == nil}}, failed(err)
}
