package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
)

// Patience with a registry.
const (
	askPatience   = 10 * time.Second // for whether something has changed
	fetchPatience = time.Minute      // for a manifest
	idlePatience  = time.Minute      // for the next bytes of a blob
)

// accept is what manifests the hub takes.
var accept = strings.Join([]string{v1.MediaTypeImageManifest, v1.MediaTypeImageIndex, "application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.list.v2+json"}, ", ")

// Repository is one of the registry, as a source of a proxy cache.
type Repository struct {
	c    *Client
	name string
}

var _ registry.Upstream = (*Repository)(nil)

// Repository names one. Docker Hub's images without a folder are in library/.
func (c *Client) Repository(name string) *Repository {
	if c.endpoint.Kind == DockerHub && !strings.Contains(name, "/") {
		name = "library/" + name
	}
	return &Repository{c, name}
}

func (r *Repository) scope() string { return "repository:" + r.name + ":pull" }

// Resolve implements registry.Upstream. A registry that did not answer a moment ago is not asked again.
func (r *Repository) Resolve(ctx context.Context, ref string) (digest.Digest, error) {
	if err := r.c.rest(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	res, err := r.c.do(ctx, http.MethodHead, "/v2/"+r.name+"/manifests/"+ref, accept, r.scope())
	r.c.note(err)
	if err != nil {
		return "", err
	}
	_ = res.Body.Close()
	d := digest.Digest(res.Header.Get("Docker-Content-Digest"))
	if d != "" && d.Validate() != nil {
		return "", fmt.Errorf("registry %s names a digest that is none: %w", r.c.base.Host, errdef.ErrUnavailable)
	}
	return d, nil
}

// Manifest implements registry.Upstream.
func (r *Repository) Manifest(ctx context.Context, ref string, most int64) (mediaType string, payload []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchPatience)
	defer cancel()
	res, err := r.c.do(ctx, http.MethodGet, "/v2/"+r.name+"/manifests/"+ref, accept, r.scope())
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	payload, err = io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return "", nil, r.c.failed(ctx, err)
	}
	return res.Header.Get("Content-Type"), payload, nil
}

// Blob implements registry.Upstream.
func (r *Repository) Blob(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	res, err := r.c.do(ctx, http.MethodGet, "/v2/"+r.name+"/blobs/"+d.String(), "", r.scope()) //nolint:bodyclose // who reads the body closes it
	if err != nil {
		cancel(nil)
		return nil, err
	}
	b := &body{ReadCloser: res.Body, c: r.c, ctx: ctx, cancel: cancel}
	b.timer = time.AfterFunc(idlePatience, func() { cancel(errIdle) })
	return b, nil
}

var errIdle = errors.New("nothing came for a minute")

// body is a download that breaks off when nothing comes.
type body struct {
	io.ReadCloser
	c      *Client
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(idlePatience)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if cause := context.Cause(b.ctx); cause != nil {
		err = cause
	}
	return n, fmt.Errorf("registry %s broke off: %w: %w", b.c.base.Host, err, errdef.ErrUnavailable)
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}
