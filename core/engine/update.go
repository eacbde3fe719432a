package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// UpdateRequest changes a container. Nil fields stay.
type UpdateRequest struct {
	// Memory in bytes and CPUs are the VM's new size, rounded up as at create, and the limits in it.
	Memory   *int64
	NanoCPUs *int64
	// CPUs is how many processors the VM gets; nil: as many as NanoCPUs needs.
	CPUs    *int32
	Pids    *int64
	Restart *guest.Restart
	// API makes the API layer's new part of the definition of its old one.
	API func(old json.RawMessage) (json.RawMessage, error)
}

// Update changes the size of a container's VM, its limits and its restart policy. The VM of a
// running container keeps its size: limits may be set within it at once, beyond it ErrConflict says
// to stop the container first.
func (e *Engine) Update(ctx context.Context, ref string, req UpdateRequest) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := e.detached(ctx)
	defer cancel()
	if c.view().State.Status == StatusRemoving {
		return fail(errdef.ErrConflict, `Cannot update container %s: container is marked for removal and cannot be "update"`, c.id)
	}
	if err := e.update(ctx, c, req); err != nil {
		return fmt.Errorf("Cannot update container %s: %w", c.id, err) //nolint:staticcheck // Docker's text
	}
	e.emit(c, "update")
	return nil
}

func (e *Engine) update(ctx context.Context, c *container, req UpdateRequest) error {
	old := c.definition()
	next, size, err := e.updated(old, req)
	if err != nil {
		return err
	}
	r, err := c.activeRun()
	running := err == nil
	if running {
		if err := fits(old, next); err != nil {
			return err
		}
		if err := r.limit(ctx, req); err != nil {
			return err
		}
		size = compute.UpdateRequest{} // it keeps what it has
		next.CPUs, next.MemoryMB = old.CPUs, old.MemoryMB
	} else if err := c.awaitGone(ctx); err != nil {
		return err
	}
	c.update(func() {
		c.def.CPUs, c.def.MemoryMB, c.def.Limits, c.def.Restart, c.def.API = next.CPUs, next.MemoryMB, next.Limits, next.Restart, next.API
		c.def.Update = next.Update
	})
	if err := e.saveSize(ctx, c, size); err != nil {
		c.update(func() {
			c.def.CPUs, c.def.MemoryMB, c.def.Limits, c.def.Restart, c.def.API = old.CPUs, old.MemoryMB, old.Limits, old.Restart, old.API
			c.def.Update = old.Update
		})
		return err
	}
	if running && next.watched() {
		e.watch(r)
	}
	return nil
}

// awaitGone waits for the VM of a container that has ended to be off.
func (c *container) awaitGone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*offPatience+drainPatience)
	defer cancel()
	if err := c.await(ctx, func() bool { return c.run == nil }); err != nil {
		return fail(errdef.ErrUnavailable, "it has exited, but its VM is still on")
	}
	return nil
}

// updated is the definition as it will be, and the VM's new size.
func (e *Engine) updated(d Definition, req UpdateRequest) (Definition, compute.UpdateRequest, error) {
	var size compute.UpdateRequest
	if req.Memory != nil {
		d.Limits.Memory, d.MemoryMB = *req.Memory, e.memory(*req.Memory)
		size.MemoryMB = d.MemoryMB
	}
	if req.NanoCPUs != nil {
		d.Limits.NanoCPUs, d.CPUs = *req.NanoCPUs, e.cpus(float64(*req.NanoCPUs)/1e9)
	}
	if req.CPUs != nil {
		d.CPUs = *req.CPUs
	}
	if req.NanoCPUs != nil || req.CPUs != nil {
		size.CPUs = d.CPUs
	}
	if req.Pids != nil {
		d.Limits.Pids = max(*req.Pids, 0)
	}
	limits := d.Limits
	d.Update.Limits = &limits
	if req.Restart != nil {
		policy := *req.Restart
		d.Restart, d.Update.Restart = policy, &policy
	}
	if req.API == nil {
		return d, size, nil
	}
	var err error
	d.API, err = req.API(d.API)
	return d, size, err
}

// fits says whether new limits lie within the size of a VM that runs.
func fits(old, next Definition) error {
	switch {
	case next.MemoryMB > old.MemoryMB:
		return fail(errdef.ErrConflict, "its VM runs with %d MB of memory and would need %d MB: stop the container first", old.MemoryMB, next.MemoryMB)
	case next.CPUs > old.CPUs:
		return fail(errdef.ErrConflict, "its VM runs with %d CPUs and would need %d: stop the container first", old.CPUs, next.CPUs)
	}
	return nil
}

// limit sets the limits of a running container.
func (r *run) limit(ctx context.Context, req UpdateRequest) error {
	l := link.Limits{Memory: req.Memory, NanoCPUs: req.NanoCPUs, Pids: req.Pids}
	if l == (link.Limits{}) {
		return nil
	}
	return r.ask(ctx, func(ctx context.Context) error { return r.link.Update(ctx, l) })
}
