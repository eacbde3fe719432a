package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// ProxyCache is the caller in events, and the pusher in lists, of what the registry fetched from an upstream.
const ProxyCache = "proxy-cache"

// Upstreams tells which repositories belong to proxy cache projects.
type Upstreams interface {
	// Upstream returns where a repository's content comes from; nil for one that is filled by pushes.
	Upstream(ctx context.Context, repo string) (Upstream, error)
}

// Upstream is a repository of another registry. Its errors are errdef.ErrNotFound for what it does not have,
// errdef.ErrDenied if the hub may not have it, and else mean that it cannot say. Nothing of what it returns is believed.
type Upstream interface {
	// Resolve tells the digest that a tag or digest has now; "" if the upstream does not say. It does not take long.
	Resolve(ctx context.Context, ref string) (digest.Digest, error)
	// Manifest reads one, one byte more than most at most.
	Manifest(ctx context.Context, ref string, most int64) (mediaType string, payload []byte, err error)
	// Blob opens content. The caller closes it. A read that takes too long fails.
	Blob(ctx context.Context, d digest.Digest) (io.ReadCloser, error)
}

// upstream is the one of a repository, or nil.
func (g *Registry) upstream(ctx context.Context, repo string) (Upstream, error) {
	if g.o.Upstreams == nil {
		return nil, nil
	}
	return g.o.Upstreams.Upstream(ctx, repo)
}

// mayChange refuses a change while the registry is for reading alone, and a push to a proxy cache, with Harbor's status.
func (g *Registry) mayChange(ctx context.Context, repo string, push bool) error {
	if g.o.ReadOnly != nil {
		only, err := g.o.ReadOnly(ctx)
		if err == nil && only {
			err = codeDenied.WithMessage("the registry is in read-only mode: its administrator allows no changes at the moment")
		}
		if err != nil {
			return err
		}
	}
	if !push {
		return nil
	}
	up, err := g.upstream(ctx, repo)
	if err == nil && up != nil {
		err = errcode.ErrorCodeUnsupported.WithMessage(fmt.Sprintf("project %s is a proxy cache: it takes no pushes", projectOf(repo)))
	}
	return err
}

// cached writes RFC 9211's header about what a cache did.
func cached(w http.ResponseWriter, what string) { w.Header().Set("Cache-Status", "vic-hub; "+what) }

// refresh brings what a proxy cache has of a manifest up to date, before it is read. What is here already is enough if
// the upstream is away or does not have it any more: then the answer says that it may be old.
func (g *Registry) refresh(w http.ResponseWriter, r *http.Request, q *request, d digest.Digest, tag string) error {
	up, err := g.upstream(r.Context(), q.name)
	if err != nil || up == nil {
		return err
	}
	q.seen = nil // it may change now
	have, err := g.digestOf(r.Context(), q.name, d, tag)
	if err != nil {
		return err
	}
	if tag == "" && have != "" {
		cached(w, "hit") // content does not change
		return nil
	}
	now, err := up.Resolve(r.Context(), q.ref)
	if err == nil && now != "" && now == have {
		cached(w, "hit; fwd=request; fwd-status=304")
		return nil
	}
	if err == nil {
		// Many who pull one image at once ask the upstream once.
		_, err, _ = g.fetches.Do(q.name+"@"+q.ref+"@"+now.String(), func() (any, error) {
			return nil, g.fetchManifest(r.WithContext(context.WithoutCancel(r.Context())), q, up, now)
		})
	}
	switch {
	case err == nil:
		cached(w, "fwd=miss; stored")
		return nil
	case have != "":
		cached(w, `hit; fwd=stale; detail="the upstream registry does not have it, or does not answer"`)
		g.log.WarnContext(r.Context(), "proxy cache serves what it has", "repository", q.name, "reference", q.ref, "err", err)
		return nil
	}
	return unfetched(err, errcode.ErrorCodeManifestUnknown)
}

// digestOf is what the registry has by a digest or tag; "" if nothing.
func (g *Registry) digestOf(ctx context.Context, repo string, d digest.Digest, tag string) (have digest.Digest, err error) {
	query, arg := `SELECT m.digest FROM repo r JOIN manifest m ON m.repo_id = r.id WHERE r.name = $1 AND m.digest = $2`, d.String()
	if tag != "" {
		query = `SELECT m.digest FROM repo r JOIN tag t ON t.repo_id = r.id JOIN manifest m ON m.id = t.manifest_id WHERE r.name = $1 AND t.name = $2`
		arg = tag
	}
	err = g.store.QueryRow(ctx, query, repo, arg).Scan(&have)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return have, err
}

