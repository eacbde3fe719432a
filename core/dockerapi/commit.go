package dockerapi

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	eventtypes "github.com/docker/docker/api/types/events"
	"github.com/docker/docker/builder/dockerfile"
	"github.com/docker/docker/errdefs"
	dockerimage "github.com/docker/docker/image"

	"github.com/openvic/vic/core/engine"
)

// CommitRequest describes an image that is made of a container.
type CommitRequest struct {
	Parent, Author, Comment, CreatedBy string
	Config                             *container.Config
	// Diff writes the container's changes as an OCI layer.
	Diff func(ctx context.Context, w io.Writer) error
}

// CreateImageFromContainer is docker commit.
func (b *containers) CreateImageFromContainer(ctx context.Context, name string, o *backend.CreateImageConfig) (string, error) {
	c, err := b.opts.Engine.Get(name)
	if err != nil {
		return "", wrap(err)
	}
	if c.State.Status == engine.StatusRemoving {
		return "", errdefs.Conflict(fmt.Errorf("You cannot commit container %s which is being removed", c.ID)) //nolint:staticcheck // Docker's text
	}
	d := b.definition(&c)
	config := o.Config
	if config == nil {
		config = d.Config
	}
	config, err = dockerfile.BuildFromConfig(ctx, config, o.Changes, "linux")
	if err != nil {
		return "", errdefs.InvalidParameter(err)
	}
	inherit(config, d.Config)
	resume, err := b.hold(ctx, &c, o.Pause)
	if err != nil {
		return "", wrap(err)
	}
	defer resume()
	id, err := b.opts.Images.Commit(ctx, CommitRequest{Parent: c.Image.ID, Author: o.Author, Comment: o.Comment,
		CreatedBy: strings.Join(d.Config.Cmd, " "), Config: config,
		Diff: func(ctx context.Context, w io.Writer) error { return b.opts.Engine.Diff(ctx, c.ID, w) }})
	if err != nil {
		return "", wrap(err)
	}
	ref := ""
	if o.Tag != nil {
		if err := b.opts.Images.TagImage(ctx, dockerimage.ID(id), o.Tag); err != nil {
			return "", err
		}
		ref = reference.FamiliarString(o.Tag)
	}
	attributes := maps.Clone(c.Labels)
	if attributes == nil {
		attributes = map[string]string{}
	}
	maps.Copy(attributes, map[string]string{"comment": o.Comment, "imageID": id, "imageRef": ref, "image": c.Image.Ref, "name": c.Name})
	b.opts.Events.Log(eventtypes.ActionCommit, eventtypes.ContainerEventType, eventtypes.Actor{ID: c.ID, Attributes: attributes})
	return id, nil
}

// hold freezes a container that runs for the time of a commit, if that is wanted: a file that is written
// by several steps is then not seen in their middle.
func (b *containers) hold(ctx context.Context, c *engine.Container, pause bool) (resume func(), err error) {
	if !pause || c.State.Status != engine.StatusRunning {
		return func() {}, nil
	}
	if err := b.opts.Engine.Pause(ctx, c.ID); err != nil {
		return nil, err
	}
	return func() { _ = b.opts.Engine.Unpause(context.WithoutCancel(ctx), c.ID) }, nil
}

// inherit fills in what a new image's configuration leaves open from the container's, with the rules
// of docker commit: lists of ports, variables, labels and volumes are united, the first one wins.
func inherit(to, from *container.Config) {
	if to.User == "" {
		to.User = from.User
	}
	to.ExposedPorts = united(to.ExposedPorts, from.ExposedPorts)
	to.Volumes = united(to.Volumes, from.Volumes)
	to.Labels = united(to.Labels, from.Labels)
	for _, v := range from.Env {
		key, _, _ := strings.Cut(v, "=")
		if !slices.ContainsFunc(to.Env, func(w string) bool { k, _, _ := strings.Cut(w, "="); return k == key }) {
			to.Env = append(to.Env, v)
		}
	}
	if len(to.Entrypoint) == 0 {
		if len(to.Cmd) == 0 {
			to.Cmd = from.Cmd
		}
		if to.Entrypoint == nil {
			to.Entrypoint = from.Entrypoint
		}
	}
	if to.WorkingDir == "" {
		to.WorkingDir = from.WorkingDir
	}
	if to.StopSignal == "" {
		to.StopSignal = from.StopSignal
	}
	to.Healthcheck = inheritHealth(to.Healthcheck, from.Healthcheck)
}

func united[K comparable, V any](first, second map[K]V) map[K]V {
	if len(first) == 0 {
		return maps.Clone(second)
	}
	out := maps.Clone(second)
	if out == nil {
		out = map[K]V{}
	}
	maps.Copy(out, first)
	return out
}

func inheritHealth(to, from *container.HealthConfig) *container.HealthConfig {
	if from == nil || to == nil {
		if to == nil {
			return from
		}
		return to
	}
	out := *to
	if len(out.Test) == 0 {
		out.Test = from.Test
	}
	if out.Interval == 0 {
		out.Interval = from.Interval
	}
	if out.Timeout == 0 {
		out.Timeout = from.Timeout
	}
	if out.StartPeriod == 0 {
		out.StartPeriod = from.StartPeriod
	}
	if out.StartInterval == 0 {
		out.StartInterval = from.StartInterval
	}
	if out.Retries == 0 {
		out.Retries = from.Retries
	}
	return &out
}
