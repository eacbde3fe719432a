package dockerapi

import (
	"context"
	"errors"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	imagetypes "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/sdk/errdef"
)

// sizesAtOnce is how many disks are asked for their size at a time.
const sizesAtOnce = 8

// sizes fills in what containers take: of their own, what their disk takes on its datastore. A
// container that goes meanwhile has none.
func (b *containers) sizes(ctx context.Context, all []*container.Summary) error {
	images, err := b.opts.Images.Images(ctx, imagetypes.ListOptions{All: true})
	if err != nil {
		return err
	}
	size := map[string]int64{}
	for _, i := range images {
		size[i.ID] = i.Size
	}
	var g errgroup.Group
	g.SetLimit(sizesAtOnce)
	for _, s := range all {
		g.Go(func() error {
			n, err := b.opts.Engine.DiskUsage(ctx, s.ID)
			if errors.Is(err, errdef.ErrNotFound) {
				return nil
			}
			s.SizeRw, s.SizeRootFs = n, n+size[s.ImageID]
			return wrap(err)
		})
	}
	return g.Wait()
}

// noBuildCache is what system df shows of a builder: an empty list, and not null.
type noBuildCache struct{}

// DiskUsage lists the build cache.
func (noBuildCache) DiskUsage(context.Context) ([]*build.CacheRecord, error) {
	return []*build.CacheRecord{}, nil
}

// SystemDiskUsage is docker system df.
func (b *system) SystemDiskUsage(ctx context.Context, o backend.DiskUsageOptions) (*backend.DiskUsage, error) {
	du := &backend.DiskUsage{}
	g, ctx := errgroup.WithContext(ctx)
	if o.Containers {
		g.Go(func() (err error) { du.Containers, err = b.containerUsage(ctx); return err })
	}
	if o.Images {
		g.Go(func() (err error) { du.Images, err = b.imageUsage(ctx); return err })
	}
	if o.Volumes {
		g.Go(func() (err error) { du.Volumes, err = b.volumeUsage(ctx); return err })
	}
	return du, g.Wait()
}

func (b *system) containerUsage(ctx context.Context) (*container.DiskUsage, error) {
	all, err := b.containers.Containers(ctx, &container.ListOptions{All: true, Size: true})
	if err != nil {
		return nil, err
	}
	du := &container.DiskUsage{Items: all}
	for _, c := range all {
		du.TotalSize += c.SizeRw
		if c.State != container.StateRunning && c.State != container.StatePaused && c.State != container.StateRestarting {
			du.Reclaimable += c.SizeRw
		}
	}
	return du, nil
}

// imageUsage counts layers that images share once.
func (b *system) imageUsage(ctx context.Context) (*imagetypes.DiskUsage, error) {
	all, err := b.opts.Images.Images(ctx, imagetypes.ListOptions{SharedSize: true, ContainerCount: true})
	if err != nil {
		return nil, err
	}
	du := &imagetypes.DiskUsage{Items: all}
	shared := int64(0)
	for _, i := range all {
		own := i.Size
		if i.SharedSize > 0 {
			own -= i.SharedSize
			shared = max(shared, i.SharedSize)
		}
		du.TotalSize += own
		if i.Containers == 0 {
			du.Reclaimable += own
		}
	}
	du.TotalSize += shared
	return du, nil
}

func (b *system) volumeUsage(ctx context.Context) (*volume.DiskUsage, error) {
	all, err := volumeUsage(ctx, b.opts.Engine)
	if err != nil {
		return nil, err
	}
	du := &volume.DiskUsage{Items: all}
	for _, v := range all {
		if v.UsageData == nil || v.UsageData.Size < 0 {
			continue
		}
		du.TotalSize += v.UsageData.Size
		if v.UsageData.RefCount == 0 {
			du.Reclaimable += v.UsageData.Size
		}
	}
	return du, nil
}
