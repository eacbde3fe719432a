package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

// VolumeDriver is the name that volumes of the storage driver go by.
const VolumeDriver = "vsphere"

// Volume is a volume and who uses it.
type Volume struct {
	storage.Volume
	Containers []string // IDs of the containers that have it, running or not
}

// VolumeRequest describes a volume to make.
type VolumeRequest struct {
	Name string // empty: one is made up
	// Options are the user's: storage.OptionCapacity, storage.OptionVolumeStore, and the driver's.
	Options map[string]string
	Labels  map[string]string

	fresh bool // the name was made up, so that nobody has it
}

// volumes guards the volumes of an engine: who uses them stands in the containers' definitions.
type volumes struct {
	mu      sync.Mutex
	busy    map[string]*turn      // one operation on a volume at a time
	pending map[string]int        // volumes that containers in the making will use
	claims  map[string]*container // volumes that running containers have for themselves
}

// turn is a volume's lock, and how many hold it or wait for it.
type turn struct {
	sync.Mutex
	users int
}

func (v *volumes) init() {
	v.busy, v.pending, v.claims = map[string]*turn{}, map[string]int{}, map[string]*container{}
}

// lock takes the right to make or remove a volume.
func (v *volumes) lock(name string) (unlock func()) {
	v.mu.Lock()
	m := v.busy[name]
	if m == nil {
		m = &turn{}
		v.busy[name] = m
	}
	m.users++
	v.mu.Unlock()
	m.Lock()
	return func() {
		m.Unlock()
		v.mu.Lock()
		defer v.mu.Unlock()
		if m.users--; m.users == 0 {
			delete(v.busy, name)
		}
	}
}

// hold keeps volumes from being removed until the returned function is called.
func (v *volumes) hold(names []string) (release func()) {
	add := func(n int) {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, name := range names {
			if v.pending[name] += n; v.pending[name] == 0 {
				delete(v.pending, name)
			}
		}
	}
	add(1)
	return sync.OnceFunc(func() { add(-1) })
}

func (v *volumes) held(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.pending[name] > 0
}

// usersOf returns the IDs of containers by the volumes that they have.
func (e *Engine) usersOf() map[string][]string {
	users := map[string][]string{}
	for _, c := range e.List() {
		for _, name := range volumeNames(c.Mounts) {
			users[name] = append(users[name], c.ID)
		}
	}
	return users
}

func volumeNames(mounts []MountPoint) []string {
	var names []string
	for _, m := range mounts {
		if !slices.Contains(names, m.Volume) {
			names = append(names, m.Volume)
		}
	}
	return names
}

// Volumes lists all volumes, by name. A storage driver without volumes has none.
func (e *Engine) Volumes(ctx context.Context) ([]Volume, error) {
	all, err := e.opts.Storage.ListVolumes(ctx)
	if errors.Is(err, errdef.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("volumes: %w", err)
	}
	users := e.usersOf()
	out := make([]Volume, 0, len(all))
	for _, v := range all {
		out = append(out, Volume{Volume: v, Containers: users[v.Name]})
	}
	return out, nil
}

// Volume returns one volume.
func (e *Engine) Volume(ctx context.Context, name string) (Volume, error) {
	v, err := e.opts.Storage.GetVolume(ctx, name)
	if err != nil {
		return Volume{}, noSuchVolume(name, err)
	}
	return Volume{Volume: v, Containers: e.usersOf()[name]}, nil
}

func noSuchVolume(name string, err error) error {
	if isNotFound(err) || errors.Is(err, errdef.ErrUnsupported) {
		return fail(errdef.ErrNotFound, "get %s: no such volume", name)
	}
	return fmt.Errorf("get %s: %w", name, err)
}

// CreateVolume makes a volume; one that is there is returned as it is.
func (e *Engine) CreateVolume(ctx context.Context, req VolumeRequest) (Volume, error) {
	if req.Name == "" {
		id, err := newID()
		if err != nil {
			return Volume{}, err
		}
		req.Name, req.fresh = id, true
	}
	v, _, err := e.ensureVolume(ctx, req)
	if err != nil {
		return Volume{}, fmt.Errorf("create %s: %w", req.Name, err)
	}
	return Volume{Volume: v, Containers: e.usersOf()[v.Name]}, nil
}

// ensureVolume returns a volume, made if it was not there.
func (e *Engine) ensureVolume(ctx context.Context, req VolumeRequest) (v storage.Volume, made bool, err error) {
	if err := storage.CheckVolumeName(req.Name); err != nil {
		return v, false, err
	}
	defer e.volumes.lock(req.Name)()
	if !req.fresh {
		if v, err = e.opts.Storage.GetVolume(ctx, req.Name); !isNotFound(err) {
			return v, false, err
		}
	}
	create, err := req.forDriver()
	if err != nil {
		return v, false, err
	}
	if v, err = e.opts.Storage.CreateVolume(ctx, create); err != nil {
		return v, false, err
	}
	e.emitVolume(v.Name, "create")
	return v, true, nil
}

