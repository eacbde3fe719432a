package api

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/provision"
	"github.com/openvic/vic/core/hub/query"
	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/hub/retention"
	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

func projectRoutes() []route {
	return []route{
		{method: "GET", path: "/projects", id: "listProjects", run: (*api).listProjects,
			says: "List the projects that the caller sees", query: []string{"name", "public"}, cols: projectColumns, gives: []project{}},
		{method: "HEAD", path: "/projects", id: "headProject", signed: true, run: (*api).headProject,
			says: "Say by the status whether there is a project of a name that the caller sees", query: []string{"project_name"}},
		{method: "POST", path: "/projects", id: "createProject", needs: role.ProjectCreate, run: (*api).createProject,
			says: "Make a project", takes: projectRequest{}},
		{method: "GET", path: "/projects/{project}", id: "getProject", needs: role.ProjectRead, run: (*api).getProject,
			says: "Get a project", gives: project{}},
		{method: "PUT", path: "/projects/{project}", id: "updateProject", needs: role.ProjectWrite, run: (*api).updateProject,
			says: "Change a project", takes: projectRequest{}},
		{method: "DELETE", path: "/projects/{project}", id: "deleteProject", needs: role.ProjectDelete, run: (*api).deleteProject,
			says: "Delete a project that holds no repository"},
		{method: "GET", path: "/projects/{project}/_deletable", id: "getProjectDeletable", needs: role.ProjectDelete, run: (*api).projectDeletable,
			says: "Say whether a project can be deleted, and why not", gives: deletableForm{}},
		{method: "GET", path: "/projects/{project}/summary", id: "getProjectSummary", needs: role.ProjectRead, run: (*api).projectSummary,
			says: "Count what a project holds", gives: summaryForm{}},
	}
}

// project is Harbor's form of one.
type project struct {
	ID        int64             `json:"project_id"`
	Name      string            `json:"name"`
	OwnerID   int64             `json:"owner_id"`
	OwnerName string            `json:"owner_name"`
	Created   string            `json:"creation_time"`
	Updated   string            `json:"update_time"`
	Deleted   bool              `json:"deleted"`
	Repos     int64             `json:"repo_count"`
	Role      int               `json:"current_user_role_id"`
	Roles     []int             `json:"current_user_role_ids"`
	Metadata  map[string]string `json:"metadata"`
	Registry  int64             `json:"registry_id,omitempty"` // that it is a proxy cache of
	Allowlist allowlistForm     `json:"cve_allowlist"`
}

// harborRole is what Harbor's clients are told of a cloud administrator in a project: its project administrator.
func harborRole(r role.Role) int {
	if r == role.CloudAdmin {
		r = role.DevOpsAdmin
	}
	return r.HarborID()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// project makes Harbor's form, with what the caller is there.
func (a *api) project(c *call, p registry.Project) (project, error) {
	out := project{ID: p.ID, Name: p.Name, Created: stamp(p.Created), Updated: stamp(p.Created), Repos: p.Repos, Roles: []int{}}
	var err error
	if out.Metadata, err = a.metadata(c, p); err != nil {
		return out, err
	}
	if out.Registry, err = a.Registries.Proxy(c.r.Context(), p.Name); err != nil {
		return out, err
	}
	allowed, err := a.Allowlists.Of(c.r.Context(), a.DB, p.ID)
	if err != nil {
		return out, err
	}
	out.Allowlist = allowlistOf(allowed)
	switch policy, err := a.Retention.Of(c.r.Context(), p.ID); {
	case err == nil:
		out.Metadata["retention_id"] = strconv.FormatInt(policy.ID, 10)
	case !errors.Is(err, errdef.ErrNotFound):
		return out, err
	}
	if c.who.ID != "" {
		r, err := a.People.Role(c.r.Context(), c.who.ID, p.ID)
		if err != nil {
			return out, err
		}
		if out.Role = harborRole(r); out.Role != 0 {
			out.Roles = []int{out.Role}
		}
	}
	return out, nil
}

// stampOrNone is "" for a time that never was.
func stampOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}

// projectColumns are what lists of projects are filtered and sorted by.
var projectColumns = query.Columns{"project_id": {SQL: "id", Type: query.Number}, "name": {SQL: "name"},
	"public":     {SQL: "public", Type: query.Bool, Unsorted: true},
	"repo_count": {SQL: "repos", Type: query.Number}, "creation_time": {SQL: "created", Type: query.Millis}}

