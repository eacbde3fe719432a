// Package cli is "vic hub": the hub's API on the command line, for people and scripts.
package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

// app is one run of the command.
type app struct {
	version  string
	in       *bufio.Reader
	out, err io.Writer
}

// Command is "hub" for a program whose streams these are.
func Command(version string, in io.Reader, out, errs io.Writer) *cli.Command {
	a := &app{version: version, in: bufio.NewReader(in), out: out, err: errs}
	c := &cli.Command{
		Name: "hub", Usage: "users, roles, projects, images, robots and the log of a hub",
		Description: "Sign in once (vic hub login URL), or give --hub, --user and --password-stdin with each command, before its name. " +
			"Backup, restore, the move to another database, adopting a registry and fsck are commands of vic-hub, on the hub's machine.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "hub", Usage: "the hub, https://HOST:PORT; else the one that was signed in to last", EnvVars: []string{"VIC_HUB"}},
			&cli.StringFlag{Name: "ca", Usage: "file with the authority of the hub's certificate", EnvVars: []string{"VIC_HUB_CA"}},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "user or robot", EnvVars: []string{"VIC_HUB_USER"}},
			&cli.BoolFlag{Name: "password-stdin", Usage: "read the password from the standard input, one line"},
			&cli.StringFlag{Name: "credentials", Usage: "file in which login keeps the password", EnvVars: []string{"VIC_HUB_CREDENTIALS"},
				Value: defaultCredentials()},
		},
		Subcommands: []*cli.Command{
			{Name: "login", Usage: "sign in and keep the password in a file of your own (mode 0600)", ArgsUsage: "[URL]", Action: a.login},
			{Name: "logout", Usage: "forget the password", ArgsUsage: "[URL]", Action: a.logout},
			{Name: "status", Usage: "how the hub is, and who you are there", Flags: output(), Action: a.with(a.status)},
			a.userCommand(), a.adminCommand(), a.memberCommand(), a.projectCommand(), a.quotaCommand(), a.robotCommand(),
			a.repositoryCommand(), a.artifactCommand(), a.tagCommand(), a.labelCommand(), a.searchCommand(), a.immutableCommand(), a.retentionCommand(),
			a.registryCommand(), a.webhookCommand(), a.vchCommand(), a.allowlistCommand(),
			a.scanCommand(), a.cveCommand(), a.scannerCommand(), a.policyCommand(), a.sessionCommand(), a.jobCommand(), a.configCommand(), a.gcCommand(),
			a.trustCommand(), a.replicationCommand(), a.auditCommand(), a.logsCommand(), a.bundleCommand(), a.apiCommand(),
		},
	}
	Strict(c)
	return c
}

// output are the flags of commands that tell something.
func output(more ...cli.Flag) []cli.Flag {
	known := func(_ *cli.Context, v string) error {
		if v != "table" && v != "json" {
			return fmt.Errorf("--output %q: it is table or json", v)
		}
		return nil
	}
	return append(more, &cli.StringFlag{Name: "output", Aliases: []string{"o", "format"}, Usage: "table or json", Value: "table", Action: known})
}

// with gives an action the hub that flags and credentials name.
func (a *app) with(f func(*cli.Context, *client.Client) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		o, err := a.options(c, "")
		if err != nil {
			return err
		}
		h, err := client.New(o)
		if err != nil {
			return err
		}
		return hint(f(c, h), o)
	}
}

// hint says what to do about an answer that a sign-in would change.
func hint(err error, o client.Options) error {
	var e *client.Error
	if errors.As(err, &e) && e.Status == 401 {
		if o.User == "" {
			return fmt.Errorf("%w; sign in: vic hub login %s", err, o.URL)
		}
		return fmt.Errorf("%w; the user or the password is wrong: vic hub login %s", err, o.URL)
	}
	return err
}

// args are the arguments of a command, which wants these.
func args(c *cli.Context, names ...string) ([]string, error) {
	for _, x := range c.Args().Slice() {
		if strings.HasPrefix(x, "-") && len(x) > 1 && c.NArg() > len(names) {
			return nil, fmt.Errorf("%s: write %s before %s: %w", c.Command.HelpName, x, strings.Join(names, " "), errdef.ErrInvalid)
		}
	}
	if c.NArg() != len(names) {
		return nil, fmt.Errorf("%s wants %s, and was given %d arguments: %w", c.Command.HelpName, strings.Join(names, " "), c.NArg(), errdef.ErrInvalid)
	}
	return c.Args().Slice(), nil
}

