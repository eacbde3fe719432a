package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/openvic/vic/sdk/errdef"
)

// Rename gives a container another name.
func (e *Engine) Rename(ctx context.Context, ref, name string) error {
	if name == "" {
		return fail(errdef.ErrInvalid, "Neither old nor new names may be empty")
	}
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
	old := c.definition().Name
	if len(name) > 0 && name[0] == '/' {
		name = name[1:]
	}
	if name == old {
		return fail(errdef.ErrInvalid, "Renaming a container with the same name as its current name")
	}
	if err := e.checkAndReserve(name, c.id); err != nil {
		return fmt.Errorf("Error when allocating new name: %w", err) //nolint:staticcheck // Docker's text
	}
	c.update(func() { c.def.Name = name })
	if err := e.saveDefinition(ctx, c, name); err != nil {
		c.update(func() { c.def.Name = old })
		e.registry.release(name, c.id)
		e.registry.releaseDropped(c)
		return fmt.Errorf("rename of container %s: %w", old, err)
	}
	e.registry.release(old, c.id)
	e.registry.releaseDropped(c)
	e.renameOnNetworks(ctx, c)
	e.emit(c, "rename", "oldName", "/"+old)
	return nil
}

// renameOnNetworks has the networks know a container by its new name.
func (e *Engine) renameOnNetworks(ctx context.Context, c *container) {
	d := c.definition()
	d.Networks = slices.Clone(d.Networks)
	if !slices.ContainsFunc(d.Networks, func(a Attachment) bool { return len(d.DNSNames(&a)) > 0 }) {
		return
	}
	eps, err := e.Networks.rejoinAll(ctx, &d)
	if err == nil {
		err = e.applyNetworks(ctx, c, d, eps)
	}
	if err != nil {
		e.log.Warn("a container is known on its networks by its old name", "container", c.id, "err", err)
	}
}
