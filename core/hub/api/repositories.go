package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
)

func repositoryRoutes() []route {
	const repo = "/projects/{project}/repositories/{repository}"
	return []route{
		{method: "GET", path: "/projects/{project}/repositories", id: "listRepositories", needs: role.RepositoryList, run: (*api).listRepositories,
			says: "List the repositories of a project", query: []string{"q:name"}, gives: []repositoryForm{}},
		{method: "GET", path: repo, id: "getRepository", needs: role.RepositoryList, run: (*api).getRepository,
			says: "Get a repository", gives: repositoryForm{}},
		{method: "DELETE", path: repo, id: "deleteRepository", needs: role.ArtifactDelete, run: (*api).deleteRepository,
			says: "Delete a repository with all that is in it"},
		{method: "GET", path: repo + "/artifacts", id: "listArtifacts", needs: role.RepositoryList, run: (*api).listArtifacts,
			says: "List the artifacts of a repository, the latest first", gives: []artifactForm{}},
		{method: "GET", path: repo + "/artifacts/{reference}", id: "getArtifact", needs: role.RepositoryList, run: (*api).getArtifact,
			says: "Get an artifact", gives: artifactForm{}},
		{method: "DELETE", path: repo + "/artifacts/{reference}", id: "deleteArtifact", needs: role.ArtifactDelete, run: (*api).deleteArtifact,
			says: "Delete an artifact with all its tags"},
		{method: "GET", path: repo + "/artifacts/{reference}/tags", id: "listTags", needs: role.RepositoryList, run: (*api).listTags,
			says: "List the tags of an artifact", gives: []tagForm{}},
		{method: "DELETE", path: repo + "/artifacts/{reference}/tags/{tag}", id: "deleteTag", needs: role.ArtifactDelete, run: (*api).deleteTag,
			says: "Delete a tag; the artifact stays"},
		{method: "GET", path: repo + "/artifacts/{reference}/accessories", id: "listAccessories", needs: role.RepositoryList, run: (*api).listAccessories,
			says: "List what is about an artifact: signatures, SBOMs", gives: []artifactForm{}},
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
}

func formOf(x registry.Repository, project int64) repositoryForm {
	return repositoryForm{x.ID, project, x.Name, x.Manifests, stamp(x.Created), stamp(x.Updated)}
}

func (a *api) listRepositories(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	q, err := c.query("name")
	if err != nil {
		return err
	}
	list, total, err := a.Registry.Repositories(c.r.Context(), c.project.ID, q["name"], p.size, p.offset())
	if err != nil {
		return err
	}
	out := []repositoryForm{}
	for _, x := range list {
		out = append(out, formOf(x, c.project.ID))
	}
	return c.list(p, total, out)
}

func (a *api) getRepository(c *call) error {
	x, err := a.repository(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, formOf(x, c.project.ID))
}

// deleteRepository deletes all that is in it, signatures and the like too, one after the other; what stands in the way is
// told, and what is gone by then is gone. The collector removes the empty repository.
func (a *api) deleteRepository(c *call) error {
	x, err := a.repository(c)
	if err != nil {
		return err
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
			return c.empty(http.StatusOK)
		}
	}
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

type tagForm struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Pushed     string `json:"push_time"`
	ArtifactID int64  `json:"artifact_id"`
	Immutable  bool   `json:"immutable"`
}

type artifactForm struct {
	ID           int64          `json:"id"`
	ProjectID    int64          `json:"project_id"`
	RepositoryID int64          `json:"repository_id"`
	Repository   string         `json:"repository_name"`
	Digest       string         `json:"digest"`
	MediaType    string         `json:"manifest_media_type"`
	ArtifactType string         `json:"artifact_type"`
	Type         string         `json:"type"`
	Size         int64          `json:"size"`
	Pushed       string         `json:"push_time"`
	PushedBy     string         `json:"pushed_by"` // ours
	Tags         []tagForm      `json:"tags"`
	Labels       []any          `json:"labels"`
	References   []any          `json:"references"`
	Accessories  []artifactForm `json:"accessories,omitempty"`
}

// kindOf is Harbor's word for what an artifact is.
func kindOf(m registry.Stored) string {
	switch {
	case strings.Contains(m.ArtifactType, "helm"):
		return "CHART"
	case strings.Contains(m.ArtifactType, "wasm"):
		return "WASM"
	case m.ArtifactType == "" || strings.HasPrefix(m.ArtifactType, "application/vnd.oci.image") || strings.HasPrefix(m.ArtifactType, "application/vnd.docker"):
		return "IMAGE"
	}
	return "UNKNOWN"
}

func tagsOf(m registry.Stored) []tagForm {
	out := []tagForm{}
	for _, t := range m.Tags {
		out = append(out, tagForm{Name: t.Name, Pushed: stamp(t.Pushed), ArtifactID: m.ID})
	}
	return out
}

func artifactOf(m registry.Stored, repo registry.Repository, project int64) artifactForm {
	return artifactForm{ID: m.ID, ProjectID: project, RepositoryID: repo.ID, Repository: repo.Name, Digest: m.Digest.String(), MediaType: m.MediaType,
		ArtifactType: m.ArtifactType, Type: kindOf(m), Size: m.Total, Pushed: stamp(m.Pushed), PushedBy: m.By, Tags: tagsOf(m), Labels: []any{}, References: []any{}}
}

func (a *api) listArtifacts(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	x, err := a.repository(c)
	if err != nil {
		return err
	}
	list, total, err := a.Registry.Manifests(c.r.Context(), x, p.size, p.offset())
	if err != nil {
		return err
	}
	out := []artifactForm{}
	for _, m := range list {
		out = append(out, artifactOf(m, x, c.project.ID))
	}
	return c.list(p, total, out)
}

// artifact finds the one of the path, by digest or tag.
func (a *api) artifact(c *call) (registry.Repository, registry.Stored, error) {
	x, err := a.repository(c)
	if err != nil {
		return x, registry.Stored{}, err
	}
	m, err := a.Registry.Manifest(c.r.Context(), x, c.r.PathValue("reference"))
	if errors.Is(err, errdef.ErrNotFound) {
		return x, m, notFound("artifact %s:%s not found", x.Name, c.r.PathValue("reference"))
	}
	return x, m, err
}

func (a *api) getArtifact(c *call) error {
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, artifactOf(m, x, c.project.ID))
}

func (a *api) deleteArtifact(c *call) error {
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	if err := a.remove(c, x.Name, m.Digest.String()); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) listTags(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	_, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	all := tagsOf(m)
	from := min(p.offset(), len(all))
	return c.list(p, len(all), all[from:min(from+p.size, len(all))])
}

func (a *api) deleteTag(c *call) error {
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	tag := c.r.PathValue("tag")
	for _, t := range m.Tags {
		if t.Name == tag {
			if err := a.remove(c, x.Name, tag); err != nil {
				return err
			}
			return c.empty(http.StatusOK)
		}
	}
	return notFound("%s@%s has no tag %s", x.Name, m.Digest, tag)
}

func (a *api) listAccessories(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	list, err := a.Registry.Referrers(c.r.Context(), x, m.Digest)
	if err != nil {
		return err
	}
	out := []artifactForm{}
	for i := p.offset(); i < len(list) && i < p.offset()+p.size; i++ {
		out = append(out, artifactOf(list[i], x, c.project.ID))
	}
	return c.list(p, len(list), out)
}
