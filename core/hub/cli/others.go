package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

func (a *app) registryCommand() *cli.Command {
	return &cli.Command{Name: "registry", Usage: "other registries, which projects are proxy caches of (vic hub project create --proxy-of NAME)",
		Subcommands: []*cli.Command{
			{Name: "ls", Usage: "list them", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
				return show(a, c, h.Registries(c.Context), "NAME TYPE URL STATUS", func(r client.Registry) []any { return []any{r.Name, r.Type, r.URL, r.Status} })
			})},
			{Name: "types", Usage: "list the types that there are", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
				all, err := h.RegistryTypes(c.Context)
				if err != nil {
					return err
				}
				return show(a, c, each(all), "TYPE", func(s string) []any { return []any{s} })
			})},
			{Name: "create", Usage: "make one known that answers", ArgsUsage: "NAME URL", Flags: []cli.Flag{
				&cli.StringFlag{Name: "type", Usage: "docker-registry, docker-hub, github-ghcr, harbor, quay (vic hub registry types)", Value: "docker-registry"},
				&cli.StringFlag{Name: "username", Usage: "who the hub is there"},
				&cli.BoolFlag{Name: "secret-stdin", Usage: "read the user's password or token from the standard input, one line"},
				&cli.StringFlag{Name: "registry-ca", Usage: "file with the authority of its certificate"},
				&cli.StringFlag{Name: "description", Usage: "what it is for"},
				&cli.BoolFlag{Name: "insecure", Usage: "take any certificate, and plain HTTP"}}, Action: a.with(a.createRegistry)},
			{Name: "inspect", Usage: "show one", ArgsUsage: "NAME", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
				r, err := oneRegistry(c, h)
				if err != nil {
					return err
				}
				user := "-"
				if r.Credential != nil {
					user = r.Credential.Key
				}
				return a.one(c, r, "Name", r.Name, "Type", r.Type, "URL", r.URL, "User", user, "Insecure", r.Insecure, "Status", r.Status, "Description", r.Description)
			})},
			{Name: "ping", Usage: "ask one whether it answers and takes the credentials", ArgsUsage: "NAME",
				Action: a.with(func(c *cli.Context, h *client.Client) error {
					r, err := oneRegistry(c, h)
					if err != nil {
						return err
					}
					return a.did(h.PingRegistry(c.Context, r.ID), "registry %s answers", r.Name)
				})},
			{Name: "rm", Usage: "forget one that no project is a proxy cache of", ArgsUsage: "NAME", Action: a.with(func(c *cli.Context, h *client.Client) error {
				r, err := oneRegistry(c, h)
				if err != nil {
					return err
				}
				return a.did(h.DeleteRegistry(c.Context, r.ID), "registry %s is forgotten", r.Name)
			})},
		}}
}

func (a *app) createRegistry(c *cli.Context, h *client.Client) error {
	v, err := args(c, "NAME", "URL")
	if err != nil {
		return err
	}
	r := client.NewRegistry{Name: v[0], URL: v[1], Type: c.String("type"), Description: c.String("description"), Insecure: c.Bool("insecure")}
	if (c.String("username") != "") != c.Bool("secret-stdin") {
		return fmt.Errorf("--username and --secret-stdin: give both or none: %w", errdef.ErrInvalid)
	}
	if c.String("username") != "" {
		secret, err := a.secret("--secret-stdin")
		if err != nil {
			return err
		}
		r.Credential = &client.RegistryCredential{Type: "basic", Key: c.String("username"), Secret: secret}
	}
	if file := c.String("registry-ca"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--registry-ca: %w", err)
		}
		r.CA = string(text)
	}
	_, err = h.CreateRegistry(c.Context, r)
	return a.did(err, "registry %s is known", v[0])
}

func oneRegistry(c *cli.Context, h *client.Client) (client.Registry, error) {
	v, err := args(c, "NAME")
	if err != nil {
		return client.Registry{}, err
	}
	return registryNamed(c, h, v[0])
}

func registryNamed(c *cli.Context, h *client.Client, name string) (client.Registry, error) {
	return find(h.Registries(c.Context), "registry", name, func(r client.Registry) bool { return r.Name == name })
}

func (a *app) vchCommand() *cli.Command {
	return &cli.Command{Name: "vch", Usage: "virtual container hosts; vic-machine create --hub makes them known", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list them", Flags: output(&cli.StringFlag{Name: "project", Usage: "those of a project"}),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				return show(a, c, h.VCHs(c.Context, c.String("project")), "NAME ADDRESS CONNECTED PROJECTS", func(v client.VCH) []any {
					return []any{v.Name, v.Address, v.Connected, projectsOf(v)}
				})
			})},
		{Name: "inspect", Usage: "show one, and whether it answers", ArgsUsage: "NAME", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := oneVCH(c, h)
			if err != nil {
				return err
			}
			p, err := h.PingVCH(c.Context, v.ID)
			if err != nil {
				return err
			}
			return a.one(c, map[string]any{"vch": v, "ping": p}, "Name", v.Name, "UID", v.UID, "Address", v.Address, "Projects", projectsOf(v),
				"Images of the hub alone", v.HubOnly,
				"Created", v.Created,
				"Status", p.Status, "Version", p.Version, "Error", p.Error)
		})},
		{Name: "rm", Usage: "forget one; the VCH itself stays", ArgsUsage: "NAME", Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := oneVCH(c, h)
			if err != nil {
				return err
			}
			return a.did(h.DeleteVCH(c.Context, v.ID), "VCH %s is forgotten", v.Name)
		})},
	}}
}

