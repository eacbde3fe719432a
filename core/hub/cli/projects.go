package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

// isNotFound says that a list had no such entry, or the hub has no such thing.
func isNotFound(err error) bool { return errors.Is(err, errdef.ErrNotFound) }

// amount reads a bound: a size as 10GiB or a plain number, or "none".
func amount(flag, s string, read func(string) (int64, error)) (int64, error) {
	if s == "none" || s == "-1" {
		return -1, nil
	}
	n, err := read(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("--%s %q: a number above 0, for bytes also 10GiB, or none: %w", flag, s, errdef.ErrInvalid)
	}
	return n, nil
}

func number(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

// bound shows one.
func bound(n int64, f func(float64) string) string {
	if n < 0 {
		return "none"
	}
	return f(float64(n))
}

func plain(n float64) string { return strconv.FormatInt(int64(n), 10) }

func (a *app) projectCommand() *cli.Command {
	public := &cli.BoolFlag{Name: "public", Usage: "anybody may pull"}
	return &cli.Command{Name: "project", Usage: "projects", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list those that you see", Flags: output(&cli.StringFlag{Name: "name", Usage: "a part of the name"}),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				return show(a, c, h.Projects(c.Context, c.String("name")), "NAME PUBLIC REPOSITORIES CREATED", func(p client.Project) []any {
					return []any{p.Name, p.Metadata["public"], p.Repos, p.Created}
				})
			})},
		{Name: "inspect", Usage: "show one", ArgsUsage: "PROJECT", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "PROJECT")
			if err != nil {
				return err
			}
			p, err := h.Project(c.Context, v[0])
			if err != nil {
				return err
			}
			return a.one(c, p, "Name", p.Name, "Public", p.Metadata["public"], "Repositories", p.Repos, "Created", p.Created)
		})},
		{Name: "create", Usage: "make one", ArgsUsage: "PROJECT",
			Flags: []cli.Flag{public, &cli.StringFlag{Name: "storage", Usage: "quota, as 10GiB", Value: "none"},
				&cli.StringFlag{Name: "admin", Usage: "the first DevOps administrator"},
				&cli.StringFlag{Name: "proxy-of", Usage: "make it a proxy cache of a registry (vic hub registry ls)"}}, Action: a.with(a.createProject)},
		{Name: "update", Usage: "make one public or private (--public=false)", ArgsUsage: "PROJECT", Flags: []cli.Flag{public},
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT")
				if err != nil {
					return err
				}
				if !c.IsSet("public") {
					return fmt.Errorf("update wants --public or --public=false: %w", errdef.ErrInvalid)
				}
				q := client.ProjectRequest{Metadata: map[string]string{"public": strconv.FormatBool(c.Bool("public"))}}
				return a.did(h.UpdateProject(c.Context, v[0], q), "project %s is changed", v[0])
			})},
		{Name: "rm", Usage: "remove one without repositories", ArgsUsage: "PROJECT", Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "PROJECT")
			if err != nil {
				return err
			}
			return a.did(h.DeleteProject(c.Context, v[0]), "project %s is removed", v[0])
		})},
	}}
}

func (a *app) createProject(c *cli.Context, h *client.Client) error {
	v, err := args(c, "PROJECT")
	if err != nil {
		return err
	}
	storage, err := amount("storage", c.String("storage"), units.RAMInBytes)
	if err != nil {
		return err
	}
	q := client.ProjectRequest{Name: v[0], Storage: &storage, Admin: c.String("admin"),
		Metadata: map[string]string{"public": strconv.FormatBool(c.Bool("public"))}}
	if name := c.String("proxy-of"); name != "" {
		r, err := registryNamed(c, h, name)
		if err != nil {
			return err
		}
		q.Registry = &r.ID
	}
	_, err = h.CreateProject(c.Context, q)
	return a.did(err, "project %s is made", v[0])
}

func (a *app) quotaCommand() *cli.Command {
	return &cli.Command{Name: "quota", Usage: "quotas of projects", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list them", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			return show(a, c, h.Quotas(c.Context), "PROJECT STORAGE OF REPOSITORIES OF", func(q client.Quota) []any {
				return []any{q.Ref.Name, units.BytesSize(float64(q.Used.Storage)), bound(q.Hard.Storage, units.BytesSize),
					q.Used.Repositories, bound(q.Hard.Repositories, plain)}
			})
		})},
		{Name: "set", Usage: "change one", ArgsUsage: "PROJECT", Flags: []cli.Flag{&cli.StringFlag{Name: "storage", Usage: "as 10GiB, or none"},
			&cli.StringFlag{Name: "repositories", Usage: "a number, or none"}}, Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "PROJECT")
			if err != nil {
				return err
			}
			hard := map[string]int64{}
			for name, read := range map[string]func(string) (int64, error){"storage": units.RAMInBytes, "repositories": number} {
				if c.IsSet(name) {
					if hard[name], err = amount(name, c.String(name), read); err != nil {
						return err
					}
				}
			}
			if len(hard) == 0 {
				return fmt.Errorf("set wants --storage or --repositories: %w", errdef.ErrInvalid)
			}
			p, err := h.Project(c.Context, v[0])
			if err != nil {
				return err
			}
			return a.did(h.SetQuota(c.Context, p.ID, hard), "the quota of %s is changed", v[0])
		})},
	}}
}