// forDriver reads the options that are the host's own.
func (r VolumeRequest) forDriver() (storage.CreateVolumeRequest, error) {
	out := storage.CreateVolumeRequest{Name: r.Name, Labels: r.Labels, Options: r.Options, Fresh: r.fresh}
	for key, value := range r.Options {
		switch {
		case strings.EqualFold(key, storage.OptionVolumeStore):
			out.Store = value
		case strings.EqualFold(key, storage.OptionCapacity):
			n, err := ParseCapacity(value)
			if err != nil {
				return out, err
			}
			out.Capacity = n
		}
	}
	return out, nil
}

// ParseCapacity reads the size of a volume: a number of MB, or one with a unit of 1024 ("2GB", "1.5T").
func ParseCapacity(s string) (int64, error) {
	text := strings.TrimSpace(s)
	end := strings.LastIndexAny(text, "0123456789.") + 1
	unit := strings.ToUpper(strings.TrimSpace(text[end:]))
	n, err := strconv.ParseFloat(text[:end], 64)
	factor, ok := map[string]float64{"": 1 << 20, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[shortUnit(unit)]
	if err != nil || !ok || n <= 0 || n*factor >= math.MaxInt64 || strings.ContainsAny(text[:end], "eExXpP_+-") {
		return 0, fail(errdef.ErrInvalid, "capacity %q: give a number of MB, or one with a unit, as in 2048, 512MB or 2GB", s)
	}
	return int64(n * factor), nil
}

// shortUnit makes one letter of "MB" and "MiB".
func shortUnit(u string) string {
	if len(u) > 1 {
		u = strings.TrimSuffix(strings.TrimSuffix(u, "B"), "I")
	}
	return u
}

// RemoveVolume destroys a volume that no container has. One that is not there is no error by force.
func (e *Engine) RemoveVolume(ctx context.Context, name string, force bool) error {
	ctx, cancel := e.detached(ctx)
	defer cancel()
	defer e.volumes.lock(name)()
	if _, err := e.opts.Storage.GetVolume(ctx, name); err != nil {
		if err = noSuchVolume(name, err); force && isNotFound(err) {
			return nil
		}
		return err
	}
	return e.removeVolume(ctx, name)
}

// removeVolume is RemoveVolume of one that is there; its lock is held.
func (e *Engine) removeVolume(ctx context.Context, name string) error {
	held := e.volumes.held(name) // before the list: a container is in it when it gives up its hold
	if ids := e.usersOf()[name]; len(ids) > 0 {
		return fail(errdef.ErrConflict, "remove %s: volume is in use - [%s]", name, strings.Join(ids, ", "))
	}
	if held {
		return fail(errdef.ErrConflict, "remove %s: volume is in use - [a container that is being created]", name)
	}
	if err := e.opts.Storage.RemoveVolume(ctx, name); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	e.emitVolume(name, "destroy")
	return nil
}

// prunesAtOnce is how many volumes are destroyed at a time.
const prunesAtOnce = 8

// PruneVolumes destroys the volumes that no container has and that want picks.
func (e *Engine) PruneVolumes(ctx context.Context, want func(Volume) bool) (removed []Volume, err error) {
	all, err := e.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	gone := make([]bool, len(all))
	var g errgroup.Group
	g.SetLimit(prunesAtOnce)
	for i, v := range all {
		if len(v.Containers) > 0 || !want(v) {
			continue
		}
		g.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			if err := e.RemoveVolume(ctx, v.Name, true); err != nil {
				e.log.Warn("volume is not pruned", "volume", v.Name, "err", err)
				return nil
			}
			gone[i] = true
			return nil
		})
	}
	_ = g.Wait()
	for i, v := range all {
		if gone[i] {
			removed = append(removed, v)
		}
	}
	return removed, ctx.Err()
}

// GrowVolume makes a volume larger: capacity in bytes. No running container may have it.
func (e *Engine) GrowVolume(ctx context.Context, name string, capacity int64) (Volume, error) {
	ctx, cancel := e.detached(ctx)
	defer cancel()
	defer e.volumes.lock(name)()
	patience, stop := context.WithTimeout(ctx, endPatience)
	defer stop()
	for c := e.volumes.claimed(name); c != nil; c = e.volumes.claimed(name) {
		if !e.awaitUnclaim(patience, c) {
			return Volume{}, fail(errdef.ErrConflict, "volume %q is in use by container %s; it grows when that is stopped", name, c.title())
		}
	}
	v, err := e.opts.Storage.GrowVolume(ctx, storage.GrowVolumeRequest{Name: name, Capacity: capacity})
	if err != nil {
		if isNotFound(err) {
			return Volume{}, noSuchVolume(name, err)
		}
		return Volume{}, fmt.Errorf("grow %s: %w", name, err)
	}
	return Volume{Volume: v, Containers: e.usersOf()[name]}, nil
}

// removeAnonymous destroys a removed container's anonymous volumes that no other container has.
func (e *Engine) removeAnonymous(ctx context.Context, mounts []MountPoint) {
	anonymous := slices.DeleteFunc(slices.Clone(mounts), func(m MountPoint) bool { return !m.Anonymous })
	for _, name := range volumeNames(anonymous) {
		if len(e.usersOf()[name]) > 0 {
			continue
		}
		if err := e.RemoveVolume(ctx, name, true); err != nil {
			e.log.Warn("anonymous volume stays", "volume", name, "err", err)
		}
	}
}
