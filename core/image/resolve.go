package image

import (
	"context"
	"encoding/json"
	"fmt"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/snapshots"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	dockerimage "github.com/docker/docker/image"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const maxCached = 1024

// Image is what a container is made of.
type Image struct {
	ID     string // "sha256:...", as docker images shows it
	Ref    string // as it was asked for
	Layer  string // the top storage layer: a chain ID without "sha256:"; "" for an image without files
	Size   int64  // of its files, unpacked
	Config ImageConfig
	// Manifest is the one that this platform's files come from: of an index, one of several.
	Manifest *ocispec.Descriptor
}

// ImageConfig is the part of an image's configuration that its containers inherit.
type ImageConfig struct {
	Env          []string
	Cmd          []string
	Entrypoint   []string
	User         string
	WorkingDir   string
	ExposedPorts map[string]struct{} // "80/tcp"
	Volumes      map[string]struct{} // paths
	StopSignal   string
	Labels       map[string]string
	Shell        []string
	OnBuild      []string
	Healthcheck  json.RawMessage // Docker's; nil if there is none
}

// Resolve finds an image by name, digest, ID or the beginning of one. The error for an unknown one
// is ErrNotFound with Docker's words, "No such image: x:latest". The result must not be changed.
func (s *Service) Resolve(ctx context.Context, ref string) (Image, error) {
	ctx = s.scope.in(ctx)
	found, err := s.docker.ResolveImage(ctx, ref)
	if err != nil {
		return Image{}, classify(err)
	}
	id := found.Target.Digest.String()
	s.mu.Lock()
	img, ok := s.cache[id]
	s.mu.Unlock()
	if !ok {
		if img, err = s.read(ctx, id, found); err != nil {
			return Image{}, classify(err)
		}
		s.remember(img)
	}
	img.Ref = ref
	return img, nil
}

// remember caches an image by its digest: content under a digest never changes.
func (s *Service) remember(img Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cache) >= maxCached {
		clear(s.cache)
	}
	s.cache[img.ID] = img
}

func (s *Service) read(ctx context.Context, id string, found images.Image) (Image, error) {
	got, err := s.docker.GetImage(ctx, id, backend.GetImageOpts{})
	if err != nil {
		return Image{}, err
	}
	img := Image{ID: id, Manifest: manifestOf(got)}
	if img.Config, err = neutral(got.Config); err != nil {
		return Image{}, fmt.Errorf("image %s: %w", id, err)
	}
	if got.RootFS == nil || len(got.RootFS.DiffIDs) == 0 {
		return img, nil
	}
	diffIDs := make([]digest.Digest, len(got.RootFS.DiffIDs))
	for i, d := range got.RootFS.DiffIDs {
		diffIDs[i] = digest.Digest(d)
	}
	img.Layer, img.Size, err = s.layer(ctx, found, identity.ChainID(diffIDs).String())
	return img, err
}

// manifestOf is a manifest's descriptor with its platform, as docker inspect shows it.
func manifestOf(img *dockerimage.Image) *ocispec.Descriptor {
	if img.Details == nil || img.Details.ManifestDescriptor == nil {
		return nil
	}
	d := *img.Details.ManifestDescriptor
	if d.Platform == nil {
		p := img.Platform()
		d.Platform = &p
	}
	return &d
}

// layer finds the storage layer of a chain and the size of all its layers. Should the image not be
// unpacked (its layers were lost, see Reconcile), it is unpacked now.
func (s *Service) layer(ctx context.Context, img images.Image, chain string) (string, int64, error) {
	top, err := s.snaps.Stat(ctx, chain)
	if cerrdefs.IsNotFound(err) {
		i := containerd.NewImageWithPlatform(s.client, img, platforms.Default())
		if err := i.Unpack(ctx, snapshotterName); err != nil {
			return "", 0, fmt.Errorf("unpack image %s: %w", img.Name, err)
		}
		top, err = s.snaps.Stat(ctx, chain)
	}
	if err != nil {
		return "", 0, err
	}
	size, err := s.sizeOf(ctx, top)
	if layer := top.Labels[labelLayer]; layer != noLayer {
		return layer, size, err
	}
	return "", size, err
}

func (s *Service) sizeOf(ctx context.Context, top snapshots.Info) (size int64, err error) {
	for info := top; ; {
		u, err := s.snaps.Usage(ctx, info.Name)
		if err != nil {
			return 0, err
		}
		size += u.Size
		if info.Parent == "" {
			return size, nil
		}
		if info, err = s.snaps.Stat(ctx, info.Parent); err != nil {
			return 0, err
		}
	}
}

func neutral(c *container.Config) (ImageConfig, error) {
	if c == nil {
		return ImageConfig{}, nil
	}
	n := ImageConfig{
		Env: c.Env, Cmd: c.Cmd, Entrypoint: c.Entrypoint, User: c.User, WorkingDir: c.WorkingDir,
		Volumes: c.Volumes, StopSignal: c.StopSignal, Labels: c.Labels, Shell: c.Shell, OnBuild: c.OnBuild,
		ExposedPorts: make(map[string]struct{}, len(c.ExposedPorts)),
	}
	for p := range c.ExposedPorts {
		n.ExposedPorts[string(p)] = struct{}{}
	}
	if c.Healthcheck == nil {
		return n, nil
	}
	h, err := json.Marshal(c.Healthcheck)
	n.Healthcheck = h
	return n, err
}
