package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
)

// namespace is what distribution's handlers see instead of their own storage.
type namespace struct{ g *Registry }

var _ distribution.Namespace = (*namespace)(nil)

func (n *namespace) Scope() distribution.Scope { return distribution.GlobalScope }

// Repository gives the one that the request was allowed, and no other.
func (n *namespace) Repository(ctx context.Context, name reference.Named) (distribution.Repository, error) {
	q := asking(ctx)
	if q == nil || q.name != name.Name() {
		return nil, errcode.ErrorCodeDenied.WithMessage("the request was not authorized for this repository")
	}
	return &repository{g: n.g, q: q, named: name}, nil
}

// Repositories, Blobs and BlobStatter belong to routes and tools that are ours.
func (n *namespace) Repositories(context.Context, []string, string) (int, error) { return 0, io.EOF }
func (n *namespace) Blobs() distribution.BlobEnumerator                          { return nil }
func (n *namespace) BlobStatter() distribution.BlobStatter                       { return nil }

// repository is one request's view of a repository: its blobs.
type repository struct {
	g     *Registry
	q     *request
	named reference.Named
}

func (r *repository) Named() reference.Named { return r.named }

// Manifests and Tags are never asked: their routes are ours. distribution wraps what it gets here, so it is not nil.
func (r *repository) Manifests(context.Context, ...distribution.ManifestServiceOption) (distribution.ManifestService, error) {
	return noManifests{}, nil
}
func (r *repository) Tags(context.Context) distribution.TagService { return noTags{} }

func (r *repository) Blobs(context.Context) distribution.BlobStore { return &blobs{r} }

type noManifests struct{ distribution.ManifestService }
type noTags struct{ distribution.TagService }

// blobs is what distribution's handlers do with content: uploads and DELETE.
type blobs struct{ *repository }

var _ distribution.BlobStore = (*blobs)(nil)

func (b *blobs) Stat(ctx context.Context, d digest.Digest) (v1.Descriptor, error) {
	c, err := b.g.find(ctx, b.named.Name(), d)
	return v1.Descriptor{MediaType: octets, Digest: d, Size: c.size}, err
}

func (b *blobs) ServeBlob(_ context.Context, w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	return b.g.serveBlob(w, r, b.named.Name(), d)
}

func (b *blobs) Get(context.Context, digest.Digest) ([]byte, error) {
	return nil, distribution.ErrUnsupported
}

func (b *blobs) Open(context.Context, digest.Digest) (io.ReadSeekCloser, error) {
	return nil, distribution.ErrUnsupported
}

func (b *blobs) Put(context.Context, string, []byte) (v1.Descriptor, error) {
	return v1.Descriptor{}, distribution.ErrUnsupported
}

// Delete takes a blob out of the repository, unless a manifest needs it.
func (b *blobs) Delete(ctx context.Context, d digest.Digest) error {
	err := b.g.store.Tx(ctx, func(tx *store.Tx) error {
		p, err := lockRepo(tx, b.named.Name())
		if err != nil {
			return err
		}
		by, err := needed(tx, p, d)
		if err != nil {
			return err
		}
		if by != "" {
			return errcode.ErrorCodeUnsupported.WithMessage(fmt.Sprintf("manifest %s needs this blob; delete the manifest, and the blob goes with it", by))
		}
		_, gone, err := b.g.unlink(tx, p, d)
		if err == nil && !gone {
			err = distribution.ErrBlobUnknown
		}
		return err
	})
	return b.q.note(err)
}

// Create begins an upload. Mounts are not among the options: post has done them.
func (b *blobs) Create(ctx context.Context, _ ...distribution.BlobCreateOption) (distribution.BlobWriter, error) {
	u, err := b.g.newUpload(ctx, b.q, false, "")
	if err != nil {
		return nil, b.q.note(err)
	}
	return u, nil
}

// Resume goes on with an upload.
func (b *blobs) Resume(ctx context.Context, id string) (distribution.BlobWriter, error) {
	var err error
	switch b.q.r.Method {
	case http.MethodPatch, http.MethodPut:
		b.q.upload, err = b.g.takeUpload(ctx, b.q, id, digest.Digest(b.q.r.URL.Query().Get("digest")))
	default:
		b.q.upload, err = b.g.findUpload(ctx, b.q, id)
	}
	if err != nil {
		return nil, b.q.note(err)
	}
	return b.q.upload, nil
}

// note keeps the first error that distribution's handlers may not know, so that the client gets ours.
func (q *request) note(err error) error {
	if err != nil && q.failure == nil {
		q.failure = err
	}
	return err
}
