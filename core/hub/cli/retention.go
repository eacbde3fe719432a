package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

func (a *app) retentionCommand() *cli.Command {
	dry := &cli.BoolFlag{Name: "dry-run", Usage: "change nothing, and tell what would go"}
	return &cli.Command{Name: "retention", Usage: "which artifacts a project keeps", Subcommands: []*cli.Command{
		{Name: "show", Usage: "show a project's rules", ArgsUsage: "PROJECT", Flags: output(), Action: a.with(a.showRetention)},
		{Name: "set", Usage: "set a project's rules: what no rule keeps goes", ArgsUsage: "PROJECT",
			Description: "--keep says what the one rule keeps: latestPushedK=10, latestPulledN=N, latestActiveK=N, nDaysSinceLastPush=DAYS, " +
				"nDaysSinceLastPull=DAYS, lastXDays=DAYS or always. More rules come as a file, in the form that show --output json prints.",
			Flags: append(patternFlags(), &cli.StringFlag{Name: "keep", Usage: "TEMPLATE=NUMBER"},
				&cli.BoolFlag{Name: "untagged", Usage: "the rule also keeps artifacts without a tag"},
				&cli.StringFlag{Name: "file", Usage: "file with a policy (JSON)"},
				&cli.StringFlag{Name: "schedule", Usage: "when it runs by itself: hourly, daily, weekly, none, or six fields of cron", Value: "none"}),
			Action: a.with(a.setRetention)},
		{Name: "rm", Usage: "remove a project's rules: all stays", ArgsUsage: "PROJECT", Action: a.with(func(c *cli.Context, h *client.Client) error {
			p, id, err := retentionOf(c, h, "PROJECT")
			if err != nil {
				return err
			}
			return a.did(h.DeleteRetention(c.Context, id), "the retention rules of %s are removed", p.Name)
		})},
		{Name: "run", Usage: "run a project's rules", ArgsUsage: "PROJECT", Flags: []cli.Flag{dry}, Action: a.with(func(c *cli.Context, h *client.Client) error {
			p, id, err := retentionOf(c, h, "PROJECT")
			if err != nil {
				return err
			}
			run, err := h.RunRetention(c.Context, id, c.Bool("dry-run"))
			return a.did(err, "run %d has begun: vic hub retention inspect %s %d", run, p.Name, run)
		})},
		{Name: "ls", Usage: "list the runs, the latest first", ArgsUsage: "PROJECT",
			Flags: output(&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 20, Usage: "how many"}),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				_, id, err := retentionOf(c, h, "PROJECT")
				if err != nil {
					return err
				}
				return show(a, c, first(c.Int("limit"), h.RetentionRuns(c.Context, id)), "RUN DRY-RUN KIND STATUS BEGUN ENDED", func(x client.RetentionRun) []any {
					return []any{x.ID, x.DryRun, x.Trigger, x.Status, x.Start, x.End}
				})
			})},
		{Name: "inspect", Usage: "show what a run did, by repository", ArgsUsage: "PROJECT RUN", Flags: output(),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				id, v, err := retentionRun(c, h, "PROJECT", "RUN")
				if err != nil {
					return err
				}
				return show(a, c, h.RetentionTasks(c.Context, id, v[0]), "TASK REPOSITORY STATUS KEPT OF", func(x client.RetentionTask) []any {
					return []any{x.ID, x.Repository, x.Status, x.Retained, x.Total}
				})
			})},
		{Name: "log", Usage: "show what a run decided about each artifact of a repository, and why", ArgsUsage: "PROJECT RUN TASK",
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				id, v, err := retentionRun(c, h, "PROJECT", "RUN", "TASK")
				if err != nil {
					return err
				}
				text, err := h.RetentionLog(c.Context, id, v[0], v[1])
				return a.text(text, err)
			})},
		{Name: "stop", Usage: "stop a run", ArgsUsage: "PROJECT RUN", Action: a.with(func(c *cli.Context, h *client.Client) error {
			id, v, err := retentionRun(c, h, "PROJECT", "RUN")
			if err != nil {
				return err
			}
			return a.did(h.StopRetention(c.Context, id, v[0]), "run %d is to stop", v[0])
		})},
	}}
}

// text prints one that the hub made of lines.
func (a *app) text(text string, err error) error {
	if err == nil {
		for line := range strings.Lines(text) {
			if _, err = fmt.Fprintln(a.out, cell(strings.TrimRight(line, "\n"))); err != nil {
				return err
			}
		}
	}
	return err
}

