package cli

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

func (a *app) robotCommand() *cli.Command {
	project := &cli.StringFlag{Name: "project", Usage: "the robots of a project; empty: of the whole hub"}
	able := func(name, usage string, disable bool) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, ArgsUsage: "NAME", Flags: []cli.Flag{project},
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				r, err := findRobot(c, h)
				if err != nil {
					return err
				}
				r.Disable = disable
				return a.did(h.UpdateRobot(c.Context, r), "%s is %sd", r.Name, name)
			})}
	}
	return &cli.Command{Name: "robot", Usage: "accounts of programs", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list them", Flags: output(project), Action: a.with(func(c *cli.Context, h *client.Client) error {
			id, err := projectNumber(c, h)
			if err != nil {
				return err
			}
			return show(a, c, h.Robots(c.Context, id), "NAME DISABLED EXPIRES PERMISSIONS CREATOR", func(r client.Robot) []any {
				return []any{r.Name, r.Disable, expires(r.Expires), permissions(r.Permissions), r.Creator}
			})
		})},
		{Name: "create", Usage: "make one and print its secret, which is told once", ArgsUsage: "NAME", Flags: output(project,
			&cli.StringSliceFlag{Name: "permission", Usage: "RESOURCE:ACTION of docs/hub-roles.md; several times", Required: true},
			&cli.IntFlag{Name: "days", Usage: "how long it lives; -1: for ever", Value: 30},
			&cli.StringFlag{Name: "description", Usage: "what it is for"}), Action: a.with(a.createRobot)},
		{Name: "refresh", Usage: "give one a new secret and print it", ArgsUsage: "NAME", Flags: output(project),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				r, err := findRobot(c, h)
				if err != nil {
					return err
				}
				secret, err := h.RefreshRobot(c.Context, r.ID)
				if err != nil {
					return err
				}
				return a.one(c, map[string]string{"name": r.Name, "secret": secret}, "Name", r.Name, "Secret", secret)
			})},
		able("disable", "let one not sign in any more", true), able("enable", "let one sign in again", false),
		{Name: "rm", Usage: "remove one", ArgsUsage: "NAME", Flags: []cli.Flag{project}, Action: a.with(func(c *cli.Context, h *client.Client) error {
			r, err := findRobot(c, h)
			if err != nil {
				return err
			}
			return a.did(h.DeleteRobot(c.Context, r.ID), "%s is removed", r.Name)
		})},
	}}
}

// projectNumber is that of --project; 0 if there is none.
func projectNumber(c *cli.Context, h *client.Client) (int64, error) {
	if c.String("project") == "" {
		return 0, nil
	}
	p, err := h.Project(c.Context, c.String("project"))
	return p.ID, err
}

// findRobot finds the robot that a command names, with or without what the hub puts before the name.
func findRobot(c *cli.Context, h *client.Client) (client.Robot, error) {
	v, err := args(c, "NAME")
	if err != nil {
		return client.Robot{}, err
	}
	id, err := projectNumber(c, h)
	if err != nil {
		return client.Robot{}, err
	}
	return find(h.Robots(c.Context, id), "robot", v[0], func(r client.Robot) bool {
		return r.Name == v[0] || r.Name == "robot$"+v[0] || c.String("project") != "" && r.Name == "robot$"+c.String("project")+"+"+v[0]
	})
}

func (a *app) createRobot(c *cli.Context, h *client.Client) error {
	v, err := args(c, "NAME")
	if err != nil {
		return err
	}
	p := client.RobotPermission{Kind: "system", Namespace: "/"}
	r := client.NewRobot{Name: v[0], Description: c.String("description"), Level: "system", Duration: c.Int("days")}
	if name := c.String("project"); name != "" {
		p.Kind, p.Namespace, r.Level = "project", name, "project"
	}
	for _, s := range c.StringSlice("permission") {
		resource, action, ok := strings.Cut(s, ":")
		if !ok || resource == "" || action == "" {
			return fmt.Errorf("--permission %q is not RESOURCE:ACTION, as repository:pull: %w", s, errdef.ErrInvalid)
		}
		p.Access = append(p.Access, client.RobotAccess{Resource: resource, Action: action})
	}
	r.Permissions = []client.RobotPermission{p}
	m, err := h.CreateRobot(c.Context, r)
	if err != nil {
		return err
	}
	return a.one(c, m, "Name", m.Name, "Secret", m.Secret, "Expires", expires(m.Expires))
}

