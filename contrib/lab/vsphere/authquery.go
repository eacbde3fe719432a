package vsphere

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/authz"
)

// user is the subject with a name; of nobody's name one without permissions.
func (m *labAuthz) user(name string) authz.Subject {
	if a, ok := m.lab.accounts.User(name); ok {
		return m.lab.subjectOf(a)
	}
	return authz.Subject{Name: principal(name)}
}

// ofSession is the subject of a session; only one's own can be asked for here.
func (m *labAuthz) ofSession(ctx *simulator.Context) authz.Subject {
	if ctx.Session.UserName == "" {
		return m.user(m.lab.cfg.User)
	}
	return m.user(ctx.Session.UserName)
}

func (m *labAuthz) availability(who authz.Subject, on authz.Ref, ids []string) []types.PrivilegeAvailability {
	var l []types.PrivilegeAvailability
	for _, id := range ids {
		l = append(l, types.PrivilegeAvailability{PrivId: id, IsGranted: m.lab.authz.Has(m.lab, who, id, on)})
	}
	return l
}

// HasPrivilegeOnEntities answers for the caller's session.
func (m *labAuthz) HasPrivilegeOnEntities(ctx *simulator.Context, req *types.HasPrivilegeOnEntities) soap.HasFault {
	res := &types.HasPrivilegeOnEntitiesResponse{}
	for _, e := range req.Entity {
		res.Returnval = append(res.Returnval, types.EntityPrivilege{Entity: e, PrivAvailability: m.availability(m.ofSession(ctx), e, req.PrivId)})
	}
	return &methods.HasPrivilegeOnEntitiesBody{Res: res}
}

// HasPrivilegeOnEntity answers for the caller's session.
func (m *labAuthz) HasPrivilegeOnEntity(ctx *simulator.Context, req *types.HasPrivilegeOnEntity) soap.HasFault {
	res := &types.HasPrivilegeOnEntityResponse{}
	for _, a := range m.availability(m.ofSession(ctx), req.Entity, req.PrivId) {
		res.Returnval = append(res.Returnval, a.IsGranted)
	}
	return &methods.HasPrivilegeOnEntityBody{Res: res}
}

// HasUserPrivilegeOnEntities answers for a user by name.
func (m *labAuthz) HasUserPrivilegeOnEntities(_ *simulator.Context, req *types.HasUserPrivilegeOnEntities) soap.HasFault {
	res := &types.HasUserPrivilegeOnEntitiesResponse{}
	for _, e := range req.Entities {
		res.Returnval = append(res.Returnval, types.EntityPrivilege{Entity: e, PrivAvailability: m.availability(m.user(req.UserName), e, req.PrivId)})
	}
	return &methods.HasUserPrivilegeOnEntitiesBody{Res: res}
}

// FetchUserPrivilegeOnEntities lists a user's privileges.
func (m *labAuthz) FetchUserPrivilegeOnEntities(_ *simulator.Context, req *types.FetchUserPrivilegeOnEntities) soap.HasFault {
	res := &types.FetchUserPrivilegeOnEntitiesResponse{}
	for _, e := range req.Entities {
		res.Returnval = append(res.Returnval, types.UserPrivilegeResult{Entity: e, Privileges: m.lab.authz.All(m.lab, m.user(req.UserName), e)})
	}
	return &methods.FetchUserPrivilegeOnEntitiesBody{Res: res}
}
