package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
)

// Bounds of what registries answer.
const (
	maxManifest    = 4 << 20  // bytes, as registries have it
	maxList        = 16 << 20 // bytes of another answer
	maxDescriptors = 20_000   // in one manifest
	maxDepth       = 6        // of indexes in indexes, and of referrers of referrers
	maxManifests   = 100_000  // that one copy looks at
)

// Docker's media types.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

var accepted = strings.Join([]string{v1.MediaTypeImageManifest, v1.MediaTypeImageIndex, dockerManifest, dockerList, "*/*;q=0.1"}, ", ")

// document is a manifest, or an index of manifests.
type document struct {
	MediaType string          `json:"mediaType"`
	Config    *v1.Descriptor  `json:"config"`
	Layers    []v1.Descriptor `json:"layers"`
	Blobs     []v1.Descriptor `json:"blobs"` // of artifact manifests
	Manifests []v1.Descriptor `json:"manifests"`
	Subject   *v1.Descriptor  `json:"subject"`

	payload []byte
	digest  digest.Digest
}

// parse reads a manifest; errdef.ErrInvalid for one that names what cannot be.
func parse(mediaType string, payload []byte) (*document, error) {
	d := &document{payload: payload}
	if err := json.Unmarshal(payload, d); err != nil {
		return nil, fmt.Errorf("it is no manifest: %w: %w", err, errdef.ErrInvalid)
	}
	if d.MediaType == "" {
		d.MediaType, _, _ = strings.Cut(mediaType, ";")
	}
	if strings.HasPrefix(d.MediaType, "application/vnd.docker.distribution.manifest.v1") {
		return nil, fmt.Errorf("it is a manifest of Docker's first schema, which registries take no more: %w", errdef.ErrInvalid)
	}
	if len(d.MediaType) > 256 || strings.ContainsFunc(d.MediaType, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("its media type is none: %w", errdef.ErrInvalid)
	}
	all := append(d.blobs(), d.Manifests...)
	if d.Subject != nil {
		all = append(all, *d.Subject)
	}
	if len(all) > maxDescriptors {
		return nil, fmt.Errorf("it names more than %d digests: %w", maxDescriptors, errdef.ErrInvalid)
	}
	for _, x := range all {
		if err := checkDescriptor(x); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func checkDescriptor(x v1.Descriptor) error {
	if x.Digest.Validate() != nil || !x.Digest.Algorithm().Available() || len(x.Digest) > 256 || x.Size < 0 {
		return fmt.Errorf("it names a digest or a size that is none: %w", errdef.ErrInvalid)
	}
	return nil
}

// blobs are what the manifest needs beside other manifests. Layers that lie elsewhere stay there.
func (d *document) blobs() (all []v1.Descriptor) {
	if d.Config != nil {
		all = append(all, *d.Config)
	}
	for _, x := range append(d.Layers[:len(d.Layers):len(d.Layers)], d.Blobs...) {
		if len(x.URLs) > 0 && (strings.Contains(x.MediaType, ".nondistributable.") || strings.Contains(x.MediaType, ".foreign.")) {
			continue
		}
		all = append(all, x)
	}
	return all
}

func (d *document) size() int64 {
	n := int64(len(d.payload))
	for _, b := range d.blobs() {
		n += b.Size
	}
	return n
}

func pulls(repo string) string  { return "repository:" + repo + ":pull" }
func pushes(repo string) string { return "repository:" + repo + ":pull,push" }

// manifest gets one by its digest or tag, and verifies it.
func (c *client) manifest(ctx context.Context, repo, ref string) (*document, error) {
	res, err := c.do(ctx, ask{method: http.MethodGet, url: c.path(repo, "manifests", ref), header: http.Header{"Accept": {accepted}}, scope: pulls(repo)})
	if err != nil {
		return nil, err
	}
	b, err := c.read(ctx, res, maxManifest)
	if err != nil {
		return nil, err
	}
	d, err := parse(res.Header.Get("Content-Type"), b)
	if err != nil {
		return nil, fmt.Errorf("%s/%s@%s: %w", c.base.Host, repo, ref, err)
	}
	d.digest = digest.FromBytes(b)
	if want := digest.Digest(ref); want.Validate() == nil {
		if !want.Algorithm().Available() || want.Algorithm().FromBytes(b) != want {
			return nil, fmt.Errorf("%s/%s@%s: the manifest is not what its digest says: %w", c.base.Host, repo, ref, errdef.ErrInvalid)
		}
		d.digest = want
	}
	return d, nil
}

// head tells the digest of a tag or digest, and its media type and size; "" if it is not there.
func (c *client) head(ctx context.Context, repo, ref, scope string) (x v1.Descriptor, err error) {
	res, err := c.do(ctx, ask{method: http.MethodHead, url: c.path(repo, "manifests", ref), header: http.Header{"Accept": {accepted}}, scope: scope,
		fine: []int{http.StatusNotFound}})
	if err != nil {
		return x, err
	}
	drain(res)
	if res.StatusCode == http.StatusNotFound {
		return x, nil
	}
	x.Digest, x.Size = digest.Digest(res.Header.Get("Docker-Content-Digest")), max(res.ContentLength, 0)
	x.MediaType, _, _ = strings.Cut(res.Header.Get("Content-Type"), ";")
	if x.Digest.Validate() == nil {
		return x, nil
	}
	d, err := c.manifest(ctx, repo, ref) // a registry that does not tell
	if err != nil {
		return x, err
	}
	return v1.Descriptor{Digest: d.digest, Size: int64(len(d.payload)), MediaType: d.MediaType}, nil
}

// path is one below a repository. Names are checked before: see checkName.
func (c *client) path(repo string, parts ...string) string {
	return c.base.Path + "/v2/" + repo + "/" + strings.Join(parts, "/")
}
