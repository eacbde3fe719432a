package image

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/version"
	"github.com/distribution/reference"
	"github.com/docker/distribution"
	"github.com/docker/docker/api/server/router/image"
	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/filters"
	imagetypes "github.com/docker/docker/api/types/image"
	registrytypes "github.com/docker/docker/api/types/registry"
	dockerimages "github.com/docker/docker/daemon/containerd"
	dockerdistribution "github.com/docker/docker/distribution"
	"github.com/docker/docker/dockerversion"
	"github.com/docker/docker/errdefs"
	dockerimage "github.com/docker/docker/image"
	"github.com/docker/docker/pkg/useragent"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Backend is what Docker's image router is made of, and Docker's system and distribution routers
// want of registries.
type Backend struct{ s *Service }

var (
	_ image.Backend  = Backend{}
	_ image.Searcher = Backend{}
)

// Backend serves the image part of Docker's API.
func (s *Service) Backend() Backend { return Backend{s} }

func (b Backend) docker() *dockerimages.ImageService { return b.s.docker }

// PullImage pulls and unpacks an image; what is complete already is neither fetched nor written.
func (b Backend) PullImage(ctx context.Context, ref reference.Named, p *ocispec.Platform,
	headers map[string][]string, auth *registrytypes.AuthConfig, out io.Writer) error {
	if err := b.s.check(ctx, ref); err != nil {
		return err
	}
	ctx, done, err := b.s.withPullLease(b.s.scope.in(ctx))
	if err != nil {
		return err
	}
	err = b.docker().PullImage(withCredentials(ctx, auth, ref), ref, p, headers, nil, out)
	done(err)
	return explain(ref, err)
}

// PushImage uploads an image.
func (b Backend) PushImage(ctx context.Context, ref reference.Named, p *ocispec.Platform,
	headers map[string][]string, auth *registrytypes.AuthConfig, out io.Writer) error {
	if err := b.s.check(ctx, ref); err != nil {
		return err
	}
	return explain(ref, b.docker().PushImage(withCredentials(b.s.scope.in(ctx), auth, ref), ref, p, headers, nil, out))
}

// ImageDelete removes an image or one of its names; then everything that only it needed is removed.
func (b Backend) ImageDelete(ctx context.Context, ref string, o imagetypes.RemoveOptions) ([]imagetypes.DeleteResponse, error) {
	ctx = b.s.scope.in(ctx)
	b.s.dropPartials(ctx)
	return b.docker().ImageDelete(ctx, ref, o)
}

// ImagesPrune removes the images that nothing uses.
func (b Backend) ImagesPrune(ctx context.Context, f filters.Args) (*imagetypes.PruneReport, error) {
	ctx = b.s.scope.in(ctx)
	b.s.dropPartials(ctx)
	report, err := b.docker().ImagesPrune(ctx, f)
	b.s.gc.soon()
	return report, err
}

// Images lists images.
func (b Backend) Images(ctx context.Context, o imagetypes.ListOptions) ([]*imagetypes.Summary, error) {
	return b.docker().Images(b.s.scope.in(ctx), o)
}

// ImageHistory says how an image was made.
func (b Backend) ImageHistory(ctx context.Context, name string, p *ocispec.Platform) ([]*imagetypes.HistoryResponseItem, error) {
	return b.docker().ImageHistory(b.s.scope.in(ctx), name, p)
}

// GetImage finds one image.
func (b Backend) GetImage(ctx context.Context, ref string, o backend.GetImageOpts) (*dockerimage.Image, error) {
	return b.docker().GetImage(b.s.scope.in(ctx), ref, o)
}

// ImageInspect describes one image.
func (b Backend) ImageInspect(ctx context.Context, ref string, o backend.ImageInspectOpts) (*imagetypes.InspectResponse, error) {
	return b.docker().ImageInspect(b.s.scope.in(ctx), ref, o)
}

// TagImage gives an image another name.
func (b Backend) TagImage(ctx context.Context, id dockerimage.ID, ref reference.Named) error {
	return b.docker().TagImage(b.s.scope.in(ctx), id, ref)
}

// LoadImage reads images from an archive.
func (b Backend) LoadImage(ctx context.Context, in io.ReadCloser, p *ocispec.Platform, out io.Writer, quiet bool) error {
	return b.docker().LoadImage(b.s.scope.in(ctx), in, p, out, quiet)
}

// ImportImage makes an image of one layer from a tar.
func (b Backend) ImportImage(ctx context.Context, ref reference.Named, p *ocispec.Platform,
	msg string, layer io.Reader, changes []string) (dockerimage.ID, error) {
	return b.docker().ImportImage(b.s.scope.in(ctx), ref, p, msg, layer, changes)
}

// ExportImage writes images to an archive.
func (b Backend) ExportImage(ctx context.Context, names []string, p *ocispec.Platform, out io.Writer) error {
	return b.docker().ExportImage(b.s.scope.in(ctx), names, p, out)
}

// Search is not supported: it is a service of Docker Hub, not of registries.
func (b Backend) Search(context.Context, filters.Args, string, int, *registrytypes.AuthConfig, map[string][]string) ([]registrytypes.SearchResult, error) {
	return nil, errdefs.NotImplemented(fmt.Errorf("docker search is not supported: look for images in the web page of your registry"))
}

// AuthenticateToRegistry checks credentials, for docker login.
func (b Backend) AuthenticateToRegistry(ctx context.Context, auth *registrytypes.AuthConfig) (status, token string, err error) {
	host := registryOf(auth.ServerAddress)
	trust := b.s.hosts.trust()
	if err := trust.policy.check(ctx, host); err != nil {
		return "", "", err
	}
	if trust.roots != nil && host != hubName || !trust.policy.empty() {
		status, err := b.s.hosts.login(ctx, host, auth)
		return status, "", explainHost(host, err)
	}
	agent := dockerversion.DockerUserAgent(ctx, useragent.VersionInfo{Name: "containerd-client", Version: version.Version})
	status, token, err = b.s.registry.Auth(ctx, auth, agent)
	return status, token, explainHost(auth.ServerAddress, err)
}

// GetRepositories opens an image's repository in its registry, for docker manifest.
func (b Backend) GetRepositories(ctx context.Context, ref reference.Named, auth *registrytypes.AuthConfig) ([]distribution.Repository, error) {
	if err := b.s.check(ctx, ref); err != nil {
		return nil, err
	}
	repos, err := dockerdistribution.GetRepositories(ctx, ref, &dockerdistribution.ImagePullConfig{
		Config: dockerdistribution.Config{AuthConfig: auth, RegistryService: resolver{b.s.registry, b.s.hosts.trust().roots}},
	})
	return repos, explain(ref, err)
}
