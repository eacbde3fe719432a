package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

// publishTimeout bounds what waits for ports to be freed.
const publishTimeout = 10 * time.Second

// publisher is the attachment through which a container's ports are reached: the one with the default
// route. A container network comes last: there the container has an address of its own.
func publisher(list []Attachment) (Attachment, bool) {
	bridges := slices.DeleteFunc(slices.Clone(list), func(a Attachment) bool { return a.Driver == network.DriverExternal })
	for _, l := range [][]Attachment{bridges, list} {
		if i := gatewayOf(l); i >= 0 {
			return l[i], true
		}
	}
	return Attachment{}, false
}

// publish makes a container's ports reachable. A container that is found running keeps the ports that
// it had.
func (e *Engine) publish(ctx context.Context, c *container, found bool) error {
	d := c.definition()
	a, ok := publisher(d.Networks)
	if len(d.Ports) == 0 || !ok {
		return nil
	}
	c.ports.Lock()
	defer c.ports.Unlock()
	want, err := d.Published, error(nil)
	switch {
	case found && len(want) == len(d.Ports):
	case anyRange(d.Ports):
		if want, err = e.choosePorts(ctx, c.id, a.NetworkID, d.Ports); err != nil {
			return publishError(&d, a, err)
		}
	default:
		want = firstPorts(d.Ports)
	}
	got, err := e.opts.Network.Publish(ctx, network.PublishRequest{Network: a.NetworkID, Container: c.id, Ports: want})
	if err != nil {
		return publishError(&d, a, err)
	}
	changed := !slices.Equal(got, d.Published)
	c.update(func() { c.def.Published = got })
	if changed {
		go e.savePublished(c)
	}
	return nil
}

// savePublished keeps the chosen ports, for who comes after this process.
func (e *Engine) savePublished(c *container) {
	ctx, cancel := e.background(time.Minute)
	defer cancel()
	if err := e.saveDefinition(ctx, c, ""); err != nil && !canceled(err) && !isNotFound(err) {
		e.log.Warn("published ports are not saved", "container", c.id, "err", err)
	}
}

// publishError has Docker's text.
func publishError(d *Definition, a Attachment, err error) error {
	class := errdef.ErrInternal
	for _, k := range []error{errdef.ErrConflict, errdef.ErrInvalid, errdef.ErrUnsupported, errdef.ErrUnavailable, errdef.ErrPluginDown} {
		if errors.Is(err, k) {
			class = k
			break
		}
	}
	return &Error{Class: class, Cause: err, Text: fmt.Sprintf("failed to set up container networking: "+
		"driver failed programming external connectivity on endpoint %s (%s): %v",
		d.Name, EndpointID(d.ID, a.NetworkID), err)}
}

// unpublish frees a container's ports.
func (e *Engine) unpublish(c *container) {
	if len(c.definition().Ports) == 0 {
		return
	}
	c.ports.Lock()
	defer c.ports.Unlock()
	ctx, cancel := e.background(publishTimeout)
	defer cancel()
	if err := e.opts.Network.Unpublish(ctx, network.UnpublishRequest{Container: c.id}); err != nil {
		e.log.Warn("ports of a container that has ended stay published", "container", c.id, "err", err)
	}
}

// republish follows a change of a running container's networks.
func (e *Engine) republish(ctx context.Context, c *container) error {
	d := c.definition()
	if _, err := c.activeRun(); err != nil || len(d.Ports) == 0 {
		return nil
	}
	if _, ok := publisher(d.Networks); !ok {
		e.unpublish(c)
		return nil
	}
	if err := e.publish(ctx, c, true); err != nil {
		return fmt.Errorf("ports of container %s: %w", c.id, err)
	}
	return nil
}

// publishFound publishes the ports of a container that was found running, which nobody else does
// after the host's machine was started anew.
func (e *Engine) publishFound(r *run) {
	for delay := time.Second; ; delay = min(2*delay, time.Minute) {
		err := e.publish(r.ctx, r.c, true)
		if err == nil || r.ctx.Err() != nil || r.hasEnded() {
			return
		}
		e.log.Error("ports of a running container cannot be published", "container", r.c.id, "err", err)
		select {
		case <-time.After(delay):
		case <-r.ctx.Done():
			return
		}
	}
}
