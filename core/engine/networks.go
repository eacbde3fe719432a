package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/openvic/vic/core/event"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

// EndpointID names a container's place on a network. It is made from what is on both its ends: it is
// the same each time.
func EndpointID(containerID, networkID string) string {
	sum := sha256.Sum256([]byte(containerID + "/" + networkID))
	return hex.EncodeToString(sum[:])
}

// Networks are the networks of a VCH. The network driver has them; which containers have a place on one stands
// in the containers' definitions. What changes a container's places holds the container (container.op), so
// that this part has one lock of its own: making is held while a network is made, over calls to the driver.
type Networks struct {
	driver     network.Driver
	byDefault  string // the name of the network that containers join which name none
	events     *event.Hub
	detached   func(context.Context) (context.Context, context.CancelFunc) // Engine.detached
	containers func() []*container

	making sync.Mutex // two of one name must not come at once
}

func newNetworks(e *Engine) *Networks {
	return &Networks{driver: e.opts.Network, byDefault: e.opts.BridgeNetwork, events: e.opts.Events, detached: e.detached, containers: e.registry.all}
}

// List lists the networks.
func (ns *Networks) List(ctx context.Context) ([]network.Network, error) {
	return ns.driver.List(ctx)
}

// Find finds one by name, ID or unique beginning of the ID.
func (ns *Networks) Find(ctx context.Context, ref string) (network.Network, error) {
	all, err := ns.driver.List(ctx)
	if err != nil {
		return network.Network{}, fmt.Errorf("networks: %w", err)
	}
	return pickNetwork(all, ref)
}

// nameOf is the name of the network that a user means: "default" and no name are the default one.
func (ns *Networks) nameOf(name string) string {
	if name == "" || name == "default" {
		return ns.byDefault
	}
	return name
}

// pickNetwork finds a network by ID, name or unique beginning of the ID, in this order.
func pickNetwork(all []network.Network, ref string) (network.Network, error) {
	for _, match := range []func(network.Network) bool{
		func(n network.Network) bool { return n.ID == ref },
		func(n network.Network) bool { return n.Name == ref },
		func(n network.Network) bool { return ref != "" && strings.HasPrefix(n.ID, ref) },
	} {
		i := slices.IndexFunc(all, match)
		if i < 0 {
			continue
		}
		if slices.ContainsFunc(all[i+1:], match) {
			return network.Network{}, fail(errdef.ErrInvalid, "network %s is ambiguous (2 matches found based on ID prefix)", ref)
		}
		return all[i], nil
	}
	return network.Network{}, fail(errdef.ErrNotFound, "network %s not found", ref)
}

// Create makes a network; the ID is the engine's to choose.
func (ns *Networks) Create(ctx context.Context, req network.CreateRequest) (network.Network, error) {
	ns.making.Lock()
	defer ns.making.Unlock()
	all, err := ns.driver.List(ctx)
	if err != nil {
		return network.Network{}, fmt.Errorf("networks: %w", err)
	}
	if slices.ContainsFunc(all, func(n network.Network) bool { return n.Name == req.Name }) {
		return network.Network{}, fail(errdef.ErrConflict, "network with name %s already exists", req.Name)
	}
	if req.ID, err = newID(); err != nil {
		return network.Network{}, err
	}
	ctx, cancel := ns.detached(ctx)
	defer cancel()
	n, err := ns.driver.Create(ctx, req)
	if err != nil {
		return network.Network{}, err
	}
	ns.emit(n.ID, n.Name, n.Driver, "create")
	return n, nil
}

func (ns *Networks) emit(id, name, driver, action string, attributes ...string) {
	a := map[string]string{"name": name, "type": driver}
	for i := 0; i+1 < len(attributes); i += 2 {
		a[attributes[i]] = attributes[i+1]
	}
	ns.events.Publish(event.Event{Type: event.Network, Action: action, ID: id, Attributes: a})
}
