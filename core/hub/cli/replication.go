package cli

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

func (a *app) replicationCommand() *cli.Command {
	limit := &cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 20, Usage: "how many"}
	return &cli.Command{Name: "replication", Usage: "rules that copy artifacts to other registries, or from them", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list the rules", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			return show(a, c, h.Replications(c.Context), "RULE NAME FROM TO WHEN ENABLED", func(x client.Replication) []any {
				return []any{x.ID, x.Name, x.From.Name, x.To.Name, x.Trigger.Type, x.Enabled}
			})
		})},
		{Name: "create", Usage: "make a rule", ArgsUsage: "NAME", Flags: ruleFlags(), Action: a.with(a.createRule)},
		{Name: "rm", Usage: "delete a rule, and stop what runs of it", ArgsUsage: "RULE", Action: a.numbered(func(c *cli.Context, h *client.Client, n []int64) error {
			return a.did(h.DeleteReplication(c.Context, n[0]), "rule %d is deleted", n[0])
		}, "RULE")},
		{Name: "run", Usage: "run a rule", ArgsUsage: "RULE", Action: a.numbered(func(c *cli.Context, h *client.Client, n []int64) error {
			id, err := h.Replicate(c.Context, n[0])
			return a.did(err, "run %d has begun: vic hub replication tasks %d", id, id)
		}, "RULE")},
		{Name: "runs", Usage: "list runs, the latest first", Flags: output(limit, &cli.Int64Flag{Name: "rule", Usage: "of this rule alone"}),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				list := first(c.Int("limit"), h.ReplicationRuns(c.Context, c.Int64("rule")))
				return show(a, c, list, "RUN RULE CAUSE STATUS TASKS DONE FAILED BEGUN", func(x client.ReplicationRun) []any {
					return []any{x.ID, x.Rule, x.Trigger, x.Status, x.Total, x.Succeed, x.Failed, x.Start}
				})
			})},
		{Name: "tasks", Usage: "list what a run copies or deletes", ArgsUsage: "RUN", Flags: output(limit),
			Action: a.numbered(func(c *cli.Context, h *client.Client, n []int64) error {
				list := first(c.Int("limit"), h.ReplicationTasks(c.Context, n[0]))
				return show(a, c, list, "TASK WHAT STATUS FROM TO SENT MESSAGE", func(x client.ReplicationTask) []any {
					return []any{x.ID, x.Operation, x.Status, x.From, x.To, x.Sent, x.Message}
				})
			}, "RUN")},
		{Name: "log", Usage: "show the log of a task", ArgsUsage: "RUN TASK", Action: a.numbered(func(c *cli.Context, h *client.Client, n []int64) error {
			text, err := h.ReplicationLog(c.Context, n[0], n[1])
			if err == nil {
				_, err = fmt.Fprint(a.out, text)
			}
			return err
		}, "RUN", "TASK")},
		{Name: "stop", Usage: "stop a run", ArgsUsage: "RUN", Action: a.numbered(func(c *cli.Context, h *client.Client, n []int64) error {
			return a.did(h.StopReplication(c.Context, n[0]), "run %d is to stop", n[0])
		}, "RUN")},
		{Name: "retry", Usage: "do again what failed of a run", ArgsUsage: "RUN", Action: a.numbered(func(c *cli.Context, h *client.Client, n []int64) error {
			return a.did(h.RetryReplication(c.Context, n[0]), "run %d goes on", n[0])
		}, "RUN")},
	}}
}

// numbered gives an action the numbers that its arguments are.
func (a *app) numbered(f func(*cli.Context, *client.Client, []int64) error, names ...string) cli.ActionFunc {
	return a.with(func(c *cli.Context, h *client.Client) error {
		given, err := args(c, names...)
		if err != nil {
			return err
		}
		n := make([]int64, len(names))
		for i, name := range names {
			if n[i], err = strconv.ParseInt(given[i], 10, 64); err != nil || n[i] < 1 {
				return fmt.Errorf("%s: %q is no number: %w", name, given[i], errdef.ErrInvalid)
			}
		}
		return f(c, h, n)
	})
}

func ruleFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Int64Flag{Name: "to", Usage: "push to the registry of this number"}, &cli.Int64Flag{Name: "from", Usage: "pull from the registry of this number"},
		&cli.StringFlag{Name: "repositories", Usage: "a pattern of names, with the project: shop/**"},
		&cli.StringFlag{Name: "tags", Usage: "a pattern of tags"}, &cli.StringSliceFlag{Name: "label", Usage: "what has this label (several: all of them)"},
		&cli.IntFlag{Name: "days", Usage: "what was pushed in the last so many days"},
		&cli.StringFlag{Name: "namespace", Usage: "where it goes: in place of all parts of a name but the last"},
		&cli.StringFlag{Name: "schedule", Usage: "six fields of cron, in UTC"}, &cli.BoolFlag{Name: "on-push", Usage: "with each push"},
		&cli.BoolFlag{Name: "override", Usage: "move tags that mean something else there"},
		&cli.BoolFlag{Name: "deletions", Usage: "delete there what is deleted here (with --on-push)"},
		&cli.Int64Flag{Name: "speed", Value: -1, Usage: "KB per second of each artifact"},
	}
}

func (a *app) createRule(c *cli.Context, h *client.Client) error {
	v, err := args(c, "NAME")
	if err != nil {
		return err
	}
	x := client.Replication{Name: v[0], Enabled: true, Namespace: c.String("namespace"), Replace: -1, Override: c.Bool("override"), Deletion: c.Bool("deletions"),
		Speed: c.Int64("speed"), Filters: []client.ReplicationFilter{}, Trigger: client.ReplicationTrigger{Type: "manual"}}
	if n := c.Int64("to"); n != 0 {
		x.To = &client.Numbered{ID: n}
	}
	if n := c.Int64("from"); n != 0 {
		x.From = &client.Numbered{ID: n}
	}
	switch cron := c.String("schedule"); {
	case cron != "" && c.Bool("on-push"):
		return fmt.Errorf("--schedule and --on-push: give one of them: %w", errdef.ErrInvalid)
	case cron != "":
		x.Trigger.Type, x.Trigger.Settings.Cron = "scheduled", cron
	case c.Bool("on-push"):
		x.Trigger.Type = "event_based"
	}
	add := func(kind string, value any, given bool) {
		if given {
			x.Filters = append(x.Filters, client.ReplicationFilter{Type: kind, Value: value})
		}
	}
	add("name", c.String("repositories"), c.String("repositories") != "")
	add("tag", c.String("tags"), c.String("tags") != "")
	add("label", c.StringSlice("label"), len(c.StringSlice("label")) > 0)
	add("age", c.Int("days"), c.Int("days") > 0)
	id, err := h.CreateReplication(c.Context, x)
	return a.did(err, "rule %d is made: vic hub replication run %d", id, id)
}
