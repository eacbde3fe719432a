package command

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/contrib/lab"
	"github.com/openvic/vic/contrib/lab/sso"
)

func userCommand(dir cli.Flag) *cli.Command {
	password := &cli.StringFlag{Name: "password", Required: true, EnvVars: []string{"VIC_LAB_USER_PASSWORD"}, Usage: "the password"}
	groups := &cli.StringSliceFlag{Name: "group", Usage: "a group that the user is in; it is made if it is not there"}
	return &cli.Command{Name: "user", Usage: "users of vCenter beside the administrator; give them roles with govc permissions.set", Subcommands: []*cli.Command{
		{Name: "add", Usage: "make a user, who can log in to vCenter after being given a permission", ArgsUsage: "NAME", Action: userAdd, Flags: []cli.Flag{dir,
			password, groups, &cli.StringFlag{Name: "first-name"}, &cli.StringFlag{Name: "last-name"}, &cli.StringFlag{Name: "email"}}},
		{Name: "set", Usage: "change a user", ArgsUsage: "NAME", Action: userSet, Flags: []cli.Flag{dir,
			&cli.StringFlag{Name: "password", EnvVars: []string{"VIC_LAB_USER_PASSWORD"}, Usage: "another password"},
			&cli.StringSliceFlag{Name: "group", Usage: "all groups that the user is in from now on"},
			&cli.BoolFlag{Name: "disabled", Usage: "may not sign in (--disabled=false: may again)"},
			&cli.BoolFlag{Name: "locked", Usage: "had too many failed sign-ins"},
			&cli.BoolFlag{Name: "expired", Usage: "the password has expired"}}},
		{Name: "rm", Usage: "remove a user", ArgsUsage: "NAME", Flags: []cli.Flag{dir}, Action: remove},
		{Name: "ls", Usage: "list users", Flags: []cli.Flag{dir}, Action: userList},
	}}
}

func groupCommand(dir cli.Flag) *cli.Command {
	return &cli.Command{Name: "group", Usage: "groups of vCenter Single Sign-On", Subcommands: []*cli.Command{
		{Name: "add", Usage: "make a group", ArgsUsage: "NAME", Action: groupAdd, Flags: []cli.Flag{dir,
			&cli.StringSliceFlag{Name: "group", Usage: "a group that this one is in"}}},
		{Name: "join", Usage: "put users and groups into a group", ArgsUsage: "GROUP MEMBER...", Flags: []cli.Flag{dir}, Action: members(false)},
		{Name: "leave", Usage: "take users and groups out of a group", ArgsUsage: "GROUP MEMBER...", Flags: []cli.Flag{dir}, Action: members(true)},
		{Name: "rm", Usage: "remove a group", ArgsUsage: "NAME", Flags: []cli.Flag{dir}, Action: remove},
		{Name: "ls", Usage: "list groups, with those that they are in", Flags: []cli.Flag{dir}, Action: groupList},
	}}
}

func ssoCommand(dir cli.Flag) *cli.Command {
	fault := func(name, usage string, away bool) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, Flags: []cli.Flag{dir}, Action: func(c *cli.Context) error {
			return client(c).SetFaults(c.Context, away, 0)
		}}
	}
	return &cli.Command{Name: "sso", Usage: "vCenter Single Sign-On: what goes wrong, and who sends browsers to it", Subcommands: []*cli.Command{
		fault("away", "answer every request with 503", true),
		fault("back", "work as it should", false),
		{Name: "skew", Usage: "have a clock that is ahead, for example by 1h", Flags: []cli.Flag{dir,
			&cli.DurationFlag{Name: "by", Required: true, Usage: "how far; less than 0: behind"}}, Action: func(c *cli.Context) error {
			return client(c).SetFaults(c.Context, false, c.Duration("by"))
		}},
		{Name: "roll-over", Usage: "sign with a new key", Flags: []cli.Flag{dir}, Action: func(c *cli.Context) error { return client(c).RollOver(c.Context) }},
		{Name: "client", Usage: "register a program that sends browsers to sign in", ArgsUsage: "ID", Action: clientAdd, Flags: []cli.Flag{dir,
			&cli.StringFlag{Name: "secret", Required: true, EnvVars: []string{"VIC_LAB_CLIENT_SECRET"}, Usage: "the client's secret"},
			&cli.StringSliceFlag{Name: "redirect", Required: true, Usage: "an `address` that browsers may be sent back to"}}},
	}}
}

// only is the one argument of a command.
func only(c *cli.Context, want string) (string, error) {
	if c.NArg() != 1 {
		return "", cli.Exit("want "+want, 2)
	}
	return c.Args().First(), nil
}

func userAdd(c *cli.Context) error {
	name, err := only(c, "a name, for example: vic-lab user add --password secret ops")
	if err != nil {
		return err
	}
	return client(c).AddUser(c.Context, lab.NewUser{Password: c.String("password"), User: sso.User{Name: name, Groups: c.StringSlice("group"),
		FirstName: c.String("first-name"), LastName: c.String("last-name"), Email: c.String("email")}})
}

func userSet(c *cli.Context) error {
	name, err := only(c, "a name, for example: vic-lab user set --disabled ops")
	if err != nil {
		return err
	}
	var change sso.UserChange
	if c.IsSet("password") {
		p := c.String("password")
		change.Password = &p
	}
	if c.IsSet("group") {
		g := c.StringSlice("group")
		change.Groups = &g
	}
	for flag, to := range map[string]**bool{"disabled": &change.Disabled, "locked": &change.Locked, "expired": &change.PasswordExpired} {
		if c.IsSet(flag) {
			v := c.Bool(flag)
			*to = &v
		}
	}
	return client(c).ChangeUser(c.Context, name, change)
}

func remove(c *cli.Context) error {
	name, err := only(c, "a name")
	if err != nil {
		return err
	}
	return client(c).RemovePrincipal(c.Context, name)
}

func userList(c *cli.Context) error {
	l, err := client(c).Users(c.Context)
	if err != nil {
		return err
	}
	for _, u := range l {
		fmt.Fprintln(c.App.Writer, strings.TrimSpace(u.Name+" "+strings.Join(u.Groups, ",")))
	}
	return nil
}

func groupAdd(c *cli.Context) error {
	name, err := only(c, "a name, for example: vic-lab group add developers")
	if err != nil {
		return err
	}
	return client(c).AddGroup(c.Context, sso.Group{Name: name, Groups: c.StringSlice("group")})
}

func groupList(c *cli.Context) error {
	l, err := client(c).Groups(c.Context)
	if err != nil {
		return err
	}
	for _, g := range l {
		fmt.Fprintln(c.App.Writer, strings.TrimSpace(g.Name+" "+strings.Join(g.Groups, ",")))
	}
	return nil
}

func members(leave bool) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.NArg() < 2 {
			return cli.Exit("want a group and its members, for example: vic-lab group join developers dev", 2)
		}
		return client(c).ChangeMembers(c.Context, lab.Members{Group: c.Args().First(), Members: c.Args().Tail(), Leave: leave})
	}
}

func clientAdd(c *cli.Context) error {
	id, err := only(c, "an id, for example: vic-lab sso client --secret S --redirect https://hub.example.com/c/oidc/callback vic-hub")
	if err != nil {
		return err
	}
	return client(c).AddOpenIDClient(c.Context, sso.Client{ID: id, Secret: c.String("secret"), Redirects: c.StringSlice("redirect")})
}
