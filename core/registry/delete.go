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
	if err := g.drop(r, q, d, tag); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// drop deletes a tag, or the manifest of a digest if tag is "".
func (g *Registry) drop(r *http.Request, q *request, d digest.Digest, tag string) error {
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
		e, err = g.changing(tx, g.event(q, p.project, kind, m.Artifact, m.tags...))
		return err
	})
	if err != nil {
		return err
	}
	g.watch.Happened(r.Context(), e)
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
	_, err = tx.Exec(`UPDATE repo SET updated = $1, version = version + 1 WHERE id = $2`, g.now(), p.repo)
	return &stored{Artifact: a, tags: []string{tag}}, err
}

// hangers put before the collector what a manifest needed and what hung on it. All take the same parameters, and name
// each of them, since PostgreSQL wants to know their types: repository, manifest, its digest, now, when it is due, and
// where the tags of its companions begin and end ('/' follows '.', and no tag has it).
var hangers = func() (l []string) {
	const into = `INSERT INTO review (repo_id, kind, digest, subject, since, due) `
	const given = ` AND CAST($1 AS BIGINT) > 0 AND CAST($2 AS BIGINT) > 0 AND CAST($3 AS TEXT) <> '' AND CAST($6 AS TEXT) < CAST($7 AS TEXT)`
	const times = `, CAST($4 AS BIGINT), CAST($5 AS BIGINT) `
	for _, q := range []string{
		// A reference is to a blob or to a manifest.
		`SELECT repo_id, 'blob', digest, ''` + times + `FROM manifest_ref WHERE manifest_id = $2`,
		`SELECT repo_id, 'untagged', digest, ''` + times + `FROM manifest_ref WHERE manifest_id = $2`,
		// Those whose subject went before and which this manifest, an index, kept.
		`SELECT m.repo_id, 'referrer', m.digest, m.subject` + times + `FROM manifest_ref f JOIN manifest m ON m.repo_id = f.repo_id AND m.digest = f.digest
			WHERE f.manifest_id = $2 AND m.subject IS NOT NULL AND NOT EXISTS (SELECT 1 FROM manifest s WHERE s.repo_id = m.repo_id AND s.digest = m.subject)`,
		`SELECT repo_id, 'referrer', digest, subject` + times + `FROM manifest WHERE repo_id = $1 AND subject = $3`,
		`SELECT DISTINCT t.repo_id, 'referrer', m.digest, $3` + times + `FROM tag t JOIN manifest m ON m.id = t.manifest_id
			WHERE t.repo_id = $1 AND t.name >= $6 AND t.name < $7`,
	} {
		l = append(l, into+q+given)
	}
	return l
}()

// dropManifest removes a manifest and its tags, and puts before the collector what it needed and what hung on it.
func (g *Registry) dropManifest(tx *store.Tx, p place, m *stored) error {
	due := g.after(g.o.Grace)
	for _, q := range hangers {
		if _, err := tx.Exec(q+later, p.repo, m.id, m.Digest.String(), g.now(), due, companionTag(m.Digest), companionTag(m.Digest)+"/"); err != nil {
			return err
		}
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
	if _, err := tx.Exec(`UPDATE repo SET manifests = manifests - 1, updated = $1, version = version + 1 WHERE id = $2`, g.now(), p.repo); err != nil {
		return err
	}
	return refund(tx, p, m.Size)
}

// companionTag is the tag under which clients without referrers keep what belongs to a manifest: cosign's end in .sig,
// .att and .sbom, and OCI's fallback is the tag itself.
func companionTag(d digest.Digest) string {
	return strings.Replace(d.String(), ":", "-", 1)
}
