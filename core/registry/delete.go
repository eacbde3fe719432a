package registry

import (
	"database/sql"
	"errors"
	"net/http"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// stored is a manifest of a repository, as a transaction sees it.
type stored struct {
	Artifact
	id   int64
	tags []string // in order
}

func (g *Registry) deleteManifest(w http.ResponseWriter, r *http.Request, q *request, d digest.Digest, tag string) error {
	var e Event
	err := g.store.Tx(r.Context(), func(tx *store.Tx) error {
		p, err := lockRepo(tx, q.name)
		if err != nil {
			return err
		}
		kind := EventDelete
		var m *stored
		if tag != "" {
			kind = EventUntag
			m, err = g.untag(tx, p, q.name, tag)
		} else if m, err = load(tx, p, q.name, d); err == nil {
			for _, t := range m.tags {
				if err := g.mutable(tx, m.Artifact, t); err != nil {
					return err
				}
			}
			err = g.dropManifest(tx, p, m)
		}
		if errors.Is(err, sql.ErrNoRows) {
			return errcode.ErrorCodeManifestUnknown.WithDetail(q.ref)
		}
		if err != nil {
			return err
		}
		e, err = g.changing(tx, g.event(q, kind, m.Artifact, m.tags...))
		return err
	})
	if err != nil {
		return err
	}
	g.watch.Happened(r.Context(), e)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// load finds a manifest with its tags; sql.ErrNoRows.
func load(tx *store.Tx, p place, repo string, d digest.Digest) (*stored, error) {
	m := &stored{}
	var err error
	row := tx.Row(`SELECT `+artifactColumns+`, m.id FROM manifest m WHERE m.repo_id = $1 AND m.digest = $2`, p.repo, d.String())
	if m.Artifact, err = scanArtifact(row.Scan, repo, &m.id); err != nil {
		return nil, err
	}
	rows, err := tx.Query(tx.Context(), `SELECT name FROM tag WHERE manifest_id = $1 ORDER BY name`, m.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t string
		if err := rows.Scan(&t); err != nil {
			return nil, err
		}
		m.tags = append(m.tags, t)
	}
	return m, rows.Err()
}

// untag removes one tag; sql.ErrNoRows. The manifest stays.
func (g *Registry) untag(tx *store.Tx, p place, repo, tag string) (*stored, error) {
	row := tx.Row(`SELECT `+artifactColumns+` FROM tag t JOIN manifest m ON m.id = t.manifest_id WHERE t.repo_id = $1 AND t.name = $2`, p.repo, tag)
	a, err := scanArtifact(row.Scan, repo)
	if err != nil {
		return nil, err
	}
	if err := g.mutable(tx, a, tag); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(`DELETE FROM tag WHERE repo_id = $1 AND name = $2`, p.repo, tag); err != nil {
		return nil, err
	}
	if err := g.review(tx, p, reviewUntagged, a.Digest, "", g.now()); err != nil {
		return nil, err
	}
	_, err = tx.Exec(`UPDATE repo SET updated = $1 WHERE id = $2`, g.now(), p.repo)
	return &stored{Artifact: a, tags: []string{tag}}, err
}

// dropManifest removes a manifest and its tags, and puts before the collector what it needed and what hung on it.
func (g *Registry) dropManifest(tx *store.Tx, p place, m *stored) error {
	due := g.after(g.o.Grace)
	for _, kind := range []string{reviewBlob, reviewUntagged} { // a reference is to a blob or to a manifest
		_, err := tx.Exec(`INSERT INTO review (repo_id, kind, digest, due) SELECT repo_id, $1, digest, $2 FROM manifest_ref WHERE manifest_id = $3`+later, kind, due, m.id)
		if err != nil {
			return err
		}
	}
	_, err := tx.Exec(`INSERT INTO review (repo_id, kind, digest, subject, due) SELECT repo_id, $1, digest, subject, $2 FROM manifest WHERE repo_id = $3 AND subject = $4`+later,
		reviewReferrer, due, p.repo, m.Digest.String())
	if err != nil {
		return err
	}
	first, last := companionTag(m.Digest), companionTag(m.Digest)+"/" // '/' follows '.', and no tag has it
	_, err = tx.Exec(`INSERT INTO review (repo_id, kind, digest, subject, due) SELECT DISTINCT t.repo_id, $1, m.digest, $2, $3 FROM tag t JOIN manifest m ON m.id = t.manifest_id
		WHERE t.repo_id = $4 AND t.name >= $5 AND t.name < $6`+later, reviewReferrer, m.Digest.String(), due, p.repo, first, last)
	if err != nil {
		return err
	}
	if err := g.review(tx, p, reviewRepo, "", "", due); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM tag WHERE manifest_id = $1`, m.id); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM manifest WHERE id = $1`, m.id); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE repo SET manifests = manifests - 1, updated = $1 WHERE id = $2`, g.now(), p.repo); err != nil {
		return err
	}
	return refund(tx, p, m.Size)
}

// companionTag is the tag under which clients without referrers keep what belongs to a manifest: cosign's end in .sig,
// .att and .sbom, and OCI's fallback is the tag itself.
func companionTag(d digest.Digest) string {
	return strings.Replace(d.String(), ":", "-", 1)
}