// retentionOf finds the project that a command names first, and the number of its policy; errdef.ErrNotFound if it has none.
func retentionOf(c *cli.Context, h *client.Client, names ...string) (client.Project, int64, error) {
	v, err := args(c, names...)
	if err != nil {
		return client.Project{}, 0, err
	}
	p, err := h.Project(c.Context, v[0])
	if err != nil {
		return p, 0, err
	}
	id, err := strconv.ParseInt(p.Metadata["retention_id"], 10, 64)
	if err != nil {
		return p, 0, fmt.Errorf("project %s has no retention rules, and keeps all; vic hub retention set makes some: %w", p.Name, errdef.ErrNotFound)
	}
	return p, id, nil
}

// retentionRun also reads the numbers behind the project.
func retentionRun(c *cli.Context, h *client.Client, names ...string) (policy int64, numbers []int64, err error) {
	if _, policy, err = retentionOf(c, h, names...); err != nil {
		return 0, nil, err
	}
	for i, s := range c.Args().Slice()[1:] {
		n, err := numbered(s, strings.ToLower(names[i+1]), map[int]string{0: "vic hub retention ls", 1: "vic hub retention inspect"}[i])
		if err != nil {
			return 0, nil, err
		}
		numbers = append(numbers, n)
	}
	return policy, numbers, nil
}

func (a *app) showRetention(c *cli.Context, h *client.Client) error {
	_, id, err := retentionOf(c, h, "PROJECT")
	if err != nil {
		return err
	}
	r, err := h.Retention(c.Context, id)
	if err != nil {
		return err
	}
	if c.String("output") == "json" {
		return a.json(r)
	}
	when := r.Trigger.Settings.Cron
	if when == "" {
		when = "by hand alone"
	}
	if err := a.one(c, r, "Runs", when); err != nil {
		return err
	}
	return show(a, c, each(r.Rules), "KEEPS NUMBER REPOSITORIES TAGS DISABLED", func(x client.RetentionRule) []any {
		number := "-"
		if n, ok := x.Params[x.Template]; ok {
			number = fmt.Sprint(n)
		}
		return []any{x.Template, number, patterns(x.Scopes["repository"]), patterns(x.Tags), x.Disabled}
	})
}

// cronOf is the cron text of a word, or the text itself.
func cronOf(when string) string {
	for word, text := range map[string]string{"hourly": "0 0 * * * *", "daily": "0 0 0 * * *", "weekly": "0 0 0 * * 0", "none": ""} {
		if when == word {
			return text
		}
	}
	return when
}

func (a *app) setRetention(c *cli.Context, h *client.Client) error {
	p, id, err := retentionOf(c, h, "PROJECT")
	if err != nil && (p.ID == 0 || !isNotFound(err)) {
		return err
	}
	r := client.Retention{Algorithm: "or"}
	switch {
	case (c.String("keep") == "") == (c.String("file") == ""):
		return fmt.Errorf("set wants --keep TEMPLATE=NUMBER, or --file: %w", errdef.ErrInvalid)
	case c.String("file") != "":
		text, err := os.ReadFile(c.String("file"))
		if err != nil {
			return fmt.Errorf("--file: %w", err)
		}
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("--file: %s is no policy: %w: %w", c.String("file"), err, errdef.ErrInvalid)
		}
	default:
		rule, err := ruleOf(c)
		if err != nil {
			return err
		}
		r.Rules = []client.RetentionRule{rule}
	}
	if c.IsSet("schedule") || r.Trigger.Kind == "" {
		r.Trigger = client.RetentionTrigger{Kind: "Schedule", Settings: client.RetentionSettings{Cron: cronOf(c.String("schedule"))}}
	}
	r.ID, r.Scope = id, client.RetentionScope{Level: "project", Ref: p.ID}
	_, err = h.SetRetention(c.Context, r)
	return a.did(err, "the retention rules of %s are set", p.Name)
}

// ruleOf is the one rule of the flags.
func ruleOf(c *cli.Context) (client.RetentionRule, error) {
	template, text, has := strings.Cut(c.String("keep"), "=")
	rule := client.RetentionRule{Action: "retain", Template: template, Params: map[string]any{}}
	if has {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return rule, fmt.Errorf("--keep %q: %q is no number above 0: %w", c.String("keep"), text, errdef.ErrInvalid)
		}
		rule.Params[template] = n
	}
	rule.Scopes, rule.Tags = client.Patterns(c.String("repositories"), c.String("tags"))
	rule.Tags[0].Extras = fmt.Sprintf(`{"untagged":%t}`, c.Bool("untagged"))
	return rule, nil
}
