package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/moby/term"
	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

// groupOther is the heading of options of the command line alone.
const groupOther = "Other"

func targetFlags() []cli.Flag { return flags(operation.TargetOptions()) }

func idFlags() []cli.Flag { return flags(operation.IDOptions()) }

// flags makes options those of a command.
func flags(all []option.Option) []cli.Flag {
	var out []cli.Flag
	for _, o := range all {
		out = append(out, flagOf(o))
	}
	return out
}

func flagOf(o option.Option) cli.Flag {
	v := option.New([]option.Option{o})
	switch o.Kind {
	case option.List:
		return &cli.StringSliceFlag{Name: o.Name, Aliases: o.Aliases, Category: o.Group, EnvVars: o.Env, DefaultText: o.DefaultText, Usage: o.Usage}
	case option.Number:
		f := &cli.Int64Flag{Name: o.Name, Aliases: o.Aliases, Category: o.Group, EnvVars: o.Env, Value: v.Int64(o.Name), Usage: o.Usage}
		if o.Default == "" {
			return numberFlag{f}
		}
		return f
	case option.Toggle:
		return &cli.BoolFlag{Name: o.Name, Aliases: o.Aliases, Category: o.Group, EnvVars: o.Env, Usage: o.Usage}
	case option.Duration:
		return &cli.DurationFlag{Name: o.Name, Aliases: o.Aliases, Category: o.Group, EnvVars: o.Env, Value: v.Duration(o.Name), Usage: o.Usage}
	}
	return &cli.StringFlag{Name: o.Name, Aliases: o.Aliases, Category: o.Group, EnvVars: o.Env, Value: o.Default, DefaultText: o.DefaultText, Usage: o.Usage}
}

// numberFlag is a number without a default, for which the help of package cli would say 0.
type numberFlag struct{ *cli.Int64Flag }

// GetDefaultText implements cli.DocGenerationFlag.
func (numberFlag) GetDefaultText() string { return "" }

// String implements cli.Flag: the line of the help.
func (f numberFlag) String() string { return cli.FlagStringer(f) }

// given are the values of those options that the command line, or the environment, gives.
func given(c *cli.Context, all []option.Option) option.Values {
	v := option.New(all)
	for _, o := range all {
		switch {
		case !c.IsSet(o.Name):
		case o.Kind == option.List:
			v.Set(o.Name, c.StringSlice(o.Name)...)
		default:
			v.Set(o.Name, fmt.Sprint(c.Value(o.Name)))
		}
	}
	return v
}

// target reads where to log in, and asks for a password that is missing.
func (a *app) target(c option.Values) (session.Target, error) {
	t, err := session.ParseTarget(c.String("target"))
	if err != nil {
		return t, err
	}
	if u := c.String("user"); u != "" {
		t.User = u
	}
	if t.User == "" {
		return t, advice.Wrap(fmt.Errorf("no user: %w", errdef.ErrInvalid), "give --user, or VIC_MACHINE_USER")
	}
	if err = t.SetThumbprint(c.String("thumbprint")); err != nil {
		return t, err
	}
	t.Force = c.Bool("force")
	if c.IsSet("password") {
		t.Password = c.String("password")
	}
	if t.Password == "" && !c.IsSet("password") {
		t.Password, err = a.askPassword(t)
	}
	return t, err
}

// askPassword reads a line without showing it; only from a terminal, so that a script that forgot
// the password fails instead of hanging.
func (a *app) askPassword(t session.Target) (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(f.Fd()) {
		return "", advice.Wrap(fmt.Errorf("no password: %w", errdef.ErrInvalid),
			"give --password, or VIC_MACHINE_PASSWORD, or run on a terminal to be asked")
	}
	fmt.Fprintf(a.err, "Password of %s at %s: ", t.User, t.URL.Host)
	state, err := term.SaveState(f.Fd())
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if err := term.DisableEcho(f.Fd(), state); err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line, err := readLine(f)
	_ = term.RestoreTerminal(f.Fd(), state)
	fmt.Fprintln(a.err)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return line, nil
}

// readLine reads no further than the line's end.
func readLine(r io.Reader) (string, error) {
	var b strings.Builder
	one := make([]byte, 1)
	for {
		n, err := r.Read(one)
		if n == 1 && one[0] == '\n' {
			return strings.TrimSuffix(b.String(), "\r"), nil
		}
		b.Write(one[:n])
		if err != nil {
			return b.String(), err
		}
	}
}
