package cli

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
)

func (a *app) upgradeCommand() *cli.Command {
	return &cli.Command{Name: "upgrade", Usage: "give a VCH the version of this vic-machine; containers go on", Action: a.upgrade,
		Description: "The endpoint reboots, so the Docker API is away for some seconds. If the new version does not serve\n" +
			"within --serve-timeout the old one comes back by itself.",
		Flags: flags(operation.UpgradeOptions())}
}

func (a *app) rollbackCommand() *cli.Command {
	return &cli.Command{Name: "rollback", Usage: "put back the version from before the last upgrade; containers go on", Action: a.rollback,
		Flags: flags(operation.RollbackOptions())}
}

func (a *app) upgrade(c *cli.Context) error {
	if c.Bool("rollback") {
		return a.rollback(c)
	}
	im, err := operation.ReadUpgrade(given(c, operation.UpgradeOptions()), operation.Local{Version: a.version})
	if err != nil {
		return a.shown(err)
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		return operation.Upgrade(ctx, s, query(c), im, progress.New(a.out))
	})
}

func (a *app) rollback(c *cli.Context) error {
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		return operation.Rollback(ctx, s, query(c), given(c, operation.RollbackOptions()), progress.New(a.out))
	})
}
