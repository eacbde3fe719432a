package registry

import (
	"encoding/json"
	"fmt"
	"math"
	"mime"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// document is what the registry has to know of a manifest or an index. All else in it is kept as it came.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *v1.Descriptor    `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Manifests     []v1.Descriptor   `json:"manifests"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

func invalid(format string, args ...any) error {
	return errcode.ErrorCodeManifestInvalid.WithDetail(fmt.Sprintf(format, args...))
}

// readDocument refuses what is no manifest of a kind that the registry knows.
func readDocument(contentType string, payload []byte) (*document, error) {
	var d document
	if err := json.Unmarshal(payload, &d); err != nil {
		return nil, invalid("%v", err)
	}
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		t = d.MediaType
	}
	if d.MediaType != "" && d.MediaType != t {
		return nil, invalid("mediaType %q is not the Content-Type %q", d.MediaType, t)
	}
	d.MediaType = t
	switch t {
	case v1.MediaTypeImageManifest, dockerManifest:
		if d.Config == nil || d.Manifests != nil {
			return nil, invalid("an image manifest has a config and no manifests")
		}
		if d.ArtifactType == "" {
			d.ArtifactType = d.Config.MediaType
		}
	case v1.MediaTypeImageIndex, dockerList:
		if d.Config != nil || d.Layers != nil {
			return nil, invalid("an index has manifests, and no config and no layers")
		}
	default:
		return nil, invalid("unknown media type %q", t)
	}
	return &d, d.check()
}

// check refuses descriptors that cannot be.
func (d *document) check() error {
	if d.SchemaVersion != 2 {
		return invalid("schemaVersion is %d and must be 2", d.SchemaVersion)
	}
	all := append(d.blobs(), d.Manifests...)
	if d.Subject != nil {
		all = append(all, *d.Subject)
	}
	if len(all) > maxRefs {
		return invalid("it names %d blobs and manifests; at most %d are taken", len(all), maxRefs)
	}
	for _, b := range all {
		if err := b.Digest.Validate(); err != nil {
			return invalid("digest %q: %v", b.Digest, err)
		}
		if b.Size < 0 {
			return invalid("%s has the size %d", b.Digest, b.Size)
		}
	}
	return nil
}

// blobs are the descriptors of content that must be in the repository. Layers that may not be distributed need not.
func (d *document) blobs() []v1.Descriptor {
	var l []v1.Descriptor
	if d.Config != nil {
		l = append(l, *d.Config)
	}
	for _, b := range d.Layers {
		if !strings.Contains(b.MediaType, "nondistributable") && !strings.Contains(b.MediaType, "foreign") {
			l = append(l, b)
		}
	}
	return l
}

// total is the size of a manifest with all that it names.
func (d *document) total(own int64) int64 {
	sum := own
	for _, b := range append(d.blobs(), d.Manifests...) {
		if sum > math.MaxInt64-b.Size {
			return math.MaxInt64
		}
		sum += b.Size
	}
	return sum
}

func (d *document) subject() digest.Digest {
	if d.Subject == nil {
		return ""
	}
	return d.Subject.Digest
}
