package cli

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

// roles are the numbers of Harbor that a member may have, by our words.
var roles = map[string]int{"devops-admin": 1, "developer": 2, "viewer": 3}

func roleOf(word string) (int, error) {
	n, ok := roles[word]
	if !ok {
		return 0, fmt.Errorf("%q is no role: viewer, developer or devops-admin: %w", word, errdef.ErrInvalid)
	}
	return n, nil
}

func (a *app) userCommand() *cli.Command {
	password := &cli.BoolFlag{Name: "new-password-stdin", Usage: "read the new password from the standard input, one line", Required: true}
	return &cli.Command{Name: "user", Usage: "users", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list whom the hub has seen",
			Flags: output(&cli.StringFlag{Name: "search", Usage: "ask the identity sources by a part of a name"}),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				list := h.Users(c.Context)
				if part := c.String("search"); part != "" {
					list = h.SearchUsers(c.Context, part)
				}
				return show(a, c, list, "NAME REALNAME EMAIL CLOUD-ADMIN ID", func(u client.User) []any {
					return []any{u.Name, u.RealName, u.Email, u.SysAdmin, u.Principal}
				})
			})},
		{Name: "create", Usage: "make a user of the hub's own", ArgsUsage: "NAME",
			Flags: []cli.Flag{password, &cli.StringFlag{Name: "realname", Usage: "the full name"},
				&cli.StringFlag{Name: "email", Usage: "the address"}}, Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "NAME")
				if err != nil {
					return err
				}
				secret, err := a.secret("--new-password-stdin")
				if err != nil {
					return err
				}
				_, err = h.CreateUser(c.Context, client.NewUser{Name: v[0], Password: secret, RealName: c.String("realname"), Email: c.String("email")})
				return a.did(err, "user %s is made", v[0])
			})},
		{Name: "password", Usage: "change somebody's password", ArgsUsage: "NAME", Flags: []cli.Flag{password},
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				u, err := findUser(c, h)
				if err != nil {
					return err
				}
				secret, err := a.secret("--new-password-stdin")
				if err != nil {
					return err
				}
				o, err := a.options(c, "")
				if err != nil {
					return err
				}
				return a.did(h.SetPassword(c.Context, u.ID, o.Password, secret), "the password of %s is changed", u.Name)
			})},
		{Name: "rm", Usage: "remove a user of the hub's own", ArgsUsage: "NAME", Action: a.with(func(c *cli.Context, h *client.Client) error {
			u, err := findUser(c, h)
			if err != nil {
				return err
			}
			return a.did(h.DeleteUser(c.Context, u.ID), "user %s is removed", u.Name)
		})},
	}}
}

// did tells that something is done.
func (a *app) did(err error, format string, values ...any) error {
	if err == nil {
		fmt.Fprintf(a.out, format+"\n", values...)
	}
	return err
}

// findUser finds the user that a command names: NAME@DOMAIN or DOMAIN/NAME.
func findUser(c *cli.Context, h *client.Client) (client.User, error) {
	v, err := args(c, "NAME")
	if err != nil {
		return client.User{}, err
	}
	return find(h.Users(c.Context), "user", v[0], func(u client.User) bool { return u.Name == v[0] || u.Principal == v[0] })
}

func find[T any](list iter.Seq2[T, error], what, name string, is func(T) bool) (found T, err error) {
	for v, err := range list {
		if err != nil || is(v) {
			return v, err
		}
	}
	return found, fmt.Errorf("there is no %s %q: %w", what, name, errdef.ErrNotFound)
}

func (a *app) adminCommand() *cli.Command {
	return &cli.Command{Name: "admin", Usage: "cloud administrators", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list them", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			list, err := h.CloudAdmins(c.Context)
			if err != nil {
				return err
			}
			return show(a, c, each(list), "NAME KIND ID", func(m client.Member) []any { return []any{m.EntityName, kind(m), m.Principal} })
		})},
		{Name: "add", Usage: "make a user or group one", ArgsUsage: "NAME", Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "NAME")
			if err != nil {
				return err
			}
			return a.did(h.AddCloudAdmin(c.Context, v[0]), "%s administers the hub", v[0])
		})},
		{Name: "rm", Usage: "take that away", ArgsUsage: "DOMAIN/NAME", Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "DOMAIN/NAME")
			if err != nil {
				return err
			}
			return a.did(h.RemoveCloudAdmin(c.Context, v[0]), "%s no longer administers the hub", v[0])
		})},
	}}
}

func kind(m client.Member) string {
	if m.EntityType == "g" {
		return "group"
	}
	return "user"
}

func (a *app) memberCommand() *cli.Command {
	findMember := func(c *cli.Context, h *client.Client, project, name string) (client.Member, error) {
		return find(h.Members(c.Context, project), "member", name, func(m client.Member) bool { return m.EntityName == name || m.Principal == name })
	}
	return &cli.Command{Name: "member", Usage: "roles in projects: " + strings.Join(slices.Sorted(maps.Keys(roles)), ", "), Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list the members of a project", ArgsUsage: "PROJECT", Flags: output(),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT")
				if err != nil {
					return err
				}
				return show(a, c, h.Members(c.Context, v[0]), "NAME KIND ROLE ID", func(m client.Member) []any {
					return []any{m.EntityName, kind(m), m.RoleName, m.Principal}
				})
			})},
		{Name: "set", Usage: "give a user or group a role, or another one", ArgsUsage: "PROJECT NAME ROLE",
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT", "NAME", "ROLE")
				if err != nil {
					return err
				}
				role, err := roleOf(v[2])
				if err != nil {
					return err
				}
				m, err := findMember(c, h, v[0], v[1])
				if err == nil {
					err = h.ChangeMember(c.Context, v[0], m.ID, role)
				} else if isNotFound(err) {
					_, err = h.AddMember(c.Context, v[0], v[1], role)
				}
				return a.did(err, "%s is %s in %s", v[1], v[2], v[0])
			})},
		{Name: "rm", Usage: "take a role away", ArgsUsage: "PROJECT NAME", Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "PROJECT", "NAME")
			if err != nil {
				return err
			}
			m, err := findMember(c, h, v[0], v[1])
			if err != nil {
				return err
			}
			return a.did(h.RemoveMember(c.Context, v[0], m.ID), "%s has no role in %s any more", v[1], v[0])
		})},
	}}
}
