package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/openvic/vic/core/plugin"
)

// readyz says whether requests can be answered: the database does, and each identity source is up.
func (h *Hub) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if err := h.db.Ping(ctx); err != nil {
		h.log.Warn("not ready", "err", err)
		plain(w, http.StatusServiceUnavailable, "not ready: the database does not answer\n")
		return
	}
	for _, p := range h.plugins.List() {
		if p.State != plugin.StateUp {
			plain(w, http.StatusServiceUnavailable, "not ready: a plugin is not up\n") // probes come without a sign-in
			return
		}
	}
	plain(w, http.StatusOK, "ready\n")
}

// health tells of each part whether it works.
func (h *Hub) health(ctx context.Context) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	parts := map[string]error{"core": nil, "database": h.db.Ping(ctx), "registry": nil}
	for _, p := range h.plugins.List() {
		var err error
		switch {
		case p.State != plugin.StateUp:
			err = fmt.Errorf("it is %s: %s", p.State, p.LastError)
		case !p.Healthy:
			err = errors.New(p.Health)
		}
		parts["plugin "+p.Name] = err
	}
	return parts
}
