package trust

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
)

// Images is where artifacts and what is about them lie: the registry.
type Images interface {
	Repository(ctx context.Context, name string) (registry.Repository, error)
	Referrers(ctx context.Context, repo registry.Repository, subject digest.Digest) ([]registry.Stored, error)
	Payload(ctx context.Context, manifest int64) ([]byte, error)
	ReadBlob(ctx context.Context, repo string, d digest.Digest, most int64) ([]byte, error)
	Indexes(ctx context.Context, repo registry.Repository, d digest.Digest) ([]registry.Stored, error)
}

// Verifier verifies the signatures of artifacts. It may be used by several goroutines.
type Verifier struct {
	keys   *Keys
	images func() Images
	now    func() time.Time
	// seen are the signatures that were verified, by what that depends on.
	seen *lru.Cache[seenKey, carried]
}

// carried is what one manifest carries, and what it takes to find out: the manifest and its layers.
type carried struct {
	signatures []Signature
	looked     int
}

// seenKey is what the result of verifying one manifest of signatures depends on, but for the time.
type seenKey struct {
	artifact, signature digest.Digest
	stamp               string // of the project's keys
}

// maxSeen is how many results are remembered, of some hundred bytes each.
const maxSeen = 20_000

// NewVerifier makes a Verifier; images is called when there is something to verify, and now may be nil.
func NewVerifier(keys *Keys, images func() Images, now func() time.Time) *Verifier {
	if now == nil {
		now = time.Now
	}
	seen, err := lru.New[seenKey, carried](maxSeen)
	if err != nil { // for a size that is none
		panic(err)
	}
	return &Verifier{keys: keys, images: images, now: now, seen: seen}
}

// Signatures verifies the signatures of an artifact, the oldest ones, as its project's keys are now. more says that there are others,
// which were not looked at. An error means that the hub cannot say.
func (v *Verifier) Signatures(ctx context.Context, project int64, a registry.Artifact) (list []Signature, more bool, err error) {
	keys, err := v.keys.ring(ctx, project)
	if err != nil {
		return nil, false, err
	}
	repo, err := v.images().Repository(ctx, a.Repository)
	if err != nil {
		return nil, false, err
	}
	about, err := v.images().Referrers(ctx, repo, a.Digest)
	if err != nil {
		return nil, false, err
	}
	looked := 0
	for _, m := range about {
		if !mayCarry(m) {
			continue
		}
		if len(list) >= maxSignatures || looked >= maxLooked { // also if it is all remembered: the answer does not depend on that
			return list[:min(len(list), maxSignatures)], true, nil
		}
		some, err := v.carried(ctx, keys, a, m)
		if err != nil {
			return nil, false, err
		}
		list = append(list, some.signatures...)
		looked += some.looked
	}
	if len(list) > maxSignatures {
		list, more = list[:maxSignatures], true
	}
	return list, more, nil
}

// mayCarry says whether a manifest about an artifact may hold signatures.
func mayCarry(m registry.Stored) bool {
	t := strings.ToLower(m.ArtifactType)
	if t == notationType || strings.HasPrefix(t, bundlePrefix) || strings.Contains(t, "cosign") && strings.Contains(t, "sig") {
		return true
	}
	for _, tag := range m.Tags {
		if strings.HasSuffix(tag.Name, ".sig") {
			return true
		}
	}
	return false
}

// carried verifies what one manifest carries.
func (v *Verifier) carried(ctx context.Context, keys *ring, a registry.Artifact, m registry.Stored) (out carried, err error) {
	key, now := seenKey{a.Digest, m.Digest, keys.stamp}, v.now()
	if old, ok := v.seen.Get(key); ok && fresh(old.signatures, now) {
		return old, nil
	}
	out.looked = 1
	payload, err := v.images().Payload(ctx, m.ID)
	if errors.Is(err, errdef.ErrNotFound) { // it went in this moment
		return out, nil
	}
	if err != nil {
		return out, err
	}
	var doc v1.Manifest
	if err := json.Unmarshal(payload, &doc); err != nil { // an index, for example
		return out, nil
	}
	if p := doc.Annotations[annotationPredicate]; p != "" && p != signPredicate {
		return out, nil // an attestation says so itself; what says nothing is looked at
	}
	for _, l := range doc.Layers[:min(len(doc.Layers), maxSignatures)] {
		s := Signature{Digest: m.Digest, Signed: m.Pushed, State: Unreadable, Format: Cosign}
		if strings.EqualFold(m.ArtifactType, notationType) {
			s.Format = Notation
		}
		out.looked++
		raw, err := v.images().ReadBlob(ctx, a.Repository, l.Digest, maxPayload)
		switch {
		case errors.Is(err, errdef.ErrNotFound): // of a manifest that goes in this moment
			return out, nil
		case errors.Is(err, errdef.ErrExhausted):
			out.signatures = append(out.signatures, s.failed(Unreadable, err.Error()))
			continue
		case err != nil:
			return out, err
		}
		if s, ok := keys.verify(ctx, s, raw, l, a, now); ok {
			out.signatures = append(out.signatures, s)
		}
	}
	v.seen.Add(key, out)
	return out, nil
}

// verify verifies one layer of a manifest that is about an artifact. ok is false for what is no signature.
func (r *ring) verify(ctx context.Context, s Signature, raw []byte, layer v1.Descriptor, a registry.Artifact, now time.Time) (_ Signature, ok bool) {
	switch {
	case s.Format == Notation:
		image := v1.Descriptor{MediaType: a.MediaType, Digest: a.Digest, Size: a.Size}
		return r.notarized(ctx, s, raw, layer.MediaType, a.Repository, image, now), true
	case layer.MediaType == simpleSigning:
		return r.simple(s, raw, layer.Annotations, a.Digest, now), true
	case strings.HasPrefix(layer.MediaType, bundlePrefix):
		return r.bundled(s, raw, a.Digest, now)
	}
	return s, false
}

// fresh says whether the time has not changed what was verified. What has expired is looked at each time: it may be not good yet.
func fresh(list []Signature, now time.Time) bool {
	for _, s := range list {
		if s.State == Expired || s.State == Verified && !s.until.IsZero() && now.After(s.until) {
			return false
		}
	}
	return true
}
