package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/openvic/vic/core/hub/labels"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

func labelRoutes() []route {
	return []route{
		{method: "GET", path: "/labels", id: "ListLabels", signed: true, within: (*api).labelsAsked, run: (*api).listLabels,
			says: "List the labels of the whole hub or of a project", query: []string{"scope", "project_id", "name"}, cols: labels.Columns, gives: []labelForm{}},
		{method: "POST", path: "/labels", id: "CreateLabel", signed: true, needs: role.Configuration, within: (*api).labelGiven, run: (*api).createLabel,
			says: "Make a label", takes: labelRequest{}},
		{method: "GET", path: "/labels/{label}", id: "GetLabelByID", signed: true, within: (*api).labelSeen, run: (*api).getLabel,
			says: "Get a label", gives: labelForm{}},
		{method: "PUT", path: "/labels/{label}", id: "UpdateLabel", signed: true, needs: role.Configuration, within: (*api).labelNamed, run: (*api).updateLabel,
			says: "Set the name, description and color of a label", takes: labelRequest{}},
		{method: "DELETE", path: "/labels/{label}", id: "DeleteLabel", signed: true, needs: role.Configuration, within: (*api).labelNamed, run: (*api).deleteLabel,
			says: "Delete a label, also from the artifacts that have it"},
	}
}

// Harbor's words for whom a label is for.
const (
	scopeGlobal  = "g"
	scopeProject = "p"
)

// labelForm is Harbor's form of one.
type labelForm struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Color       string `json:"color"`
	Scope       string `json:"scope"`
	ProjectID   int64  `json:"project_id"`
	Created     string `json:"creation_time"`
	Updated     string `json:"update_time"`
}

func labelOf(l labels.Label) labelForm {
	f := labelForm{l.ID, l.Name, l.Description, l.Color, scopeGlobal, l.Project, stamp(l.Created), stamp(l.Updated)}
	if l.Project != 0 {
		f.Scope = scopeProject
	}
	return f
}

// labelRequest is what a client sends to make or change one, or to give an artifact one.
type labelRequest struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Color       string `json:"color"`
	Scope       string `json:"scope"`
	ProjectID   int64  `json:"project_id"`
}

// ofProject finds a project by number for a request that names it elsewhere than in its path.
func (a *api) ofProject(c *call, n int64, p role.Permission) (role.Permission, string, error) {
	var err error
	c.project, err = orNone(a.Registry.ProjectByID(c.r.Context(), a.DB, n))
	return p, strconv.FormatInt(n, 10), err
}

// labelsAsked finds out whose labels are to be listed. Those of the whole hub are for everybody who is signed in.
func (a *api) labelsAsked(c *call) (role.Permission, string, error) {
	q := c.r.URL.Query()
	switch q.Get("scope") {
	case scopeGlobal:
		return 0, "", nil
	case scopeProject:
		n, err := strconv.ParseInt(q.Get("project_id"), 10, 64)
		if err != nil || n < 1 {
			return 0, "", badRequest("project_id: give the project's number with scope=p")
		}
		return a.ofProject(c, n, role.RepositoryList)
	}
	return 0, "", badRequest("scope: want g for labels of the whole hub, or p for those of a project")
}

func (a *api) listLabels(c *call) error {
	s, err := c.selection(labels.Columns, "l.name, l.id")
	if err != nil {
		return err
	}
	if name := c.r.URL.Query().Get("name"); name != "" {
		s.also(`l.name LIKE %s ESCAPE '\'`, store.Containing(name))
	}
	list, total, err := a.Labels.Select(c.r.Context(), c.project.ID, s.size, s.offset(), s.condition, s.order, s.args...)
	if err != nil {
		return err
	}
	out := []labelForm{}
	for _, l := range list {
		out = append(out, labelOf(l))
	}
	return c.list(s.page, total, out)
}

