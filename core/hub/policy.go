package hub

import (
	"context"
	"time"

	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/hub/immutable"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/hub/trust"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
)

// admissionRules are what may be wrong with an artifact, in the order in which it is asked. Whoever adds a rule adds it here.
func (h *Hub) admissionRules() []admission.Rule {
	return []admission.Rule{
		scanning.Rule{Service: h.scanning, Lists: h.allowed},
		trust.NewRule(h.trust, func(ctx context.Context, repository, tag, digest string) (bool, error) {
			return h.notary.Signed(ctx, repository, tag, digest)
		}),
	}
}

// policy is what the rules of projects say to the registry.
type policy struct {
	rules     *immutable.Rules
	admission *admission.Admission
}

var _ registry.Policy = policy{}

// MayPull implements registry.Policy.
func (p policy) MayPull(ctx context.Context, c registry.Caller, a registry.Artifact, tag string) error {
	s := admission.Subject{Purpose: admission.Pull, ProjectID: a.ProjectID, Artifact: a, Tag: tag, Caller: c.Name()}
	if own, ok := c.(interface{ Own() bool }); ok {
		s.Own = own.Own()
	}
	if pushing, ok := c.(interface{ Pushing(repository string) bool }); ok {
		s.Pushing = pushing.Pushing(a.Repository)
	}
	if at, ok := c.(interface{ At() context.Context }); ok {
		ctx = at.At() // answers of the same moment as the caller's rights
	}
	refusal, s, err := p.admission.Ask(ctx, s)
	if err != nil || refusal == nil {
		return err
	}
	return registry.Violation(refusal.Text(s))
}

// Immutable implements registry.Policy.
func (p policy) Immutable(ctx context.Context, tx *store.Tx, a registry.Artifact, tag string) (bool, error) {
	return p.rules.Immutable(ctx, tx, a.Repository, tag)
}

// Untagged implements registry.Policy: untagged manifests stay until a retention rule or somebody removes them.
func (policy) Untagged(context.Context, string) (time.Duration, error) { return -1, nil }
