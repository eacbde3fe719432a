package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	snapstore "github.com/containerd/containerd/v2/core/snapshots/storage"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	bolt "go.etcd.io/bbolt"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

const (
	// labelRef is how containerd's unpacker says which layer a snapshot will be.
	labelRef = "containerd.io/snapshot.ref"
	// labelChain is the chain ID ("sha256:...") of a snapshot; labelLayer the storage layer that holds
	// its files. They differ when the layer itself is empty: then labelLayer is the nearest layer
	// below that is not, or noLayer. The prefix makes containerd's metadata store pass them on.
	labelChain = "containerd.io/snapshot/vic.chain"
	labelLayer = "containerd.io/snapshot/vic.layer"
	// noLayer stands for "no layer at all": an empty label value would not be stored.
	noLayer = "none"

	mountType = "vic.layer"
)

// snapshotter maps containerd's snapshots to storage layers. It keeps only names; the applier writes
// the layer and notes the result, Commit records it. Nothing is ever mounted.
type snapshotter struct {
	names  *snapstore.MetaStore
	layers storage.Layers
	log    *slog.Logger
	locks  keyLock // by layer ID: held while a layer is written, adopted or removed

	mu        sync.Mutex
	applied   map[string]applied  // by the key of an active snapshot: what its Apply made
	leftovers map[string]struct{} // keys whose layer could not be removed yet
}

// applied is what became of a layer's tar.
type applied struct {
	chain digest.Digest
	layer string // the storage layer with its files, "" if there is none down to the bottom
	size  int64
	wrote bool // by this Apply; false if it was there
}

var _ snapshots.Snapshotter = (*snapshotter)(nil)

func newSnapshotter(file string, layers storage.Layers, log *slog.Logger) (*snapshotter, error) {
	names, err := snapstore.NewMetaStore(file, func(o *bolt.Options) error { *o = *boltOptions(); return nil })
	if err != nil {
		return nil, err
	}
	return &snapshotter{
		names: names, layers: layers, log: log,
		applied: map[string]applied{}, leftovers: map[string]struct{}{},
	}, nil
}

// Prepare makes an active snapshot. If the layer that is to be made is complete in storage already
// (another image's, or the state disk was lost), it is adopted and ErrAlreadyExists returned, as
// containerd wants it of remote snapshotters.
func (s *snapshotter) Prepare(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	info, err := applyOpts(opts)
	if err != nil {
		return nil, err
	}
	chain := chainOf(key, info.Labels)
	if info.Labels[labelRef] != "" && chain != "" {
		found, err := s.adopt(ctx, key, parent, chain, info.Labels)
		if err != nil {
			return nil, err
		}
		if found {
			return nil, fmt.Errorf("layer %s: %w", chain, cerrdefs.ErrAlreadyExists)
		}
	}
	return s.create(ctx, snapshots.KindActive, key, parent, chain, opts)
}

// View makes a read-only snapshot; nobody can look into it, but its mounts name its layer.
func (s *snapshotter) View(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	return s.create(ctx, snapshots.KindView, key, parent, "", opts)
}

func (s *snapshotter) create(ctx context.Context, kind snapshots.Kind, key, parent string, chain digest.Digest,
	opts []snapshots.Opt) (m []mount.Mount, err error) {
	err = s.names.WithTransaction(ctx, true, func(ctx context.Context) error {
		if _, err := snapstore.CreateSnapshot(ctx, kind, key, parent, append(opts[:len(opts):len(opts)], withLabel(labelChain, chain.String()))...); err != nil {
			return err
		}
		m, err = mountsOf(ctx, key)
		return err
	})
	return m, err
}

// adopt records a layer that is complete in storage; the record may still be there from a removal
// that failed.
func (s *snapshotter) adopt(ctx context.Context, key, parent string, chain digest.Digest, labels map[string]string) (bool, error) {
	unlock, err := s.locks.lock(ctx, chain.Encoded())
	if err != nil {
		return false, err
	}
	defer unlock()
	layer, err := s.layers.StatLayer(ctx, chain.Encoded())
	if errors.Is(err, errdef.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask storage for layer %s: %w", chain.Encoded(), err)
	}
	known, err := s.find(ctx, func(i snapshots.Info) bool {
		return i.Kind == snapshots.KindCommitted && i.Labels[labelRef] == labels[labelRef] && i.Parent == parent
	})
	if err != nil {
		return false, err
	}
	if known != nil {
		s.forget(known.Name)
		return true, nil
	}
	if _, err := s.create(ctx, snapshots.KindActive, key, parent, chain, nil); err != nil {
		return false, err
	}
	a := applied{chain: chain, layer: layer.ID, size: layer.Size}
	return true, s.commit(ctx, key+" found", key, a, []snapshots.Opt{snapshots.WithLabels(labels)})
}

// Commit records a layer that Apply has made.
func (s *snapshotter) Commit(ctx context.Context, name, key string, opts ...snapshots.Opt) error {
	s.mu.Lock()
	a, ok := s.applied[key]
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("snapshot %s: no layer was written to it: %w", key, cerrdefs.ErrFailedPrecondition)
	}
	if !strings.HasSuffix(name, a.chain.String()) {
		return fmt.Errorf("snapshot %s: its layer is %s: %w", name, a.chain, cerrdefs.ErrInvalidArgument)
	}
	if err := s.commit(ctx, name, key, a, opts); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.applied, key)
	s.mu.Unlock()
	return nil
}