// unfetched is what a client is told that wanted what the upstream does not give; unknown is the code if nobody has it.
func unfetched(err error, unknown errcode.ErrorCode) error {
	var own errcode.Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, errdef.ErrNotFound):
		return unknown.WithMessage("neither the cache nor its upstream has it: " + err.Error())
	case errors.Is(err, errdef.ErrDenied):
		return codeDenied.WithMessage("the cache does not have it, and its upstream does not give it: " + err.Error())
	case errors.Is(err, errdef.ErrUnavailable):
		return errcode.ErrorCodeUnavailable.WithMessage("the cache does not have it, and its upstream does not give it: " + err.Error())
	}
	return err
}

// fetchManifest fetches a manifest and keeps it, with the tag by which it was asked for. now is the digest that it must
// have; "": the upstream did not say.
func (g *Registry) fetchManifest(r *http.Request, q *request, up Upstream, now digest.Digest) error {
	if err := g.mayChange(r.Context(), q.name, false); err != nil {
		return err
	}
	ref, tag := q.ref, q.ref
	if want, err := digest.Parse(q.ref); err == nil {
		now, tag = want, ""
	}
	if now != "" {
		ref = now.String() // the tag may move in between
	}
	mediaType, payload, err := up.Manifest(r.Context(), ref, maxManifest)
	if err != nil {
		return err
	}
	if len(payload) > maxManifest {
		return codeUpstream.WithMessage(fmt.Sprintf("the upstream's manifest has more than %d bytes", maxManifest))
	}
	if now == "" {
		now = digest.FromBytes(payload)
	}
	if !now.Algorithm().Available() || now.Algorithm().FromBytes(payload) != now {
		return codeUpstream.WithMessage("the upstream sends another manifest than it was asked for")
	}
	doc, err := readDocument(mediaType, payload)
	if err != nil {
		return codeUpstream.WithMessage("the upstream sends what is no manifest").WithDetail(err.Error())
	}
	size := int64(len(payload))
	m := &pushed{doc: doc, payload: payload, by: ProxyCache, sparse: true, Artifact: Artifact{Project: projectOf(q.name), Repository: q.name, Digest: now,
		MediaType: doc.MediaType, ArtifactType: doc.ArtifactType, Subject: doc.subject(), Size: size, Total: doc.total(size)}}
	if tag != "" {
		m.tags = []string{tag}
	}
	asked := *q
	asked.caller = fetcher{}
	var e Event
	err = g.store.Tx(r.Context(), func(tx *store.Tx) (err error) {
		p, err := g.keepManifest(tx, m)
		if err != nil {
			return err
		}
		e, err = g.changing(tx, g.event(&asked, p.project, EventPush, m.Artifact, m.tags...))
		return err
	})
	if err == nil {
		g.watch.Happened(r.Context(), e)
	}
	return err
}

// fetcher is the caller of what the registry does for itself.
type fetcher struct{}

// Name implements Caller.
func (fetcher) Name() string { return ProxyCache }

// May implements Caller.
func (fetcher) May(context.Context, Access) error { return nil }

// named is the size that a manifest of the repository says of a blob; distribution.ErrBlobUnknown if none names it. So
// nobody fills a cache with what no image needs, and no upstream sends without an end.
func (g *Registry) named(ctx context.Context, repo string, d digest.Digest) (int64, error) {
	rows, err := g.store.Query(ctx, `SELECT b.payload FROM repo r JOIN manifest_ref f ON f.repo_id = r.id JOIN manifest_payload b ON b.manifest_id = f.manifest_id
		WHERE r.name = $1 AND f.digest = $2 LIMIT 10`, repo, d.String())
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var payload []byte
		if err := rows.Scan(&payload); err != nil {
			return 0, err
		}
		doc, err := readDocument("", payload)
		if err != nil {
			g.log.LogAttrs(ctx, slog.LevelError, "a manifest that was kept cannot be read", slog.String("repository", repo), slog.Any("err", err))
			continue
		}
		for _, b := range doc.blobs() {
			if b.Digest == d {
				return b.Size, nil
			}
		}
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	return 0, distribution.ErrBlobUnknown
}
