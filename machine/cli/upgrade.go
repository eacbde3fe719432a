package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/machine/precheck"
	"github.com/openvic/vic/machine/progress"
	"github.com/openvic/vic/machine/session"
	"github.com/openvic/vic/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// servePatience is how long a new version may take to serve.
const servePatience = 2 * time.Minute

// patientFlags are targetFlags with more time: for an upload, a boot, and another boot if that fails.
func patientFlags() []cli.Flag {
	flags := targetFlags()
	if f, ok := flagNamed(flags, "timeout").(*cli.DurationFlag); ok {
		f.Value = 15 * time.Minute
	}
	return flags
}

func patienceFlag() cli.Flag {
	return &cli.DurationFlag{Name: "serve-timeout", Category: groupOther, Value: servePatience,
		Usage: "`time` within which the endpoint must serve; else the version of before comes back"}
}

func (a *app) upgradeCommand() *cli.Command {
	flags := append(append(patientFlags(), idFlags()...), isoFlags()...)
	return &cli.Command{Name: "upgrade", Usage: "give a VCH the version of this vic-machine; containers go on", Action: a.upgrade,
		Description: "The endpoint boots anew, so the Docker API is away for some seconds. If the new version does not serve\n" +
			"within --serve-timeout the old one comes back by itself.",
		Flags: append(flags, patienceFlag(),
			toggle(groupOther, "rollback", "", "go back to the version of before, as vic-machine rollback does"),
			toggle(groupOther, "force", "f", "trust any certificate of the target"))}
}

func (a *app) rollbackCommand() *cli.Command {
	return &cli.Command{Name: "rollback", Usage: "put back the version of before the last upgrade; containers go on", Action: a.rollback,
		Flags: append(append(patientFlags(), idFlags()...), patienceFlag(), toggle(groupOther, "force", "f", "trust any certificate of the target"))}
}

func (a *app) upgrade(c *cli.Context) error {
	if c.Bool("rollback") {
		return a.rollback(c)
	}
	im := vch.Images{Version: a.version, Patience: c.Duration("serve-timeout"),
		ApplianceISO: isoFile(c.String("appliance-iso"), "appliance.iso"), BootstrapISO: isoFile(c.String("bootstrap-iso"), "bootstrap.iso")}
	if r := precheck.Images(im.ApplianceISO, im.BootstrapISO); r.Count(precheck.Error) > 0 {
		r.Print(a.out)
		return checksError{r.Count(precheck.Error), "changed"}
	}
	return a.editing(c, func(ctx context.Context, _ *session.Session, e *vch.Editor, log *progress.Log) error {
		from := e.Record().Version
		log.Printf("upgrading VCH %s from %s to %s", e.Record().Name, from, im.Version)
		ready, err := e.Upgrade(ctx, im)
		if errors.Is(err, errdef.ErrExists) {
			log.Printf("nothing to do: %v", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("VCH %s: %w", e.Record().Name, err)
		}
		log.Printf("VCH %s serves with version %s at %s, %.1f s after its power-on", e.Record().Name, im.Version, ready.Address, ready.Took.Seconds())
		return nil
	})
}

func (a *app) rollback(c *cli.Context) error {
	return a.editing(c, func(ctx context.Context, _ *session.Session, e *vch.Editor, log *progress.Log) error {
		log.Printf("taking VCH %s back from version %s", e.Record().Name, e.Record().Version)
		ready, err := e.Rollback(ctx, c.Duration("serve-timeout"))
		if err != nil {
			return fmt.Errorf("VCH %s: %w", e.Record().Name, err)
		}
		log.Printf("VCH %s serves with version %s at %s", e.Record().Name, e.Record().Version, ready.Address)
		return nil
	})
}
