package image

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/labels"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

const (
	cleanupTimeout = 2 * time.Minute
	maxVerified    = 4096
)

// applier turns a layer's blob into a storage layer: decompressed, verified, written, committed.
// Two pulls of one layer share one write.
type applier struct {
	snaps *snapshotter
	blobs content.Store

	mu       sync.Mutex
	verified map[digest.Digest]digest.Digest // blob to its diff ID, of this process
}

var _ diff.Applier = (*applier)(nil)

func newApplier(s *snapshotter, blobs content.Store) *applier {
	return &applier{snaps: s, blobs: blobs, verified: map[digest.Digest]digest.Digest{}}
}

// Apply writes the layer that desc's blob holds, unless storage has it, and checks in both cases
// that the blob is what the image says it is.
func (a *applier) Apply(ctx context.Context, desc ocispec.Descriptor, mounts []mount.Mount, _ ...diff.ApplyOpt) (ocispec.Descriptor, error) {
	t, err := targetOf(mounts)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if !images.IsLayerType(desc.MediaType) {
		return ocispec.Descriptor{}, fmt.Errorf("media type %s is not that of an image layer: %w", desc.MediaType, cerrdefs.ErrNotImplemented)
	}
	unlock, err := a.snaps.locks.lock(ctx, t.chain.Encoded())
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer unlock()
	done, diffID, err := a.apply(ctx, desc, t)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	a.snaps.note(t.key, done)
	a.remember(desc.Digest, diffID)
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: diffID}, nil
}

func (a *applier) apply(ctx context.Context, desc ocispec.Descriptor, t target) (applied, digest.Digest, error) {
	done := applied{chain: t.chain}
	known, err := a.snaps.layers.StatLayer(ctx, t.chain.Encoded())
	if err == nil {
		done.layer, done.size = known.ID, known.Size
		diffID, err := a.diffID(ctx, desc, t)
		return done, diffID, err
	}
	if !errors.Is(err, errdef.ErrNotFound) {
		return done, "", fmt.Errorf("ask storage for layer %s: %w", t.chain.Encoded(), err)
	}
	ra, err := a.blobs.ReaderAt(ctx, desc)
	if err != nil {
		return done, "", err
	}
	defer ra.Close()
	tar := newStream(ctx, content.NewReader(ra))
	defer tar.Close()
	if tar.empty() {
		done.layer = t.parent
		diffID, err := verify(tar, t)
		return done, diffID, err
	}
	done.layer, done.wrote = t.chain.Encoded(), true
	diffID, size, err := a.write(ctx, tar, t)
	done.size = size
	return done, diffID, err
}

// write makes the storage layer; if anything fails there is none afterwards.
func (a *applier) write(ctx context.Context, tar *stream, t target) (diffID digest.Digest, size int64, err error) {
	id := t.chain.Encoded()
	defer func() {
		if err != nil {
			a.discard(ctx, id)
		}
	}()
	layer, err := a.snaps.layers.WriteLayer(ctx, storage.WriteLayerRequest{ID: id, Parent: t.parent}, tar)
	if cause := tar.broken(); cause != nil {
		return "", 0, fmt.Errorf("layer %s: %w", id, cause)
	}
	if err != nil {
		return "", 0, fmt.Errorf("write layer %s: %w", id, err)
	}
	if diffID, err = verify(tar, t); err != nil {
		return "", 0, err
	}
	if err = a.snaps.layers.CommitLayer(ctx, id); err != nil {
		return "", 0, fmt.Errorf("complete layer %s: %w", id, err)
	}
	if layer.Size == 0 {
		layer.Size = tar.size
	}
	return diffID, layer.Size, nil
}

// discard removes what a failed write left. The caller may have been canceled; this must still run.
func (a *applier) discard(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := a.snaps.layers.RemoveLayer(ctx, id); err != nil {
		a.snaps.log.Warn("an incomplete layer could not be removed; the storage driver does it at its next start",
			"layer", id, "err", err)
	}
}

// diffID finds the digest of a blob's tar without writing it anywhere.
func (a *applier) diffID(ctx context.Context, desc ocispec.Descriptor, t target) (digest.Digest, error) {
	a.mu.Lock()
	known := a.verified[desc.Digest]
	a.mu.Unlock()
	if known == "" {
		info, err := a.blobs.Info(ctx, desc.Digest)
		if err != nil {
			return "", err
		}
		known = digest.Digest(info.Labels[labels.LabelUncompressed])
	}
	if known != "" {
		return known, t.check(known)
	}
	ra, err := a.blobs.ReaderAt(ctx, desc)
	if err != nil {
		return "", err
	}
	defer ra.Close()
	tar := newStream(ctx, content.NewReader(ra))
	defer tar.Close()
	return verify(tar, t)
}

func (a *applier) remember(blob, diffID digest.Digest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.verified) >= maxVerified {
		clear(a.verified)
	}
	a.verified[blob] = diffID
}

// verify reads the tar to its end and checks that it is the layer that the image names.
func verify(tar *stream, t target) (digest.Digest, error) {
	diffID, err := tar.finish()
	if err != nil {
		return "", fmt.Errorf("layer %s: %w", t.chain.Encoded(), err)
	}
	return diffID, t.check(diffID)
}

// check says whether a tar with this digest is the layer that the target is to be.
func (t target) check(diffID digest.Digest) error {
	chain := []digest.Digest{diffID}
	if t.parentChain != "" {
		chain = []digest.Digest{t.parentChain, diffID}
	}
	if identity.ChainID(chain) != t.chain {
		return fmt.Errorf("layer %s: the content (%s) is not what the image's configuration says: %w",
			t.chain.Encoded(), diffID, cerrdefs.ErrFailedPrecondition)
	}
	return nil
}

// note keeps the result of an Apply for Commit.
func (s *snapshotter) note(key string, a applied) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied[key] = a
}

// noComparer refuses what would need a mounted file system (docker commit through this service).
type noComparer struct{}

func (noComparer) Compare(context.Context, []mount.Mount, []mount.Mount, ...diff.Opt) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, fmt.Errorf("comparing file systems: %w", cerrdefs.ErrNotImplemented)
}
