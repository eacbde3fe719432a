package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/admin/client"
)

func (a *app) volumeCommand() *cli.Command {
	return &cli.Command{Name: "volume", Usage: "volumes of the VCH", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list them, with where they lie", Flags: []cli.Flag{format()}, Action: a.with(a.listVolumes)},
		{Name: "grow", Usage: "make one larger that no running container has", ArgsUsage: "NAME SIZE",
			Description: "SIZE is the new capacity: a number of MB, or one with a unit, as in 512MB or 20GB.", Action: a.with(a.growVolume)},
	}}
}

func (a *app) listVolumes(c *cli.Context, remote *client.Client) error {
	all, err := remote.Volumes(c.Context)
	if err != nil {
		return err
	}
	if c.String("format") == "json" {
		return a.json(all)
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTORE\tCAPACITY\tCONTAINERS\tPLACE")
	for _, v := range all {
		capacity := "-"
		if v.CapacityMB > 0 {
			capacity = fmt.Sprintf("%d MB", v.CapacityMB)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", v.Name, v.Store, capacity, len(v.Containers), v.Place)
	}
	return w.Flush()
}

func (a *app) growVolume(c *cli.Context, remote *client.Client) error {
	if c.NArg() != 2 {
		return fmt.Errorf("%s needs a volume's name and its new size, as in: vic volume grow db 20GB", c.Command.HelpName)
	}
	v, err := remote.GrowVolume(c.Context, c.Args().Get(0), c.Args().Get(1))
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "%s has %d MB now\n", v.Name, v.CapacityMB)
	return nil
}
