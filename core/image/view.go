package image

import (
	"context"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

const (
	// labelBlob is the digest of the compressed layer; labelLayers those of it and all above. Pull
	// sets both (containerd's snapshotters.AppendInfoHandlerWrapper).
	labelBlob   = "containerd.io/snapshot/cri.layer-digest"
	labelLayers = "containerd.io/snapshot/cri.image-layers"
)

// view stands between containerd's client and its metadata store and mends two things:
//
//   - A layer that exists is normally not downloaded. But an image whose blobs are not all here
//     cannot be listed, saved or pushed; so when the blob is missing (the same layer came in another
//     compression, or the state disk was lost) the unpacker is made to fetch it; the applier then
//     only verifies it.
//   - Docker's progress display walks over all snapshots ten times a second for each layer; an index
//     answers that question.
type view struct {
	snapshots.Snapshotter
	blobs content.InfoProvider

	mu     sync.Mutex
	layers map[string]string // labelLayers to the latest key of that snapshot, of this process
}

func newView(s snapshots.Snapshotter, blobs content.InfoProvider) *view {
	return &view{Snapshotter: s, blobs: blobs, layers: map[string]string{}}
}

// Prepare asks for the layer under another label if its blob must be fetched, so that nothing below
// answers that it exists.
func (v *view) Prepare(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	info, err := applyOpts(opts)
	if err != nil {
		return nil, err
	}
	v.index(info.Labels[labelLayers], key)
	missing, err := v.missing(ctx, info.Labels[labelBlob])
	if err != nil {
		return nil, err
	}
	if ref := info.Labels[labelRef]; missing && ref != "" {
		delete(info.Labels, labelRef)
		info.Labels[labelChain] = ref
		opts = []snapshots.Opt{snapshots.WithLabels(info.Labels)}
	}
	return v.Snapshotter.Prepare(ctx, key, parent, opts...)
}

// Commit keeps the index.
func (v *view) Commit(ctx context.Context, name, key string, opts ...snapshots.Opt) error {
	err := v.Snapshotter.Commit(ctx, name, key, opts...)
	if info, oerr := applyOpts(opts); oerr == nil && (err == nil || cerrdefs.IsAlreadyExists(err)) {
		v.index(info.Labels[labelLayers], name)
	}
	return err
}

// Walk answers Docker's question for the snapshot of one layer from the index.
func (v *view) Walk(ctx context.Context, fn snapshots.WalkFunc, filters ...string) error {
	layers, ok := layersFilter(filters)
	if !ok {
		return v.Snapshotter.Walk(ctx, fn, filters...)
	}
	v.mu.Lock()
	key, ok := v.layers[layers]
	v.mu.Unlock()
	if !ok {
		return nil
	}
	info, err := v.Snapshotter.Stat(ctx, key)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return fn(ctx, info)
}

func (v *view) index(layers, key string) {
	if layers == "" {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.layers) >= maxVerified {
		clear(v.layers) // it only serves the progress display
	}
	v.layers[layers] = key
}

// missing says whether a layer's blob is named and not here.
func (v *view) missing(ctx context.Context, blob string) (bool, error) {
	d, err := digest.Parse(blob)
	if err != nil {
		return false, nil // not a pull: the blobs are here
	}
	_, err = v.blobs.Info(ctx, d)
	if cerrdefs.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// layersFilter knows the one filter of Docker's progress display.
func layersFilter(filters []string) (string, bool) {
	if len(filters) != 1 {
		return "", false
	}
	rest, ok := strings.CutPrefix(filters[0], `labels."`+labelLayers+`"=="`)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, `"`)
}
