package registry

import (
	"context"
	"database/sql"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// firstLook is what a request that reads has seen of its repository when it began, with the moment that it is answered by.
type firstLook struct {
	repo, project int64 // 0: there is no such repository
	version       int64 // of the repository
	blob          *content
}

// moment is a context in which who may what, and what projects want, is asked as of now, once. What most reading requests ask first
// is asked with it; nil: this one asks nothing.
func (g *Registry) moment(r *http.Request, x route) (ctx context.Context, seen *firstLook, err error) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		switch x.kind {
		case manifests, tags:
			seen = &firstLook{}
			ctx, err = g.store.MomentOf(r.Context(), []any{&seen.repo, &seen.project, &seen.version},
				`SELECT `+store.Stamp+`, COALESCE(MAX(id), 0), COALESCE(MAX(project_id), 0), COALESCE(MAX(version), 0) FROM repo WHERE name = $1`, x.name)
			return ctx, seen, err
		case blobContent:
			d, err := digest.Parse(x.ref)
			if err != nil {
				break
			}
			var c content
			ctx, err = g.store.MomentOf(r.Context(), []any{&c.repo, &c.size, &c.location, &c.review},
				`SELECT `+store.Stamp+`, COALESCE(f.id, 0), COALESCE(f.size, 0), COALESCE(f.location, ''), f.due
				FROM (SELECT 1 AS one) o LEFT JOIN (`+findBlob+`) f ON TRUE`, x.name, d.String())
			seen = &firstLook{repo: c.repo}
			if c.repo != 0 {
				seen.blob = &c
			}
			return ctx, seen, err
		}
	}
	ctx, err = g.store.Moment(r.Context())
	return ctx, nil, err
}

// home is the repository of a request that reads, and its version; sql.ErrNoRows. A proxy cache may have made it meanwhile.
func (g *Registry) home(ctx context.Context, q *request) (firstLook, error) {
	if q.seen != nil {
		if q.seen.repo == 0 {
			return firstLook{}, sql.ErrNoRows
		}
		return *q.seen, nil
	}
	var f firstLook
	err := g.store.Point(ctx, `SELECT id, project_id, version FROM repo WHERE name = $1`, q.name).Scan(&f.repo, &f.project, &f.version)
	return f, err
}
