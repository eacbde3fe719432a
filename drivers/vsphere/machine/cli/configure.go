package cli

import (
	"context"
	"errors"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
)

func (a *app) configureCommand() *cli.Command {
	return &cli.Command{Name: "configure", Usage: "change a VCH; what is not named stays, and containers do not notice", Action: a.configure,
		Description: "Options that may be repeated add to what is there; --remove takes something away.",
		Flags:       flags(operation.ConfigureOptions())}
}

func (a *app) configure(c *cli.Context) error {
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		v := given(c, operation.ConfigureOptions())
		if v.String("ops-user") == "" && v.String("ops-password") == os.Getenv(operation.OpsPasswordEnv) {
			v.Set("ops-password") // it is there for other commands
		}
		_, err := operation.Configure(ctx, s, query(c), v, operation.Local{Version: a.version}, progress.New(a.out))
		return a.shown(err)
	})
}

// shown prints the findings of checks that failed.
func (a *app) shown(err error) error {
	var checks operation.ChecksError
	if errors.As(err, &checks) {
		checks.Report.Print(a.out)
	}
	return err
}