func expires(at int64) string {
	if at < 0 {
		return "never"
	}
	return time.Unix(at, 0).UTC().Format(time.RFC3339)
}

func permissions(list []client.RobotPermission) string {
	var all []string
	for _, p := range list {
		for _, x := range p.Access {
			all = append(all, x.Resource+":"+x.Action)
		}
	}
	return strings.Join(all, ",")
}

func (a *app) auditCommand() *cli.Command {
	which := []cli.Flag{
		&cli.StringFlag{Name: "project", Usage: "the log of a project; empty: of the whole hub"},
		&cli.StringFlag{Name: "by", Usage: "by whom"},
		&cli.StringFlag{Name: "operation", Usage: "create, update, delete, pull, push"},
		&cli.StringFlag{Name: "type", Usage: "artifact, project, member, ..."},
		&cli.StringFlag{Name: "resource", Usage: "a part of what it was done to"},
		&cli.TimestampFlag{Name: "from", Usage: "RFC 3339", Layout: time.RFC3339},
		&cli.TimestampFlag{Name: "until", Usage: "RFC 3339", Layout: time.RFC3339},
	}
	limit := &cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 50, Usage: "how many"}
	const usage = "who did what; vic-hub audit verify, on the hub's machine, tells whether a line was changed"
	return &cli.Command{Name: "audit", Usage: usage, Subcommands: []*cli.Command{
		{Name: "search", Usage: "list lines, the latest first",
			Flags: output(append(slices.Clone(which), limit)...),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				lines := first(c.Int("limit"), h.Audit(c.Context, auditQuery(c)))
				return show(a, c, lines, "TIME USER OPERATION TYPE RESOURCE OUTCOME ADDRESS", func(l client.Line) []any {
					return []any{l.Time, l.User, l.Operation, l.Type, l.Resource, l.Outcome, l.Address}
				})
			})},
		{Name: "export", Usage: "write lines, the latest first, as they come",
			Flags:  append(which, &cli.StringFlag{Name: "format", Value: "jsonl", Usage: "jsonl or csv"}),
			Action: a.with(a.exportAudit)},
	}}
}

func auditQuery(c *cli.Context) client.AuditQuery {
	q := client.AuditQuery{Project: c.String("project"), User: c.String("by"), Operation: c.String("operation"), Type: c.String("type"),
		Resource: c.String("resource")}
	if t := c.Timestamp("from"); t != nil {
		q.From = *t
	}
	if t := c.Timestamp("until"); t != nil {
		q.To = *t
	}
	return q
}

func first[T any](n int, list func(func(T, error) bool)) func(func(T, error) bool) {
	return func(yield func(T, error) bool) {
		left := n
		for v, err := range list {
			if left--; left < 0 || !yield(v, err) {
				return
			}
		}
	}
}

func (a *app) exportAudit(c *cli.Context, h *client.Client) error {
	lines := h.Audit(c.Context, auditQuery(c))
	switch c.String("format") {
	case "jsonl":
		e := json.NewEncoder(a.out)
		for l, err := range lines {
			if err == nil {
				err = e.Encode(l)
			}
			if err != nil {
				return err
			}
		}
		return nil
	case "csv":
		w := csv.NewWriter(a.out)
		err := w.Write([]string{"id", "time", "user", "operation", "type", "resource", "outcome", "authentication", "address", "agent", "detail"})
		for l, e := range lines {
			if err = errors.Join(err, e); err != nil {
				break
			}
			err = w.Write([]string{strconv.FormatInt(l.ID, 10), l.Time, l.User, l.Operation, l.Type, l.Resource, strconv.Itoa(l.Outcome), l.By,
				l.Address, l.Agent, l.Detail})
		}
		w.Flush()
		return errors.Join(err, w.Error())
	}
	return fmt.Errorf("--format %q: it is jsonl or csv: %w", c.String("format"), errdef.ErrInvalid)
}
