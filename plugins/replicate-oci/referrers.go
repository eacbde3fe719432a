package main

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
)

// What refers to an artifact is found by the referrers API; where there is none by the tag ALGORITHM-HEX, an index; and, as
// cosign has it, by that tag with one of these endings.
var endings = []string{".sig", ".att", ".sbom"}

var schemePattern = regexp.MustCompile(`^sha(256|512)-[0-9a-f]{64,128}(\.(sig|att|sbom))?$`)

// schemeTag says whether a tag is not an artifact's, but names what refers to one.
func schemeTag(tag string) bool { return schemePattern.MatchString(tag) }

func scheme(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }

// referrers are the manifests that refer to one.
func (c *client) referrers(ctx context.Context, repo string, d digest.Digest) (all []v1.Descriptor, err error) {
	err = c.pages(c.path(repo, "referrers", d.String()), func(path string) (http.Header, error) {
		var m struct{ Manifests []v1.Descriptor }
		h, err := c.json(ctx, ask{method: http.MethodGet, url: path, header: http.Header{"Accept": {v1.MediaTypeImageIndex}}, scope: pulls(repo)}, &m)
		all = append(all, m.Manifests...)
		if len(all) > maxDescriptors {
			return nil, errTooMany
		}
		return h, err
	})
	if s := status(err); s == http.StatusNotFound || s == http.StatusMethodNotAllowed || s == http.StatusBadRequest {
		index, err := c.manifest(ctx, repo, scheme(d))
		if status(err) == http.StatusNotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return index.Manifests, nil
	}
	for _, x := range all {
		if err := checkDescriptor(x); err != nil {
			return nil, err
		}
	}
	return all, err
}

var errTooMany = errors.Join(errors.New("an artifact has more referrers than can be copied"), errdef.ErrInvalid)

// listReferrer adds a manifest to the index of what refers to its subject, at a registry without the API.
func (j *copyJob) listReferrer(ctx context.Context, m *document) error {
	repo, tag := j.toRepo, scheme(m.Subject.Digest)
	unlock := j.d.lockIndex(j.to.base.Host + "/" + repo + ":" + tag)
	defer unlock()
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	old, err := j.to.manifest(ctx, repo, tag)
	if err != nil && status(err) != http.StatusNotFound {
		return err
	}
	if err == nil {
		index.Manifests = old.Manifests
	}
	if slices.ContainsFunc(index.Manifests, func(x v1.Descriptor) bool { return x.Digest == m.digest }) {
		return nil
	}
	var kind struct {
		ArtifactType string            `json:"artifactType"`
		Annotations  map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(m.payload, &kind); err != nil {
		return err
	}
	if kind.ArtifactType == "" && m.Config != nil {
		kind.ArtifactType = m.Config.MediaType
	}
	index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: m.MediaType, Digest: m.digest, Size: int64(len(m.payload)),
		ArtifactType: kind.ArtifactType, Annotations: kind.Annotations})
	b, err := json.Marshal(index)
	if err != nil {
		return err
	}
	_, err = j.put(ctx, &document{MediaType: v1.MediaTypeImageIndex, payload: b}, tag)
	return err
}

// lockIndex lets one goroutine at a time change an index.
func (d *driver) lockIndex(name string) (unlock func()) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // it never fails
	m := &d.indexes[h.Sum32()%uint32(len(d.indexes))]
	m.Lock()
	return m.Unlock
}
