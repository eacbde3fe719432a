package vch

import (
	"context"
	"fmt"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/hub"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

// DeleteOptions name the VCH that goes.
type DeleteOptions struct {
	Query
	Force bool // also if containers run, and with the volumes in its volume stores
	// Hub is the hub that knows the VCH, which is told that it goes; nil: a VCH that a hub knows goes only with Force.
	Hub *hub.Client
}

// Delete removes a VCH, or what is left of one: container VMs, endpoint VM, vApp and folder, in this
// order, so that it can be run again after an interruption. It returns ErrNotFound if there is
// nothing, and ErrConflict if containers run or a VM in the vApp is not the VCH's.
func Delete(ctx context.Context, s *session.Session, o DeleteOptions, log *progress.Log) error {
	f, err := locate(ctx, s, o.Query)
	if err != nil {
		return err
	}
	if f == nil {
		return fmt.Errorf("there is no VCH %s, nor anything left of one: %w", o.Query, errdef.ErrNotFound)
	}
	return f.remove(ctx, s, o, log)
}

// remove takes away what was found.
func (f *found) remove(ctx context.Context, s *session.Session, o DeleteOptions, log *progress.Log) error {
	if err := f.mayGo(o.Force); err != nil {
		return err
	}
	r := &remover{sess: s, log: log}
	if f.record != nil {
		r.datacenter = f.record.Datacenter
	}
	if err := f.leaveHub(ctx, o, r); err != nil {
		return err
	}
	r.vms(ctx, f.vms, f.folder)
	if f.record != nil {
		r.group(ctx, f.record)
		r.grants(ctx, f.record)
	}
	if len(r.errs) == 0 && f.pool != nil {
		r.pool(ctx, *f.pool)
	}
	if len(r.errs) == 0 && f.folder != "" {
		if f.record != nil {
			if o.Force {
				r.volumes(ctx, f.record)
			}
			r.volumeDirs(ctx, f.record)
			// Last: create made them first, and volume stores may lie in them.
			r.storeDirs(ctx, f.files, f.record.StoreDirs)
		}
		r.dir(ctx, f.files, f.folder)
	}
	if err := r.err(); err != nil {
		return advice.Wrap(fmt.Errorf("not all of VCH %s could be removed: %w", o.Query, err),
			"mend the cause and run the same command again: it goes on with what is left")
	}
	return nil
}

// mayGo refuses to remove what somebody may still want.
func (f *found) mayGo(force bool) error {
	var running, foreign []string
	for _, v := range f.vms {
		switch {
		case v.Foreign:
			foreign = append(foreign, v.Name)
		case v.On && v.Record == nil:
			running = append(running, v.Name)
		}
	}
	if len(foreign) > 0 {
		return advice.Wrap(fmt.Errorf("the vApp of the VCH holds VMs that are not the VCH's: %s: %w", strings.Join(foreign, ", "), errdef.ErrConflict),
			"move them out of the vApp, then delete the VCH")
	}
	if len(running) > 0 && !force {
		return advice.Wrap(fmt.Errorf("containers run on the VCH: %s: %w", strings.Join(running, ", "), errdef.ErrConflict),
			"stop them, or add --force to remove them with all their data, and the volumes too")
	}
	return nil
}
