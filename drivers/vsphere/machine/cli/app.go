// Package cli is the command line of vic-machine: options, prompts, output and exit codes. What the
// commands do is in machine/vch and machine/precheck.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

// The exit codes; the help names them too.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitChecks      = 3
	exitNotFound    = 4
	exitRefused     = 5
	exitTimeout     = 6
	exitInterrupted = 130
)

const description = `makes, changes, upgrades, inspects and deletes virtual container hosts (VCHs) on vSphere.

Exit codes: 0 done, 1 failed, 2 wrong options, 3 a check failed (nothing was made or changed),
4 no such VCH, 5 refused because containers run, 6 timed out, 130 interrupted. A create that fails
or is interrupted removes what it made. Deleting a VCH that is not there is no failure: it says so
and exits 0.

--target, --user, --password and --thumbprint can also be given in the environment as
VIC_MACHINE_TARGET, VIC_MACHINE_USER, VIC_MACHINE_PASSWORD and VIC_MACHINE_THUMBPRINT.`

// app is one run of the program.
type app struct {
	in       io.Reader
	out, err io.Writer
	version  string
}

// Main runs vic-machine with the arguments after the program's name and returns the exit code.
func Main(version string, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut, version: version}
	ctx, stop := a.interruptible(context.Background())
	defer stop()
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	c := &cli.App{
		Name: "vic-machine", Usage: "virtual container hosts on vSphere", Description: description,
		Version: a.version, HideVersion: true, Writer: a.out, ErrWriter: a.err, Reader: a.in,
		DisableSliceFlagSeparator: true, EnableBashCompletion: true,
		BashComplete: func(c *cli.Context) {
			for _, cmd := range c.App.VisibleCommands() {
				if cmd.Name != "help" {
					fmt.Fprintln(c.App.Writer, cmd.Name)
				}
			}
		},
		ExitErrHandler: func(*cli.Context, error) {}, // the exit code is ours to choose
		OnUsageError:   usageError,
		Commands: []*cli.Command{a.createCommand(), a.lsCommand(), a.inspectCommand(), a.deleteCommand(), a.configureCommand(),
			a.upgradeCommand(), a.rollbackCommand(), a.certificateCommand(), a.hubCommand(),
			a.debugCommand(), a.updateCommand(), a.serveCommand(), a.versionCommand(), a.generateCommand()},
		CommandNotFound: func(c *cli.Context, name string) {
			fmt.Fprintf(c.App.ErrWriter, "vic-machine: there is no command %q\n", name)
		},
	}
	strict(c.Commands)
	err := c.RunContext(ctx, append([]string{"vic-machine"}, args...))
	a.explain(err)
	return exitCode(err)
}

// badValue is what the flag package says of a value of the wrong kind.
var badValue = regexp.MustCompile(`^invalid value "(.*)" for flag -([a-z-]+): parse error$`)

func usageError(c *cli.Context, err error, _ bool) error {
	if m := badValue.FindStringSubmatch(err.Error()); m != nil && c != nil && c.Command != nil {
		for _, f := range c.Command.Flags {
			if slices.Contains(f.Names(), m[2]) {
				return advice.Wrap(fmt.Errorf("--%s %q: %w", m[2], m[1], errdef.ErrInvalid), "give it %s", kindWord(f))
			}
		}
	}
	return advice.Wrap(fmt.Errorf("%w: %w", errdef.ErrInvalid, err), "see vic-machine help, or --help after the command")
}

// kindWord says what an option wants.
func kindWord(f cli.Flag) string {
	switch f.(type) {
	case *cli.DurationFlag:
		return "a time with its unit, such as 90s or 5m"
	case *cli.BoolFlag:
		return "true or false, or no value for true"
	}
	return "a whole number, without a unit"
}

// strict makes commands refuse what they do not understand.
func strict(commands []*cli.Command) {
	for _, cmd := range commands {
		cmd.OnUsageError = usageError
		cmd.Before, cmd.BashComplete = noArguments, completions
		strict(cmd.Subcommands)
	}
}

// noArguments catches a value that its option has lost, as in "--name= vch1".
func noArguments(c *cli.Context) error {
	if c.Args().Present() && c.Args().First() != "help" && c.Command.Command(c.Args().First()) == nil && c.Command.ArgsUsage == "" {
		return usageError(c, fmt.Errorf("unexpected argument %q", c.Args().First()), true)
	}
	for _, name := range []string{"timeout", "serve-timeout"} {
		if c.IsSet(name) && c.Duration(name) <= 0 {
			return advice.Wrap(fmt.Errorf("--%s %s: no time at all: %w", name, c.Duration(name), errdef.ErrInvalid), "give it a time such as 90s or 5m")
		}
	}
	return nil
}

// explain prints an error and what to do about it.
func (a *app) explain(err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(a.err, "vic-machine: %v\n", err)
	if r := advice.Of(err); r != "" && !errors.Is(err, operation.ErrInterrupted) {
		fmt.Fprintf(a.err, "  -> %s\n", r)
	}
}

func exitCode(err error) int {
	switch operation.OutcomeOf(err) {
	case operation.Done:
		return exitOK
	case operation.Interrupted:
		return exitInterrupted
	case operation.TimedOut:
		return exitTimeout
	case operation.Checks:
		return exitChecks
	case operation.NotFound:
		return exitNotFound
	case operation.Invalid:
		return exitUsage
	case operation.Refused:
		return exitRefused
	}
	return exitFailed
}

// interruptible ends the context at the first Ctrl-C or SIGTERM, so that what was made is removed;
// a second one ends the program at once.
func (a *app) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-ch:
			signal.Stop(ch)
			fmt.Fprintln(a.err, "\nvic-machine: interrupted; once more to stop without cleaning up")
			cancel(operation.ErrInterrupted)
		case <-ctx.Done():
			signal.Stop(ch)
		}
	}()
	return ctx, func() { cancel(nil) }
}

// connected runs f with a session, within --timeout.
func (a *app) connected(c *cli.Context, f func(context.Context, *session.Session) error) error {
	t, err := a.target(given(c, append(operation.TargetOptions(), operation.TrustOption())))
	if err != nil {
		return err
	}
	ctx, cancel := operation.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	s, err := session.Connect(ctx, t)
	if err != nil {
		return operation.EndOf(ctx, err)
	}
	defer s.Close(ctx)
	a.tellForced(t, s)
	return operation.EndOf(ctx, f(ctx, s))
}

// tellForced says which certificate --force has made us trust.
func (a *app) tellForced(asked session.Target, s *session.Session) {
	if asked.Thumbprint != s.Target.Thumbprint {
		fmt.Fprintf(a.err, "vic-machine: warning: because of --force the certificate with the thumbprint %s is trusted unseen\n", s.Target.Thumbprint)
	}
}
