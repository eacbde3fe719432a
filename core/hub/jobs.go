package hub

import (
	"github.com/openvic/vic/core/hub/gc"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/retention"
	"github.com/openvic/vic/core/registry"
)

// kinds are all kinds of jobs of a hub. Whoever adds a kind adds it here: each hub of a database knows the same.
func (h *Hub) kinds() []jobs.Kind {
	reg := func() *registry.Registry { return h.registry }
	return []jobs.Kind{
		gc.Jobs(reg),
		retention.Parts{DB: h.db, Policies: h.policies, Labels: h.labels, Immutable: h.rules, Registry: reg}.Jobs(),
	}
}
