package registry

import (
	"context"
	"database/sql"
	"errors"

	"github.com/distribution/distribution/v3"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// whereabouts is what a request that goes on with an upload was told of the place where its content goes. It may have changed
// since.
type whereabouts struct {
	place
	used  int64 // of the project's quota
	there bool  // the registry has the content
}

// fresh says whether the content is new to the registry, in a repository that is there, and has room: as far as is known.
func (u *writer) fresh() bool {
	return u.where.repo != 0 && !u.where.there && (u.quota < 0 || u.size <= u.quota-u.where.used)
}

// publish makes the object a blob of the repository.
func (u *writer) publish(ctx context.Context, d digest.Digest) error {
	if u.fresh() {
		// What is not as it was stops at a rule of the schema.
		if err := u.g.store.Tx(ctx, func(tx *store.Tx) error { return u.publishFresh(tx, d) }); !store.IsConstraint(err) {
			return err
		}
	}
	return u.g.store.Tx(ctx, func(tx *store.Tx) error { return u.publishAny(tx, d) })
}

// publishFresh is publishAny for content that is new to the registry. It asks nothing, so that PostgreSQL gets it with one message:
// those who push into one project wait for one another no longer than the server takes. It fails by a constraint if the
// project has no room, if the upload or the repository went, or if somebody else brought the content.
func (u *writer) publishFresh(tx *store.Tx, d digest.Digest) error {
	p := u.where.place
	if err := chargeAtOnce(tx, p, u.size); err != nil {
		return err
	}
	// Without the row of the upload there will be none of the blob, and the link refers to nothing.
	err := tx.Do(tx.Locking(`INSERT INTO blob (digest, size, location)
		SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), location FROM upload WHERE id = $3 AND claim = $4`),
		d.String(), u.size, u.id, u.claim)
	if err != nil {
		return err
	}
	if err := tx.Do(`DELETE FROM upload WHERE id = $1 AND claim = $2`, u.id, u.claim); err != nil {
		return err
	}
	if err := tx.Do(`INSERT INTO repo_blob (repo_id, digest) VALUES ($1, $2)`, p.repo, d.String()); err != nil {
		return err
	}
	if err := u.g.review(tx, p, reviewBlob, d, "", u.g.after(u.g.o.Grace)); err != nil {
		return err
	}
	return tx.Do(`INSERT INTO project_blob (project_id, digest, links) VALUES ($1, $2, 1)`, p.project, d.String())
}

// chargeAtOnce locks a project's row and bills it for n more bytes. If its quota has no room for them, or it is not there, a
// constraint stops the transaction: here, or where something refers to the project.
func chargeAtOnce(tx *store.Tx, p place, n int64) error {
	return tx.Do(`UPDATE project SET used = CASE WHEN quota < 0 OR used + $1 <= quota THEN used + $1 ELSE -1 END WHERE id = $2`, n, p.project)
}

// publishAny moves the object from upload to blob, or to the trash if the registry has the content already.
func (u *writer) publishAny(tx *store.Tx, d digest.Digest) error {
	p, err := u.g.ensureRepo(tx, u.q.name)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`DELETE FROM upload WHERE id = $1 AND claim = $2`, u.id, u.claim)
	if err != nil {
		return err
	}
	if n == 0 {
		return distribution.ErrBlobUploadUnknown
	}
	if n, err = tx.Exec(`INSERT INTO blob (digest, size, location) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, d.String(), u.size, u.location); err != nil {
		return err
	}
	if n == 0 {
		var size int64
		err := tx.Lock(`SELECT size FROM blob WHERE digest = $1`, d.String()).Scan(&size)
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrRetry // it was there, and the collector took it in between
		}
		if err != nil {
			return err
		}
		if err := trash(tx, u.location, u.size, u.g.now(), false); err != nil {
			return err
		}
	}
	return u.g.link(tx, p, d, u.size)
}
