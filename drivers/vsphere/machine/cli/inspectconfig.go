package cli

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

func (a *app) inspectConfigCommand() *cli.Command {
	return &cli.Command{Name: "config", Usage: "print the options that make such a VCH again, as a file for create --config", Action: a.inspectConfig,
		Flags: append(append(targetFlags(), idFlags()...),
			&cli.StringFlag{Name: "format", Value: "toml", Usage: "`toml`: a file for --config; options: a command line"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Category: groupOther, Usage: "trust any certificate of the target"})}
}

func (a *app) inspectConfig(c *cli.Context) error {
	format := c.String("format")
	if format != "toml" && format != "options" {
		return advice.Wrap(fmt.Errorf("--format %q: %w", format, errdef.ErrInvalid), "give toml or options")
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		options, err := vch.Options(ctx, s, query(c))
		if err != nil {
			return err
		}
		if format == "options" {
			_, err = fmt.Fprintln(a.out, option.Line(operation.CreateOptions(), options))
			return err
		}
		text, err := option.TOML(operation.CreateOptions(), options)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(a.out, text)
		return err
	})
}
