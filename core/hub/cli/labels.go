package cli

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

// numbered is the number that an argument is; what lists those that there are.
func numbered(s, what, lists string) (int64, error) {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 1 {
		return 0, fmt.Errorf("%q is no number of a %s; %s lists them: %w", s, what, lists, errdef.ErrInvalid)
	}
	return id, nil
}

func (a *app) labelCommand() *cli.Command {
	project := &cli.StringFlag{Name: "project", Usage: "the labels of a project; empty: of the whole hub"}
	text := []cli.Flag{&cli.StringFlag{Name: "color", Usage: "#RRGGBB"}, &cli.StringFlag{Name: "description", Usage: "what it means"}}
	mark := func(name, usage, done string, f func(*client.Client, *cli.Context, string, string, string, int64) error) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, ArgsUsage: "PROJECT/NAME:TAG|@DIGEST LABEL",
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT/NAME:TAG|@DIGEST", "LABEL")
				if err != nil {
					return err
				}
				in, repo, ref, err := splitReference(v[0])
				if err != nil {
					return err
				}
				l, err := labelOf(c, h, in, v[1])
				if err != nil {
					return err
				}
				return a.did(f(h, c, in, repo, ref, l.ID), done, v[0], l.Name)
			})}
	}
	return &cli.Command{Name: "label", Usage: "words that artifacts are marked with", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list them", Flags: output(project), Action: a.with(func(c *cli.Context, h *client.Client) error {
			id, err := projectNumber(c, h)
			if err != nil {
				return err
			}
			return show(a, c, h.Labels(c.Context, id), "NAME COLOR DESCRIPTION", func(l client.Label) []any { return []any{l.Name, l.Color, l.Description} })
		})},
		{Name: "create", Usage: "make one", ArgsUsage: "NAME", Flags: append(text, project), Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "NAME")
			if err != nil {
				return err
			}
			id, err := projectNumber(c, h)
			if err != nil {
				return err
			}
			_, err = h.CreateLabel(c.Context, client.Label{Name: v[0], ProjectID: id, Color: c.String("color"), Description: c.String("description")})
			return a.did(err, "label %s is made", v[0])
		})},
		{Name: "update", Usage: "change one", ArgsUsage: "NAME", Flags: append(text, project, &cli.StringFlag{Name: "name", Usage: "another name"}),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				l, err := oneLabel(c, h)
				if err != nil {
					return err
				}
				for flag, to := range map[string]*string{"color": &l.Color, "description": &l.Description, "name": &l.Name} {
					if c.IsSet(flag) {
						*to = c.String(flag)
					}
				}
				return a.did(h.UpdateLabel(c.Context, l), "label %s is changed", l.Name)
			})},
		{Name: "rm", Usage: "remove one, also from the artifacts that have it", ArgsUsage: "NAME", Flags: []cli.Flag{project},
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				l, err := oneLabel(c, h)
				if err != nil {
					return err
				}
				return a.did(h.DeleteLabel(c.Context, l.ID), "label %s is removed", l.Name)
			})},
		mark("add", "give an artifact one, of its project or of the whole hub", "%s has the label %s",
			func(h *client.Client, c *cli.Context, in, repo, ref string, id int64) error {
				return h.AddLabel(c.Context, in, repo, ref, id)
			}),
		mark("remove", "take one from an artifact", "%s has the label %s no more",
			func(h *client.Client, c *cli.Context, in, repo, ref string, id int64) error {
				return h.RemoveLabel(c.Context, in, repo, ref, id)
			}),
	}}
}

// oneLabel finds the label that a command names.
func oneLabel(c *cli.Context, h *client.Client) (client.Label, error) {
	v, err := args(c, "NAME")
	if err != nil {
		return client.Label{}, err
	}
	id, err := projectNumber(c, h)
	if err != nil {
		return client.Label{}, err
	}
	return find(h.Labels(c.Context, id), "label", v[0], func(l client.Label) bool { return l.Name == v[0] })
}

// labelOf finds a label of a project, or else of the whole hub.
func labelOf(c *cli.Context, h *client.Client, project, name string) (client.Label, error) {
	p, err := h.Project(c.Context, project)
	if err != nil {
		return client.Label{}, err
	}
	is := func(l client.Label) bool { return l.Name == name }
	l, err := find(h.Labels(c.Context, p.ID), "label", name, is)
	if isNotFound(err) {
		l, err = find(h.Labels(c.Context, 0), "label", name, is)
	}
	return l, err
}

func (a *app) immutableCommand() *cli.Command {
	able := func(name, usage string, disabled bool) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, ArgsUsage: "PROJECT RULE", Action: a.with(func(c *cli.Context, h *client.Client) error {
			project, r, err := oneRule(c, h)
			if err != nil {
				return err
			}
			r.Disabled = disabled
			return a.did(h.UpdateImmutableRule(c.Context, project, r), "rule %d is %sd", r.ID, name)
		})}
	}
	return &cli.Command{Name: "immutable", Usage: "rules by which tags neither move nor go", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list those of a project", ArgsUsage: "PROJECT", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "PROJECT")
			if err != nil {
				return err
			}
			return show(a, c, h.ImmutableRules(c.Context, v[0]), "RULE REPOSITORIES TAGS DISABLED", func(r client.ImmutableRule) []any {
				return []any{r.ID, patterns(r.Scopes["repository"]), patterns(r.Tags), r.Disabled}
			})
		})},
		{Name: "create", Usage: "make one", ArgsUsage: "PROJECT", Flags: patternFlags(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "PROJECT")
			if err != nil {
				return err
			}
			var r client.ImmutableRule
			r.Scopes, r.Tags = client.Patterns(c.String("repositories"), c.String("tags"))
			id, err := h.CreateImmutableRule(c.Context, v[0], r)
			return a.did(err, "rule %d is made", id)
		})},
		able("disable", "let one not count", true), able("enable", "let one count again", false),
		{Name: "rm", Usage: "remove one", ArgsUsage: "PROJECT RULE", Action: a.with(func(c *cli.Context, h *client.Client) error {
			project, r, err := oneRule(c, h)
			if err != nil {
				return err
			}
			return a.did(h.DeleteImmutableRule(c.Context, project, r.ID), "rule %d is removed", r.ID)
		})},
	}}
}

// patternFlags choose repositories and tags.
func patternFlags() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "repositories", Usage: "which, as team/** or {a,b}", Value: "**"},
		&cli.StringFlag{Name: "tags", Usage: "which, as v*", Value: "**"}}
}

// oneRule finds the immutability rule that a command names.
func oneRule(c *cli.Context, h *client.Client) (project string, r client.ImmutableRule, err error) {
	v, err := args(c, "PROJECT", "RULE")
	if err != nil {
		return "", r, err
	}
	id, err := numbered(v[1], "rule", "vic hub immutable ls")
	if err != nil {
		return "", r, err
	}
	r, err = find(h.ImmutableRules(c.Context, v[0]), "rule", v[1], func(r client.ImmutableRule) bool { return r.ID == id })
	return v[0], r, err
}

// patterns shows selectors.
func patterns(list []client.Selector) string {
	text := ""
	for i, s := range list {
		if i > 0 {
			text += " "
		}
		switch s.Decoration {
		case "excludes", "repoExcludes", "withoutLabels":
			text += "not "
		}
		if s.Kind == "label" {
			text += "label "
		}
		text += s.Pattern
	}
	return cmp.Or(text, "-")
}
