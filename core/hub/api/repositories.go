package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/openvic/vic/core/hub/notary"
	"github.com/openvic/vic/core/hub/query"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

func repositoryRoutes() []route {
	const repo = "/projects/{project}/repositories/{repository}"
	return []route{
		{method: "GET", path: "/repositories", id: "listAllRepositories", run: (*api).listAllRepositories,
			says: "List the repositories of all projects that you may see", cols: repositoryColumns, gives: []repositoryForm{}},
		{method: "GET", path: "/projects/{project}/repositories", id: "listRepositories", needs: role.RepositoryList, run: (*api).listRepositories,
			says: "List the repositories of a project", cols: repositoryColumns, gives: []repositoryForm{}},
		{method: "GET", path: repo, id: "getRepository", needs: role.RepositoryList, run: (*api).getRepository,
			says: "Get a repository", gives: repositoryForm{}},
		{method: "PUT", path: repo, id: "updateRepository", needs: role.ArtifactPush, run: (*api).describeRepository,
			says: "Set what is written of a repository", takes: repositoryRequest{}},
		{method: "DELETE", path: repo, id: "deleteRepository", needs: role.ArtifactDelete, run: (*api).deleteRepository,
			says: "Delete a repository with all that is in it"},
		{method: "GET", path: repo + "/artifacts", id: "listArtifacts", needs: role.RepositoryList, run: (*api).listArtifacts,
			says: "List the artifacts of a repository, the latest first", cols: artifactColumns,
			query: []string{"with_label", "with_accessory", "with_scan_overview"}, gives: []artifactForm{}},
		{method: "GET", path: repo + "/artifacts/{reference}", id: "getArtifact", needs: role.RepositoryList, run: (*api).getArtifact,
			says: "Get an artifact", query: []string{"with_label", "with_accessory", "with_scan_overview"}, gives: artifactForm{}},
		{method: "DELETE", path: repo + "/artifacts/{reference}", id: "deleteArtifact", needs: role.ArtifactDelete, run: (*api).deleteArtifact,
			says: "Delete an artifact with all its tags"},
		{method: "GET", path: repo + "/artifacts/{reference}/tags", id: "listTags", needs: role.RepositoryList, run: (*api).listTags,
			says: "List the tags of an artifact", cols: tagColumns, gives: []tagForm{}},
		{method: "DELETE", path: repo + "/artifacts/{reference}/tags/{tag}", id: "deleteTag", needs: role.ArtifactDelete, run: (*api).deleteTag,
			says: "Delete a tag; the artifact stays"},
		{method: "GET", path: repo + "/artifacts/{reference}/accessories", id: "listAccessories", needs: role.RepositoryList, run: (*api).listAccessories,
			says: "List what is about an artifact: signatures, SBOMs", query: []string{"q:type,digest"}, gives: []accessoryForm{}},
	}
}

// repository finds the one of the path. Harbor's clients escape its slashes once or twice.
func (a *api) repository(c *call) (registry.Repository, error) {
	name := c.r.PathValue("repository")
	if once, err := url.PathUnescape(name); err == nil {
		name = once
	}
	x, err := a.Registry.Repository(c.r.Context(), c.project.Name+"/"+name)
	if errors.Is(err, errdef.ErrNotFound) {
		return x, notFound("repository %s/%s not found", c.project.Name, name)
	}
	return x, err
}

type repositoryForm struct {
	ID        int64  `json:"id"`
	ProjectID int64  `json:"project_id"`
	Name      string `json:"name"`
	Artifacts int64  `json:"artifact_count"`
	Created   string `json:"creation_time"`
	Updated   string `json:"update_time"`
	Text      string `json:"description"`
}

// repositoryRequest is what a client sends to change one.
type repositoryRequest struct {
	Text string `json:"description"`
}

func (a *api) describeRepository(c *call) error {
	var q repositoryRequest
	if err := c.body(&q); err != nil {
		return err
	}
	x, err := a.repository(c)
	if err != nil {
		return err
	}
	if err := a.Registry.Describe(c.r.Context(), x.ID, q.Text); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func formOf(x registry.Repository) repositoryForm {
	return repositoryForm{x.ID, x.Project, x.Name, x.Manifests, stamp(x.Created), stamp(x.Updated), x.Description}
}

// repositoryColumns are what lists of repositories are filtered and sorted by.
var repositoryColumns = query.Columns{"id": {SQL: "repo.id", Type: query.Number}, "name": {SQL: "repo.name"},
	"project_id":     {SQL: "repo.project_id", Type: query.Number},
	"artifact_count": {SQL: "repo.manifests", Type: query.Number}, "creation_time": {SQL: "repo.created", Type: query.Millis},
	"update_time": {SQL: "repo.updated", Type: query.Millis}}

func (a *api) listRepositories(c *call) error {
	s, err := c.selection(repositoryColumns, "repo.name")
	if err != nil {
		return err
	}
	s.also("repo.project_id = %s", c.project.ID)
	return a.repositories(c, s)
}

// listAllRepositories lists those of all projects whose repositories the caller may see.
func (a *api) listAllRepositories(c *call) error {
	sees, who := a.sees(c, role.RepositoryList)
	s, err := c.selection(repositoryColumns, "repo.name", who)
	if err != nil {
		return err
	}
	s.condition = sees + " AND " + s.condition
	return a.repositories(c, s)
}

func (a *api) repositories(c *call, s selection) error {
	list, total, err := a.Registry.SelectRepositories(c.r.Context(), s.size, s.offset(), s.condition, s.order, s.args...)
	if err != nil {
		return err
	}
	out := []repositoryForm{}
	for _, x := range list {
		out = append(out, formOf(x))
	}
	return c.list(s.page, total, out)
}

func (a *api) getRepository(c *call) error {
	x, err := a.repository(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, formOf(x))
}

// deleteRepository deletes all that is in it, signatures and the like too, one after the other; what stands in the way is
// told, and what is gone by then is gone. The collector removes the empty repository.
func (a *api) deleteRepository(c *call) error {
	x, err := a.repository(c)
	if err != nil {
		return err
	}
	if tag, err := notary.Any(c.r.Context(), a.DB, x.Name); err != nil || tag != "" {
		return cmp.Or(err, error(&Error{http.StatusPreconditionFailed, "PRECONDITION",
			fmt.Sprintf("tag %s of %s is signed: take its signatures away first (docker trust revoke)", tag, x.Name)}))
	}
	const batch = 100
	for {
		list, more, err := a.Registry.Digests(c.r.Context(), x, batch)
		if err != nil {
			return err
		}
		for _, d := range list {
			var own *Error
			err := a.remove(c, x.Name, d.String())
			if err != nil && !(errors.As(err, &own) && own.Status == http.StatusNotFound) { // somebody else was quicker
				return err
			}
		}
		if !more {
			break
		}
	}
	err = a.DB.Tx(c.r.Context(), func(tx *store.Tx) error {
		_, err := notary.Forget(tx, x.Name) // what was signed once
		return err
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// remover is the API's caller to the registry; the table has allowed what it does.
type remover struct{ name string }

// Name implements registry.Caller.
func (r remover) Name() string { return r.name }

// May implements registry.Caller.
func (remover) May(context.Context, registry.Access) error { return nil }

// remove deletes an artifact or a tag.
func (a *api) remove(c *call, repo, ref string) error {
	err := a.Registry.Remove(c.r, remover{c.who.Name}, repo, ref)
	if err == nil || errors.Is(err, errdef.ErrInvalid) {
		return err
	}
	if status, code, message := registry.Status(err); status < http.StatusInternalServerError {
		return &Error{status, code, message}
	}
	return err
}
