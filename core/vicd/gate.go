package vicd

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// gatePatience is how long a request waits for a daemon that is starting.
const gatePatience = 20 * time.Second

// gate holds requests back until the daemon can answer them. One that waits too long is told what
// the daemon is waiting for. Pings pass: the daemon is alive.
type gate struct {
	next     http.Handler
	ready    <-chan struct{}
	reason   func() string
	patience time.Duration
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/_ping") && !g.wait(r.Context()) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": "the virtual container host is not ready: " + g.reason()})
		return
	}
	g.next.ServeHTTP(w, r)
}

func (g *gate) wait(ctx context.Context) bool {
	select {
	case <-g.ready:
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, g.patience)
	defer cancel()
	select {
	case <-g.ready:
		return true
	case <-ctx.Done():
		return false
	}
}
