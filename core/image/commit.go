package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/labels"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/errdefs"
	"github.com/google/uuid"
	imagespec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// danglingPrefix begins the name of an image without one, as Docker's image service has it.
	danglingPrefix = "moby-dangling@"
	// labelParent names the image that another one was made from; Docker's image service reads it.
	labelParent = "org.mobyproject.image.parent"
)

// CommitRequest describes an image that is made of a container.
type CommitRequest struct {
	Parent    string // ID of the container's image
	Author    string
	Comment   string
	CreatedBy string // the container's command, for the history
	Config    *container.Config
	// Diff writes the changes of the container as an OCI layer.
	Diff func(ctx context.Context, w io.Writer) error
}

// Commit makes an image of one layer more than its parent, and returns its ID. A container that has
// changed nothing gives an image of the same layers.
func (s *Service) Commit(ctx context.Context, req CommitRequest) (string, error) {
	ctx = s.scope.in(ctx)
	l, err := s.leases.Create(ctx, leases.WithRandomID(), leases.WithExpiration(pullLease))
	if err != nil {
		return "", err
	}
	defer func() {
		if err := s.leases.Delete(context.WithoutCancel(ctx), l); err != nil {
			s.log.Warn("lease of a commit stays until it expires", "err", err)
		}
		s.gc.soon()
	}()
	ctx = leases.WithLease(ctx, l.ID)
	manifest, config, err := s.parent(ctx, req.Parent)
	if err != nil {
		return "", err
	}
	layer, diffID, err := s.writeDiff(ctx, req.Diff)
	if err != nil {
		return "", fmt.Errorf("changes of the container: %w", err)
	}
	config = commitConfig(config, req, diffID)
	for i := range manifest.Layers {
		manifest.Layers[i].MediaType = ociLayer(manifest.Layers[i].MediaType)
	}
	if layer != nil {
		manifest.Layers = append(manifest.Layers, *layer)
	}
	return s.putImage(ctx, req.Parent, manifest.Layers, config)
}

// parent reads what a container's image is made of.
func (s *Service) parent(ctx context.Context, id string) (m ocispec.Manifest, c imagespec.DockerOCIImage, err error) {
	found, err := s.docker.ResolveImage(ctx, id)
	if err != nil {
		return m, c, errdefs.NotFound(fmt.Errorf("the image of the container, %s, is not there any more: %w", id, err))
	}
	if m, err = images.Manifest(ctx, s.content, found.Target, platforms.Default()); err != nil {
		return m, c, err
	}
	b, err := content.ReadBlob(ctx, s.content, m.Config)
	if err != nil {
		return m, c, err
	}
	return m, c, json.Unmarshal(b, &c)
}

// writeDiff compresses a layer into the content store; nil if it holds nothing.
func (s *Service) writeDiff(ctx context.Context, diff func(context.Context, io.Writer) error) (*ocispec.Descriptor, digest.Digest, error) {
	ref := "commit-" + uuid.NewString()
	w, err := content.OpenWriter(ctx, s.content, content.WithRef(ref))
	if err != nil {
		return nil, "", err
	}
	defer w.Close()
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed) // the endpoint VM has little to spare
	if err != nil {
		return nil, "", err
	}
	plain := digest.Canonical.Digester()
	see := &beginning{}
	if err := diff(ctx, io.MultiWriter(z, plain.Hash(), see)); err != nil {
		return nil, "", errors.Join(err, s.content.Abort(context.WithoutCancel(ctx), ref))
	}
	if see.empty() {
		return nil, "", s.content.Abort(ctx, ref)
	}
	if err := z.Close(); err != nil {
		return nil, "", err
	}
	status, err := w.Status()
	if err != nil {
		return nil, "", err
	}
	desc := &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: w.Digest(), Size: status.Offset}
	err = w.Commit(ctx, status.Offset, desc.Digest, content.WithLabels(map[string]string{labels.LabelUncompressed: plain.Digest().String()}))
	if err != nil && !cerrdefs.IsAlreadyExists(err) {
		return nil, "", err
	}
	return desc, plain.Digest(), nil
}

