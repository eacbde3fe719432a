package api

import (
	"net/http"

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
)

func searchRoutes() []route {
	return []route{
		{method: "GET", path: "/search", id: "search", run: (*api).search,
			says: "Find projects and repositories that you may see by a part of their names", query: []string{"text"}, gives: searchResult{}},
	}
}

// sees is a condition over the table project that holds for the projects in which the caller has a permission that viewers
// have, and the value of its parameter $1.
func (a *api) sees(c *call, p role.Permission) (condition string, arg any) {
	if c.who.Kind == token.Robot {
		return robots.Sees(p), c.who.ID
	}
	return people.Sees, c.who.ID
}

// searchResult is what a search found.
type searchResult struct {
	Projects     []project         `json:"project"`
	Repositories []foundRepository `json:"repository"`
}

// foundRepository is Harbor's form of a repository in a search.
type foundRepository struct {
	ProjectID     int64  `json:"project_id"`
	ProjectName   string `json:"project_name"`
	ProjectPublic bool   `json:"project_public"`
	Name          string `json:"repository_name"`
	Artifacts     int64  `json:"artifact_count"`
}

// search finds the projects and repositories that the caller may see by a part of their names: at most maxPage of each, by
// name.
func (a *api) search(c *call) error {
	text := c.r.URL.Query().Get("q")
	const longest = 255
	if text == "" || len(text) > longest {
		return badRequest("q: give a part of a name, of at most %d characters", longest)
	}
	part := store.Containing(text)
	out := searchResult{Projects: []project{}, Repositories: []foundRepository{}}
	sees, who := a.sees(c, role.ProjectRead)
	projects, _, err := a.Registry.SelectProjects(c.r.Context(), maxPage, 0, sees+` AND name LIKE $2 ESCAPE '\'`, "name", who, part)
	if err != nil {
		return err
	}
	for _, x := range projects {
		p, err := a.project(c, x)
		if err != nil {
			return err
		}
		out.Projects = append(out.Projects, p)
	}
	sees, who = a.sees(c, role.RepositoryList)
	repos, _, err := a.Registry.SelectRepositories(c.r.Context(), maxPage, 0, sees+` AND repo.name LIKE $2 ESCAPE '\'`, "repo.name", who, part)
	if err != nil {
		return err
	}
	of := map[int64]registry.Project{}
	for _, x := range repos {
		p, ok := of[x.Project]
		if !ok {
			if p, err = orNone(a.Registry.ProjectByID(c.r.Context(), a.DB, x.Project)); err != nil {
				return err
			}
			of[x.Project] = p
		}
		if p.ID != 0 { // else it has just been removed
			out.Repositories = append(out.Repositories, foundRepository{p.ID, p.Name, p.Public, x.Name, x.Manifests})
		}
	}
	return c.answer(http.StatusOK, out)
}
