package dockerapi

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	dockerevents "github.com/docker/docker/daemon/events"
	"github.com/docker/docker/errdefs"
	"github.com/docker/docker/volume/service/opts"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/device"
)

// anonymousLabel marks a volume whose maker gave it no name; Docker's.
const anonymousLabel = "com.docker.volume.anonymous"

// volumes is the backend of Docker's volume router.
type volumes struct {
	engine  *engine.Engine
	events  *dockerevents.Events
	pruning atomic.Bool
}

// checkVolumeDriver takes Docker's default driver for the one that there is. Its error is not a 404: of
// docker create the CLI would take that for a missing image, and pull.
func checkVolumeDriver(name string) error {
	if slices.Contains([]string{"", "local", engine.VolumeDriver}, name) {
		return nil
	}
	return invalid("error looking up volume plugin %s: plugin %q not found", name, name)
}

// List is docker volume ls.
func (b *volumes) List(ctx context.Context, f filters.Args) ([]*volume.Volume, []string, error) {
	want, err := volumeFilter(f, "dangling", "name", "driver", "label")
	if err != nil {
		return nil, nil, err
	}
	all, err := b.engine.Volumes.List(ctx)
	if err != nil {
		return nil, nil, wrap(err)
	}
	out := []*volume.Volume{}
	for _, v := range all {
		if want(v) {
			out = append(out, apiVolume(v))
		}
	}
	return out, nil, nil
}

// volumeFilter reads Docker's filters of volumes.
func volumeFilter(f filters.Args, accepted ...string) (func(engine.Volume) bool, error) {
	names := map[string]bool{}
	for _, n := range accepted {
		names[n] = true
	}
	if err := f.Validate(names); err != nil {
		return nil, err
	}
	dangling, err := f.GetBoolOrDefault("dangling", false)
	if err != nil {
		return nil, err
	}
	return func(v engine.Volume) bool {
		switch {
		case f.Contains("dangling") && dangling != (len(v.Containers) == 0):
		case f.Contains("name") && !f.Match("name", v.Name):
		case f.Contains("driver") && !f.ExactMatch("driver", engine.VolumeDriver):
		case !labelsMatch(f, v.Labels):
		default:
			return true
		}
		return false
	}, nil
}

func apiVolume(v engine.Volume) *volume.Volume {
	out := &volume.Volume{Name: v.Name, Driver: engine.VolumeDriver, Mountpoint: volumeSource(v.Disk), Scope: "local",
		Labels: v.Labels, Options: v.Options}
	if !v.Created.IsZero() {
		out.CreatedAt = v.Created.Format(time.RFC3339)
	}
	return out
}

// volumeSource is where a volume lies: a datastore path, or host:/path.
func volumeSource(d device.Disk) string {
	if d.Kind == device.KindNFS {
		if u, err := url.Parse(d.Locator); err == nil {
			return u.Host + ":" + u.Path
		}
	}
	return d.Locator
}

// Get is docker volume inspect.
func (b *volumes) Get(ctx context.Context, name string, o ...opts.GetOption) (*volume.Volume, error) {
	v, err := b.engine.Volumes.Get(ctx, name)
	if err != nil {
		return nil, wrap(err)
	}
	var cfg opts.GetConfig
	for _, f := range o {
		f(&cfg)
	}
	out := apiVolume(v)
	if cfg.ResolveStatus {
		out.Status = volumeStatus(v)
	}
	return out, nil
}

// volumeStatus is what the storage driver knows of a volume besides what Docker does.
func volumeStatus(v engine.Volume) map[string]any {
	s := map[string]any{"VolumeStore": v.Store}
	if v.Capacity > 0 {
		s["Capacity"] = strconv.FormatInt(v.Capacity>>20, 10) + "MB"
	}
	return s
}

// Create is docker volume create.
func (b *volumes) Create(ctx context.Context, name, driver string, o ...opts.CreateOption) (*volume.Volume, error) {
	if err := checkVolumeDriver(driver); err != nil {
		return nil, errdefs.NotFound(fmt.Errorf("create %s: %w", name, err))
	}
	var cfg opts.CreateConfig
	for _, f := range o {
		f(&cfg)
	}
	req := engine.VolumeRequest{Name: name, Options: cfg.Options, Labels: cfg.Labels}
	if name == "" {
		req.Labels = withLabel(req.Labels, anonymousLabel)
	}
	v, err := b.engine.Volumes.Create(ctx, req)
	if err != nil {
		return nil, wrap(err)
	}
	return apiVolume(v), nil
}

func withLabel(labels map[string]string, key string) map[string]string {
	out := map[string]string{key: ""}
	for k, v := range labels {
		out[k] = v
	}
	return out
}

// Remove is docker volume rm.
func (b *volumes) Remove(ctx context.Context, name string, o ...opts.RemoveOption) error {
	var cfg opts.RemoveConfig
	for _, f := range o {
		f(&cfg)
	}
	return wrap(b.engine.Volumes.Remove(ctx, name, cfg.PurgeOnError))
}

// Prune is docker volume prune: the anonymous volumes that no container has, or with the filter all
// the named ones too.
func (b *volumes) Prune(ctx context.Context, f filters.Args) (*volume.PruneReport, error) {
	if !b.pruning.CompareAndSwap(false, true) {
		return nil, errdefs.Conflict(fmt.Errorf("a prune operation is already running"))
	}
	defer b.pruning.Store(false)
	all, err := f.GetBoolOrDefault("all", false)
	if err != nil {
		return nil, err
	}
	want, err := volumeFilter(f, "label", "label!", "all")
	if err != nil {
		return nil, err
	}
	removed, err := b.engine.Volumes.Prune(ctx, func(v engine.Volume) bool {
		_, anonymous := v.Labels[anonymousLabel]
		return (all || anonymous) && want(v)
	})
	if err != nil && ctx.Err() == nil {
		return nil, wrap(err)
	}
	report := &volume.PruneReport{VolumesDeleted: []string{}}
	for _, v := range removed {
		report.VolumesDeleted = append(report.VolumesDeleted, v.Name)
		report.SpaceReclaimed += uint64(max(v.Used, 0))
	}
	b.events.Log(events.ActionPrune, events.VolumeEventType, events.Actor{
		Attributes: map[string]string{"reclaimed": strconv.FormatUint(report.SpaceReclaimed, 10)}})
	return report, nil
}

// volumeUsage is what docker system df shows of volumes.
func volumeUsage(ctx context.Context, e *engine.Engine) ([]*volume.Volume, error) {
	all, err := e.Volumes.List(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	out := []*volume.Volume{}
	for _, v := range all {
		x := apiVolume(v)
		x.UsageData = &volume.UsageData{RefCount: int64(len(v.Containers)), Size: v.Used}
		out = append(out, x)
	}
	return out, nil
}
