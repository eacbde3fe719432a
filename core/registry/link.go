package registry

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

var codeDenied = errcode.ErrorCodeDenied

// Kinds of reviews: see schema.sql.
const (
	reviewBlob     = "blob"
	reviewUntagged = "untagged"
	reviewReferrer = "referrer"
	reviewRepo     = "repo"
)

// later keeps the later of two times that a row may be looked at.
const later = ` ON CONFLICT (repo_id, kind, digest)
	DO UPDATE SET subject = excluded.subject, since = excluded.since, due = CASE WHEN excluded.due > review.due THEN excluded.due ELSE review.due END`

// review has the collector look at something from a time on.
func (g *Registry) review(tx *store.Tx, p place, kind string, d, subject digest.Digest, due int64) error {
	return tx.Do(`INSERT INTO review (repo_id, kind, digest, subject, since, due) VALUES ($1, $2, $3, $4, $5, $6)`+later,
		p.repo, kind, d.String(), subject.String(), g.now(), due)
}

// link gives a repository a blob that is in the registry, and its project the bill. The blob's row must be locked or
// new: the foreign key of repo_blob holds it from here on.
func (g *Registry) link(tx *store.Tx, p place, d digest.Digest, size int64) error {
	n, err := tx.Exec(`INSERT INTO repo_blob (repo_id, digest) VALUES ($1, $2) ON CONFLICT DO NOTHING`, p.repo, d.String())
	if err != nil {
		return err
	}
	if err := g.review(tx, p, reviewBlob, d, "", g.after(g.o.Grace)); err != nil || n == 0 {
		return err
	}
	var links int64
	err = tx.Row(`INSERT INTO project_blob (project_id, digest, links) VALUES ($1, $2, 1)
		ON CONFLICT (project_id, digest) DO UPDATE SET links = project_blob.links + 1 RETURNING links`, p.project, d.String()).Scan(&links)
	if err != nil || links > 1 {
		return err
	}
	return charge(tx, p, size)
}

// quotaError is a refusal for a quota; the client is told the error in it.
type quotaError struct{ error }

// Unwrap is for errors.As.
func (e quotaError) Unwrap() error { return e.error }

func overQuota(message string) error { return quotaError{codeDenied.WithMessage(message)} }

// charge bills a project for n more bytes, if its quota has room for them.
func charge(tx *store.Tx, p place, n int64) error {
	changed, err := tx.Exec(`UPDATE project SET used = used + $1 WHERE id = $2 AND (quota < 0 OR used + $1 <= quota)`, n, p.project)
	if err != nil || changed > 0 {
		return err
	}
	var used, quota int64
	if err := tx.Row(`SELECT used, quota FROM project WHERE id = $1`, p.project).Scan(&used, &quota); err != nil {
		return err
	}
	return overQuota(fmt.Sprintf("adding %d bytes of storage resource, which when updated to current usage of %d bytes "+
		"will exceed the configured upper limit of %d bytes", n, used, quota))
}

func refund(tx *store.Tx, p place, n int64) error {
	return tx.Do(`UPDATE project SET used = used - $1 WHERE id = $2`, n, p.project)
}

// unlink takes a blob from a repository. What no repository has goes to the trash. It tells how many bytes will be free.
func (g *Registry) unlink(tx *store.Tx, p place, d digest.Digest) (freed int64, gone bool, err error) {
	n, err := tx.Exec(`DELETE FROM repo_blob WHERE repo_id = $1 AND digest = $2`, p.repo, d.String())
	if err != nil || n == 0 {
		return 0, false, err
	}
	var size, links int64
	var location string
	if err := tx.Lock(`SELECT size, location FROM blob WHERE digest = $1`, d.String()).Scan(&size, &location); err != nil {
		return 0, false, err
	}
	err = tx.Row(`UPDATE project_blob SET links = links - 1 WHERE project_id = $1 AND digest = $2 RETURNING links`, p.project, d.String()).Scan(&links)
	if err != nil {
		return 0, false, err
	}
	if links == 0 {
		if err := tx.Do(`DELETE FROM project_blob WHERE project_id = $1 AND digest = $2`, p.project, d.String()); err != nil {
			return 0, false, err
		}
		if err := refund(tx, p, size); err != nil {
			return 0, false, err
		}
	}
	if err := g.review(tx, p, reviewRepo, "", "", g.now()); err != nil {
		return 0, false, err
	}
	n, err = tx.Exec(`DELETE FROM blob WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM repo_blob WHERE digest = $1)`, d.String())
	if err != nil || n == 0 {
		return 0, true, err
	}
	return size, true, trash(tx, location, size, g.after(g.o.TrashGrace), false)
}

// trash has the collector remove an object from a time on. An empty blob has none.
func trash(tx *store.Tx, location string, size, due int64, partial bool) error {
	if size == 0 && !partial {
		return nil
	}
	return tx.Do(`INSERT INTO trash (location, size, due, partial) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, location, size, due, partial)
}

// needed finds a manifest of the repository that names d.
func needed(tx *store.Tx, p place, d digest.Digest) (by string, err error) {
	err = tx.Row(`SELECT m.digest FROM manifest_ref f JOIN manifest m ON m.id = f.manifest_id WHERE f.repo_id = $1 AND f.digest = $2 LIMIT 1`, p.repo,
		d.String()).Scan(&by)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return by, err
}