func (a *api) listProjects(c *call) error {
	sees, who := a.sees(c, role.ProjectRead)
	s, err := c.selection(projectColumns, "name", who)
	if err != nil {
		return err
	}
	s.condition = sees + " AND " + s.condition
	if name := c.r.URL.Query().Get("name"); name != "" {
		s.also(`name LIKE %s ESCAPE '\'`, store.Containing(name))
	}
	if c.r.URL.Query().Get("public") != "" {
		public, err := c.wants("public", false)
		if err != nil {
			return err
		}
		s.also("public = %s", public)
	}
	list, total, err := a.Registry.SelectProjects(c.r.Context(), s.size, s.offset(), s.condition, s.order, s.args...)
	if err != nil {
		return err
	}
	out := make([]project, len(list))
	for i, x := range list {
		if out[i], err = a.project(c, x); err != nil {
			return err
		}
	}
	return c.list(s.page, total, out)
}

// headProject says whether a name is taken among the projects that the caller sees.
func (a *api) headProject(c *call) error {
	name := c.r.URL.Query().Get("project_name")
	answer, err := a.Authority.InProject(c.r.Context(), c.who, role.ProjectRead, name)
	if err != nil {
		return err
	}
	if answer != role.Allowed {
		return c.empty(http.StatusNotFound)
	}
	if _, err := a.Registry.FindProject(c.r.Context(), a.DB, name); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// projectRequest is what a client sends to make or change one.
type projectRequest struct {
	Name     string            `json:"project_name"`
	Public   *bool             `json:"public"`
	Storage  *int64            `json:"storage_limit"` // bytes; -1: no bound
	Registry *int64            `json:"registry_id"`
	Metadata map[string]string `json:"metadata"`
	// Allowlist sets the project's own list; none leaves it as it is.
	Allowlist *allowlistRequest `json:"cve_allowlist"`
	// Admin is the ID or name of the first DevOps administrator; ours, not Harbor's.
	Admin string `json:"devops_admin"`
}

// public reads the publicity from either place.
func (q projectRequest) public(now bool) (bool, error) {
	if v, ok := q.Metadata["public"]; ok {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return false, badRequest("metadata.public: want true or false")
		}
		return b, nil
	}
	if q.Public != nil {
		return *q.Public, nil
	}
	return now, nil
}

func (a *api) createProject(c *call) error {
	var q projectRequest
	if err := c.body(&q); err != nil {
		return err
	}
	values, err := a.Settings.Now(c.r.Context())
	if err != nil {
		return err
	}
	p := registry.Project{Name: q.Name, Quota: values.ProjectBytes, RepoQuota: -1}
	if err := checkMetadata(q.Metadata); err != nil {
		return err
	}
	if p.Public, err = q.public(false); err != nil {
		return err
	}
	if q.Storage != nil {
		p.Quota = *q.Storage
	}
	var admin people.Person
	if q.Admin != "" {
		if admin, err = a.person(c, q.Admin, ""); err != nil {
			return err
		}
	}
	err = a.DB.Tx(c.r.Context(), func(tx *store.Tx) error {
		var err error
		if p, err = a.Registry.CreateProject(tx, p); err != nil {
			return err
		}
		if err := a.keepMetadata(tx, p, q.Metadata); err != nil {
			return err
		}
		if err := a.keepAllowlist(tx, p.ID, q.Allowlist); err != nil {
			return err
		}
		if q.Registry != nil && *q.Registry != 0 {
			if err := a.Registries.MakeProxy(tx, p.ID, *q.Registry); err != nil {
				return err
			}
		}
		if admin.ID == "" {
			return nil
		}
		return a.People.Grant(tx, p.ID, admin.Principal, role.DevOpsAdmin)
	})
	a.Registries.Changed()
	if errors.Is(err, errdef.ErrExists) {
		return &Error{http.StatusConflict, "CONFLICT", fmt.Sprintf("the project %s is there already", q.Name)}
	}
	if err != nil {
		return err
	}
	return c.created("/projects/%d", p.ID)
}

// person finds a user or group by ID or by the name that people write: of a kind, or if that is "" a user before a group.
func (a *api) person(c *call, text string, kind auth.Kind) (people.Person, error) {
	p, err := a.anybody(c, text, kind)
	if err == nil && kind != "" && p.Kind != kind {
		return p, badRequest("%q is a %s, not a %s", text, p.Kind, kind)
	}
	return p, err
}

func (a *api) anybody(c *call, text string, kind auth.Kind) (people.Person, error) {
	p, err := a.People.Get(c.r.Context(), text)
	if errors.Is(err, errdef.ErrNotFound) {
		p, err = a.People.ByName(c.r.Context(), text, cmp.Or(kind, auth.User))
	}
	if !errors.Is(err, errdef.ErrNotFound) {
		return p, err
	}
	// The identity sources may know somebody who has never been here.
	found, err := a.Identities.Lookup(c.r.Context(), text)
	if errors.Is(err, errdef.ErrNotFound) {
		return p, badRequest("%q is neither the ID nor the name of a user or group that an identity source knows", text)
	}
	return people.Person{Principal: found}, err
}

func (a *api) getProject(c *call) error {
	p, err := a.project(c, c.project)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, p)
}

