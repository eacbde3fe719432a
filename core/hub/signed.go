package hub

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/dockerauth"
	"github.com/openvic/vic/core/hub/notary"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// newNotary makes the service of Docker Content Trust.
func (h *Hub) newNotary(docker *dockerauth.Auth) *notary.Notary {
	return notary.New(notary.Options{DB: h.db, Sealer: h.sealer, Auth: docker, Name: docker.Repository, ReadOnly: h.settings.ReadOnly, Log: h.log,
		Changed: func(r *http.Request, who registry.Caller, project int64, repository, operation string) {
			h.audit.Keep(context.WithoutCancel(r.Context()), audit.Line{
				Caller: access.Caller{Name: who.Name(), Method: access.ByToken, Address: access.Address(r)}, Agent: r.UserAgent(),
				Operation: operation, Type: "signature", Resource: repository, Project: project, Outcome: http.StatusOK})
		}})
}

// images serves the registry's own port: Docker Content Trust where its paths are, the registry else.
func images(n *notary.Notary, registry http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if notary.Serves(r.URL.Path) {
			n.ServeHTTP(w, r)
			return
		}
		registry.ServeHTTP(w, r)
	})
}

// collector is the caller in events of garbage collection, which takes what nobody can reach.
const collector = "gc"

// signed refuses that a tag, or a manifest, goes that is signed by Docker Content Trust.
func signed(tx *store.Tx, x registry.Event) error {
	if x.Kind != registry.EventDelete && x.Kind != registry.EventUntag || x.Caller == collector {
		return nil
	}
	digest := ""
	if x.Kind == registry.EventDelete {
		digest = x.Artifact.Digest.String()
	}
	tag, err := notary.Held(tx, x.Artifact.Repository, digest, x.Tags)
	if err != nil || tag == "" {
		return err
	}
	_, name, _ := strings.Cut(x.Artifact.Repository, "/")
	return fmt.Errorf("%w: %w", errdef.ErrConflict, registry.Violation(fmt.Sprintf(
		"tag %s of %s is signed: take the signature away first (docker trust revoke HOST/%s/%s:%[1]s)", tag, x.Artifact.Repository, x.Artifact.Project, name)))
}