// beginning looks at the first block of a tar: one without a name is the end of an empty one.
type beginning struct{ first byte }

func (b *beginning) Write(p []byte) (int, error) {
	if b.first == 0 && len(p) > 0 {
		b.first = p[0]
	}
	return len(p), nil
}

func (b *beginning) empty() bool { return b.first == 0 }

func commitConfig(base imagespec.DockerOCIImage, req CommitRequest, diffID digest.Digest) imagespec.DockerOCIImage {
	now := time.Now().UTC()
	out := base
	out.Created = &now
	if req.Author != "" {
		out.Author = req.Author
	}
	if out.Architecture == "" {
		out.Architecture = platforms.DefaultSpec().Architecture
	}
	if out.OS == "" {
		out.OS = platforms.DefaultSpec().OS
	}
	out.RootFS.Type = "layers"
	if diffID != "" {
		out.RootFS.DiffIDs = append(slices.Clone(base.RootFS.DiffIDs), diffID)
	}
	out.History = append(slices.Clone(base.History), ocispec.History{Created: &now, CreatedBy: req.CreatedBy, Author: out.Author,
		Comment: req.Comment, EmptyLayer: diffID == ""})
	out.Config = ociConfig(req.Config)
	return out
}

// ociConfig is a container's configuration in the form that images keep.
func ociConfig(c *container.Config) imagespec.DockerOCIImageConfig {
	var out imagespec.DockerOCIImageConfig
	if c == nil {
		return out
	}
	out.ImageConfig = ocispec.ImageConfig{User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Volumes: c.Volumes,
		WorkingDir: c.WorkingDir, Labels: c.Labels, StopSignal: c.StopSignal}
	for p := range c.ExposedPorts {
		if out.ExposedPorts == nil {
			out.ExposedPorts = map[string]struct{}{}
		}
		out.ExposedPorts[string(p)] = struct{}{}
	}
	out.Healthcheck, out.OnBuild, out.Shell = c.Healthcheck, c.OnBuild, c.Shell
	return out
}

// ociLayer is a layer's media type in an OCI manifest.
func ociLayer(mediaType string) string {
	switch mediaType {
	case images.MediaTypeDockerSchema2LayerGzip:
		return ocispec.MediaTypeImageLayerGzip
	case images.MediaTypeDockerSchema2Layer:
		return ocispec.MediaTypeImageLayer
	case images.MediaTypeDockerSchema2LayerZstd:
		return ocispec.MediaTypeImageLayerZstd
	}
	return mediaType
}

// putImage records an image without a name and unpacks its last layer.
func (s *Service) putImage(ctx context.Context, parent string, layers []ocispec.Descriptor, config imagespec.DockerOCIImage) (string, error) {
	cd, err := s.putJSON(ctx, ocispec.MediaTypeImageConfig, config, nil)
	if err != nil {
		return "", err
	}
	refs := map[string]string{"containerd.io/gc.ref.content.config": cd.Digest.String()}
	for i, l := range layers {
		refs[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", i)] = l.Digest.String()
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: cd, Layers: layers}
	md, err := s.putJSON(ctx, m.MediaType, m, refs)
	if err != nil {
		return "", err
	}
	id := md.Digest.String()
	img := images.Image{Name: danglingPrefix + id, Target: md, CreatedAt: time.Now(), Labels: map[string]string{labelParent: parent}}
	if img, err = s.client.ImageService().Create(ctx, img); err != nil {
		return "", err
	}
	if err := containerd.NewImageWithPlatform(s.client, img, platforms.Default()).Unpack(ctx, snapshotterName); err != nil {
		undo := context.WithoutCancel(ctx)
		return "", errors.Join(fmt.Errorf("write the image's layer: %w", err), s.client.ImageService().Delete(undo, img.Name))
	}
	s.docker.LogImageEvent(ctx, id, id, "create")
	return id, nil
}

func (s *Service) putJSON(ctx context.Context, mediaType string, v any, refs map[string]string) (ocispec.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	err = content.WriteBlob(ctx, s.content, "commit-"+d.Digest.String(), bytes.NewReader(b), d, content.WithLabels(refs))
	return d, err
}
