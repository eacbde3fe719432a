package api

import (
	"errors"
	"net/http"

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

func memberRoutes() []route {
	return []route{
		{method: "GET", path: "/projects/{project}/members", id: "listProjectMembers", needs: role.MemberList, run: (*api).listMembers,
			says: "List the members of a project", query: []string{"entityname"}, gives: []member{}},
		{method: "POST", path: "/projects/{project}/members", id: "createProjectMember", needs: role.MemberManage, run: (*api).addMember,
			says: "Make a user or a group a member of a project", takes: memberRequest{}},
		{method: "GET", path: "/projects/{project}/members/{member}", id: "getProjectMember", needs: role.MemberList, run: (*api).getMember,
			says: "Get a member of a project", gives: member{}},
		{method: "PUT", path: "/projects/{project}/members/{member}", id: "updateProjectMember", needs: role.MemberManage, run: (*api).changeMember,
			says: "Change the role of a member", takes: memberRequest{}},
		{method: "DELETE", path: "/projects/{project}/members/{member}", id: "deleteProjectMember", needs: role.MemberManage, run: (*api).removeMember,
			says: "Take a member's role in a project away"},
		{method: "GET", path: "/cloud-admins", id: "listCloudAdmins", needs: role.CloudAdminManage, run: (*api).listCloudAdmins,
			says: "List the cloud administrators", gives: []member{}, whole: true},
		{method: "POST", path: "/cloud-admins", id: "addCloudAdmin", needs: role.CloudAdminManage, run: (*api).addCloudAdmin,
			says: "Make a user or a group cloud administrator", takes: memberRequest{}},
		{method: "DELETE", path: "/cloud-admins/{principal...}", id: "removeCloudAdmin", needs: role.CloudAdminManage, run: (*api).removeCloudAdmin,
			says: "Take the role of a cloud administrator away, unless it is the last one"},
	}
}

// member is Harbor's form of one; Principal is ours.
type member struct {
	ID         int64  `json:"id"`
	ProjectID  int64  `json:"project_id"`
	EntityID   int64  `json:"entity_id"`
	EntityName string `json:"entity_name"`
	EntityType string `json:"entity_type"` // "u" or "g"
	RoleID     int    `json:"role_id,omitempty"`
	RoleName   string `json:"role_name"`
	Principal  string `json:"principal"`
}

func memberOf(g people.Grant) member {
	m := member{ID: g.Number, ProjectID: g.Project, EntityID: g.Number, EntityName: g.Name, EntityType: "u", RoleID: g.Role.HarborID(),
		RoleName: g.Role.String(), Principal: g.Principal}
	if g.Kind == auth.Group {
		m.EntityType = "g"
	}
	return m
}

func (a *api) listMembers(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	list, _, err := a.People.Members(c.r.Context(), c.project.ID, c.r.URL.Query().Get("entityname"), 0, maxMembers)
	if err != nil {
		return err
	}
	out := []member{}
	for i := p.offset(); i < len(list) && i < p.offset()+p.size; i++ {
		out = append(out, memberOf(list[i]))
	}
	return c.list(p, len(list), out)
}

// memberRequest is what a client sends: Harbor's forms, or "principal", an ID or name.
type memberRequest struct {
	RoleID    int          `json:"role_id"`
	User      *memberUser  `json:"member_user"`
	Group     *memberGroup `json:"member_group"`
	Principal string       `json:"principal"`
}

type memberUser struct {
	Name string `json:"username"`
	ID   int64  `json:"user_id"`
}

type memberGroup struct {
	Name string `json:"group_name"`
}

// whom finds the user or group that a request names.
func (a *api) whom(c *call, q memberRequest) (auth.Principal, error) {
	name, kind := q.Principal, auth.Kind("")
	switch {
	case name != "":
	case q.User != nil && q.User.ID != 0:
		p, err := a.People.ByNumber(c.r.Context(), q.User.ID)
		return p.Principal, err
	case q.User != nil:
		name, kind = q.User.Name, auth.User
	case q.Group != nil:
		name, kind = q.Group.Name, auth.Group
	}
	if name == "" {
		return auth.Principal{}, badRequest("name a user (member_user.username), a group (member_group.group_name) or a principal")
	}
	p, err := a.person(c, name, kind)
	return p.Principal, err
}

func (a *api) addMember(c *call) error {
	var q memberRequest
	if err := c.body(&q); err != nil {
		return err
	}
	r, err := role.FromHarborID(q.RoleID)
	if err != nil {
		return badRequest("role_id: %v", err)
	}
	who, err := a.whom(c, q)
	if err != nil {
		return err
	}
	g, err := a.People.AddMember(c.r.Context(), c.project.ID, who, r, func(tx *store.Tx) error {
		_, err := a.Registry.LockProject(tx, c.project.ID)
		return err
	})
	if err != nil {
		return err
	}
	return c.created("/projects/%d/members/%d", c.project.ID, g.Number)
}

func (a *api) getMember(c *call) error {
	n, err := c.number("member")
	if err != nil {
		return err
	}
	g, err := a.People.Member(c.r.Context(), c.project.ID, n)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, memberOf(g))
}

func (a *api) changeMember(c *call) error {
	n, err := c.number("member")
	if err != nil {
		return err
	}
	var q memberRequest
	if err := c.body(&q); err != nil {
		return err
	}
	r, err := role.FromHarborID(q.RoleID)
	if err != nil {
		return badRequest("role_id: %v", err)
	}
	if err := a.People.ChangeMember(c.r.Context(), c.project.ID, n, r); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) removeMember(c *call) error {
	n, err := c.number("member")
	if err != nil {
		return err
	}
	if err := a.People.RemoveMember(c.r.Context(), c.project.ID, n); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) listCloudAdmins(c *call) error {
	list, err := a.People.CloudAdmins(c.r.Context())
	if err != nil {
		return err
	}
	out := []member{}
	for _, g := range list {
		out = append(out, memberOf(g))
	}
	return c.answer(http.StatusOK, out)
}

func (a *api) addCloudAdmin(c *call) error {
	var q memberRequest
	if err := c.body(&q); err != nil {
		return err
	}
	who, err := a.whom(c, q)
	if err != nil {
		return err
	}
	if _, err := a.People.AddCloudAdmin(c.r.Context(), who); err != nil {
		return err
	}
	return c.created("/cloud-admins/%s", who.ID)
}

func (a *api) removeCloudAdmin(c *call) error {
	err := a.People.RemoveCloudAdmin(c.r.Context(), c.r.PathValue("principal"))
	if errors.Is(err, errdef.ErrNotFound) {
		return notFound("%v", err)
	}
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}
