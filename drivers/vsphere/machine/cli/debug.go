package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

func (a *app) debugCommand() *cli.Command {
	return &cli.Command{Name: "debug", Usage: "look into the endpoint of a VCH: logs, log level, commands", Action: a.debug,
		Flags: flags(operation.DebugOptions())}
}

func (a *app) debug(c *cli.Context) error {
	level := c.String("log-level")
	if err := operation.CheckLevel(level); err != nil {
		return err
	}
	if level == "" && c.String("bundle") == "" && c.String("exec") == "" && !c.Bool("enable-ssh") && !c.Bool("disable-ssh") {
		return advice.Wrap(fmt.Errorf("nothing to do: %w", errdef.ErrInvalid), "give --bundle, --log-level, --exec, --enable-ssh or --disable-ssh")
	}
	ssh, err := sshOf(c)
	if err != nil {
		return err
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		log := progress.New(a.out)
		e, err := vch.Open(ctx, s, query(c), log)
		if err != nil {
			return err
		}
		details, err := vch.Inspect(ctx, s, vch.Query{ID: e.ID()})
		if err != nil {
			return err
		}
		if level != "" {
			if err := operation.SetLevel(ctx, e, level, log); err != nil {
				return err
			}
		}
		if err := switchSSH(ctx, c, s, e.SSHHost(), ssh, log); err != nil {
			return err
		}
		admin, why := operation.AdminOf(given(c, operation.DebugOptions()), operation.Local{Version: a.version}, e, details)
		if cmd := c.String("exec"); cmd != "" {
			if why != nil {
				return why
			}
			if err := admin.Exec(ctx, cmd, a.out, a.err); err != nil {
				return err
			}
		}
		if file := c.String("bundle"); file != "" {
			return a.collect(ctx, s, e, details, admin, file, log)
		}
		return nil
	})
}

// sshOf reads who may log in.
func sshOf(c *cli.Context) (s vch.SSH, err error) {
	on, off := c.Bool("enable-ssh"), c.Bool("disable-ssh")
	file, password := c.String("authorized-key"), c.String("rootpw")
	switch {
	case on && off:
		return s, advice.Wrap(fmt.Errorf("--enable-ssh and --disable-ssh: %w", errdef.ErrInvalid), "give one of them")
	case !on && file != "":
		return s, advice.Wrap(fmt.Errorf("--authorized-key belongs to --enable-ssh: %w", errdef.ErrInvalid), "give --enable-ssh too")
	case on && file == "" && password == "":
		return s, advice.Wrap(fmt.Errorf("--enable-ssh lets nobody in: %w", errdef.ErrInvalid), "give --authorized-key or --rootpw")
	}
	s = vch.SSH{Password: password, Time: c.Duration("ssh-time")}
	if file != "" {
		if s.AuthorizedKeys, err = os.ReadFile(file); err != nil {
			return s, advice.Wrap(fmt.Errorf("--authorized-key: %w: %w", errdef.ErrInvalid, err), "give the file of a public key")
		}
	}
	return s, nil
}

func switchSSH(ctx context.Context, c *cli.Context, sess *session.Session, h vch.SSHHost, s vch.SSH, log *progress.Log) error {
	switch {
	case c.Bool("enable-ssh"):
		a, err := h.Enable(ctx, sess, s)
		if err != nil {
			return err
		}
		log.Printf("for %s: ssh root@%s; the host key is %s", s.Time, a.Address.Addr(), a.HostKey)
	case c.Bool("disable-ssh"):
		if err := h.Disable(ctx, sess); err != nil {
			return err
		}
		log.Printf("SSH is off")
	}
	return nil
}

// collect writes the bundle of a VCH.
func (a *app) collect(ctx context.Context, s *session.Session, e *vch.Editor, d *vch.Details, admin *operation.AdminAPI, file string, log *progress.Log) error {
	return writeBundle(file, log, func(w io.Writer) ([]string, error) { return operation.Bundle(ctx, w, s, e, d, admin) })
}

// writeBundle writes what write gives; a file that is there is not touched.
func writeBundle(file string, log *progress.Log, write func(io.Writer) (notes []string, err error)) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return advice.Wrap(fmt.Errorf("--bundle: %w: %w", errdef.ErrInvalid, err), "give --bundle the name of a new file")
	}
	notes, err := write(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	for _, n := range notes {
		log.Printf("not collected: %s", n)
	}
	log.Printf("wrote %s", file)
	return nil
}
