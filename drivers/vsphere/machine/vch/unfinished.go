package vch

import (
	"context"
	"fmt"
	"slices"

	"github.com/openvic/vic/sdk/errdef"
)

// FindUnfinished finds what a create of this name at these resources left that was killed: its marker says that
// it did not end. nil if there is nothing, or if it is somebody else's.
func FindUnfinished(ctx context.Context, name string, res Resources) (*Record, error) {
	if res.Datacenter == nil || res.Pool == nil || res.Files.Datastore == nil {
		return nil, nil
	}
	r, err := readMarker(ctx, res.Files, name)
	if err != nil || r == nil || !r.Unfinished || r.Datacenter != res.Datacenter.Reference().Value || r.ParentPool != res.Pool.Reference().Value {
		return nil, err
	}
	return r, nil
}

// finished is the record as the endpoint VM has it.
func (r Record) finished() *Record {
	r.Unfinished = false
	return &r
}

// removeUnfinished takes away what an interrupted create left. Whoever has containers on it has finished it.
func (c *creator) removeUnfinished(ctx context.Context) error {
	left := c.Res.Unfinished
	if left == nil {
		return nil
	}
	s := c.Res.Session
	all, err := endpoints(ctx, s)
	if err != nil {
		return err
	}
	var e *endpoint
	if i := slices.IndexFunc(all, func(e endpoint) bool { return e.Record.ID == left.ID }); i >= 0 {
		e = &all[i]
	}
	f := &found{record: left, files: c.Res.Files, folder: left.Folder}
	if err := f.findPool(ctx, s, left.Name); err != nil {
		return err
	}
	if err := f.findVMs(ctx, s, e); err != nil {
		return err
	}
	if slices.ContainsFunc(f.vms, func(v VM) bool { return v.Record == nil }) {
		return fmt.Errorf("there are containers on the VCH %s already: %w", left.Name, errdef.ErrConflict)
	}
	c.log.Printf("removing what an interrupted create left")
	o := DeleteOptions{Query: Query{Name: left.Name}}
	if c.Spec.Hub != nil {
		o.Hub = c.Spec.Hub.Client
	}
	return f.remove(ctx, s, o, c.log)
}
