package operation

import (
	"context"
	"errors"
	"fmt"

	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// ReadUpgrade reads the options of upgrade. What is wrong with the images is a ChecksError.
func ReadUpgrade(c option.Values, l Local) (vch.Images, error) {
	im := vch.Images{Version: l.Version, Patience: c.Duration("serve-timeout"),
		ApplianceISO: isoFile(c.String("appliance-iso"), "appliance.iso"), BootstrapISO: isoFile(c.String("bootstrap-iso"), "bootstrap.iso")}
	if r := precheck.Images(im.ApplianceISO, im.BootstrapISO); r.Count(precheck.Error) > 0 {
		return im, ChecksError{Report: r, Undone: "changed"}
	}
	return im, nil
}

// Upgrade gives a VCH another version, or other images of the one it has. That it has them is no error.
func Upgrade(ctx context.Context, s *session.Session, q vch.Query, im vch.Images, log *progress.Log) error {
	e, err := vch.Open(ctx, s, q, log)
	if err != nil {
		return err
	}
	log.Step("upgrade")
	log.Printf("upgrading VCH %s from %s to %s", e.Record().Name, e.Record().Version, im.Version)
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
}

// Rollback puts back the version from before the last upgrade.
func Rollback(ctx context.Context, s *session.Session, q vch.Query, c option.Values, log *progress.Log) error {
	e, err := vch.Open(ctx, s, q, log)
	if err != nil {
		return err
	}
	log.Step("rollback")
	log.Printf("taking VCH %s back from version %s", e.Record().Name, e.Record().Version)
	ready, err := e.Rollback(ctx, c.Duration("serve-timeout"))
	if err != nil {
		return fmt.Errorf("VCH %s: %w", e.Record().Name, err)
	}
	log.Printf("VCH %s serves with version %s at %s", e.Record().Name, e.Record().Version, ready.Address)
	return nil
}
