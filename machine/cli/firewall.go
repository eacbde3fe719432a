package cli

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/machine/session"
)

func (a *app) updateCommand() *cli.Command {
	return &cli.Command{Name: "update", Usage: "change the hosts for VCHs", Subcommands: []*cli.Command{{
		Name: "firewall", Usage: "say what the firewalls of the ESXi hosts have to let through", Action: a.updateFirewall,
		Flags: append(targetFlags(),
			toggle(groupOther, "allow", "", "taken for scripts that were written for VIC; there is nothing to open"),
			toggle(groupOther, "deny", "", "likewise; there is nothing to close"),
			toggle(groupOther, "force", "f", "trust any certificate of the target"))}}}
}

// updateFirewall tells what differs from VIC, whose container VMs talked to their endpoint through a
// serial port of the host, which its firewall had to let out.
func (a *app) updateFirewall(c *cli.Context) error {
	return a.connected(c, func(_ context.Context, s *session.Session) error {
		_, err := fmt.Fprintf(a.out, `The hosts of %s need no change.

Container VMs reach their endpoint over the bridge network, and the endpoint reaches vCenter over its
own network cards. No traffic of a VCH goes through a host's own firewall, so there is no rule to open
as VIC's vSPC was, and none was changed. What has to be open in the networks between them:

  endpoint VM  -> vCenter       443/tcp
  endpoint VM  -> registries    443/tcp, or the port in their names
  docker       -> endpoint VM   2376/tcp (2375 with --no-tls)
  vic          -> endpoint VM   2378/tcp
  vic-machine  -> vCenter, ESXi 443/tcp (uploads go to the hosts of the datastore)
`, s.Target.URL.Host)
		return err
	})
}
