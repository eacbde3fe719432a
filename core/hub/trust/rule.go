package trust

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
)

// What a project's metadata say of signatures. The first two are Harbor's: its first meant Notary, whose signatures were Docker
// Content Trust and are notation's today, so that either will do.
const (
	MetadataNotary   = "enable_content_trust"
	MetadataCosign   = "enable_content_trust_cosign"
	MetadataNotation = "enable_content_trust_notation"
)

// Rule refuses what nobody has signed whom the project trusts, if the project wants that. A manifest that a signed index names is
// signed with it.
type Rule struct {
	verifier *Verifier
	docker   Docker
}

// Docker says whether somebody has signed a manifest of a repository under a tag, or, for "", under any, by Docker Content Trust.
type Docker func(ctx context.Context, repository, tag, digest string) (bool, error)

var _ admission.Rule = (*Rule)(nil)

// NewRule makes one.
func NewRule(v *Verifier, d Docker) *Rule { return &Rule{v, d} }

// demand is one sort of signature that a project may want.
type demand struct {
	metadata string
	title    string   // for people
	formats  []Format // any of which will do
	docker   bool     // and so will Docker Content Trust
	sign     string   // how
}

var demands = []demand{
	{MetadataCosign, "cosign", []Format{Cosign}, false, "cosign sign"},
	{MetadataNotation, "notation", []Format{Notation}, false, "notation sign"},
	{MetadataNotary, "Notary", []Format{Notation}, true, "notation sign, or docker trust sign"},
}

// Check implements admission.Rule.
func (r *Rule) Check(ctx context.Context, s admission.Subject) (*admission.Refusal, error) {
	for _, d := range demands {
		if s.Metadata[d.metadata] != "true" || s.Pushing {
			continue
		}
		why, err := r.lacks(ctx, s, d)
		if err != nil || why != "" {
			return refusal(s, d, why), err
		}
	}
	return nil, nil
}

func refusal(s admission.Subject, d demand, why string) *admission.Refusal {
	return &admission.Refusal{Rule: "signature",
		Why: fmt.Sprintf("project %s demands a signature of %s by somebody whom it trusts, and %s", s.Artifact.Project, d.title, why),
		Do: fmt.Sprintf("Sign it (%s), or ask a DevOps administrator of the project whose signatures it trusts (vic hub trust keys ls %s)",
			d.sign, s.Artifact.Project)}
}

// maxLevels bounds how far above a manifest a signed index may be, and maxIndexes how many are looked at.
const (
	maxLevels  = 3
	maxIndexes = 16
)

// lacks says what is missing; "": nothing.
func (r *Rule) lacks(ctx context.Context, s admission.Subject, d demand) (why string, err error) {
	repo, err := r.verifier.images().Repository(ctx, s.Artifact.Repository)
	if errors.Is(err, errdef.ErrNotFound) {
		return "the repository is not there", nil
	}
	if err != nil {
		return "", err
	}
	level, looked, tag := []registry.Artifact{s.Artifact}, 0, s.Tag
	for range maxLevels {
		var above []registry.Artifact
		for _, a := range level {
			if looked++; looked > maxIndexes {
				return why, nil
			}
			list, _, err := r.verifier.Signatures(ctx, s.ProjectID, a)
			if err != nil {
				return "", err
			}
			if d.docker {
				if signed, err := r.docker(ctx, a.Repository, tag, a.Digest.String()); err != nil || signed {
					return "", err
				}
			}
			missing := without(list, d.formats)
			if missing == "" {
				return "", nil
			}
			if why == "" {
				why = missing
			}
			indexes, err := r.verifier.images().Indexes(ctx, repo, a.Digest)
			if err != nil {
				return "", err
			}
			for _, x := range indexes {
				above = append(above, x.Artifact)
			}
		}
		level, tag = above, ""
	}
	return why, nil
}

// without says why none of an artifact's signatures will do; "" if one does.
func without(list []Signature, formats []Format) string {
	var bad []string
	for _, s := range list {
		for _, f := range formats {
			switch {
			case s.Format != f:
			case s.State == Verified:
				return ""
			default:
				bad = append(bad, strings.ReplaceAll(string(s.State), "_", " ")+": "+s.Why)
			}
		}
	}
	if len(bad) == 0 {
		return "it has none"
	}
	const shown = 3
	text := fmt.Sprintf("none of its %d is one (%s", len(bad), strings.Join(bad[:min(len(bad), shown)], "; "))
	if len(bad) > shown {
		text += "; ..."
	}
	return text + ")"
}
