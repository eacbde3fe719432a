package registry

import (
	"context"
	"database/sql"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// keepFresh writes a manifest that is new to its repository under a tag that is new, or none, as most pushes bring it. It asks the
// database once, outside of a transaction, and writes all in one that asks nothing, which PostgreSQL gets with one message: so who
// pushes into a project holds it up no longer than the server takes to write. done is false, and nothing is written, where
// there is more to decide: that is for keepManifest.
func (g *Registry) keepFresh(ctx context.Context, q *request, m *pushed) (e Event, done bool, err error) {
	if g.o.Sparse || m.sparse || len(m.tags) > 1 {
		return e, false, nil
	}
	p, ok, err := g.foresee(ctx, m)
	if err != nil || !ok {
		return e, false, err
	}
	err = g.store.Tx(ctx, func(tx *store.Tx) (err error) {
		if err := g.writeFresh(tx, p, m); err != nil {
			return err
		}
		m.changed = true
		e, err = g.pushedTo(tx, q, p, m)
		return err
	})
	if store.IsConstraint(err) { // what was foreseen is so no more
		return e, false, nil
	}
	return e, err == nil, err
}

// foresee says where a manifest goes, and whether it and its tag are new there and the project has room. All of it may change.
func (g *Registry) foresee(ctx context.Context, m *pushed) (p place, fresh bool, err error) {
	tag := ""
	if len(m.tags) > 0 {
		tag = m.tags[0]
	}
	err = g.store.Point(ctx, `SELECT r.id, p.id, (p.quota < 0 OR p.used + $4 <= p.quota)
			AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.repo_id = r.id AND m.digest = $2)
			AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.repo_id = r.id AND t.name = $3)
		FROM repo r JOIN project p ON p.id = r.project_id WHERE r.name = $1`, m.Repository, m.Digest.String(), tag, m.Size).Scan(&p.repo, &p.project, &fresh)
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	return p, fresh, err
}

// writeFresh writes what was foreseen. Where it is not so, a constraint stops it: a key that is there, or a NULL where a blob is not
// in the repository.
func (g *Registry) writeFresh(tx *store.Tx, p place, m *pushed) error {
	if err := chargeAtOnce(tx, p, m.Size); err != nil {
		return err
	}
	values, err := g.columns(p, m)
	if err != nil {
		return err
	}
	if err := tx.Do(insertManifest, values...); err != nil {
		return err
	}
	const id = `(SELECT id FROM manifest WHERE repo_id = $1 AND digest = $2)`
	d := m.Digest.String()
	if err := tx.Do(`INSERT INTO manifest_payload (manifest_id, payload) VALUES (`+id+`, $3)`, p.repo, d, m.payload); err != nil {
		return err
	}
	seen := map[digest.Digest]bool{}
	needs := func(list string, n digest.Digest) error {
		if seen[n] {
			return nil
		}
		seen[n] = true
		return tx.Do(`INSERT INTO manifest_ref (manifest_id, repo_id, digest) VALUES (`+id+`, (SELECT repo_id FROM `+list+` WHERE repo_id = $1 AND digest = $3), $3)`,
			p.repo, d, n.String())
	}
	for _, b := range m.doc.blobs() {
		if err := needs("repo_blob", b.Digest); err != nil {
			return err
		}
	}
	for _, b := range m.doc.Manifests {
		if err := needs("manifest", b.Digest); err != nil {
			return err
		}
	}
	if err := tx.Do(`UPDATE repo SET manifests = manifests + 1, updated = $1, version = version + 1 WHERE id = $2`, g.now(), p.repo); err != nil {
		return err
	}
	if len(m.tags) == 0 {
		return g.review(tx, p, reviewUntagged, m.Digest, "", g.now())
	}
	return tx.Do(`INSERT INTO tag (repo_id, name, manifest_id, pushed) VALUES ($1, $3, `+id+`, $4)`, p.repo, d, m.tags[0], g.now())
}
