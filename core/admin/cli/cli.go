// Package cli is the command line of "vic", the administrator's view of a running vicd.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/admin"
	"github.com/openvic/vic/core/admin/client"
	hub "github.com/openvic/vic/core/hub/cli"
)

// Streams are the program's input and output.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Main runs the command line and returns the exit code.
func Main(ctx context.Context, version string, args []string, s Streams) int {
	err := newApp(version, s).RunContext(ctx, args)
	if err == nil {
		return 0
	}
	var exit cli.ExitCoder
	if errors.As(err, &exit) {
		if msg := exit.Error(); msg != "" {
			fmt.Fprintln(s.Err, "vic:", msg)
		}
		return exit.ExitCode()
	}
	fmt.Fprintln(s.Err, "vic:", err)
	return 1
}

type app struct {
	version string
	Streams
}

func newApp(version string, s Streams) *cli.App {
	a := &app{version: version, Streams: s}
	top := &cli.App{
		Name: "vic", Usage: "look into a running virtual container host, and work with a hub",
		Version: version, HideVersion: true, Writer: s.Out, ErrWriter: s.Err,
		ExitErrHandler: func(*cli.Context, error) {},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "socket", Value: "/run/vic/admin.sock", Usage: "vicd's socket, inside the endpoint VM", EnvVars: []string{"VIC_SOCKET"}},
			&cli.StringFlag{Name: "host", Usage: "vicd from outside: tcp://ADDRESS:2378", EnvVars: []string{"VIC_HOST"}},
			&cli.StringFlag{Name: "cert-path", Usage: "directory with admin-cert.pem, admin-key.pem and ca.pem", EnvVars: []string{"VIC_CERT_PATH", "DOCKER_CERT_PATH"}},
		},
		Commands: []*cli.Command{
			{Name: "plugin", Usage: "plugins of the VCH", Subcommands: []*cli.Command{
				{Name: "ls", Usage: "list them", Flags: []cli.Flag{format()}, Action: a.with(a.list)},
				{Name: "inspect", Usage: "show one", ArgsUsage: "NAME", Flags: []cli.Flag{format()}, Action: a.with(a.inspect)},
				{Name: "restart", Usage: "end one's process and start it anew", ArgsUsage: "NAME", Action: a.with(a.restart)},
			}},
			a.volumeCommand(),
			hub.Command(version, s.In, s.Out, s.Err),
			{Name: "exec", Usage: "run a command in the endpoint VM", ArgsUsage: "[--] CMD [ARG...]", Flags: []cli.Flag{
				&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "hand the whole standard input to the command"},
			}, Action: a.with(a.exec)},
			{Name: "logs", Usage: "last lines of vicd's log", Flags: []cli.Flag{
				&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Value: 100, Usage: "how many"},
			}, Action: a.with(a.logs)},
			{Name: "version", Usage: "versions of this program and of vicd", Flags: []cli.Flag{format()}, Action: a.with(a.showVersion)},
		},
	}
	for _, c := range top.Commands {
		hub.Strict(c)
	}
	top.Action = func(c *cli.Context) error {
		if c.NArg() == 0 {
			return cli.ShowAppHelp(c)
		}
		return fmt.Errorf("there is no command %q; vic help lists them", c.Args().First())
	}
	return top
}

func format() cli.Flag {
	return &cli.StringFlag{Name: "format", Usage: "table or json", Value: "table", Action: func(_ *cli.Context, v string) error {
		if v != "table" && v != "json" {
			return fmt.Errorf("--format %q: it is table or json", v)
		}
		return nil
	}}
}

// with gives an action the client that the flags describe.
func (a *app) with(f func(*cli.Context, *client.Client) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.String("host") == "" {
			return f(c, client.Socket(c.String("socket")))
		}
		if c.String("cert-path") == "" {
			return errors.New("--host needs --cert-path: the directory that vic-machine create wrote the certificates to")
		}
		remote, err := client.TLS(c.String("host"), c.String("cert-path"))
		if err != nil {
			return err
		}
		return f(c, remote)
	}
}

// name is the one argument of a command.
func name(c *cli.Context) (string, error) {
	if c.NArg() != 1 {
		return "", fmt.Errorf("%s needs the name of one plugin; \"vic plugin ls\" lists them", c.Command.HelpName)
	}
	return c.Args().First(), nil
}

func (a *app) exec(c *cli.Context, remote *client.Client) error {
	req := admin.ExecRequest{Args: c.Args().Slice()}
	if len(req.Args) == 0 {
		return errors.New("exec needs a command, as in: vic exec -- ip addr")
	}
	if c.Bool("interactive") {
		var err error
		if req.Stdin, err = io.ReadAll(a.In); err != nil {
			return err
		}
	}
	code, err := remote.Exec(c.Context, req, a.Out, a.Err)
	switch {
	case err != nil && code != 0:
		return cli.Exit(err.Error(), code)
	case err != nil:
		return err
	case code != 0:
		return cli.Exit("", code)
	}
	return nil
}

func (a *app) logs(c *cli.Context, remote *client.Client) error {
	return remote.Logs(c.Context, c.Int("lines"), a.Out)
}

// Standard are the streams of the process.
func Standard() Streams { return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr} }
