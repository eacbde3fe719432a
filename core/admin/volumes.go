package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/sdk/errdef"
)

// Volume is a volume of the VCH.
type Volume struct {
	Name       string    `json:"name"`
	Store      string    `json:"store"`
	CapacityMB int64     `json:"capacityMB,omitempty"` // 0 for a network share
	Place      string    `json:"place"`                // on the datastore, or the share
	Created    time.Time `json:"created"`
	Containers []string  `json:"containers,omitempty"` // IDs of those that have it, running or not
}

// Volumes is what the API needs of the engine.
type Volumes interface {
	List(ctx context.Context) ([]Volume, error)
	// Grow makes a volume larger; capacity is as with docker volume create --opt Capacity.
	Grow(ctx context.Context, name, capacity string) (Volume, error)
}

func (a *api) volumes(w http.ResponseWriter, r *http.Request) {
	if a.Volumes == nil {
		fail(w, errdef.ErrUnsupported)
		return
	}
	all, err := a.Volumes.List(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, append([]Volume{}, all...))
}

func (a *api) growVolume(w http.ResponseWriter, r *http.Request) {
	if a.Volumes == nil {
		fail(w, errdef.ErrUnsupported)
		return
	}
	name, capacity := r.PathValue("name"), r.URL.Query().Get("capacity")
	if capacity == "" {
		fail(w, fmt.Errorf("no capacity: %w", errdef.ErrInvalid))
		return
	}
	a.Log.Info("growth of a volume was asked for", "volume", name, "capacity", capacity, "caller", access.From(r.Context()).Name)
	v, err := a.Volumes.Grow(r.Context(), name, capacity)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, v)
}
