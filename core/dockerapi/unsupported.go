package dockerapi

import (
	"context"
	"io"
	"net/http"

	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/server/router"
	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/moby/go-archive"
)

// refusals serves the routes of the Docker API that this version has nothing behind: each answers
// 501 with its name. Docker's own routers for them would pull in BuildKit, plugins and runc.
type refusals struct{}

// Routes implements router.Router.
func (refusals) Routes() []router.Route {
	var routes []router.Route
	add := func(what string, methods []string, paths ...string) {
		for _, p := range paths {
			for _, m := range methods {
				routes = append(routes, router.NewRoute(m, p, refuse(what)))
			}
		}
	}
	get, post, del := []string{http.MethodGet}, []string{http.MethodPost}, []string{http.MethodDelete}
	// Before the container router: its DELETE would mask it.
	add("docker checkpoint", get, "/containers/{name:.*}/checkpoints")
	add("docker checkpoint", post, "/containers/{name:.*}/checkpoints")
	add("docker checkpoint", del, "/containers/{name:.*}/checkpoints/{checkpoint}")
	add("docker build", post, "/build", "/build/cancel", "/session", "/grpc")
	add("docker builder prune", post, "/build/prune")
	add("docker plugin", get, "/plugins/privileges", "/plugins/{name:.*}/json")
	add("docker plugin", post, "/plugins/pull", "/plugins/create", "/plugins/{name:.*}/{action}")
	add("docker plugin", del, "/plugins/{name:.*}")
	routes = append(routes, router.NewGetRoute("/plugins", emptyList))
	return routes
}

func refuse(what string) httputils.APIFunc {
	return func(context.Context, http.ResponseWriter, *http.Request, map[string]string) error {
		return unsupported(what)
	}
}

func emptyList(_ context.Context, w http.ResponseWriter, _ *http.Request, _ map[string]string) error {
	return httputils.WriteJSON(w, http.StatusOK, []struct{}{})
}

// What the container router asks for and the engine does not have yet.

func (b *containers) ContainerArchivePath(string, string) (io.ReadCloser, *container.PathStat, error) {
	return nil, nil, unsupported("docker cp")
}

func (b *containers) ContainerStatPath(string, string) (*container.PathStat, error) {
	return nil, unsupported("docker cp")
}

func (b *containers) ContainerExtractToDir(string, string, bool, bool, io.Reader) error {
	return unsupported("docker cp")
}

func (b *containers) ContainerExport(context.Context, string, io.Writer) error {
	return unsupported("docker export")
}

func (b *containers) ContainerPause(string) error { return unsupported("docker pause") }

func (b *containers) ContainerUnpause(string) error { return unsupported("docker unpause") }

func (b *containers) ContainerUpdate(string, *container.HostConfig) (container.UpdateResponse, error) {
	return container.UpdateResponse{}, unsupported("docker update")
}

func (b *containers) ContainerChanges(context.Context, string) ([]archive.Change, error) {
	return nil, unsupported("docker diff")
}

func (b *containers) ContainerStats(context.Context, string, *backend.ContainerStatsConfig) error {
	return unsupported("docker stats")
}

func (b *containers) ContainerTop(string, string) (*container.TopResponse, error) {
	return nil, unsupported("docker top")
}

func (b *containers) CreateImageFromContainer(context.Context, string, *backend.CreateImageConfig) (string, error) {
	return "", unsupported("docker commit")
}
