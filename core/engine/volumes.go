package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/core/event"
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

	madeUp bool // the name, so that nobody has a volume of it
}

// Volumes are the volumes of a VCH. The storage driver has them; who has one in a container stands in the
// containers' definitions. This part keeps what is going on with them from what must not happen meanwhile:
//
//   - making, removing and growing one volume come one after the other, each with its turn;
//   - a volume that a container in the making will use is held, and is not removed: the container is in no
//     list yet;
//   - claims say which running container has a volume for itself.
//
// A turn is taken first and held during calls to the driver; mu guards the maps, is held for moments only,
// and no other lock is taken under it.
type Volumes struct {
	driver   storage.Volumes
	events   *event.Hub
	log      *slog.Logger
	detached func(context.Context) (context.Context, context.CancelFunc) // Engine.detached
	users    func() map[string][]string                                  // IDs of containers by the volumes that they have
	claims   *volumeClaims

	mu    sync.Mutex
	turns map[string]*turn // of the volumes that are being worked on
	holds map[string]int   // of containers in the making, by volume
}

func newVolumes(e *Engine) *Volumes {
	return &Volumes{driver: e.opts.Storage, events: e.opts.Events, log: e.log, detached: e.detached, users: e.volumeUsers,
		claims: newVolumeClaims(), turns: map[string]*turn{}, holds: map[string]int{}}
}

// turn is a volume's lock, and how many hold it or wait for it.
type turn struct {
	sync.Mutex
	users int
}

// lock takes the right to make or remove a volume.
func (vs *Volumes) lock(name string) (unlock func()) {
	vs.mu.Lock()
	m := vs.turns[name]
	if m == nil {
		m = &turn{}
		vs.turns[name] = m
	}
	m.users++
	vs.mu.Unlock()
	m.Lock()
	return func() {
		m.Unlock()
		vs.mu.Lock()
		defer vs.mu.Unlock()
		if m.users--; m.users == 0 {
			delete(vs.turns, name)
		}
	}
}

// hold keeps volumes from being removed until the returned function is called.
func (vs *Volumes) hold(names []string) (release func()) {
	add := func(n int) {
		vs.mu.Lock()
		defer vs.mu.Unlock()
		for _, name := range names {
			if vs.holds[name] += n; vs.holds[name] == 0 {
				delete(vs.holds, name)
			}
		}
	}
	add(1)
	return sync.OnceFunc(func() { add(-1) })
}

func (vs *Volumes) held(name string) bool {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	return vs.holds[name] > 0
}

