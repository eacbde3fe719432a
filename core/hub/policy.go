package hub

import (
	"context"
	"time"

	"github.com/openvic/vic/core/hub/immutable"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
)

// policy is what the rules of projects say to the registry.
type policy struct{ rules *immutable.Rules }

var _ registry.Policy = policy{}

// MayPull implements registry.Policy.
func (policy) MayPull(context.Context, registry.Caller, registry.Artifact, string) error { return nil }

// Immutable implements registry.Policy.
func (p policy) Immutable(ctx context.Context, tx *store.Tx, a registry.Artifact, tag string) (bool, error) {
	return p.rules.Immutable(ctx, tx, a.Repository, tag)
}

// Untagged implements registry.Policy: untagged manifests stay until a retention rule or somebody removes them.
func (policy) Untagged(context.Context, string) (time.Duration, error) { return -1, nil }