func projectsOf(v client.VCH) string {
	var all []string
	for _, p := range v.Projects {
		all = append(all, p.Name)
	}
	return strings.Join(all, ",")
}

func oneVCH(c *cli.Context, h *client.Client) (client.VCH, error) {
	v, err := args(c, "NAME")
	if err != nil {
		return client.VCH{}, err
	}
	return find(h.VCHs(c.Context, ""), "VCH", v[0], func(x client.VCH) bool { return x.Name == v[0] || x.UID == v[0] })
}

func (a *app) sessionCommand() *cli.Command {
	user := &cli.StringFlag{Name: "of", Usage: "another user, NAME@DOMAIN; for cloud administrators"}
	return &cli.Command{Name: "session", Usage: "sign-ins of browsers", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list your own, or those of another user", Flags: output(user), Action: a.with(func(c *cli.Context, h *client.Client) error {
			id, err := userNumber(c, h)
			if err != nil {
				return err
			}
			list, err := h.Sessions(c.Context, id)
			if err != nil {
				return err
			}
			return show(a, c, each(list), "SESSION BEGAN SEEN ADDRESS BROWSER", func(s client.Session) []any {
				return []any{s.ID, s.Began, s.Seen, s.Address, s.Agent}
			})
		})},
		{Name: "end", Usage: "end one of your own, or with --all all, or all of another user", ArgsUsage: "[SESSION]",
			Flags: []cli.Flag{user, &cli.BoolFlag{Name: "all", Usage: "all of them"}}, Action: a.with(a.endSessions)},
	}}
}

// userNumber is that of the user of --of; 0 for the caller.
func userNumber(c *cli.Context, h *client.Client) (int64, error) {
	name := c.String("of")
	if name == "" {
		return 0, nil
	}
	u, err := find(h.Users(c.Context), "user", name, func(u client.User) bool { return u.Name == name || u.Principal == name })
	return u.ID, err
}

func (a *app) endSessions(c *cli.Context, h *client.Client) error {
	if c.Bool("all") != (c.NArg() == 0) || c.NArg() > 1 || c.NArg() == 1 && c.String("of") != "" {
		return fmt.Errorf("end wants the SESSION of your own, or --all: %w", errdef.ErrInvalid)
	}
	if c.NArg() == 1 {
		return a.did(h.EndSession(c.Context, c.Args().First()), "session %s is ended", c.Args().First())
	}
	id, err := userNumber(c, h)
	if err != nil {
		return err
	}
	return a.did(h.EndSessions(c.Context, id), "the sessions of %s are ended", cmp.Or(c.String("of"), "yours"))
}

func (a *app) jobCommand() *cli.Command {
	return &cli.Command{Name: "job", Usage: "the hub's work: garbage collection, retention, webhooks", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list it, the latest first", Flags: output(&cli.StringFlag{Name: "kind", Usage: "of one kind (vic hub job queues)"},
			&cli.StringFlag{Name: "status", Usage: "Pending, Running, Success, Error or Stopped"},
			&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 20, Usage: "how many"}), Action: a.with(func(c *cli.Context, h *client.Client) error {
			list := first(c.Int("limit"), h.Jobs(c.Context, c.String("kind"), c.String("status")))
			return show(a, c, list, "JOB KIND CAUSE STATUS BEGUN ENDED MESSAGE", func(j client.Job) []any {
				return []any{j.ID, j.Kind, j.Cause, j.Status, j.Start, j.End, j.Message}
			})
		})},
		{Name: "inspect", Usage: "show one", ArgsUsage: "JOB", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			id, err := oneJob(c)
			if err != nil {
				return err
			}
			j, err := h.Job(c.Context, id)
			if err != nil {
				return err
			}
			return a.one(c, j, "Job", j.ID, "Kind", j.Kind, "Cause", j.Cause, "Status", j.Status, "Message", j.Message, "Begun", j.Start, "Ended", j.End)
		})},
		{Name: "log", Usage: "show the log of one", ArgsUsage: "JOB", Action: a.with(func(c *cli.Context, h *client.Client) error {
			id, err := oneJob(c)
			if err != nil {
				return err
			}
			text, err := h.JobLog(c.Context, id)
			return a.text(text, err)
		})},
		{Name: "stop", Usage: "stop one", ArgsUsage: "JOB", Action: a.with(func(c *cli.Context, h *client.Client) error {
			id, err := oneJob(c)
			if err != nil {
				return err
			}
			return a.did(h.StopJob(c.Context, id), "job %d is to stop", id)
		})},
		{Name: "queues", Usage: "show of each kind how much waits", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			all, err := h.JobQueues(c.Context)
			if err != nil {
				return err
			}
			return show(a, c, each(all), "KIND WAIT FOR", func(q client.JobQueue) []any {
				return []any{q.Kind, q.Count, (time.Duration(q.Latency) * time.Second).String()}
			})
		})},
		{Name: "schedules", Usage: "list what begins by itself, and when", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			return show(a, c, h.JobSchedules(c.Context), "KIND CRON NEXT", func(s client.JobSchedule) []any { return []any{s.Kind, s.Cron, s.Next} })
		})},
	}}
}

