package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
)

func (a *app) gcCommand() *cli.Command {
	dry := &cli.BoolFlag{Name: "dry-run", Usage: "change nothing, and tell what would go"}
	return &cli.Command{Name: "gc", Usage: "garbage collection", Subcommands: []*cli.Command{
		{Name: "run", Usage: "start a run", Flags: []cli.Flag{dry}, Action: a.with(func(c *cli.Context, h *client.Client) error {
			if _, err := args(c); err != nil {
				return err
			}
			id, err := h.Collect(c.Context, c.Bool("dry-run"))
			return a.did(err, "run %d has begun: vic hub gc inspect %d", id, id)
		})},
		{Name: "ls", Usage: "list the runs, the latest first", Flags: output(&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 20, Usage: "how many"}),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				runs := first(c.Int("limit"), h.Collections(c.Context))
				return show(a, c, runs, "RUN KIND STATUS BEGUN UPDATED", func(x client.Collection) []any {
					return []any{x.ID, x.Kind, x.Status, x.Created, x.Updated}
				})
			})},
		{Name: "inspect", Usage: "show one, with what it has done so far", ArgsUsage: "RUN", Flags: output(),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				id, err := run(c)
				if err != nil {
					return err
				}
				x, err := h.Collection(c.Context, id)
				if err != nil {
					return err
				}
				return a.one(c, x, "Run", x.ID, "Kind", x.Kind, "Status", x.Status, "Message", x.Message, "Begun", x.Created, "Updated", x.Updated, "Did", x.Parameters)
			})},
		{Name: "log", Usage: "show the log of one", ArgsUsage: "RUN", Action: a.with(func(c *cli.Context, h *client.Client) error {
			id, err := run(c)
			if err != nil {
				return err
			}
			text, err := h.CollectionLog(c.Context, id)
			return a.text(text, err)
		})},
		{Name: "stop", Usage: "stop one", ArgsUsage: "RUN", Action: a.with(func(c *cli.Context, h *client.Client) error {
			id, err := run(c)
			if err != nil {
				return err
			}
			return a.did(h.StopCollection(c.Context, id), "run %d is to stop", id)
		})},
		{Name: "schedule", Usage: "show when garbage is collected, or set it: hourly, daily, weekly, none, or six fields of cron",
			ArgsUsage: "[WHEN]", Flags: output(), Action: a.with(a.schedule)},
	}}
}

// run is the number of the run that a command names.
func run(c *cli.Context) (int64, error) {
	v, err := args(c, "RUN")
	if err != nil {
		return 0, err
	}
	return numbered(v[0], "run", "vic hub gc ls")
}

func (a *app) schedule(c *cli.Context, h *client.Client) error {
	when := strings.Join(c.Args().Slice(), " ")
	if when == "" {
		s, err := h.CollectionSchedule(c.Context)
		if err != nil {
			return err
		}
		if s.Schedule == nil {
			s.Schedule = &client.Schedule{Type: "None"}
		}
		return a.one(c, s, "When", s.Schedule.Type, "Cron", s.Schedule.Cron, "Next", s.Schedule.Next)
	}
	s := client.Schedule{Type: "Custom", Cron: when}
	if slices.Contains([]string{"hourly", "daily", "weekly", "none"}, when) {
		s = client.Schedule{Type: strings.ToUpper(when[:1]) + when[1:]}
	}
	return a.did(h.SetCollectionSchedule(c.Context, s), "garbage is collected: %s", when)
}
