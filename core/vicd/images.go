package vicd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/go-connections/nat"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/dockerapi"
	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/image"
)

// images is the image service as the Docker API wants it.
type images struct {
	image.Backend
	service *image.Service
	pulled  func(took time.Duration, err error)
}

// PullImage pulls, and tells how it went.
func (i images) PullImage(ctx context.Context, ref reference.Named, p *ocispec.Platform, headers map[string][]string, auth *registry.AuthConfig,
	out io.Writer) error {
	begun := time.Now()
	err := i.Backend.PullImage(ctx, ref, p, headers, auth, out)
	i.pulled(time.Since(begun), err)
	return err
}

var _ dockerapi.Images = images{}

// Resolve finds an image.
func (i images) Resolve(ctx context.Context, ref string) (dockerapi.Image, error) {
	img, err := i.service.Resolve(ctx, ref)
	if err != nil {
		return dockerapi.Image{}, err
	}
	out := dockerapi.Image{Image: engine.Image{ID: img.ID, Ref: ref, Layer: img.Layer}, Manifest: img.Manifest}
	out.Config, err = dockerConfig(img.Config)
	if err != nil {
		return out, fmt.Errorf("configuration of image %s: %w", ref, err)
	}
	return out, nil
}

// Commit makes an image of a container.
func (i images) Commit(ctx context.Context, r dockerapi.CommitRequest) (string, error) {
	return i.service.Commit(ctx, image.CommitRequest{Parent: r.Parent, Author: r.Author, Comment: r.Comment, CreatedBy: r.CreatedBy,
		Config: r.Config, Diff: r.Diff})
}

func dockerConfig(c image.ImageConfig) (container.Config, error) {
	d := container.Config{Env: c.Env, Cmd: c.Cmd, Entrypoint: c.Entrypoint, User: c.User, WorkingDir: c.WorkingDir, Volumes: c.Volumes,
		StopSignal: c.StopSignal, Labels: c.Labels, Shell: c.Shell, OnBuild: c.OnBuild}
	if len(c.ExposedPorts) > 0 {
		d.ExposedPorts = nat.PortSet{}
	}
	for p := range c.ExposedPorts {
		d.ExposedPorts[nat.Port(p)] = struct{}{}
	}
	if len(c.Healthcheck) == 0 {
		return d, nil
	}
	return d, json.Unmarshal(c.Healthcheck, &d.Healthcheck)
}

// usedBy tells the image service which containers there are.
func usedBy(e *engine.Engine) []image.ContainerUse {
	var all []image.ContainerUse
	for _, c := range e.List() {
		all = append(all, image.ContainerUse{ID: c.ID, Name: c.Name, ImageID: c.Image.ID, Ref: c.Image.Ref, Running: c.State.Running()})
	}
	return all
}
