package api

import (
	"errors"
	"net/http"

	"github.com/openvic/vic/core/hub/query"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

func quotaRoutes() []route {
	return []route{
		{method: "GET", path: "/quotas", id: "listQuotas", needs: role.QuotaManage, run: (*api).listQuotas,
			says: "List the quotas of all projects", cols: quotaColumns, gives: []projectQuota{}},
		{method: "GET", path: "/quotas/{quota}", id: "getQuota", needs: role.QuotaManage, run: (*api).getQuota,
			says: "Get the quota of a project, whose number it has", gives: projectQuota{}},
		{method: "PUT", path: "/quotas/{quota}", id: "updateQuota", needs: role.QuotaManage, run: (*api).updateQuota,
			says: "Set the quota of a project", takes: quotaRequest{}},
	}
}

// amounts are what a project may have, or has; -1 is no bound. Harbor has storage alone.
type amounts struct {
	Storage      int64 `json:"storage"` // bytes
	Repositories int64 `json:"repositories"`
}

type quota struct {
	Hard amounts `json:"hard"`
	Used amounts `json:"used"`
}

func quotaOf(p registry.Project) quota {
	return quota{Hard: amounts{p.Quota, p.RepoQuota}, Used: amounts{p.Used, p.Repos}}
}

// projectQuota is Harbor's form; a quota has the number of its project.
type projectQuota struct {
	ID  int64    `json:"id"`
	Ref quotaRef `json:"ref"`
	quota
	Created string `json:"creation_time"`
	Updated string `json:"update_time"`
}

// quotaRef is the project that a quota is for.
type quotaRef struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

func quotaForm(p registry.Project) projectQuota {
	return projectQuota{ID: p.ID, Ref: quotaRef{p.ID, p.Name}, quota: quotaOf(p), Created: stamp(p.Created), Updated: stamp(p.Created)}
}

// quotaColumns are what the list of quotas is filtered and sorted by.
var quotaColumns = query.Columns{"id": {SQL: "id", Type: query.Number}, "creation_time": {SQL: "created", Type: query.Millis},
	"used.storage": {SQL: "used", Type: query.Number}, "hard.storage": {SQL: "quota", Type: query.Number}}

func (a *api) listQuotas(c *call) error {
	s, err := c.selection(quotaColumns, "name")
	if err != nil {
		return err
	}
	list, total, err := a.Registry.SelectProjects(c.r.Context(), s.size, s.offset(), s.condition, s.order, s.args...)
	if err != nil {
		return err
	}
	out := []projectQuota{}
	for _, x := range list {
		out = append(out, quotaForm(x))
	}
	return c.list(s.page, total, out)
}

// quotaProject is the project of the path's quota.
func (a *api) quotaProject(c *call, find func(id int64) (registry.Project, error)) (registry.Project, error) {
	n, err := c.number("quota")
	if err != nil {
		return registry.Project{}, err
	}
	p, err := find(n)
	if errors.Is(err, errdef.ErrNotFound) {
		return p, notFound("quota %d not found", n)
	}
	return p, err
}

func (a *api) getQuota(c *call) error {
	p, err := a.quotaProject(c, func(id int64) (registry.Project, error) { return a.Registry.ProjectByID(c.r.Context(), a.DB, id) })
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, quotaForm(p))
}

// quotaRequest sets the bounds that it names: storage in bytes, repositories; -1 is no bound.
type quotaRequest struct {
	Hard map[string]int64 `json:"hard"`
}

func (a *api) updateQuota(c *call) error {
	var q quotaRequest
	if err := c.body(&q); err != nil {
		return err
	}
	for name, v := range q.Hard {
		if name != "storage" && name != "repositories" || v < -1 || v == 0 {
			return badRequest("hard.%s: want storage or repositories, above 0, or -1 for no bound", name)
		}
	}
	err := a.DB.Tx(c.r.Context(), func(tx *store.Tx) error {
		p, err := a.quotaProject(c, func(id int64) (registry.Project, error) { return a.Registry.LockProject(tx, id) })
		if err != nil {
			return err
		}
		if v, ok := q.Hard["storage"]; ok {
			p.Quota = v
		}
		if v, ok := q.Hard["repositories"]; ok {
			p.RepoQuota = v
		}
		return a.Registry.UpdateProject(tx, p)
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}
