package operation

import (
	"context"
	"fmt"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

// Creation is what create did.
type Creation struct {
	Checks precheck.Report
	Plan   *vch.Outline // of a dry run
	Ready  *vch.Ready
	Certs  *certs.Set
}

// CreateHow says what differs between those who create.
type CreateHow struct {
	DryRun  bool                  // stop after the checks, with a plan
	Checked func(precheck.Report) // is told the findings before anything is made; may be nil
}

// Create checks what the VCH needs and makes it. in has the session, or the error of its making, which
// is then one of the findings. The Creation is never nil; a ChecksError has its findings too.
func Create(ctx context.Context, in precheck.Input, how CreateHow, log *progress.Log) (*Creation, error) {
	if in.Session != nil && in.Session.Target.Ticket != "" && in.Spec.Ops.User == "" {
		return &Creation{}, wrongOption("ops-user", "", "a session ticket ends; the endpoint needs an account to keep", "give --ops-user and --ops-password")
	}
	log.Step("checks")
	log.Printf("checking what VCH %s needs", in.Spec.Name)
	checked := precheck.Run(ctx, in)
	c := &Creation{Checks: checked.Report, Certs: checked.Certs}
	if how.Checked != nil {
		how.Checked(checked.Report)
	}
	if ctx.Err() != nil {
		return c, context.Cause(ctx)
	}
	if !checked.OK() {
		return c, ChecksError{Report: checked.Report, Undone: "made"}
	}
	plan := vch.NewPlan(in.Spec, checked.Resources, checked.Certs, time.Now())
	if how.DryRun {
		outline := plan.Outline()
		c.Plan = &outline
		return c, nil
	}
	log.Printf("making VCH %s", in.Spec.Name)
	var err error
	if c.Ready, err = vch.Create(ctx, plan, log); err != nil {
		return c, fmt.Errorf("VCH %s could not be made: %w", in.Spec.Name, err)
	}
	log.Printf("VCH %s serves, %.1f s after the start (ID %s)", in.Spec.Name, c.Ready.Took.Seconds(), c.Ready.VM)
	return c, nil
}
