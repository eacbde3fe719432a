package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
)

// Connect puts a container on one more network; a running one gets a NIC.
func (e *Engine) Connect(ctx context.Context, networkRef, containerRef string, w NetworkRequest) error {
	c, unlock, err := e.hold(ctx, containerRef)
	if err != nil {
		return err
	}
	defer unlock()
	n, err := e.Networks.Find(ctx, e.Networks.nameOf(networkRef))
	if err != nil {
		return err
	}
	if err := e.Networks.checkWanted(n, w); err != nil {
		return err
	}
	d := c.definition()
	if slices.ContainsFunc(d.Networks, func(a Attachment) bool { return a.NetworkID == n.ID }) {
		return fail(errdef.ErrDenied, "endpoint with name %s already exists in network %s", d.Name, n.Name)
	}
	if d.NoNetwork {
		return fail(errdef.ErrDenied, "container cannot be connected to multiple networks with one of the networks in private (none) mode")
	}
	ctx, cancel := e.detached(ctx)
	defer cancel()
	w.Name = ""
	d.Networks = append(slices.Clone(d.Networks), e.Networks.attachment(n, w))
	eps, err := e.Networks.rejoinAll(ctx, &d)
	if err == nil {
		err = e.applyNetworks(ctx, c, d, eps)
	}
	if err != nil {
		e.revertConnect(c, n.ID)
		return err
	}
	e.tellConnected(c, n.ID, "connect")
	return e.republish(ctx, c)
}

// revertConnect takes a place back that could not be made to work.
func (e *Engine) revertConnect(c *container, networkID string) {
	ctx, cancel := e.background(undoTimeout)
	defer cancel()
	if err := e.detach(ctx, c, networkID); err != nil {
		e.log.Warn("undo of a failed connect", "container", c.id, "err", err)
	}
}

// Disconnect takes a container off a network; a running one loses the NIC. A place on a network that was
// removed meanwhile goes by the network's name or whole ID.
func (e *Engine) Disconnect(ctx context.Context, networkRef, containerRef string, force bool) error {
	n, err := e.Networks.Find(ctx, e.Networks.nameOf(networkRef))
	if isNotFound(err) {
		n, err = e.formerNetwork(containerRef, networkRef, err)
	}
	if err != nil {
		return err
	}
	c, unlock, err := e.hold(ctx, containerRef)
	if err != nil {
		if force && isNotFound(err) {
			return fail(errdef.ErrNotFound, "endpoint %s not found", containerRef) // its places went with it
		}
		return err
	}
	defer unlock()
	d := c.definition()
	if !slices.ContainsFunc(d.Networks, func(a Attachment) bool { return a.NetworkID == n.ID }) {
		return fail(errdef.ErrDenied, "container %s is not connected to network %s", c.id, n.Name)
	}
	ctx, cancel := e.detached(ctx)
	defer cancel()
	if err := e.detach(ctx, c, n.ID); err != nil {
		return err
	}
	if _, err := c.activeRun(); err == nil {
		e.Networks.emit(n.ID, n.Name, n.Driver, "disconnect", "container", c.id)
	}
	return e.republish(ctx, c)
}

// formerNetwork is a network that is no more, as a container that has a place on it knows it; notFound if
// it has none.
func (e *Engine) formerNetwork(containerRef, networkRef string, notFound error) (network.Network, error) {
	c, err := e.registry.lookup(containerRef)
	if err != nil {
		return network.Network{}, notFound
	}
	for _, a := range c.definition().Networks {
		if !a.Default && (a.NetworkID == networkRef || a.Name == networkRef) {
			return network.Network{ID: a.NetworkID, Name: a.Name, Driver: a.Driver}, nil
		}
	}
	return network.Network{}, notFound
}

// detach leaves a network, after the VM has done so.
func (e *Engine) detach(ctx context.Context, c *container, networkID string) error {
	d := c.definition()
	d.Networks = slices.DeleteFunc(slices.Clone(d.Networks), func(a Attachment) bool { return a.NetworkID == networkID })
	eps, err := e.Networks.rejoinAll(ctx, &d)
	if err == nil {
		err = e.applyNetworks(ctx, c, d, eps)
	}
	if err != nil {
		return err
	}
	if err := e.opts.Network.Leave(ctx, network.LeaveRequest{Network: networkID, Container: c.id}); err != nil {
		return fmt.Errorf("network endpoint of container %s: %w", c.id, err)
	}
	return nil
}

// hold finds a container and takes the right to operate on it, unless it is going.
func (e *Engine) hold(ctx context.Context, ref string) (*container, func(), error) {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return nil, nil, err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	if c.isGoing() {
		unlock()
		return nil, nil, fail(errdef.ErrConflict, "container is marked for removal and cannot be connected or disconnected to the network")
	}
	return c, unlock, nil
}

// applyNetworks gives the container's VM the NICs, the guest its configuration, and the metadata the
// definition d, whose places are taken.
func (e *Engine) applyNetworks(ctx context.Context, c *container, d Definition, eps []network.Endpoint) error {
	config := guestNetwork(&d, eps)
	text, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("container %s: %w", c.id, err)
	}
	nics := nicsOf(eps)
	err = c.call(func() error {
		metadata, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("container %s: %w", c.id, err)
		}
		return e.opts.Compute.Update(ctx, compute.UpdateRequest{ID: c.id, NICs: &nics, Metadata: metadata,
			Guest: map[string]string{guest.KeyNetwork: string(text)}})
	})
	if err != nil {
		return fmt.Errorf("container VM %s: %w", c.id, err)
	}
	c.update(func() { c.def.Networks = d.Networks })
	r, err := c.activeRun()
	if err != nil {
		return nil // the guest reads it when it boots
	}
	ctx, cancel := context.WithTimeout(ctx, configureTimeout)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	if err := r.link.Configure(ctx, config); err != nil && r.ctx.Err() == nil {
		return fmt.Errorf("networks of container %s: %w", c.id, err)
	}
	return nil
}
