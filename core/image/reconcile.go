package image

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/snapshots"
	cerrdefs "github.com/containerd/errdefs"
)

// Reconcile compares what this store believes to be unpacked with the layers that storage has, and
// forgets what is lost (removed behind our back), with all that stood on it. The next Resolve or
// pull of such an image writes its layers again, from the blobs on the state disk. It is called
// once storage serves; it costs one ListLayers.
func (s *Service) Reconcile(ctx context.Context) error {
	ctx = inNamespace(ctx)
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
	order, err := s.parentsFirst(ctx)
	if err != nil {
		return err
	}
	for _, i := range order {
		lost[i.Name] = i.Kind == snapshots.KindCommitted && (!known[i.Labels[labelLayer]] || lost[i.Parent])
	}
	for n := len(order) - 1; n >= 0; n-- {
		if name := order[n].Name; lost[name] {
			s.log.Warn("an image layer is gone from storage; it is written again when needed", "layer", name)
			if err := s.snaps.Remove(ctx, name); err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsFailedPrecondition(err) {
				return fmt.Errorf("forget layer %s: %w", name, err)
			}
		}
	}
	s.mu.Lock()
	clear(s.cache)
	s.mu.Unlock()
	return s.gc.collect(ctx)
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
