package dockerapi

import (
	"context"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/storage"

	"github.com/openvic/vic/core/engine"
)

// storageDriver is what docker info and inspect call the way layers and disks are kept.
const storageDriver = "vic"

// ContainerInspect describes a container.
func (b *containers) ContainerInspect(ctx context.Context, name string, o backend.ContainerInspectOptions) (*container.InspectResponse, error) {
	c, err := b.opts.Engine.Get(name)
	if err != nil {
		return nil, wrap(err)
	}
	r := b.inspect(&c)
	if o.Size {
		size := &container.Summary{ID: c.ID, ImageID: c.Image.ID}
		if err := b.sizes(ctx, []*container.Summary{size}); err != nil {
			return nil, err
		}
		r.SizeRw, r.SizeRootFs = &size.SizeRw, &size.SizeRootFs
	}
	return r, nil
}

func (b *containers) inspect(c *engine.Container) *container.InspectResponse {
	d := b.definition(c)
	hc := *d.HostConfig
	return &container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: c.ID, Created: c.Created.Format(time.RFC3339Nano), Path: c.Process.Args[0], Args: c.Process.Args[1:],
			State: inspectState(c.State), Image: c.Image.ID, Name: "/" + c.Name, Driver: storageDriver, Platform: "linux",
			ExecIDs: b.unended(c.ExecIDs), RestartCount: c.State.Restarts, HostConfig: &hc,
			GraphDriver: storage.DriverData{Name: storageDriver, Data: map[string]string{"VM": c.Locator, "Layer": c.Image.Layer,
				"MemoryMB": strconv.FormatInt(c.MemoryMB, 10), "CPUs": strconv.Itoa(int(c.CPUs))}},
		},
		Mounts:          append(mountPoints(c.Mounts), tmpfsPoints(&hc)...),
		Config:          d.Config,
		NetworkSettings: inspectNetwork(c, d),

		ImageManifestDescriptor: d.Manifest,
	}
}

// unended are the further processes that have not ended, as with Docker; nil for none.
func (b *containers) unended(execs []string) (ids []string) {
	for _, id := range execs {
		if x, err := b.opts.Engine.GetExec(id); err == nil && x.ExitCode == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func inspectState(s engine.State) *container.State {
	return &container.State{Status: container.ContainerState(s.Status), Running: s.Running(), Paused: s.Status == engine.StatusPaused,
		Restarting: s.Status == engine.StatusRestarting, Health: inspectHealth(s.Health), OOMKilled: s.OOM, Pid: s.Pid, ExitCode: s.ExitCode, Error: s.Error,
		StartedAt: s.Started.Format(time.RFC3339Nano), FinishedAt: s.Finished.Format(time.RFC3339Nano)}
}