// labelGiven finds the project of a label that is to be made. A body that cannot be read asks for the permission of the
// whole hub, so that only who has it is told what is wrong.
func (a *api) labelGiven(c *call) (role.Permission, string, error) {
	b, err := io.ReadAll(c.r.Body)
	c.r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(b), broken{err}))
	var q labelRequest
	if err != nil || json.Unmarshal(b, &q) != nil || q.Scope != scopeProject || q.ProjectID < 1 {
		return role.Configuration, "", nil
	}
	return a.ofProject(c, q.ProjectID, role.ProjectWrite)
}

func (a *api) createLabel(c *call) error {
	var q labelRequest
	if err := c.body(&q); err != nil {
		return err
	}
	if q.Scope != scopeGlobal && c.project.ID == 0 {
		return badRequest("scope: want g for a label of the whole hub, or p and project_id for one of a project")
	}
	id, err := a.Labels.Make(c.r.Context(), labels.Label{Project: c.project.ID, Name: q.Name, Description: q.Description, Color: q.Color})
	if err != nil {
		return err
	}
	return c.created("/labels/%d", id)
}

// labelNamed finds the project of the label of the path. Who may not change it is asked for the permission of the whole hub,
// as for one that is not there: they do not learn which numbers are taken.
func (a *api) labelNamed(c *call) (role.Permission, string, error) {
	return a.labelFor(c, role.ProjectWrite, role.Configuration)
}

// labelSeen is labelNamed for who reads it. One of the whole hub is for everybody who is signed in.
func (a *api) labelSeen(c *call) (role.Permission, string, error) {
	return a.labelFor(c, role.RepositoryList, 0)
}

func (a *api) labelFor(c *call, inProject, everywhere role.Permission) (role.Permission, string, error) {
	n, err := c.number("label")
	if err != nil {
		return everywhere, "", nil // the handler tells whoever may know
	}
	l, err := a.Labels.Get(c.r.Context(), n)
	if errors.Is(err, errdef.ErrNotFound) || err == nil && l.Project == 0 {
		return everywhere, "", nil
	}
	if err != nil {
		return everywhere, "", err
	}
	p, err := orNone(a.Registry.ProjectByID(c.r.Context(), a.DB, l.Project))
	if err != nil || p.ID == 0 {
		return everywhere, "", err
	}
	answer, err := a.Authority.InProject(c.r.Context(), c.who, inProject, p.Name)
	if err != nil || answer != role.Allowed {
		return everywhere, "", err
	}
	c.project = p
	return inProject, p.Name, nil
}

// label is the one of the path. That it is of a project in which labelFor has allowed nothing is told as that it is not there.
func (a *api) label(c *call) (labels.Label, error) {
	n, err := c.number("label")
	if err != nil {
		return labels.Label{}, err
	}
	l, err := a.Labels.Get(c.r.Context(), n)
	if err == nil && l.Project != c.project.ID {
		err = notFound("label %d not found", n)
	}
	return l, err
}

func (a *api) getLabel(c *call) error {
	l, err := a.label(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, labelOf(l))
}

func (a *api) updateLabel(c *call) error {
	var q labelRequest
	if err := c.body(&q); err != nil {
		return err
	}
	l, err := a.label(c)
	if err != nil {
		return err
	}
	l.Name, l.Description, l.Color = q.Name, q.Description, q.Color
	if err := a.Labels.Change(c.r.Context(), l); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) deleteLabel(c *call) error {
	l, err := a.label(c)
	if err != nil {
		return err
	}
	if err := a.Labels.Remove(c.r.Context(), l.ID); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) addLabel(c *call) error {
	var q labelRequest
	if err := c.body(&q); err != nil {
		return err
	}
	if q.ID < 1 {
		return badRequest("id: give the number of a label")
	}
	_, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	if err := a.Labels.Attach(c.r.Context(), c.project.ID, m.ID, q.ID); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) removeLabel(c *call) error {
	n, err := c.number("label")
	if err != nil {
		return err
	}
	_, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	if err := a.Labels.Detach(c.r.Context(), m.ID, n); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}
