package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// Label is a word that artifacts are marked with.
type Label struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Color       string `json:"color"`      // #RRGGBB
	Scope       string `json:"scope"`      // "g": of the whole hub, "p": of a project
	ProjectID   int64  `json:"project_id"` // 0: of the whole hub
}

// labelScope says whose labels: those of a project by its number, or of the whole hub: 0.
func labelScope(project int64) url.Values {
	if project == 0 {
		return url.Values{"scope": {"g"}}
	}
	return url.Values{"scope": {"p"}, "project_id": {strconv.FormatInt(project, 10)}}
}

// Labels are those of a project, by its number, or of the whole hub: 0.
func (c *Client) Labels(ctx context.Context, project int64) iter.Seq2[Label, error] {
	return pages[Label](ctx, c, "/labels", labelScope(project))
}

// CreateLabel makes one, of the project that ProjectID names or of the whole hub, and tells its number.
func (c *Client) CreateLabel(ctx context.Context, l Label) (int64, error) {
	l.Scope = labelScope(l.ProjectID).Get("scope")
	h, err := c.call(ctx, http.MethodPost, "/labels", nil, l, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// UpdateLabel sets the name, the description and the color of one.
func (c *Client) UpdateLabel(ctx context.Context, l Label) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("/labels/%d", l.ID), nil, l, nil)
	return err
}

// DeleteLabel removes one, also from the artifacts that have it.
func (c *Client) DeleteLabel(ctx context.Context, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("/labels/%d", id), nil, nil, nil)
	return err
}

// AddLabel gives an artifact a label.
func (c *Client) AddLabel(ctx context.Context, project, name, ref string, label int64) error {
	_, err := c.call(ctx, http.MethodPost, artifact(project, name, ref)+"/labels", nil, map[string]int64{"id": label}, nil)
	return err
}

// RemoveLabel takes a label from an artifact.
func (c *Client) RemoveLabel(ctx context.Context, project, name, ref string, label int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("%s/labels/%d", artifact(project, name, ref), label), nil, nil, nil)
	return err
}

// Selector chooses repositories or tags.
type Selector struct {
	Kind       string `json:"kind"`             // "doublestar", or "label"
	Decoration string `json:"decoration"`       // "matches", "excludes", "repoMatches", "repoExcludes", "withLabels", "withoutLabels"
	Pattern    string `json:"pattern"`          // "**", "v*", "{a,b}"
	Extras     string `json:"extras,omitempty"` // JSON: {"untagged":true} chooses artifacts without a tag too
}

// Patterns are the selectors of a rule by a pattern of repositories and one of tags.
func Patterns(repositories, tags string) (scopes map[string][]Selector, chosen []Selector) {
	return map[string][]Selector{"repository": {{Kind: "doublestar", Decoration: "repoMatches", Pattern: repositories}}},
		[]Selector{{Kind: "doublestar", Decoration: "matches", Pattern: tags}}
}

// ImmutableRule says which tags neither move nor go.
type ImmutableRule struct {
	ID       int64                 `json:"id"`
	Disabled bool                  `json:"disabled"`
	Action   string                `json:"action"`
	Template string                `json:"template"`
	Tags     []Selector            `json:"tag_selectors"`
	Scopes   map[string][]Selector `json:"scope_selectors"` // under "repository"
}

func immutableRules(name string) string { return project(name) + "/immutabletagrules" }

// ImmutableRules are those of a project.
func (c *Client) ImmutableRules(ctx context.Context, project string) iter.Seq2[ImmutableRule, error] {
	return pages[ImmutableRule](ctx, c, immutableRules(project), nil)
}

// CreateImmutableRule makes one and tells its number.
func (c *Client) CreateImmutableRule(ctx context.Context, project string, r ImmutableRule) (int64, error) {
	r.Action, r.Template = "immutable", "immutable_template"
	h, err := c.call(ctx, http.MethodPost, immutableRules(project), nil, r, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// UpdateImmutableRule changes one to what r says.
func (c *Client) UpdateImmutableRule(ctx context.Context, project string, r ImmutableRule) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("%s/%d", immutableRules(project), r.ID), nil, r, nil)
	return err
}

// DeleteImmutableRule removes one.
func (c *Client) DeleteImmutableRule(ctx context.Context, project string, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("%s/%d", immutableRules(project), id), nil, nil, nil)
	return err
}