func (s *snapshotter) commit(ctx context.Context, name, key string, a applied, opts []snapshots.Opt) error {
	layer := a.layer
	if layer == "" {
		layer = noLayer
	}
	opts = append(opts[:len(opts):len(opts)], withLabel(labelChain, a.chain.String()), withLabel(labelLayer, layer))
	return s.names.WithTransaction(ctx, true, func(ctx context.Context) error {
		_, err := snapstore.CommitActive(ctx, key, name, snapshots.Usage{Size: a.size, Inodes: 1}, opts...)
		return err
	})
}

// Mounts names the layer; it cannot be mounted here.
func (s *snapshotter) Mounts(ctx context.Context, key string) (m []mount.Mount, err error) {
	err = s.names.WithTransaction(ctx, false, func(ctx context.Context) error {
		m, err = mountsOf(ctx, key)
		return err
	})
	return m, err
}

// Stat, Update, Usage and Walk are containerd's own bookkeeping.

func (s *snapshotter) Stat(ctx context.Context, key string) (info snapshots.Info, err error) {
	err = s.names.WithTransaction(ctx, false, func(ctx context.Context) error {
		_, info, _, err = snapstore.GetInfo(ctx, key)
		return err
	})
	return info, err
}

func (s *snapshotter) Update(ctx context.Context, info snapshots.Info, paths ...string) (snapshots.Info, error) {
	err := s.names.WithTransaction(ctx, true, func(ctx context.Context) (err error) {
		info, err = snapstore.UpdateInfo(ctx, info, paths...)
		return err
	})
	return info, err
}

func (s *snapshotter) Usage(ctx context.Context, key string) (u snapshots.Usage, err error) {
	err = s.names.WithTransaction(ctx, false, func(ctx context.Context) error {
		_, _, u, err = snapstore.GetInfo(ctx, key)
		return err
	})
	return u, err
}

func (s *snapshotter) Walk(ctx context.Context, fn snapshots.WalkFunc, filters ...string) error {
	err := s.names.WithTransaction(ctx, false, func(ctx context.Context) error {
		return snapstore.WalkInfo(ctx, fn, filters...)
	})
	if cerrdefs.IsNotFound(err) {
		return nil // nothing was ever stored
	}
	return err
}

func (s *snapshotter) Close() error { return s.names.Close() }

// find returns the first snapshot that matches, nil if none does.
func (s *snapshotter) find(ctx context.Context, match func(snapshots.Info) bool) (found *snapshots.Info, err error) {
	err = s.Walk(ctx, func(_ context.Context, i snapshots.Info) error {
		if found == nil && match(i) {
			found = &i
		}
		return nil
	})
	return found, err
}

// target is what an Apply works on, carried in the mount that Prepare returned.
type target struct {
	key         string
	chain       digest.Digest
	parent      string        // storage layer below, "" if none
	parentChain digest.Digest // "" at the bottom
}

func mountsOf(ctx context.Context, key string) ([]mount.Mount, error) {
	_, info, _, err := snapstore.GetInfo(ctx, key)
	if err != nil {
		return nil, err
	}
	o := []string{"chain=" + info.Labels[labelChain]}
	if info.Parent != "" {
		_, below, _, err := snapstore.GetInfo(ctx, info.Parent)
		if err != nil {
			return nil, err
		}
		o = append(o, "parentchain="+below.Labels[labelChain], "parent="+below.Labels[labelLayer])
	}
	return []mount.Mount{{Type: mountType, Source: key, Options: o}}, nil
}

func targetOf(mounts []mount.Mount) (target, error) {
	if len(mounts) != 1 || mounts[0].Type != mountType {
		return target{}, fmt.Errorf("mounts %v are not of this snapshotter: %w", mounts, cerrdefs.ErrInvalidArgument)
	}
	t := target{key: mounts[0].Source}
	for _, o := range mounts[0].Options {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "chain":
			t.chain = digest.Digest(v)
		case "parentchain":
			t.parentChain = digest.Digest(v)
		case "parent":
			if v != noLayer {
				t.parent = v
			}
		}
	}
	if t.chain.Validate() != nil {
		return t, fmt.Errorf("snapshot %s: only layers of an image can be written: %w", t.key, cerrdefs.ErrNotImplemented)
	}
	return t, nil
}

// chainOf finds the chain ID that an active snapshot is to become: from its labels, or from the key,
// which unpacking makes as "extract-<unique> <chain ID>". Empty if neither says.
func chainOf(key string, labels map[string]string) digest.Digest {
	for _, name := range []string{labels[labelRef], labels[labelChain], key[strings.LastIndexByte(key, ' ')+1:]} {
		if d, err := digest.Parse(name); err == nil {
			return d
		}
	}
	return ""
}

func applyOpts(opts []snapshots.Opt) (info snapshots.Info, err error) {
	for _, o := range opts {
		if err := o(&info); err != nil {
			return info, err
		}
	}
	return info, nil
}

// withLabel adds one label; an empty value adds none.
func withLabel(key, value string) snapshots.Opt {
	return func(i *snapshots.Info) error {
		if value == "" {
			return nil
		}
		all := map[string]string{key: value}
		for k, v := range i.Labels {
			if k != key {
				all[k] = v
			}
		}
		i.Labels = all
		return nil
	}
}
