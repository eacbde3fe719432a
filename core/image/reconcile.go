package image

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	cerrdefs "github.com/containerd/errdefs"
)

const keepBelow = 24 * time.Hour

// Reconcile compares what this store believes to be unpacked with the layers that storage has, and
// forgets what is lost (removed behind our back), with all that stood on it. The next Resolve or
// pull of such an image writes its layers again, from the blobs on the state disk. It is called
// once storage serves; it costs one ListLayers.
func (s *Service) Reconcile(ctx context.Context) error {
	ctx = s.scope.in(ctx)
	order, err := s.parentsFirst(ctx) // before storage is asked: a pull may be adding layers
	if err != nil {
		return err
	}
	have, err := s.layers.ListLayers(ctx)
	if err != nil {
		return fmt.Errorf("compare images with storage: %w", err)
	}
	known := make(map[string]bool, len(have)+1)
	for _, l := range have {
		known[l.ID] = true
	}
	known[noLayer] = true
	lost := map[string]bool{}
	for _, i := range order {
		lost[i.Name] = i.Kind == snapshots.KindCommitted && (!known[i.Labels[labelLayer]] || lost[i.Parent])
	}
	if err := s.forget(ctx, order, lost); err != nil {
		return fmt.Errorf("forget lost layers: %w", err)
	}
	s.mu.Lock()
	clear(s.cache)
	s.mu.Unlock()
	return s.gc.collect(ctx)
}

// forget drops the lost snapshots, the upper ones first. What is left below them stays for a day: it
// is likely to be used again.
func (s *Service) forget(ctx context.Context, order []snapshots.Info, lost map[string]bool) error {
	var keep []leases.Resource
	for _, i := range order {
		if lost[i.Name] && i.Parent != "" && !lost[i.Parent] {
			keep = append(keep, leases.Resource{Type: typeLayers, ID: i.Parent})
		}
	}
	if len(keep) > 0 {
		err := s.lease(ctx, keep, leases.WithRandomID(), leases.WithExpiration(keepBelow), leases.WithLabel(labelPartial, "true"))
		if err != nil {
			return err
		}
	}
	for _, i := range slices.Backward(order) {
		if !lost[i.Name] {
			continue
		}
		s.log.Warn("an image layer is gone from storage; it is written again when needed", "layer", i.Name)
		err := s.snaps.Remove(ctx, i.Name)
		if err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsFailedPrecondition(err) {
			return err
		}
	}
	return nil
}

// parentsFirst lists all snapshots, each after the one that it stands on.
func (s *Service) parentsFirst(ctx context.Context) ([]snapshots.Info, error) {
	all := map[string]snapshots.Info{}
	err := s.snaps.Walk(ctx, func(_ context.Context, i snapshots.Info) error {
		all[i.Name] = i
		return nil
	})
	if err != nil {
		return nil, err
	}
	var order []snapshots.Info
	placed := map[string]bool{}
	var place func(string)
	place = func(name string) {
		i, ok := all[name]
		if !ok || placed[name] {
			return
		}
		place(i.Parent)
		placed[name] = true
		order = append(order, i)
	}
	for name := range all {
		place(name)
	}
	return order, nil
}
