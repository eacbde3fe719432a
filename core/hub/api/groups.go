package api

import (
	"net/http"

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/sdk/auth"
)

func groupRoutes() []route {
	return []route{
		{method: "GET", path: "/usergroups", id: "listUserGroups", needs: role.UserSearch, run: (*api).listGroups,
			says: "List the groups that the hub has seen", query: []string{"group_name"}, gives: []groupForm{}},
		{method: "POST", path: "/usergroups", id: "createUserGroup", needs: role.UserSearch, run: (*api).addGroup,
			says: "Make a group of an identity source known to the hub", takes: memberGroup{}},
		{method: "GET", path: "/usergroups/{group}", id: "getUserGroup", needs: role.UserSearch, run: (*api).getGroup,
			says: "Get a group", gives: groupForm{}},
	}
}

func groupOf(p people.Person) groupForm { return groupForm{p.Number, p.Name, providerGroup, p.ID} }

func (a *api) listGroups(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	list, total, err := a.People.Groups(c.r.Context(), c.r.URL.Query().Get("group_name"), p.size, p.offset())
	if err != nil {
		return err
	}
	out := []groupForm{}
	for _, x := range list {
		out = append(out, groupOf(x))
	}
	return c.list(p, total, out)
}

// addGroup looks a group up in the identity sources, which are what has groups: the hub remembers it from then on.
func (a *api) addGroup(c *call) error {
	var q memberGroup
	if err := c.body(&q); err != nil {
		return err
	}
	if q.Name == "" {
		return badRequest("group_name: give the ID or the name of a group of an identity source")
	}
	p, err := a.person(c, q.Name, auth.Group)
	if err != nil {
		return err
	}
	if p, err = a.People.Get(c.r.Context(), p.ID); err != nil {
		return err
	}
	return c.created("/usergroups/%d", p.Number)
}

func (a *api) getGroup(c *call) error {
	n, err := c.number("group")
	if err != nil {
		return err
	}
	p, err := a.People.ByNumber(c.r.Context(), n)
	if err != nil {
		return err
	}
	if p.Kind != auth.Group {
		return notFound("group %d not found", n)
	}
	return c.answer(http.StatusOK, groupOf(p))
}
