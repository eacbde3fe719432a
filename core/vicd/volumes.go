package vicd

import (
	"context"

	"github.com/openvic/vic/core/admin"
	"github.com/openvic/vic/core/engine"
)

// volumes shows the engine's volumes to the administrator's API.
type volumes struct{ engine *engine.Engine }

var _ admin.Volumes = volumes{}

// List implements admin.Volumes.
func (v volumes) List(ctx context.Context) ([]admin.Volume, error) {
	all, err := v.engine.Volumes.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []admin.Volume
	for _, x := range all {
		out = append(out, adminVolume(x))
	}
	return out, nil
}

// Grow implements admin.Volumes.
func (v volumes) Grow(ctx context.Context, name, capacity string) (admin.Volume, error) {
	n, err := engine.ParseCapacity(capacity)
	if err != nil {
		return admin.Volume{}, err
	}
	x, err := v.engine.Volumes.Grow(ctx, name, n)
	return adminVolume(x), err
}

func adminVolume(v engine.Volume) admin.Volume {
	return admin.Volume{Name: v.Name, Store: v.Store, CapacityMB: v.Capacity >> 20, Place: v.Disk.Locator, Created: v.Created, Containers: v.Containers}
}
