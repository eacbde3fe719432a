package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

// RemoveNetwork removes a network that no running container is on. As with Docker, one that is off loses
// its place, and cannot be started any more.
func (e *Engine) RemoveNetwork(ctx context.Context, ref string) error {
	n, err := e.FindNetwork(ctx, ref)
	if err != nil {
		return err
	}
	if n.Given {
		return fail(errdef.ErrDenied, "%s is a pre-defined network and cannot be removed", n.Name)
	}
	if users := e.activeOn(n.ID); len(users) > 0 {
		return errActive(n, users)
	}
	ctx, cancel := e.detached(ctx)
	defer cancel()
	held, release, err := e.holdAll(ctx, n.ID)
	if err != nil {
		return err
	}
	defer release()
	if users := e.activeOn(n.ID); len(users) > 0 { // one was started meanwhile
		return errActive(n, users)
	}
	for _, c := range held {
		if err := e.opts.Network.Leave(ctx, network.LeaveRequest{Network: n.ID, Container: c.id}); err != nil {
			return errors.Join(fmt.Errorf("error while removing network: %w", err), e.rejoin(ctx, n.ID, held))
		}
	}
	if err := e.opts.Network.Remove(ctx, n.ID); err != nil {
		return errors.Join(fmt.Errorf("error while removing network: %w", err), e.rejoin(ctx, n.ID, held))
	}
	e.emitNetwork(n.ID, n.Name, n.Driver, "destroy")
	return nil
}

func errActive(n network.Network, users []string) error {
	return fail(errdef.ErrDenied, "error while removing network: network %s has active endpoints (%s)", n.Name, strings.Join(users, ", "))
}

// holdAll takes the right to operate on all containers that have a place on a network, in the order of
// their IDs, so that two callers cannot wait for one another.
func (e *Engine) holdAll(ctx context.Context, networkID string) (held []*container, release func(), err error) {
	var unlocks []func()
	release = func() {
		for _, u := range unlocks {
			u()
		}
	}
	e.mu.Lock()
	all := make([]*container, 0, len(e.containers))
	for _, c := range e.containers {
		all = append(all, c)
	}
	e.mu.Unlock()
	slices.SortFunc(all, func(a, b *container) int { return strings.Compare(a.id, b.id) })
	for _, c := range all {
		if !c.isOn(networkID) {
			continue
		}
		unlock, err := c.lock(ctx)
		if err != nil {
			release()
			return nil, nil, err
		}
		unlocks = append(unlocks, unlock)
		if c.isOn(networkID) {
			held = append(held, c)
		}
	}
	return held, release, nil
}

// rejoin gives containers back the places that they had on a network which stays.
func (e *Engine) rejoin(ctx context.Context, networkID string, held []*container) error {
	var errs []error
	for _, c := range held {
		d := c.definition()
		for _, a := range d.Networks {
			if a.NetworkID == networkID {
				_, err := e.join(ctx, &d, &a)
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// isOn says whether a container has a place on a network.
func (c *container) isOn(networkID string) bool {
	d := c.definition()
	return slices.ContainsFunc(d.Networks, func(a Attachment) bool { return a.NetworkID == networkID })
}

// activeOn lists the containers that use a network: those that run.
func (e *Engine) activeOn(id string) []string {
	var out []string
	for _, c := range e.List() {
		for _, a := range c.Networks {
			if a.NetworkID == id && c.State.Running() {
				out = append(out, fmt.Sprintf("name:%q id:%q", c.Name, EndpointID(c.ID, id)[:12]))
			}
		}
	}
	return out
}

// InUse says whether a running container is on a network.
func (e *Engine) InUse(networkID string) bool { return len(e.activeOn(networkID)) > 0 }

// checkNetworks refuses to start a container that has a place on a network which was removed.
func (e *Engine) checkNetworks(ctx context.Context, c *container) error {
	for _, a := range c.definition().Networks {
		if a.Default {
			continue
		}
		if _, err := e.opts.Network.Get(ctx, a.NetworkID); isNotFound(err) {
			return fail(errdef.ErrNotFound, "failed to set up container networking: network %s not found", a.NetworkID)
		} else if err != nil {
			return fmt.Errorf("network %s: %w", a.Name, err)
		}
	}
	return nil
}
