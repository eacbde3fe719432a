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
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	if err := c.beginRemoval(ref, o.Force); err != nil {
		return err
	}
	ctx, cancel := e.detached(ctx)
	defer cancel()
	if err := e.destroy(ctx, c); err != nil {
		c.update(func() { c.moveRemoval(removalFails) })
		go e.confirmGone(c.id) // news that the VM is no more were taken for this removal's doing
		return err
	}
	if o.Volumes {
		e.Volumes.removeAnonymous(ctx, c.definition().Mounts)
	}
	return nil
}

// beginRemoval sets the mark that keeps others from starting or removing the container.
func (c *container) beginRemoval(ref string, force bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	const cannot = "cannot remove container %q: container is "
	running := c.life.active() && !force
	switch {
	case c.removal == removalDone:
		return errNoContainer(ref)
	case c.going():
		return errRemoving(ref)
	case running && c.state.Status == StatusPaused:
		return fail(errdef.ErrConflict, cannot+"paused and must be unpaused first", ref)
	case c.life == lifeAwaiting && !force, running && c.state.Status == StatusRestarting:
		return fail(errdef.ErrConflict, cannot+"restarting: stop the container before removing or force remove", ref)
	case running:
		return fail(errdef.ErrConflict, cannot+"running: stop the container before removing or force remove", ref)
	}
	c.moveRemoval(removalBegins)
	c.stayOff()
	c.notify()
	return nil
}

// destroy powers the VM off and removes all that the container was.
func (e *Engine) destroy(ctx context.Context, c *container) error {
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
	c.update(func() { c.moveRemoval(removalDestroys) })
	err = c.call(func() error { return e.removeVM(ctx, c.id) })
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("container VM %s: %w", c.id, err)
	}
	e.giveBack(ctx, c.id, c.networkIDs()...)
	e.drop(c)
	return nil
}

func (e *Engine) destroyRun(ctx context.Context, c *container, r *run) error {
	if !r.hasEnded() {
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
	if !r.hasEnded() {
		if err := r.link.Stop(ctx, sigKill); err != nil {
			return
		}
		if awaitEnd(ctx, r, killPatience) != nil {
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

// drop forgets a container whose VM is no more, and tells.
func (e *Engine) drop(c *container) {
	if !e.registry.drop(c) {
		return
	}
	c.update(func() { c.moveRemoval(removalEnds) })
	e.emit(c, "destroy")
}
