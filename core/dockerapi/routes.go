package dockerapi

import (
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
)

// Route is one route of the API and what is known of it besides its handler.
type Route struct {
	// Method and Path as Docker's router has them, without the version.
	Method, Path string
	// Since is the version of the API that brought it, from the documents that Docker's source holds;
	// empty if they do not say. Routes of 1.24, the oldest version that is served, may be older.
	Since string
	// Command is what uses it.
	Command string
	// Difference says in what the answer is not dockerd's; empty: in nothing that we know of.
	Difference string
}

// Routes lists the routes that New serves, in the order in which they match.
func Routes(o Options) ([]Route, error) {
	known := map[string]routeNote{}
	for _, n := range routeNotes() {
		if _, twice := known[n.route]; twice {
			return nil, fmt.Errorf("two notes about route %s: %w", n.route, errdef.ErrExists)
		}
		known[n.route] = n
	}
	var out []Route
	for _, rt := range routers(o, newContainers(o)) {
		for _, r := range rt.Routes() {
			key := r.Method() + " " + r.Path()
			n, ok := known[key]
			if !ok {
				return nil, fmt.Errorf("no note about route %s: %w", key, errdef.ErrNotFound)
			}
			delete(known, key)
			out = append(out, Route{Method: r.Method(), Path: r.Path(), Since: n.since, Command: n.command, Difference: n.difference})
		}
	}
	for key := range known {
		return nil, fmt.Errorf("a note about route %s, which is not there: %w", key, errdef.ErrNotFound)
	}
	return out, nil
}
