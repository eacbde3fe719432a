package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/moby/term"
	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/machine/advice"
	"github.com/openvic/vic/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	defaultName    = "virtual-container-host"
	defaultTimeout = 3 * time.Minute
)

// Help shows options under these headings.
const (
	groupTarget  = "vSphere"
	groupCompute = "Compute"
	groupStorage = "Storage"
	groupNetwork = "Networks"
	groupTLS     = "Certificates"
	groupImages  = "Registries"
	groupOps     = "Operations user"
	groupOther   = "Other"
)

func targetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "target", Aliases: []string{"t"}, Category: groupTarget, EnvVars: []string{"VIC_MACHINE_TARGET"},
			Usage: "vCenter or ESXi host: `host[:port][/datacenter]` or a URL"},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Category: groupTarget, EnvVars: []string{"VIC_MACHINE_USER"},
			Usage: "account, with its domain: `user@domain`"},
		&cli.StringFlag{Name: "password", Aliases: []string{"p"}, Category: groupTarget, EnvVars: []string{"VIC_MACHINE_PASSWORD"},
			DefaultText: "asked for on a terminal", Usage: "its `password`"},
		&cli.StringFlag{Name: "thumbprint", Category: groupTarget, EnvVars: []string{"VIC_MACHINE_THUMBPRINT"},
			Usage: "SHA-1 or SHA-256 `thumbprint` of the certificate to trust; without it only one that the system's authorities vouch for"},
		&cli.DurationFlag{Name: "timeout", Category: groupOther, Value: defaultTimeout, Usage: "give up after this `time`"},
	}
}

func idFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Aliases: []string{"n"}, Value: defaultName, Usage: "`name` of the VCH"},
		&cli.StringFlag{Name: "compute-resource", Aliases: []string{"r"}, Usage: "`cluster`, host or pool that it is on, if several VCHs have its name"},
		&cli.StringFlag{Name: "id", Usage: "managed object `id` of the VCH's endpoint VM, as ls shows it; instead of --name"},
	}
}

// target reads where to log in, and asks for a password that is missing.
func (a *app) target(c *cli.Context) (session.Target, error) {
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
	if t.Thumbprint, err = session.NormalThumbprint(c.String("thumbprint")); err != nil {
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