// secret reads a line of the standard input.
func (a *app) secret(what string) (string, error) {
	const longest = 4096
	line, err := a.in.ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) || len(line) > longest {
		return "", fmt.Errorf("%s: the standard input has no line of at most %d characters: %w", what, longest, errdef.ErrInvalid)
	}
	s := strings.TrimRight(string(line), "\r\n")
	if s == "" {
		return "", fmt.Errorf("%s: the standard input is empty: %w", what, errdef.ErrInvalid)
	}
	return s, nil
}

// show prints a list as a table, whose columns and rows the caller names, or as JSON.
func show[T any](a *app, c *cli.Context, list iter.Seq2[T, error], header string, row func(T) []any) error {
	if c.String("output") == "json" {
		all := []T{}
		for v, err := range list {
			if err != nil {
				return err
			}
			all = append(all, v)
		}
		return a.json(all)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
	begun := false
	begin := func() {
		if !begun { // a list that cannot be had has no head
			fmt.Fprintln(w, strings.ReplaceAll(header, " ", "\t"))
		}
		begun = true
	}
	for v, err := range list {
		if err != nil {
			return errors.Join(w.Flush(), err)
		}
		begin()
		cells := row(v)
		for i, x := range cells {
			if s, ok := x.(string); ok {
				x = cell(s)
			}
			end := "\t"
			if i == len(cells)-1 {
				end = "\n"
			}
			fmt.Fprint(w, x, end)
		}
	}
	begin()
	return w.Flush()
}

// cell makes a text fit for a table and a terminal: what a server sends moves no cursor.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

func (a *app) json(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// one shows a single thing: as JSON, or its fields line by line.
func (a *app) one(c *cli.Context, v any, fields ...any) error {
	if c.String("output") == "json" {
		return a.json(v)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(fields); i += 2 {
		fmt.Fprintf(w, "%v:\t%s\n", fields[i], cell(fmt.Sprint(fields[i+1])))
	}
	return w.Flush()
}

func (a *app) status(c *cli.Context, h *client.Client) error {
	info, err := h.SystemInfo(c.Context)
	if err != nil {
		return err
	}
	health, err := h.Health(c.Context)
	if err != nil {
		return err
	}
	who, err := h.Current(c.Context)
	var e *client.Error
	if errors.As(err, &e) && e.Status == 401 {
		who = client.User{Name: "nobody"}
	} else if err != nil {
		return err
	}
	fields := []any{"Hub", info.External, "Version", info.Version, "User", who.Name, "Health", health.Status}
	for _, p := range health.Components {
		fields = append(fields, "  "+p.Name, p.Status+" "+p.Error)
	}
	return a.one(c, map[string]any{"hub": info, "health": health, "user": who}, fields...)
}

// apiCommand asks any route.
func (a *app) apiCommand() *cli.Command {
	return &cli.Command{Name: "api", Usage: "send a request of any route (docs/hub-openapi.json) and print the answer", ArgsUsage: "METHOD PATH",
		Flags: []cli.Flag{&cli.StringFlag{Name: "data", Usage: "the body as JSON; @FILE reads a file"}},
		Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "METHOD", "PATH")
			if err != nil {
				return err
			}
			path := strings.TrimPrefix(v[1], "/api/v2.0")
			if !strings.HasPrefix(path, "/") {
				return fmt.Errorf("PATH %q begins with a slash, as in /projects: %w", v[1], errdef.ErrInvalid)
			}
			var body io.Reader
			if data := c.String("data"); strings.HasPrefix(data, "@") {
				f, err := os.Open(data[1:])
				if err != nil {
					return err
				}
				defer f.Close()
				body = f
			} else if data != "" {
				body = strings.NewReader(data)
			}
			_, text, err := h.Raw(c.Context, strings.ToUpper(v[0]), path, nil, body)
			if err == nil {
				_, err = a.out.Write(text)
			}
			return err
		})}
}
