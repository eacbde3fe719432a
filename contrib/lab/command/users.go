package command

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/contrib/lab"
)

func userCommand(dir cli.Flag) *cli.Command {
	return &cli.Command{Name: "user", Usage: "users of vCenter beside the administrator; give them roles with govc permissions.set", Subcommands: []*cli.Command{
		{Name: "add", Usage: "make a user, who can log in after being given a permission", ArgsUsage: "NAME", Action: userAdd, Flags: []cli.Flag{dir,
			&cli.StringFlag{Name: "password", Required: true, EnvVars: []string{"VIC_LAB_USER_PASSWORD"}, Usage: "the password"},
			&cli.StringSliceFlag{Name: "group", Usage: "a group that the user is in"}}},
		{Name: "rm", Usage: "remove a user", ArgsUsage: "NAME", Flags: []cli.Flag{dir}, Action: userRemove},
		{Name: "ls", Usage: "list users", Flags: []cli.Flag{dir}, Action: userList},
	}}
}

func userAdd(c *cli.Context) error {
	if c.NArg() != 1 {
		return cli.Exit("want a name, for example: vic-lab user add --password secret ops", 2)
	}
	return client(c).AddUser(c.Context, lab.NewUser{Name: c.Args().First(), Password: c.String("password"), Groups: c.StringSlice("group")})
}

func userRemove(c *cli.Context) error {
	if c.NArg() != 1 {
		return cli.Exit("want a name", 2)
	}
	return client(c).RemoveUser(c.Context, c.Args().First())
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
