package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/sdk/errdef"
)

// Strict has commands that only hold others say so of a word that is none of them. Without a word they show their help.
func Strict(c *cli.Command) {
	if len(c.Subcommands) == 0 {
		return
	}
	names := make([]string, 0, len(c.Subcommands))
	for _, s := range c.Subcommands {
		Strict(s)
		names = append(names, s.Name)
	}
	if c.Action != nil {
		return
	}
	c.Action = func(x *cli.Context) error {
		if x.NArg() == 0 {
			return cli.ShowSubcommandHelp(x)
		}
		return fmt.Errorf("%s has no command %q; it has %s: %w", c.HelpName, x.Args().First(), strings.Join(names, ", "), errdef.ErrInvalid)
	}
}
