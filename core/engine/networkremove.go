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

// Remove removes a network that no running container is on. As with Docker, one that is off loses
// its place, and cannot be started any more.
func (ns *Networks) Remove(ctx context.Context, ref string) error {
	n, err := ns.Find(ctx, ref)
	if err != nil {
		return err
	}
	if n.Given {
		return fail(errdef.ErrDenied, "%s is a pre-defined network and cannot be removed", n.Name)
	}
	if users := ns.activeOn(n.ID); len(users) > 0 {
		return errActive(n, users)
	}
	ctx, cancel := ns.detached(ctx)
	defer cancel()
	held, release, err := ns.holdAll(ctx, n.ID)
	if err != nil {
		return err
	}
	defer release()
	if users := ns.activeOn(n.ID); len(users) > 0 { // one was started meanwhile
		return errActive(n, users)
	}
	for _, c := range held {
		if err := ns.driver.Leave(ctx, network.LeaveRequest{Network: n.ID, Container: c.id}); err != nil {
			return errors.Join(fmt.Errorf("error while removing network: %w", err), ns.rejoin(ctx, n.ID, held))
		}
	}
	if err := ns.driver.Remove(ctx, n.ID); err != nil {
		return errors.Join(fmt.Errorf("error while removing network: %w", err), ns.rejoin(ctx, n.ID, held))
	}
	ns.emit(n.ID, n.Name, n.Driver, "destroy")
	return nil
}

func errActive(n network.Network, users []string) error {
	return fail(errdef.ErrDenied, "error while removing network: network %s has active endpoints (%s)", n.Name, strings.Join(users, ", "))
}

// holdAll takes the right to operate on all containers that have a place on a network, in the order of
// their IDs, so that two callers cannot wait for one another.
func (ns *Networks) holdAll(ctx context.Context, networkID string) (held []*container, release func(), err error) {
	var unlocks []func()
	release = func() {
		for _, u := range unlocks {
			u()
		}
	}
	all := ns.containers()
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
func (ns *Networks) rejoin(ctx context.Context, networkID string, held []*container) error {
	var errs []error
	for _, c := range held {
		d := c.definition()
		for _, a := range d.Networks {
			if a.NetworkID == networkID {
				_, err := ns.join(ctx, &d, &a)
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
func (ns *Networks) activeOn(id string) []string {
	var out []string
	for _, c := range ns.containers() {
		c := c.view()
		for _, a := range c.Networks {
			if a.NetworkID == id && c.State.Running() {
				out = append(out, fmt.Sprintf("name:%q id:%q", c.Name, EndpointID(c.ID, id)[:12]))
			}
		}
	}
	return out
}

// InUse says whether a running container is on a network.
func (ns *Networks) InUse(networkID string) bool { return len(ns.activeOn(networkID)) > 0 }

// checkPlaces refuses to start a container that has a place on a network which was removed.
func (ns *Networks) checkPlaces(ctx context.Context, c *container) error {
	for _, a := range c.definition().Networks {
		if a.Default {
			continue
		}
		if _, err := ns.driver.Get(ctx, a.NetworkID); isNotFound(err) {
			return fail(errdef.ErrNotFound, "failed to set up container networking: network %s not found", a.NetworkID)
		} else if err != nil {
			return fmt.Errorf("network %s: %w", a.Name, err)
		}
	}
	return nil
}
