package replication

import (
	"database/sql"
	"regexp"
	"slices"
	"strings"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/replicate"
)

// schemeTag is a tag that names what refers to an artifact, as signatures had it before the referrers API: the digest's
// algorithm and hex, and what it is.
var schemeTag = regexp.MustCompile(`^(sha256|sha512)-([0-9a-f]{64,128})(?:\.(?:sig|att|sbom))?$`)

// Changing sets off the rules that are for a push or a delete, within its transaction.
func (r *Replication) Changing(tx *store.Tx, e registry.Event) error {
	removes := e.Kind == registry.EventDelete || e.Kind == registry.EventUntag
	if e.Kind != registry.EventPush && !removes || e.Unchanged || len(e.Via) >= replicate.MaxVia {
		return nil
	}
	policies, err := r.onEvent(tx)
	if err != nil || len(policies) == 0 {
		return err
	}
	x, ok, err := subject(tx, e)
	if err != nil || !ok {
		return err
	}
	var labelled []string
	for _, p := range policies {
		if removes && !p.Deletion {
			continue
		}
		if wants(p.Filters, FilterLabel) && labelled == nil {
			if labelled, err = labelsOf(tx, x.repository, x.digest); err != nil {
				return err
			}
		}
		it := item{Repository: x.repository, Tags: x.tags, Labels: labelled, Kind: x.kind, Pushed: e.Time}
		tags, ok := choose(p.Filters, it, r.o.Now())
		if !ok {
			continue
		}
		work := params{Policy: p.ID, Repository: x.repository, Digest: x.digest, Tags: tags, To: rename(x.repository, p.Namespace, p.Replace), Via: e.Via}
		switch e.Kind {
		case registry.EventDelete:
			work.Operation, work.Tags = opDelete, nil
		case registry.EventUntag:
			work.Operation = opDelete
		default:
			work.Operation = opCopy
		}
		_, err := r.o.Queue().Enqueue(tx, jobs.Request{Kind: Kind, Subject: p.ID, Cause: jobs.ByEvent, Payload: work})
		if err != nil {
			return err
		}
	}
	return nil
}

// onEventKey is of what is remembered of the rules.
type onEventKey struct{}

// onEvent are the rules that events set off, as of the moment of the request that the transaction belongs to. Nobody changes them.
func (r *Replication) onEvent(tx *store.Tx) ([]Policy, error) {
	return store.Remember(tx.Context(), onEventKey{}, func() ([]Policy, error) {
		list, _, err := store.List(tx.Context(), tx, maxPolicies, func(rows *sql.Rows) (Policy, error) { return scan(rows.Scan) },
			`SELECT `+columns+` FROM replication_policy WHERE on_event AND enabled ORDER BY id LIMIT $1`)
		return list, err
	})
}

// about is the artifact that an event is about.
type about struct {
	repository, digest, kind string
	tags                     []string
}

// subject is the artifact to copy or delete. A push of what refers to another one is about that one, and a push without a tag is
// about nothing: it is a part of something that comes.
func subject(tx *store.Tx, e registry.Event) (x about, ok bool, err error) {
	x = about{repository: e.Artifact.Repository, digest: e.Artifact.Digest.String(), kind: kindOf(e.Artifact.MediaType, e.Artifact.ArtifactType), tags: e.Tags}
	referred := e.Artifact.Subject.String()
	for _, t := range e.Tags {
		if m := schemeTag.FindStringSubmatch(t); m != nil {
			referred = m[1] + ":" + m[2]
		}
	}
	if referred == "" {
		return x, len(x.tags) > 0 || e.Kind == registry.EventDelete, nil
	}
	if e.Kind != registry.EventPush {
		return x, false, nil // it goes with its subject
	}
	x.digest = referred
	x.tags, _, err = store.List(tx.Context(), tx, maxTags, func(rows *sql.Rows) (t string, err error) { return t, rows.Scan(&t) },
		`SELECT t.name FROM tag t JOIN manifest m ON m.id = t.manifest_id JOIN repo r ON r.id = m.repo_id WHERE r.name = $1 AND m.digest = $2 ORDER BY t.name
		LIMIT $3`, x.repository, x.digest)
	x.tags = slices.DeleteFunc(x.tags, schemeTag.MatchString)
	return x, len(x.tags) > 0, err
}

// kindOf says whether an artifact is an image.
func kindOf(mediaType, artifactType string) string {
	switch {
	case strings.HasSuffix(mediaType, ".list.v2+json"), strings.HasSuffix(mediaType, ".image.index.v1+json") && artifactType == "",
		artifactType == "", strings.HasSuffix(artifactType, ".image.config.v1+json"), strings.HasSuffix(artifactType, ".container.image.v1+json"):
		return Image
	}
	return Artifact
}

func labelsOf(tx *store.Tx, repository, digest string) ([]string, error) {
	list, _, err := store.List(tx.Context(), tx, maxTags, func(rows *sql.Rows) (n string, err error) { return n, rows.Scan(&n) },
		`SELECT l.name FROM label l JOIN artifact_label x ON x.label = l.id JOIN manifest m ON m.id = x.manifest JOIN repo r ON r.id = m.repo_id
		WHERE r.name = $1 AND m.digest = $2 LIMIT $3`, repository, digest)
	return list, err
}
