package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

// EndpointID names a container's place on a network. It is made from what is on both its ends: it is
// the same each time.
func EndpointID(containerID, networkID string) string {
	sum := sha256.Sum256([]byte(containerID + "/" + networkID))
	return hex.EncodeToString(sum[:])
}

// Networks lists the networks.
func (e *Engine) Networks(ctx context.Context) ([]network.Network, error) {
	return e.opts.Network.List(ctx)
}

// FindNetwork finds one by name, ID or unique beginning of the ID.
func (e *Engine) FindNetwork(ctx context.Context, ref string) (network.Network, error) {
	all, err := e.opts.Network.List(ctx)
	if err != nil {
		return network.Network{}, fmt.Errorf("networks: %w", err)
	}
	return pickNetwork(all, ref)
}

// CreateNetwork makes a network; the ID is the engine's to choose.
func (e *Engine) CreateNetwork(ctx context.Context, req network.CreateRequest) (network.Network, error) {
	e.networks.Lock() // two of one name must not come at once
	defer e.networks.Unlock()
	all, err := e.opts.Network.List(ctx)
	if err != nil {
		return network.Network{}, fmt.Errorf("networks: %w", err)
	}
	if slices.ContainsFunc(all, func(n network.Network) bool { return n.Name == req.Name }) {
		return network.Network{}, fail(errdef.ErrConflict, "network with name %s already exists", req.Name)
	}
	if req.ID, err = newID(); err != nil {
		return network.Network{}, err
	}
	ctx, cancel := e.detached(ctx)
	defer cancel()
	n, err := e.opts.Network.Create(ctx, req)
	if err != nil {
		return network.Network{}, err
	}
	e.emitNetwork(n.ID, n.Name, n.Driver, "create")
	return n, nil
}
