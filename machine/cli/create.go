package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/machine/precheck"
	"github.com/openvic/vic/machine/progress"
	"github.com/openvic/vic/machine/session"
	"github.com/openvic/vic/machine/vch"
)

// layerSizeGB is the virtual size of image disks, VIC's base-image-size.
const layerSizeGB = 8

func (a *app) createCommand() *cli.Command {
	return &cli.Command{Name: "create", Usage: "make a VCH and wait until it serves", Flags: createFlags(), Action: a.create}
}

func (a *app) create(c *cli.Context) error {
	in, err := a.input(c)
	if err != nil {
		return err
	}
	t, err := a.target(c)
	if err != nil {
		return err
	}
	ctx, cancel := deadline(c)
	defer cancel()
	log := progress.New(a.out)
	log.Printf("checking what VCH %s needs", in.Spec.Name)
	if in.Session, in.ConnectErr = session.Connect(ctx, t); in.Session != nil {
		defer in.Session.Close(ctx)
		a.tellForced(t, in.Session)
	}
	checked := precheck.Run(ctx, in)
	checked.Report.Print(a.out)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !checked.OK() {
		return fmt.Errorf("%d of the checks failed; %w", checked.Report.Count(precheck.Error), errChecks)
	}
	log.Printf("making VCH %s", in.Spec.Name)
	plan := vch.NewPlan(in.Spec, checked.Resources, checked.Certs, time.Now())
	ready, err := vch.Create(ctx, plan, log)
	if err != nil {
		return fmt.Errorf("VCH %s could not be made: %w", in.Spec.Name, err)
	}
	log.Printf("VCH %s serves, %.1f s after the start (ID %s)", in.Spec.Name, ready.Took.Seconds(), ready.VM)
	return a.welcome(ctx, in, checked.Certs, ready, !c.Bool("no-reach-check"))
}
