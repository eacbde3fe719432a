package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
)

// Project is what repositories belong to.
type Project struct {
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
	Registry  int64             `json:"registry_id,omitempty"` // it is a proxy cache of this registry
}

func project(name string) string { return "/projects/" + url.PathEscape(name) }

// Projects are those that the caller sees, whose names have part in them.
func (c *Client) Projects(ctx context.Context, part string) iter.Seq2[Project, error] {
	q := url.Values{}
	if part != "" {
		q.Set("name", part)
	}
	return pages[Project](ctx, c, "/projects", q)
}

// Project finds one by its name.
func (c *Client) Project(ctx context.Context, name string) (p Project, err error) {
	_, err = c.call(ctx, http.MethodGet, project(name), nil, nil, &p)
	return p, err
}

// ProjectRequest makes or changes a project. What is nil or empty stays as it is.
type ProjectRequest struct {
	Name     string            `json:"project_name,omitempty"`
	Storage  *int64            `json:"storage_limit,omitempty"` // bytes; -1: no bound
	Metadata map[string]string `json:"metadata,omitempty"`
	Admin    string            `json:"devops_admin,omitempty"` // the first DevOps administrator, by ID or name
	Registry *int64            `json:"registry_id,omitempty"`  // the project is a proxy cache of this registry
}

// CreateProject makes a project and tells its number.
func (c *Client) CreateProject(ctx context.Context, q ProjectRequest) (int64, error) {
	h, err := c.call(ctx, http.MethodPost, "/projects", nil, q, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// UpdateProject changes what the request names.
func (c *Client) UpdateProject(ctx context.Context, name string, q ProjectRequest) error {
	_, err := c.call(ctx, http.MethodPut, project(name), nil, q, nil)
	return err
}

// DeleteProject removes a project without repositories.
func (c *Client) DeleteProject(ctx context.Context, name string) error {
	_, err := c.call(ctx, http.MethodDelete, project(name), nil, nil, nil)
	return err
}

// Amounts of a quota; -1: no bound.
type Amounts struct {
	Storage      int64 `json:"storage"` // bytes
	Repositories int64 `json:"repositories"`
}

// Quota is a project's, whose number is its own.
type Quota struct {
	ID      int64    `json:"id"`
	Ref     QuotaRef `json:"ref"`
	Hard    Amounts  `json:"hard"`
	Used    Amounts  `json:"used"`
	Created string   `json:"creation_time"`
	Updated string   `json:"update_time"`
}

// QuotaRef is the project of a quota.
type QuotaRef struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// Quotas are those of all projects.
func (c *Client) Quotas(ctx context.Context) iter.Seq2[Quota, error] {
	return pages[Quota](ctx, c, "/quotas", nil)
}

// SetQuota changes the bounds that hard names: "storage" in bytes, "repositories"; -1 is none.
func (c *Client) SetQuota(ctx context.Context, project int64, hard map[string]int64) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("/quotas/%d", project), nil, map[string]any{"hard": hard}, nil)
	return err
}

// Repository is a name in a project that artifacts are pushed to.
type Repository struct {
	ID        int64  `json:"id"`
	ProjectID int64  `json:"project_id"`
	Name      string `json:"name"` // with the project
	Artifacts int64  `json:"artifact_count"`
	Created   string `json:"creation_time"`
	Updated   string `json:"update_time"`
}

// Repositories are those of a project whose names have part in them.
func (c *Client) Repositories(ctx context.Context, name, part string) iter.Seq2[Repository, error] {
	q := url.Values{}
	if part != "" {
		q.Set("q", "name=~"+part)
	}
	return pages[Repository](ctx, c, project(name)+"/repositories", q)
}

// repository is the path of one; its slashes are escaped twice, as Harbor's clients do.
func repository(in, name string) string {
	return project(in) + "/repositories/" + url.PathEscape(url.PathEscape(name))
}

// DeleteRepository removes a repository with all that is in it.
func (c *Client) DeleteRepository(ctx context.Context, project, name string) error {
	_, err := c.call(ctx, http.MethodDelete, repository(project, name), nil, nil, nil)
	return err
}

// Artifact is an image or another artifact.
type Artifact struct {
	ID           int64       `json:"id"`
	ProjectID    int64       `json:"project_id"`
	RepositoryID int64       `json:"repository_id"`
	Repository   string      `json:"repository_name"`
	Digest       string      `json:"digest"`
	MediaType    string      `json:"manifest_media_type"`
	ArtifactType string      `json:"artifact_type"`
	Type         string      `json:"type"`
	Size         int64       `json:"size"`
	Pushed       string      `json:"push_time"`
	Pulled       string      `json:"pull_time,omitempty"`
	PushedBy     string      `json:"pushed_by"`
	Tags         []Tag       `json:"tags"`
	Labels       []Label     `json:"labels"`
	Accessories  []Accessory `json:"accessories,omitempty"`
}

// Accessory is an artifact about another one: a signature, an SBOM.
type Accessory struct {
	ID           int64  `json:"id"`
	Digest       string `json:"digest"`
	Type         string `json:"type"`
	ArtifactType string `json:"artifact_type"`
	Size         int64  `json:"size"`
	Created      string `json:"creation_time"`
}

// Tag is a name of an artifact.
type Tag struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Pushed     string `json:"push_time"`
	ArtifactID int64  `json:"artifact_id"`
	Immutable  bool   `json:"immutable"`
}

// Artifacts are those of a repository, the latest first.
func (c *Client) Artifacts(ctx context.Context, project, name string) iter.Seq2[Artifact, error] {
	return pages[Artifact](ctx, c, repository(project, name)+"/artifacts", nil)
}

func artifact(project, name, ref string) string {
	return repository(project, name) + "/artifacts/" + url.PathEscape(ref)
}

// Artifact finds one by its digest or a tag.
func (c *Client) Artifact(ctx context.Context, project, name, ref string) (a Artifact, err error) {
	_, err = c.call(ctx, http.MethodGet, artifact(project, name, ref), nil, nil, &a)
	return a, err
}

// DeleteArtifact removes one with all its tags.
func (c *Client) DeleteArtifact(ctx context.Context, project, name, ref string) error {
	_, err := c.call(ctx, http.MethodDelete, artifact(project, name, ref), nil, nil, nil)
	return err
}

// DeleteTag removes a tag; the artifact stays.
func (c *Client) DeleteTag(ctx context.Context, project, name, tag string) error {
	_, err := c.call(ctx, http.MethodDelete, artifact(project, name, tag)+"/tags/"+url.PathEscape(tag), nil, nil, nil)
	return err
}
