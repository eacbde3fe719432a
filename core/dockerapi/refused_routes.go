package dockerapi

import (
	"context"
	"net/http"

	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/server/router"
	"github.com/docker/docker/api/types/build"
)

// refusals serves the routes of the Docker API that this version has nothing behind: each answers
// 501 with its name. Docker's own routers for them would pull in BuildKit, plugins and runc.
type refusals struct{}

// Routes implements router.Router. The paths are Docker's own (routes_test.go compares them).
func (refusals) Routes() []router.Route {
	var routes []router.Route
	add := func(what, why, method string, paths ...string) {
		for _, p := range paths {
			routes = append(routes, router.NewRoute(method, p, refuse(what, why)))
		}
	}
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	// Before the container router: its DELETE would mask it.
	const memory = "the memory of a container VM is not saved as files of a process"
	add("docker checkpoint", memory, get, "/containers/{name:.*}/checkpoints")
	add("docker checkpoint", memory, post, "/containers/{name:.*}/checkpoints")
	add("docker checkpoint", memory, del, "/containers/{name}/checkpoints/{checkpoint}")
	const builder = "images are built by BuildKit in a container: \"docker buildx create --use\" makes it, \"docker buildx build --load\" builds with it"
	add("docker build without a builder", builder, post, "/build", "/build/cancel", "/session", "/grpc")
	const ours = "its plugins are named in its configuration; vic plugin shows them"
	add("docker plugin", ours, get, "/plugins/privileges", "/plugins/{name:.*}/json")
	add("docker plugin", ours, post, "/plugins/pull", "/plugins/create", "/plugins/{name:.*}/enable", "/plugins/{name:.*}/disable",
		"/plugins/{name:.*}/push", "/plugins/{name:.*}/upgrade", "/plugins/{name:.*}/set")
	add("docker plugin", ours, del, "/plugins/{name:.*}")
	routes = append(routes, router.NewGetRoute("/plugins", emptyList), router.NewPostRoute("/build/prune", nothingBuilt))
	add("profiling through the Docker API", "its user is not the VCH's administrator", get, "/debug/vars", "/debug/pprof/", "/debug/pprof/cmdline",
		"/debug/pprof/profile", "/debug/pprof/symbol", "/debug/pprof/trace", "/debug/pprof/{name}")
	return routes
}

func refuse(what, why string) httputils.APIFunc {
	return func(context.Context, http.ResponseWriter, *http.Request, map[string]string) error {
		return refused(what, why)
	}
}

// nothingBuilt answers docker system prune: there is no build cache here, so there is none to remove.
func nothingBuilt(_ context.Context, w http.ResponseWriter, _ *http.Request, _ map[string]string) error {
	return httputils.WriteJSON(w, http.StatusOK, build.CachePruneReport{})
}

func emptyList(_ context.Context, w http.ResponseWriter, _ *http.Request, _ map[string]string) error {
	return httputils.WriteJSON(w, http.StatusOK, []struct{}{})
}