func (a *api) updateProject(c *call) error {
	var q projectRequest
	if err := c.body(&q); err != nil {
		return err
	}
	if q.Name != "" && q.Name != c.project.Name {
		return badRequest("project_name: a project keeps its name, which images are pulled by")
	}
	if q.Registry != nil {
		now, err := a.Registries.Proxy(c.r.Context(), c.project.Name)
		if err != nil {
			return err
		}
		if *q.Registry != now {
			return badRequest("registry_id: a project stays a proxy cache, or none, as it was made")
		}
	}
	if err := checkMetadata(q.Metadata); err != nil {
		return err
	}
	quotas := role.Forbidden
	if q.Storage != nil {
		var err error
		if quotas, err = a.Authority.Everywhere(c.r.Context(), c.who, role.QuotaManage); err != nil {
			return err
		}
	}
	err := a.DB.Tx(c.r.Context(), func(tx *store.Tx) error {
		p, err := a.Registry.LockProject(tx, c.project.ID)
		if err != nil {
			return err
		}
		// Harbor's clients send the quota with everything else: it may stay as it is by now.
		if q.Storage != nil && *q.Storage != p.Quota && quotas != role.Allowed {
			return &Error{http.StatusForbidden, "FORBIDDEN", "storage_limit: only a cloud administrator changes quotas"}
		}
		if p.Public, err = q.public(p.Public); err != nil {
			return err
		}
		if q.Storage != nil {
			p.Quota = *q.Storage
		}
		if err := a.keepMetadata(tx, p, q.Metadata); err != nil {
			return err
		}
		if err := a.keepAllowlist(tx, p.ID, q.Allowlist); err != nil {
			return err
		}
		return a.Registry.UpdateProject(tx, p)
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) deleteProject(c *call) error {
	err := a.DB.Tx(c.r.Context(), func(tx *store.Tx) error {
		if err := retention.Forget(tx, a.Jobs, c.project.ID); err != nil {
			return err
		}
		if err := a.Registry.RemoveProject(tx, c.project.ID); err != nil {
			return err
		}
		if err := robots.Forget(tx, c.project.ID); err != nil {
			return err
		}
		if err := vchs.Forget(tx, c.project.ID); err != nil {
			return err
		}
		if err := provision.Forget(tx, a.Jobs, c.project.ID); err != nil {
			return err
		}
		if err := a.Webhooks.Forget(tx, c.project.ID); err != nil {
			return err
		}
		if err := registries.Forget(tx, c.project.ID); err != nil {
			return err
		}
		if err := settings.Forget(tx, c.project.ID); err != nil {
			return err
		}
		return people.Forget(tx, c.project.ID)
	})
	a.Registries.Changed()
	if errors.Is(err, errdef.ErrConflict) {
		return &Error{http.StatusPreconditionFailed, "PRECONDITION", err.Error()}
	}
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

type deletableForm struct {
	Deletable bool   `json:"deletable"`
	Message   string `json:"message"`
}

func (a *api) projectDeletable(c *call) error {
	occupied, err := a.Registry.Occupied(c.r.Context(), a.DB, c.project.ID)
	if err != nil {
		return err
	}
	out := deletableForm{Deletable: occupied == 0}
	if !out.Deletable {
		out.Message = fmt.Sprintf("the project contains %d repositories, which must be deleted first", occupied)
	}
	return c.answer(http.StatusOK, out)
}

// summaryForm is Harbor's form; the numbers of members are left out for those who may not list them.
type summaryForm struct {
	Repos      int64 `json:"repo_count"`
	Quota      quota `json:"quota"`
	Admins     *int  `json:"project_admin_count,omitempty"`
	Developers *int  `json:"developer_count,omitempty"`
	Guests     *int  `json:"guest_count,omitempty"`
}

func (a *api) projectSummary(c *call) error {
	out := summaryForm{Repos: c.project.Repos, Quota: quotaOf(c.project)}
	// Who is a member is for members, and so is the work of counting them.
	answer, err := a.Authority.InProject(c.r.Context(), c.who, role.MemberList, c.project.Name)
	if err != nil {
		return err
	}
	if answer != role.Allowed {
		return c.answer(http.StatusOK, out)
	}
	list, _, err := a.People.Members(c.r.Context(), c.project.ID, "", 0, maxMembers)
	if err != nil {
		return err
	}
	count := map[role.Role]*int{role.DevOpsAdmin: new(int), role.Developer: new(int), role.Viewer: new(int)}
	for _, m := range list {
		*count[m.Role]++
	}
	out.Admins, out.Developers, out.Guests = count[role.DevOpsAdmin], count[role.Developer], count[role.Viewer]
	return c.answer(http.StatusOK, out)
}

// maxMembers bounds what is counted and listed of one project's members.
const maxMembers = 10_000
