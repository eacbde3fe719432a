package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/role"
)

func allowedRoutes() []route {
	return []route{
		{method: "GET", path: "/users/current/permissions", id: "getCurrentUserPermissions", signed: true, run: (*api).currentPermissions,
			says: "Tell what the caller may do in a project, or in the whole hub", query: []string{"permission_scope", "relative"},
			gives: []permissionForm{}, whole: true},
	}
}

// Harbor's words for where a permission applies.
const (
	systemScope  = "/system"
	projectScope = "/project/"
)

// currentPermissions answers in the words of the table, and in Harbor's pairs for what those are a part of.
func (a *api) currentPermissions(c *call) error {
	at := c.r.URL.Query().Get("scope")
	relative, err := c.wants("relative", false)
	if err != nil {
		return err
	}
	scope := role.Global
	if number, ok := strings.CutPrefix(at, projectScope); ok {
		scope = role.Project
		if err := a.seenProject(c, number); err != nil {
			return err
		}
	} else if at != "" && at != "/" && at != systemScope {
		return badRequest("scope: want %sNUMBER for a project, or %s for the whole hub", projectScope, systemScope)
	}
	prefix := ""
	if scope == role.Project && !relative {
		prefix = projectScope + strconv.FormatInt(c.project.ID, 10) + "/"
	} else if !relative {
		prefix = systemScope + "/"
	}
	out, answers := []permissionForm{}, map[role.Permission]role.Answer{}
	for _, pair := range robots.Pairs(scope) {
		resource, action, _ := strings.Cut(pair, ":")
		p, err := robots.ParsePermission(resource, action, scope)
		if err != nil {
			return err
		}
		answer, asked := answers[p]
		if !asked {
			if scope == role.Project {
				answer, err = a.Authority.InProject(c.r.Context(), c.who, p, c.project.Name)
			} else {
				answer, err = a.Authority.Everywhere(c.r.Context(), c.who, p)
			}
			if err != nil {
				return err
			}
			answers[p] = answer
		}
		if answer == role.Allowed {
			out = append(out, permissionForm{prefix + resource, action})
		}
	}
	return c.answer(http.StatusOK, out)
}

// seenProject sets call.project to the one of a number, if the caller sees it.
func (a *api) seenProject(c *call, number string) error {
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 {
		return badRequest("scope: %.40q is no number of a project", number)
	}
	p, err := orNone(a.Registry.ProjectByID(c.r.Context(), a.DB, n))
	if err != nil {
		return err
	}
	answer, err := a.Authority.InProject(c.r.Context(), c.who, role.ProjectRead, p.Name)
	if err != nil {
		return err
	}
	if p.ID == 0 || answer != role.Allowed {
		return noProject(number)
	}
	c.project = p
	return nil
}
