package dockerapi

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	containerrouter "github.com/docker/docker/api/server/router/container"
	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	eventtypes "github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	timetypes "github.com/docker/docker/api/types/time"
	"github.com/docker/docker/errdefs"
	"github.com/moby/sys/signal"
	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/core/engine"
)

// removesAtOnce is how many containers a prune removes at a time.
const removesAtOnce = 8

// containers is the backend of Docker's container router.
type containers struct {
	opts    Options
	pruning atomic.Bool // one prune at a time, as with Docker

	mu      sync.Mutex
	decoded map[string]*definition // by container ID; what is in them never changes
}

var _ containerrouter.Backend = (*containers)(nil)

func newContainers(o Options) *containers {
	return &containers{opts: o, decoded: map[string]*definition{}}
}

// definition returns the API's part of a container's metadata; never nil.
func (b *containers) definition(c *engine.Container) *definition {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.decoded[c.ID]; d != nil {
		return d
	}
	d := &definition{}
	if err := json.Unmarshal(c.API, d); err != nil || d.Config == nil || d.HostConfig == nil {
		d = &definition{Config: &container.Config{Image: c.Image.Ref, Labels: c.Labels}, HostConfig: &container.HostConfig{}}
	}
	b.decoded[c.ID] = d
	return d
}

func (b *containers) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.decoded, id)
}

// ContainerStart starts a container.
func (b *containers) ContainerStart(ctx context.Context, name, checkpoint, _ string) error {
	if checkpoint != "" {
		return unsupported("option --checkpoint")
	}
	if err := b.checkLinks(name); err != nil {
		return err
	}
	return wrap(b.opts.Engine.Start(ctx, name))
}

// ContainerStop stops a container.
func (b *containers) ContainerStop(ctx context.Context, name string, o container.StopOptions) error {
	so, err := stopOptions(o)
	if err != nil {
		return invalid("cannot stop container: %s: %v", name, err)
	}
	return wrap(b.opts.Engine.Stop(ctx, name, so))
}

// ContainerRestart restarts a container.
func (b *containers) ContainerRestart(ctx context.Context, name string, o container.StopOptions) error {
	so, err := stopOptions(o)
	if err != nil {
		return err
	}
	return wrap(b.opts.Engine.Restart(ctx, name, so))
}

func stopOptions(o container.StopOptions) (engine.StopOptions, error) {
	n, err := stopSignal(o.Signal)
	return engine.StopOptions{Signal: n, Timeout: o.Timeout}, err
}

// ContainerKill sends a signal.
func (b *containers) ContainerKill(name, sig string) error {
	n := 0
	if sig != "" {
		s, err := signal.ParseSignal(sig)
		if err != nil {
			return invalid("%v", err)
		}
		if !signal.ValidSignalForPlatform(s) {
			return invalid("the linux daemon does not support signal %d", s)
		}
		n = int(s)
	}
	return wrap(b.opts.Engine.Kill(context.Background(), name, n))
}

// ContainerRename renames a container.
func (b *containers) ContainerRename(old, name string) error {
	return wrap(b.opts.Engine.Rename(context.Background(), old, name))
}

// ContainerResize sets the terminal's size.
func (b *containers) ContainerResize(ctx context.Context, name string, height, width uint32) error {
	return wrap(b.opts.Engine.Resize(ctx, name, width, height))
}

// ContainerRm removes a container.
func (b *containers) ContainerRm(name string, o *backend.ContainerRmConfig) error {
	if o.RemoveLink {
		return unsupported("docker rm --link")
	}
	return wrap(b.opts.Engine.Remove(context.Background(), name, engine.RemoveOptions{Force: o.ForceRemove, Volumes: o.RemoveVolume}))
}

// ContainerWait waits for a container.
func (b *containers) ContainerWait(ctx context.Context, name string, cond container.WaitCondition) (<-chan container.StateStatus, error) {
	conditions := map[container.WaitCondition]engine.WaitCondition{
		container.WaitConditionNextExit: engine.WaitNextExit, container.WaitConditionRemoved: engine.WaitRemoved,
	}
	in, err := b.opts.Engine.Wait(ctx, name, conditions[cond])
	if err != nil {
		return nil, wrap(err)
	}
	out := make(chan container.StateStatus, 1)
	go func() {
		r := <-in
		code := r.State.ExitCode
		if r.Err != nil {
			code = -1
		}
		out <- container.NewStateStatus(code, r.Err)
	}()
	return out, nil
}

// ContainersPrune removes the containers that do not run.
func (b *containers) ContainersPrune(ctx context.Context, f filters.Args) (*container.PruneReport, error) {
	if err := f.Validate(map[string]bool{"label": true, "label!": true, "until": true}); err != nil {
		return nil, err
	}
	until, err := pruneUntil(f)
	if err != nil {
		return nil, err
	}
	if !b.pruning.CompareAndSwap(false, true) {
		return nil, errdefs.Conflict(errors.New("a prune operation is already running"))
	}
	defer b.pruning.Store(false)
	report := b.removeAll(ctx, func(c engine.Container) bool {
		return !c.State.Running() && (until.IsZero() || !c.Created.After(until)) && labelsMatch(f, c.Labels)
	})
	b.opts.Events.Log(eventtypes.ActionPrune, eventtypes.ContainerEventType, eventtypes.Actor{
		Attributes: map[string]string{"reclaimed": strconv.FormatUint(report.SpaceReclaimed, 10)}})
	return report, nil
}

// removeAll removes the containers that want picks, several at a time. One that cannot be removed
// stays, as with dockerd; the report names those that went.
func (b *containers) removeAll(ctx context.Context, want func(engine.Container) bool) *container.PruneReport {
	report := &container.PruneReport{}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(removesAtOnce)
	for _, c := range b.opts.Engine.List() {
		if !want(c) {
			continue
		}
		g.Go(func() error {
			size, _ := b.opts.Engine.DiskUsage(ctx, c.ID) // only to be told
			if ctx.Err() != nil || b.opts.Engine.Remove(ctx, c.ID, engine.RemoveOptions{}) != nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			report.ContainersDeleted = append(report.ContainersDeleted, c.ID)
			report.SpaceReclaimed += uint64(max(size, 0))
			return nil
		})
	}
	_ = g.Wait()
	return report
}

func pruneUntil(f filters.Args) (time.Time, error) {
	v := f.Get("until")
	switch len(v) {
	case 0:
		return time.Time{}, nil
	case 1:
		return parseTime(v[0])
	}
	return time.Time{}, invalid("more than one until filter specified")
}

func labelsMatch(f filters.Args, labels map[string]string) bool {
	if !f.MatchKVList("label", labels) {
		return false
	}
	return !f.Contains("label!") || !f.MatchKVList("label!", labels)
}

// parseTime reads a time as the CLI writes it: RFC 3339, Unix seconds, or a duration before now.
func parseTime(s string) (time.Time, error) {
	if s == "" || s == "0" {
		return time.Time{}, nil
	}
	ts, err := timetypes.GetTimestamp(s, time.Now())
	if err != nil {
		return time.Time{}, invalid("%v", err)
	}
	sec, nano, err := timetypes.ParseTimestamps(ts, 0)
	if err != nil {
		return time.Time{}, invalid("%v", err)
	}
	return time.Unix(sec, nano), nil
}
