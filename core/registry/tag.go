package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Tag gives a manifest one more tag, for a caller whose right was checked: the request is for the event. errdef.ErrExists
// if the repository has the tag, on this or another manifest. Other errors are as clients of the registry know them; Status
// is what they are sent with.
func (g *Registry) Tag(r *http.Request, by Caller, repo string, d digest.Digest, tag string) error {
	if !tagPattern.MatchString(tag) {
		return badTag
	}
	if err := g.mayChange(r.Context(), repo, true); err != nil {
		return answered(err)
	}
	q := &request{route: route{kind: manifests, name: repo, ref: tag}, caller: by, r: r}
	var e Event
	err := g.store.Tx(r.Context(), func(tx *store.Tx) error {
		p, err := lockRepo(tx, repo)
		if err != nil {
			return err
		}
		m, err := load(tx, p, repo, d)
		if errors.Is(err, sql.ErrNoRows) {
			return errcode.ErrorCodeManifestUnknown.WithDetail(d)
		}
		if err != nil {
			return err
		}
		var one int
		err = tx.Row(`SELECT 1 FROM tag WHERE repo_id = $1 AND name = $2`, p.repo, tag).Scan(&one)
		if err == nil {
			return fmt.Errorf("%s has a tag %s already: %w", repo, tag, errdef.ErrExists)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := g.setTag(tx, p, m.id, &pushed{Artifact: m.Artifact}, tag); err != nil {
			return err
		}
		if err := tx.Do(`UPDATE repo SET updated = $1, version = version + 1 WHERE id = $2`, g.now(), p.repo); err != nil {
			return err
		}
		e, err = g.changing(tx, g.event(q, p.project, EventPush, m.Artifact, tag))
		return err
	})
	if errors.Is(err, errdef.ErrExists) {
		return err
	}
	if err == nil {
		g.watch.Happened(r.Context(), e)
	}
	return answered(err)
}

// MarkPulled keeps when a manifest was pulled last, and by which tag. It is for an Observer, who may do several at once.
func MarkPulled(tx *store.Tx, e Event) error {
	at := e.Time.UnixMilli()
	err := tx.Do(`UPDATE manifest SET pulled = $1 WHERE repo_id = (SELECT id FROM repo WHERE name = $2) AND digest = $3 AND pulled < $1`,
		at, e.Artifact.Repository, e.Artifact.Digest.String())
	for _, t := range e.Tags {
		if err == nil {
			err = tx.Do(`UPDATE tag SET pulled = $1 WHERE repo_id = (SELECT id FROM repo WHERE name = $2) AND name = $3 AND pulled < $1`,
				at, e.Artifact.Repository, t)
		}
	}
	return err
}

// ReadBlob reads a blob of a repository that has at most most bytes; errdef.ErrNotFound, errdef.ErrExhausted for a larger one.
func (g *Registry) ReadBlob(ctx context.Context, repo string, d digest.Digest, most int64) ([]byte, error) {
	body, err := g.OpenBlob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("blob %s has more than %d bytes: %w", d, most, errdef.ErrExhausted)
	}
	return b, err
}

// OpenBlob opens a blob of a repository, for the caller to close; errdef.ErrNotFound.
func (g *Registry) OpenBlob(ctx context.Context, repo string, d digest.Digest) (io.ReadCloser, error) {
	c, err := g.find(ctx, repo, d)
	if errors.Is(err, distribution.ErrBlobUnknown) {
		return nil, fmt.Errorf("%s has no blob %s: %w", repo, d, errdef.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return g.open(ctx, c)
}
