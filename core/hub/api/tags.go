package api

import (
	"net/http"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/registry"
)

func artifactRoutes() []route {
	const artifacts = "/projects/{project}/repositories/{repository}/artifacts"
	const one = artifacts + "/{reference}"
	return []route{
		{method: "POST", path: artifacts, id: "CopyArtifact", needs: role.ArtifactPush, run: (*api).copyArtifact,
			says: "Copy an artifact from another repository, with its signatures and SBOMs", query: []string{"from"}},
		{method: "POST", path: one + "/tags", id: "createTag", needs: role.ArtifactPush, run: (*api).createTag,
			says: "Give an artifact one more tag", takes: tagRequest{}},
		{method: "POST", path: one + "/labels", id: "addLabel", needs: role.ArtifactPush, run: (*api).addLabel,
			says: "Give an artifact a label", takes: labelRequest{}, status: http.StatusOK},
		{method: "DELETE", path: one + "/labels/{label}", id: "removeLabel", needs: role.ArtifactPush, run: (*api).removeLabel,
			says: "Take a label from an artifact"},
		{method: "GET", path: one + "/additions/{addition}", id: "getAddition", needs: role.RepositoryList, run: (*api).getAddition, media: "*/*",
			says: "Get what an artifact tells of itself: build_history of an image; readme.md, values.yaml and dependencies of a helm chart; sbom of an SBOM"},
	}
}

func (a *api) listTags(c *call) error {
	s, err := c.selection(tagColumns, "t.name")
	if err != nil {
		return err
	}
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	held, err := a.Immutable.Held(c.r.Context(), a.DB, c.project.ID)
	if err != nil {
		return err
	}
	list, total, err := a.Registry.SelectTags(c.r.Context(), m.ID, s.size, s.offset(), s.condition, s.order, s.args...)
	if err != nil {
		return err
	}
	m.Tags = list
	return c.list(s.page, total, tagsOf(m, x, held))
}

// tagRequest is what a client sends to make a tag.
type tagRequest struct {
	Name string `json:"name"`
}

func (a *api) createTag(c *call) error {
	var q tagRequest
	if err := c.body(&q); err != nil {
		return err
	}
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	if err := a.Registry.Tag(c.r, remover{c.who.Name}, x.Name, m.Digest, q.Name); err != nil {
		return told(err)
	}
	return c.created("/projects/%s/repositories/%s/artifacts/%s/tags", c.project.Name, escaped(c, x), m.Digest)
}

// escaped is the repository's name in a path, as Harbor's clients escape it.
func escaped(c *call, x registry.Repository) string { return pathName(x.Name[len(c.project.Name)+1:]) }

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
