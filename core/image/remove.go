package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/snapshots"
	snapstore "github.com/containerd/containerd/v2/core/snapshots/storage"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/sdk/errdef"
)

// Remove is called by the garbage collection, children first. The storage layer goes with the last
// snapshot that stands for it. While something else stands on the layer (storage says ErrConflict)
// the snapshot stays and is tried again after the next collection.
func (s *snapshotter) Remove(ctx context.Context, key string) error {
	return s.remove(ctx, key, func() bool { return true })
}

// remove does it if wanted still says so once nobody else works on the layer.
func (s *snapshotter) remove(ctx context.Context, key string, wanted func() bool) error {
	info, err := s.Stat(ctx, key)
	if err != nil {
		return err
	}
	if chain := info.Labels[labelChain]; chain != "" {
		unlock, err := s.locks.lock(ctx, digest.Digest(chain).Encoded())
		if err != nil {
			return err
		}
		defer unlock()
	}
	if !wanted() {
		return nil
	}
	err = s.removeLocked(ctx, info)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.leftovers[key] = struct{}{}
		return err
	}
	delete(s.leftovers, key)
	delete(s.applied, key)
	return nil
}

func (s *snapshotter) removeLocked(ctx context.Context, info snapshots.Info) error {
	if layer := s.layerOf(info); layer != "" {
		if err := s.removeLayer(ctx, info, layer); err != nil {
			return err
		}
	}
	return s.names.WithTransaction(ctx, true, func(ctx context.Context) error {
		_, _, err := snapstore.Remove(ctx, info.Name)
		return err
	})
}

// layerOf is the storage layer that may go with a snapshot: a committed one's, or the one that an
// active one's Apply wrote but that was never committed.
func (s *snapshotter) layerOf(info snapshots.Info) string {
	if info.Kind == snapshots.KindCommitted && info.Labels[labelLayer] != noLayer {
		return info.Labels[labelLayer]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.applied[info.Name]; info.Kind == snapshots.KindActive && a.wrote {
		return a.layer
	}
	return ""
}

func (s *snapshotter) removeLayer(ctx context.Context, info snapshots.Info, layer string) error {
	other, err := s.find(ctx, func(i snapshots.Info) bool {
		return i.Name != info.Name && (i.Parent == info.Name || i.Labels[labelLayer] == layer)
	})
	if err != nil {
		return err
	}
	if other != nil && other.Parent == info.Name {
		return fmt.Errorf("layer %s has layers above it: %w", layer, cerrdefs.ErrFailedPrecondition)
	}
	if other != nil {
		return nil // it goes with the other one
	}
	if s.claimed(info.Name, layer) {
		return fmt.Errorf("layer %s is about to be used by a pull: %w", layer, cerrdefs.ErrFailedPrecondition)
	}
	err = s.layers.RemoveLayer(ctx, layer)
	if errors.Is(err, errdef.ErrConflict) {
		return fmt.Errorf("%w: %w", cerrdefs.ErrFailedPrecondition, err)
	}
	return err
}

// claimed says whether another snapshot has applied the layer and will commit it.
func (s *snapshotter) claimed(except, layer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, a := range s.applied {
		if key != except && a.layer == layer {
			return true
		}
	}
	return false
}

// retryLeftovers removes what an earlier collection could not, until nothing more goes.
func (s *snapshotter) retryLeftovers(ctx context.Context) {
	for progress := true; progress; {
		progress = false
		for _, key := range s.leftoverKeys() {
			err := s.remove(ctx, key, func() bool { return s.isLeftover(key) })
			switch {
			case err == nil:
				progress = true
			case cerrdefs.IsNotFound(err):
				s.forget(key)
			default:
				s.log.Debug("a layer stays until nothing uses it", "layer", key, "err", err)
			}
		}
	}
}

func (s *snapshotter) isLeftover(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.leftovers[key]
	return ok
}

// forget takes a key off the leftovers: it is gone, or used again.
func (s *snapshotter) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leftovers, key)
}

func (s *snapshotter) leftoverKeys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.leftovers))
	for k := range s.leftovers {
		keys = append(keys, k)
	}
	return keys
}