// volumeUsers returns the IDs of containers by the volumes that they have.
func (e *Engine) volumeUsers() map[string][]string {
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

// List returns all volumes, by name. A storage driver without volumes has none.
func (vs *Volumes) List(ctx context.Context) ([]Volume, error) {
	all, err := vs.driver.ListVolumes(ctx)
	if errors.Is(err, errdef.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("volumes: %w", err)
	}
	users := vs.users()
	out := make([]Volume, 0, len(all))
	for _, v := range all {
		out = append(out, Volume{Volume: v, Containers: users[v.Name]})
	}
	return out, nil
}

// Get returns one volume.
func (vs *Volumes) Get(ctx context.Context, name string) (Volume, error) {
	v, err := vs.driver.GetVolume(ctx, name)
	if err != nil {
		return Volume{}, noSuchVolume(name, err)
	}
	return Volume{Volume: v, Containers: vs.users()[name]}, nil
}

func noSuchVolume(name string, err error) error {
	if isNotFound(err) || errors.Is(err, errdef.ErrUnsupported) {
		return fail(errdef.ErrNotFound, "get %s: no such volume", name)
	}
	return fmt.Errorf("get %s: %w", name, err)
}

// Create makes a volume; one that is there is returned as it is.
func (vs *Volumes) Create(ctx context.Context, req VolumeRequest) (Volume, error) {
	if req.Name == "" {
		id, err := newID()
		if err != nil {
			return Volume{}, err
		}
		req.Name, req.madeUp = id, true
	}
	v, _, err := vs.ensure(ctx, req)
	if err != nil {
		return Volume{}, fmt.Errorf("create %s: %w", req.Name, err)
	}
	return Volume{Volume: v, Containers: vs.users()[v.Name]}, nil
}

// ensure returns a volume, made if it was not there.
func (vs *Volumes) ensure(ctx context.Context, req VolumeRequest) (v storage.Volume, made bool, err error) {
	if err := storage.CheckVolumeName(req.Name); err != nil {
		return v, false, err
	}
	defer vs.lock(req.Name)()
	if !req.madeUp {
		if v, err = vs.driver.GetVolume(ctx, req.Name); !isNotFound(err) {
			return v, false, err
		}
	}
	create, err := req.forDriver()
	if err != nil {
		return v, false, err
	}
	if v, err = vs.driver.CreateVolume(ctx, create); err != nil {
		return v, false, err
	}
	vs.emit(v.Name, "create")
	return v, true, nil
}

// forDriver reads the options that are the host's own.
func (r VolumeRequest) forDriver() (storage.CreateVolumeRequest, error) {
	out := storage.CreateVolumeRequest{Name: r.Name, Labels: r.Labels, Options: r.Options, Fresh: r.madeUp}
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

// Remove destroys a volume that no container has. One that is not there is no error by force.
func (vs *Volumes) Remove(ctx context.Context, name string, force bool) error {
	ctx, cancel := vs.detached(ctx)
	defer cancel()
	defer vs.lock(name)()
	if _, err := vs.driver.GetVolume(ctx, name); err != nil {
		if err = noSuchVolume(name, err); force && isNotFound(err) {
			return nil
		}
		return err
	}
	return vs.remove(ctx, name)
}

// remove is Remove of one that is there; its turn is held.
func (vs *Volumes) remove(ctx context.Context, name string) error {
	held := vs.held(name) // before the list: a container is in it when it gives up its hold
	if ids := vs.users()[name]; len(ids) > 0 {
		return fail(errdef.ErrConflict, "remove %s: volume is in use - [%s]", name, strings.Join(ids, ", "))
	}
	if held {
		return fail(errdef.ErrConflict, "remove %s: volume is in use - [a container that is being created]", name)
	}
	if err := vs.driver.RemoveVolume(ctx, name); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	vs.emit(name, "destroy")
	return nil
}

// prunesAtOnce is how many volumes are destroyed at a time.
const prunesAtOnce = 8

// Prune destroys the volumes that no container has and that want picks.
func (vs *Volumes) Prune(ctx context.Context, want func(Volume) bool) (removed []Volume, err error) {
	all, err := vs.List(ctx)
	if err != nil {
		return nil, err
	}
	destroyed := make([]bool, len(all))
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
			if err := vs.Remove(ctx, v.Name, true); err != nil {
				vs.log.Warn("volume is not pruned", "volume", v.Name, "err", err)
				return nil
			}
			destroyed[i] = true
			return nil
		})
	}
	_ = g.Wait()
	for i, v := range all {
		if destroyed[i] {
			removed = append(removed, v)
		}
	}
	return removed, ctx.Err()
}

// Grow makes a volume larger: capacity in bytes. No running container may have it.
func (vs *Volumes) Grow(ctx context.Context, name string, capacity int64) (Volume, error) {
	ctx, cancel := vs.detached(ctx)
	defer cancel()
	defer vs.lock(name)()
	patience, stop := context.WithTimeout(ctx, endPatience)
	defer stop()
	for c := vs.claims.holder(name); c != nil; c = vs.claims.holder(name) {
		if !vs.claims.awaitRelease(patience, c, name) {
			return Volume{}, fail(errdef.ErrConflict, "volume %q is in use by container %s; it grows when that is stopped", name, c.title())
		}
	}
	v, err := vs.driver.GrowVolume(ctx, storage.GrowVolumeRequest{Name: name, Capacity: capacity})
	if err != nil {
		if isNotFound(err) {
			return Volume{}, noSuchVolume(name, err)
		}
		return Volume{}, fmt.Errorf("grow %s: %w", name, err)
	}
	return Volume{Volume: v, Containers: vs.users()[name]}, nil
}

// removeAnonymous destroys a removed container's anonymous volumes that no other container has.
func (vs *Volumes) removeAnonymous(ctx context.Context, mounts []MountPoint) {
	anonymous := slices.DeleteFunc(slices.Clone(mounts), func(m MountPoint) bool { return !m.Anonymous })
	for _, name := range volumeNames(anonymous) {
		if len(vs.users()[name]) > 0 {
			continue
		}
		if err := vs.Remove(ctx, name, true); err != nil {
			vs.log.Warn("anonymous volume stays", "volume", name, "err", err)
		}
	}
}

func (vs *Volumes) emit(name, action string, attributes ...string) {
	a := map[string]string{"driver": VolumeDriver}
	for i := 0; i+1 < len(attributes); i += 2 {
		a[attributes[i]] = attributes[i+1]
	}
	vs.events.Publish(event.Event{Type: event.Volume, Action: action, ID: name, Attributes: a})
}
