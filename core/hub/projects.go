package hub

import (
	"context"

	"github.com/openvic/vic/core/store"
)

// projects is the registry's list for the token service.
type projects struct{ h *Hub }

// Project implements authz.Projects.
func (p projects) Project(ctx context.Context, name string) (int64, bool, error) {
	x, err := store.Remember(ctx, projectKey(name), func() (found, error) {
		x, err := p.h.registry.FindProject(ctx, p.h.db, name)
		return found{x.ID, x.Public}, err
	})
	return x.id, x.public, err
}

// found is what is remembered of the project of a name. All else of its row changes with each push.
type (
	found struct {
		id     int64
		public bool
	}
	projectKey string
)
