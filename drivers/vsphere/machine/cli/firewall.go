package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
)

func (a *app) updateCommand() *cli.Command {
	return &cli.Command{Name: "update", Usage: "change the hosts for VCHs", Subcommands: []*cli.Command{{
		Name: "firewall", Usage: "say what the firewalls of the ESXi hosts have to let through", Action: a.updateFirewall,
		Flags: append(targetFlags(),
			&cli.BoolFlag{Name: "allow", Category: groupOther, Usage: "taken for scripts that were written for VIC; there is nothing to open"},
			&cli.BoolFlag{Name: "deny", Category: groupOther, Usage: "likewise; there is nothing to close"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Category: groupOther, Usage: "trust any certificate of the target"})}}}
}

// updateFirewall tells what differs from VIC.
func (a *app) updateFirewall(c *cli.Context) error {
	return a.connected(c, func(_ context.Context, s *session.Session) error {
		fmt.Fprintf(a.out, `The hosts of %s need no change.

Container VMs reach their endpoint over the bridge network, and the endpoint reaches vCenter over its
own network cards. No traffic of a VCH goes through a host's own firewall, so there is no rule to open
as VIC's vSPC was, and none was changed. What has to be open in the networks between them:

`, s.Target.URL.Host)
		w := tabwriter.NewWriter(a.out, 0, 0, 1, ' ', 0)
		for _, o := range operation.Openings() {
			ports := o.Ports
			if o.Note != "" {
				ports += ", " + o.Note
			}
			fmt.Fprintf(w, "  %s\t-> %s\t%s\n", o.From, o.To, ports)
		}
		return w.Flush()
	})
}
