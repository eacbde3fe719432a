package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
)

// followPause is how often new lines are asked for.
const followPause = time.Second

func (a *app) logsCommand() *cli.Command {
	return &cli.Command{Name: "logs", Usage: "what the hub and its plugins have logged; who did what is in vic hub audit",
		Description: "One process of the hub answers; where several share a database, each has its own lines. With --output json each line is an object.",
		Flags: output(
			&cli.StringFlag{Name: "level", Usage: "lines of this level and worse: error, warning, info, debug"},
			&cli.StringFlag{Name: "plugin", Usage: "the lines of a plugin; hub: those of the hub itself"},
			&cli.StringFlag{Name: "text", Usage: "a part of the line"},
			&cli.DurationFlag{Name: "since", Usage: "lines of this time alone, such as 10m"},
			&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 100, Usage: "how many of the latest"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with new lines, until interrupted"}),
		Action: a.with(a.logs)}
}

// logs prints lines, the latest last.
func (a *app) logs(c *cli.Context, h *client.Client) error {
	if _, err := args(c); err != nil {
		return err
	}
	q := client.SystemLogQuery{Level: c.String("level"), Plugin: c.String("plugin"), Text: c.String("text")}
	if d := c.Duration("since"); d > 0 {
		q.From = time.Now().Add(-d)
	}
	for limit := c.Int("limit"); ; limit = -1 {
		var lines []client.SystemLine
		for l, err := range h.SystemLogs(c.Context, q) {
			if err != nil {
				return stopped(c.Context, err)
			}
			if lines = append(lines, l); len(lines) == limit {
				break
			}
		}
		for _, l := range slices.Backward(lines) {
			if err := a.line(c, l); err != nil {
				return err
			}
			q.After = max(q.After, l.ID)
		}
		if !c.Bool("follow") {
			return nil
		}
		select {
		case <-time.After(followPause):
		case <-c.Context.Done():
			return nil
		}
	}
}

// stopped is no error for who has interrupted the command.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (a *app) line(c *cli.Context, l client.SystemLine) error {
	if c.String("output") == "json" {
		return json.NewEncoder(a.out).Encode(l)
	}
	text := l.Message
	if l.Fields != "" {
		text += " " + l.Fields
	}
	_, err := fmt.Fprintf(a.out, "%s %-7s %s: %s\n", cell(l.Time), cell(l.Level), cell(cmp.Or(l.Plugin, "hub")), cell(text))
	return err
}

func (a *app) bundleCommand() *cli.Command {
	const usage = "save logs, states and configuration of the hub, without secrets, for those who help"
	return &cli.Command{Name: "support-bundle", Usage: usage, ArgsUsage: "FILE.tar.gz",
		Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "FILE.tar.gz")
			if err != nil {
				return err
			}
			text, err := h.SupportBundle(c.Context)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(v[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			_, err = f.Write(text)
			return a.did(errors.Join(err, f.Close()), "the log bundle is in %s; look through it before you pass it on", v[0])
		})}
}
