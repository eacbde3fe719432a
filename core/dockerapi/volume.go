package dockerapi

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/errdefs"
	"github.com/docker/docker/volume/service/opts"
)

// volumes is the backend of Docker's volume router: there are no volumes yet.
type volumes struct{}

// List returns none.
func (volumes) List(context.Context, filters.Args) ([]*volume.Volume, []string, error) {
	return []*volume.Volume{}, nil, nil
}

// Get finds none.
func (volumes) Get(_ context.Context, name string, _ ...opts.GetOption) (*volume.Volume, error) {
	return nil, errdefs.NotFound(fmt.Errorf("get %s: no such volume", name))
}

// Create is not there yet.
func (volumes) Create(context.Context, string, string, ...opts.CreateOption) (*volume.Volume, error) {
	return nil, unsupported("docker volume create")
}

// Remove finds none.
func (volumes) Remove(_ context.Context, name string, _ ...opts.RemoveOption) error {
	return errdefs.NotFound(fmt.Errorf("get %s: no such volume", name))
}

// Prune has nothing to remove.
func (volumes) Prune(context.Context, filters.Args) (*volume.PruneReport, error) {
	return &volume.PruneReport{}, nil
}
