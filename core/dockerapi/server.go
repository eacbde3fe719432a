// Package dockerapi serves the Docker Engine API over the engine: Docker's own routers and decoders
// in front, the engine behind, and between them the translation of types, defaults and error texts.
// What a request asks for and the engine does not have is refused by name, never ignored.
package dockerapi

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/docker/docker/api"
	"github.com/docker/docker/api/server"
	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/server/middleware"
	"github.com/docker/docker/api/server/router"
	containerrouter "github.com/docker/docker/api/server/router/container"
	distributionrouter "github.com/docker/docker/api/server/router/distribution"
	imagerouter "github.com/docker/docker/api/server/router/image"
	networkrouter "github.com/docker/docker/api/server/router/network"
	swarmrouter "github.com/docker/docker/api/server/router/swarm"
	systemrouter "github.com/docker/docker/api/server/router/system"
	volumerouter "github.com/docker/docker/api/server/router/volume"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	eventtypes "github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/registry"
	dockerevents "github.com/docker/docker/daemon/events"
	"github.com/docker/docker/pkg/sysinfo"
	"github.com/docker/docker/runconfig"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/event"
)

// EngineVersion is the version that clients are told: that of the Docker code which serves them.
const EngineVersion = "28.5.2"

// Image is what a container is made from, with its configuration.
type Image struct {
	engine.Image
	Config container.Config
	// Manifest is the one of this platform, with the platform; nil if it is not known.
	Manifest *ocispec.Descriptor
}

// Images is the image service.
type Images interface {
	imagerouter.Backend
	imagerouter.Searcher
	distributionrouter.Backend
	// Resolve finds an image by reference or ID; an error of sdk/errdef or Docker's.
	Resolve(ctx context.Context, ref string) (Image, error)
	// Commit makes an image of a container's changes and returns its ID.
	Commit(ctx context.Context, req CommitRequest) (string, error)
	// Fetch opens what a URL names, for docker import; the caller closes it.
	Fetch(ctx context.Context, url string) (io.ReadCloser, error)
	// AuthenticateToRegistry checks credentials.
	AuthenticateToRegistry(ctx context.Context, auth *registry.AuthConfig) (status, token string, err error)
}

// Options are what the API is served from.
type Options struct {
	Engine *engine.Engine
	Images Images
	// Hub tells what happens to containers; it is passed on to Events.
	Hub *event.Hub
	// Events is Docker's event log, shared with the image service.
	Events *dockerevents.Events
	// Name is the VCH's; Version is ours, as against EngineVersion.
	Name, Version string
	// ID is stable for the VCH.
	ID string
	// Drivers are the names of the compute, storage and network drivers, for docker info.
	Drivers [3]string
	// Registries is what docker info shows of the registries; nil: nothing.
	Registries func() *registry.ServiceConfig
}

// New returns the handler of the API. It forwards the hub's events until ctx ends.
func New(ctx context.Context, o Options) (http.Handler, error) {
	versions, err := middleware.NewVersionMiddleware(EngineVersion, api.DefaultVersion, api.MinSupportedAPIVersion)
	if err != nil {
		return nil, err
	}
	var s server.Server
	s.UseMiddleware(middleware.NewExperimentalMiddleware(false))
	s.UseMiddleware(*versions)
	s.UseMiddleware(statusMiddleware{})
	s.UseMiddleware(guard{o.Images})
	s.UseMiddleware(plainArchives{})
	cs := newContainers(o)
	forward(ctx, o.Hub, o.Events, cs)
	return access.SameSite(s.CreateMux(ctx, routers(o, cs)...), refuseCrossSite), nil
}

// refuseCrossSite answers a browser that another site's page has made ask.
func refuseCrossSite(w http.ResponseWriter, _ *http.Request) {
	_ = httputils.WriteJSON(w, http.StatusForbidden, &types.ErrorResponse{Message: access.CrossSiteMessage})
}

func routers(o Options, cs *containers) []router.Router {
	return []router.Router{
		refusals{},
		containerrouter.NewRouter(cs, runconfig.ContainerDecoder{GetSysInfo: platform}, true),
		imagerouter.NewRouter(o.Images, o.Images),
		systemrouter.NewRouter(&system{opts: o, containers: cs, started: time.Now()}, noSwarm{}, noBuildCache{}, features),
		volumerouter.NewRouter(&volumes{engine: o.Engine, events: o.Events}, noSwarmVolumes{}),
		networkrouter.NewRouter(networks{o.Engine, o.Hub, time.Now()}, noSwarmNetworks{}),
		swarmrouter.NewRouter(noSwarm{}),
		distributionrouter.NewRouter(o.Images),
	}
}

func features() map[string]bool { return map[string]bool{"buildkit": false} }

// platform tells Docker's decoder what containers of ours can be limited by: a VM has a size.
func platform() *sysinfo.SysInfo {
	si := &sysinfo.SysInfo{CgroupUnified: true}
	si.MemoryLimit, si.CPUCfs = true, true
	return si
}

// forward copies the hub's events into Docker's event log.
func forward(ctx context.Context, hub *event.Hub, log *dockerevents.Events, cs *containers) {
	cancel := hub.Subscribe(func(e event.Event) {
		if e.Type == event.Container && e.Action == "destroy" {
			cs.forget(e.ID)
		}
		log.Log(eventtypes.Action(e.Action), eventtypes.Type(e.Type), eventtypes.Actor{ID: e.ID, Attributes: e.Attributes})
	})
	context.AfterFunc(ctx, cancel)
}

func trimSlash(name string) string { return strings.TrimPrefix(name, "/") }