// splitRepository splits PROJECT/NAME.
func splitRepository(s string) (project, name string, err error) {
	project, name, ok := strings.Cut(s, "/")
	if !ok || project == "" || name == "" {
		return "", "", fmt.Errorf("%q is not PROJECT/NAME: %w", s, errdef.ErrInvalid)
	}
	return project, name, nil
}

// splitReference splits PROJECT/NAME:TAG or PROJECT/NAME@DIGEST.
func splitReference(s string) (project, name, ref string, err error) {
	at := strings.IndexByte(s, '@')
	if at < 0 {
		if at = strings.LastIndexByte(s, ':'); at < strings.LastIndexByte(s, '/') {
			at = -1
		}
	}
	if at < 0 || at == len(s)-1 {
		return "", "", "", fmt.Errorf("%q is neither PROJECT/NAME:TAG nor PROJECT/NAME@DIGEST: %w", s, errdef.ErrInvalid)
	}
	project, name, err = splitRepository(s[:at])
	return project, name, s[at+1:], err
}

func (a *app) repositoryCommand() *cli.Command {
	return &cli.Command{Name: "repository", Aliases: []string{"repo"}, Usage: "repositories", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list those of a project", ArgsUsage: "PROJECT",
			Flags: output(&cli.StringFlag{Name: "name", Usage: "a part of the name"}),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT")
				if err != nil {
					return err
				}
				return show(a, c, h.Repositories(c.Context, v[0], c.String("name")), "NAME ARTIFACTS UPDATED", func(r client.Repository) []any {
					return []any{r.Name, r.Artifacts, r.Updated}
				})
			})},
		{Name: "rm", Usage: "remove one with all that is in it", ArgsUsage: "PROJECT/NAME",
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT/NAME")
				if err != nil {
					return err
				}
				project, name, err := splitRepository(v[0])
				if err != nil {
					return err
				}
				return a.did(h.DeleteRepository(c.Context, project, name), "%s is removed", v[0])
			})},
	}}
}

func tags(x client.Artifact) string {
	var all []string
	for _, t := range x.Tags {
		all = append(all, t.Name)
	}
	return strings.Join(all, ",")
}

func (a *app) artifactCommand() *cli.Command {
	return &cli.Command{Name: "artifact", Usage: "images and other artifacts", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list those of a repository, the latest first", ArgsUsage: "PROJECT/NAME", Flags: output(),
			Action: a.with(a.listArtifacts)},
		{Name: "inspect", Usage: "show one", ArgsUsage: "PROJECT/NAME:TAG|@DIGEST", Flags: output(),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT/NAME:TAG|@DIGEST")
				if err != nil {
					return err
				}
				project, name, ref, err := splitReference(v[0])
				if err != nil {
					return err
				}
				x, err := h.Artifact(c.Context, project, name, ref)
				if err != nil {
					return err
				}
				return a.one(c, x, "Repository", project+"/"+name, "Digest", x.Digest, "Type", x.Type, "Size", units.BytesSize(float64(x.Size)), "Tags", tags(x),
					"Pushed", x.Pushed, "By", x.PushedBy)
			})},
		{Name: "rm", Usage: "remove one with all its tags", ArgsUsage: "PROJECT/NAME:TAG|@DIGEST",
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT/NAME:TAG|@DIGEST")
				if err != nil {
					return err
				}
				project, name, ref, err := splitReference(v[0])
				if err != nil {
					return err
				}
				return a.did(h.DeleteArtifact(c.Context, project, name, ref), "%s is removed", v[0])
			})},
	}}
}

func (a *app) listArtifacts(c *cli.Context, h *client.Client) error {
	v, err := args(c, "PROJECT/NAME")
	if err != nil {
		return err
	}
	project, name, err := splitRepository(v[0])
	if err != nil {
		return err
	}
	return show(a, c, h.Artifacts(c.Context, project, name), "DIGEST TAGS TYPE SIZE PUSHED BY", func(x client.Artifact) []any {
		return []any{x.Digest, tags(x), x.Type, units.BytesSize(float64(x.Size)), x.Pushed, x.PushedBy}
	})
}

func (a *app) tagCommand() *cli.Command {
	return &cli.Command{Name: "tag", Usage: "tags", Subcommands: []*cli.Command{
		{Name: "rm", Usage: "remove one; the artifact stays", ArgsUsage: "PROJECT/NAME:TAG",
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT/NAME:TAG")
				if err != nil {
					return err
				}
				project, name, ref, err := splitReference(v[0])
				if err != nil {
					return err
				}
				return a.did(h.DeleteTag(c.Context, project, name, ref), "tag %s is removed", v[0])
			})},
	}}
}
