package api

import (
	"net/http"

	"github.com/openvic/vic/core/hub/immutable"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/selector"
)

func immutableRoutes() []route {
	const rules = "/projects/{project}/immutabletagrules"
	return []route{
		{method: "GET", path: rules, id: "ListImmuRules", needs: role.RepositoryList, run: (*api).listImmutable,
			says: "List the rules by which tags neither move nor go", gives: []immutableForm{}},
		{method: "POST", path: rules, id: "CreateImmuRule", needs: role.ProjectWrite, run: (*api).createImmutable,
			says: "Make a rule by which tags neither move nor go", takes: immutableForm{}},
		{method: "PUT", path: rules + "/{rule}", id: "UpdateImmuRule", needs: role.ProjectWrite, run: (*api).updateImmutable,
			says: "Set a rule, or without selectors enable or disable it", takes: immutableForm{}},
		{method: "DELETE", path: rules + "/{rule}", id: "DeleteImmuRule", needs: role.ProjectWrite, run: (*api).deleteImmutable,
			says: "Delete a rule"},
	}
}

// Harbor's words in rules.
const (
	immutableAction   = "immutable"
	immutableTemplate = "immutable_template"
	scopeRepository   = "repository"
)

// immutableForm is Harbor's form of a rule.
type immutableForm struct {
	ID       int64                          `json:"id"`
	Priority int                            `json:"priority"`
	Disabled bool                           `json:"disabled"`
	Action   string                         `json:"action"`
	Template string                         `json:"template"`
	Tags     []selector.Selector            `json:"tag_selectors"`
	Scopes   map[string][]selector.Selector `json:"scope_selectors"`
}

func (a *api) listImmutable(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	list, err := a.Immutable.List(c.r.Context(), a.DB, c.project.ID)
	if err != nil {
		return err
	}
	out := []immutableForm{}
	for i := p.offset(); i < len(list) && i < p.offset()+p.size; i++ {
		x := list[i]
		out = append(out, immutableForm{x.ID, 0, x.Disabled, immutableAction, immutableTemplate, orEmpty(x.Tags), scopesOf(x.Repositories)})
	}
	return c.list(p, len(list), out)
}

func orEmpty(l []selector.Selector) []selector.Selector {
	if l == nil {
		return []selector.Selector{}
	}
	return l
}

func scopesOf(repositories []selector.Selector) map[string][]selector.Selector {
	return map[string][]selector.Selector{scopeRepository: orEmpty(repositories)}
}

// immutableRule reads a request.
func (a *api) immutableRule(c *call) (immutable.Rule, error) {
	var q immutableForm
	if err := c.body(&q); err != nil {
		return immutable.Rule{}, err
	}
	switch {
	case q.Action != "" && q.Action != immutableAction, q.Template != "" && q.Template != immutableTemplate:
		return immutable.Rule{}, badRequest("action, template: want %s and %s, or leave them out", immutableAction, immutableTemplate)
	}
	if err := onlyRepositories(q.Scopes); err != nil {
		return immutable.Rule{}, err
	}
	return immutable.Rule{Project: c.project.ID, Disabled: q.Disabled, Spec: immutable.Spec{Repositories: q.Scopes[scopeRepository], Tags: q.Tags}}, nil
}

func onlyRepositories(scopes map[string][]selector.Selector) error {
	for k := range scopes {
		if k != scopeRepository {
			return badRequest("scope_selectors: %.40q is none: want %q", k, scopeRepository)
		}
	}
	return nil
}

func (a *api) createImmutable(c *call) error {
	x, err := a.immutableRule(c)
	if err != nil {
		return err
	}
	id, err := a.Immutable.Make(c.r.Context(), x)
	if err != nil {
		return err
	}
	return c.created("/projects/%d/immutabletagrules/%d", c.project.ID, id)
}

// updateImmutable sets a rule. Harbor's portal sends a rule without selectors to enable or disable it.
func (a *api) updateImmutable(c *call) error {
	n, err := c.number("rule")
	if err != nil {
		return err
	}
	x, err := a.immutableRule(c)
	if err != nil {
		return err
	}
	x.ID = n
	if len(x.Tags) == 0 && len(x.Repositories) == 0 {
		err = a.Immutable.Disable(c.r.Context(), c.project.ID, n, x.Disabled)
	} else {
		err = a.Immutable.Change(c.r.Context(), x)
	}
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) deleteImmutable(c *call) error {
	n, err := c.number("rule")
	if err != nil {
		return err
	}
	if err := a.Immutable.Remove(c.r.Context(), c.project.ID, n); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}
