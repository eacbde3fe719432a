package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// RemoveOptions say how a container is removed.
type RemoveOptions struct {
	Force   bool // also if it runs
	Volumes bool // with its anonymous volumes
}

// Remove destroys a container. A running one only by force.
func (e *Engine) Remove(ctx context.Context, ref string, o RemoveOptions) error {
	c, err := e.lookup(ref)
	if err != nil {
		return err
	}
	if err := c.beginRemoval(ref, o.Force); err != nil {
		return err
	}
	ctx, cancel := e.detached(ctx)
	defer cancel()
	before := StatusExited
	if err := e.destroy(ctx, c, &before); err != nil {
		c.update(func() {
			c.removing = false
			if c.state.Status == StatusRemoving {
				c.state.Status = before
			}
		})
		return err
	}
	if o.Volumes {
		e.removeAnonymous(ctx, c.definition().Mounts)
	}
	return nil
}

// beginRemoval sets the mark that keeps others from starting or removing the container.
func (c *container) beginRemoval(ref string, force bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	const cannot = "cannot remove container %q: container is "
	running := c.run != nil && !c.run.over && !force
	switch {
	case c.removing:
		return errRemoving(ref)
	case c.removed:
		return errNoContainer(ref)
	case running && c.state.Status == StatusPaused:
		return fail(errdef.ErrConflict, cannot+"paused and must be unpaused first", ref)
	case c.again != nil && !force, running && c.state.Status == StatusRestarting:
		return fail(errdef.ErrConflict, cannot+"restarting: stop the container before removing or force remove", ref)
	case running:
		return fail(errdef.ErrConflict, cannot+"running: stop the container before removing or force remove", ref)
	}
	c.removing = true
	c.stayOff()
	c.notify()
	return nil
}

// destroy powers the VM off and removes all that the container was. It sets before to the status
// that the removal began with.
func (e *Engine) destroy(ctx context.Context, c *container, before *Status) error {
	c.mu.Lock()
	r := c.run
	c.mu.Unlock()
	if r != nil {
		if err := e.destroyRun(ctx, c, r); err != nil {
			return err
		}
	}
	unlock, err := c.lock(ctx) // a start under way has seen the power go
	if err != nil {
		return err
	}
	defer unlock()
	if r != nil { // or it powered the VM on after that
		if err := c.powerOff(ctx, e); err != nil {
			return err
		}
	}
	c.update(func() { *before, c.state.Status = c.state.Status, StatusRemoving })
	err = c.call(func() error { return e.removeVM(ctx, c.id) })
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("container VM %s: %w", c.id, err)
	}
	e.giveBack(ctx, c.id, c.networkIDs()...)
	e.gone(c)
	return nil
}

func (e *Engine) destroyRun(ctx context.Context, c *container, r *run) error {
	if !r.isOver() {
		e.emit(c, "kill", "signal", itoa(sigKill))
	}
	if c.keepsVolumes() {
		e.settle(ctx, r)
	}
	if err := c.powerOff(ctx, e); err != nil {
		return err
	}
	e.vmOff(r, nil)
	return nil
}

// settlePatience is how long a guest may take to write out what its volumes are to keep.
const settlePatience = 20 * time.Second

// keepsVolumes says whether the container writes to volumes that stay when it goes: what its guest
// still holds in memory then belongs on the disk, as a killed process's writes do with Docker.
func (c *container) keepsVolumes() bool {
	return slices.ContainsFunc(c.definition().Mounts, func(m MountPoint) bool { return !m.ReadOnly })
}

// settle ends the process and has the guest write out its disks and go off, if it can.
func (e *Engine) settle(ctx context.Context, r *run) {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	if !r.isOver() {
		if err := r.link.Stop(ctx, sigKill); err != nil {
			return
		}
		if awaitOver(ctx, r, killPatience) != nil {
			return
		}
	}
	if r.link.Shutdown(ctx) == nil {
		<-ctx.Done()
	}
}

// powerOff switches the container's VM off, if there is one.
func (c *container) powerOff(ctx context.Context, e *Engine) error {
	if err := c.call(func() error { return e.opts.Compute.Kill(ctx, c.id) }); err != nil && !isNotFound(err) {
		return fmt.Errorf("container VM %s: %w", c.id, err)
	}
	return nil
}

func (c *container) networkIDs() []string {
	return networkIDsOf(c.definition().Networks)
}

func networkIDsOf(list []Attachment) []string {
	var ids []string
	for _, n := range list {
		ids = append(ids, n.NetworkID)
	}
	return ids
}

// gone drops a container whose VM is no more, and tells.
func (e *Engine) gone(c *container) {
	if !e.forget(c) {
		return
	}
	c.update(func() { c.removed = true })
	e.emit(c, "destroy")
}