func oneJob(c *cli.Context) (int64, error) {
	v, err := args(c, "JOB")
	if err != nil {
		return 0, err
	}
	return numbered(v[0], "job", "vic hub job ls")
}

func (a *app) searchCommand() *cli.Command {
	return &cli.Command{Name: "search", Usage: "find projects and repositories by a part of their names", ArgsUsage: "TEXT", Flags: output(),
		Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "TEXT")
			if err != nil {
				return err
			}
			f, err := h.Search(c.Context, v[0])
			if err != nil {
				return err
			}
			if c.String("output") == "json" {
				return a.json(f)
			}
			type line struct {
				kind, name string
				holds      int64
			}
			var all []line
			for _, p := range f.Projects {
				all = append(all, line{"project", p.Name, p.Repos})
			}
			for _, r := range f.Repositories {
				all = append(all, line{"repository", r.Name, r.Artifacts})
			}
			return show(a, c, each(all), "KIND NAME HOLDS", func(l line) []any { return []any{l.kind, l.name, l.holds} })
		})}
}

func (a *app) configCommand() *cli.Command {
	return &cli.Command{Name: "config", Usage: "settings that can be changed while the hub runs; the others are in hub.toml", Subcommands: []*cli.Command{
		{Name: "get", Usage: "show one, or all", ArgsUsage: "[NAME]", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			if c.NArg() > 1 {
				_, err := args(c, "[NAME]")
				return err
			}
			all, err := h.Settings(c.Context)
			if err != nil {
				return err
			}
			if name := c.Args().First(); name != "" {
				s, ok := all[name]
				if !ok {
					return fmt.Errorf("there is no setting %q: %w", name, errdef.ErrNotFound)
				}
				all = map[string]client.Setting{name: s}
			}
			if c.String("output") == "json" {
				return a.json(all)
			}
			return show(a, c, each(slices.Sorted(maps.Keys(all))), "NAME VALUE EDITABLE", func(name string) []any {
				return []any{name, fmt.Sprint(all[name].Value), all[name].Editable}
			})
		})},
		{Name: "set", Usage: "change some", ArgsUsage: "NAME=VALUE...", Action: a.with(func(c *cli.Context, h *client.Client) error {
			changes := map[string]any{}
			for _, s := range c.Args().Slice() {
				name, value, ok := strings.Cut(s, "=")
				if !ok || name == "" {
					return fmt.Errorf("%q is not NAME=VALUE: %w", s, errdef.ErrInvalid)
				}
				changes[name] = settingOf(value)
			}
			if len(changes) == 0 {
				return fmt.Errorf("set wants NAME=VALUE: %w", errdef.ErrInvalid)
			}
			return a.did(h.Set(c.Context, changes), "changed: %s", strings.Join(slices.Sorted(maps.Keys(changes)), ", "))
		})},
	}}
}

// settingOf reads true, false and numbers as such, and everything else as text.
func settingOf(s string) any {
	var v any
	if json.Unmarshal([]byte(s), &v) == nil {
		switch v.(type) {
		case bool, float64:
			return v
		}
	}
	return s
}

func (a *app) allowlistCommand() *cli.Command {
	return &cli.Command{Name: "allowlist", Usage: "vulnerabilities that are allowed in projects without a list of their own", Subcommands: []*cli.Command{
		{Name: "show", Usage: "show them", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			l, err := h.Allowlist(c.Context)
			if err != nil {
				return err
			}
			if c.String("output") == "json" {
				return a.json(l)
			}
			ends := int64(-1)
			if l.Expires != nil {
				ends = *l.Expires
			}
			if err := a.one(c, l, "Expires", expires(ends)); err != nil {
				return err
			}
			return show(a, c, each(l.Items), "VULNERABILITY", func(i client.AllowlistItem) []any { return []any{i.CVE} })
		})},
		{Name: "set", Usage: "replace them; without any, nothing is allowed", ArgsUsage: "[CVE...]",
			Flags: []cli.Flag{&cli.TimestampFlag{Name: "until", Usage: "RFC 3339: when the list ends to count", Layout: time.RFC3339}},
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				l := client.Allowlist{Items: []client.AllowlistItem{}}
				for _, s := range c.Args().Slice() {
					l.Items = append(l.Items, client.AllowlistItem{CVE: s})
				}
				if t := c.Timestamp("until"); t != nil {
					n := t.Unix()
					l.Expires = &n
				}
				return a.did(h.SetAllowlist(c.Context, l), "%d vulnerabilities are allowed", len(l.Items))
			})},
	}}
}
