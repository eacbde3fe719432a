// Package push puts images into a registry over the distribution API.
package push

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/contrib/images/layer"
)

// The media types of Docker's own format, schema 2.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// Format of an image's manifest.
type Format int

// The formats that registries hold.
const (
	OCI Format = iota
	Schema2
)

// Image is a finished image of one platform.
type Image struct {
	Config ocispec.Image
	Layers []layer.Layer
	Format Format
}

// Client pushes to one registry.
type Client struct {
	base  string
	http  *http.Client
	known map[digest.Digest]string // blob to a repository that holds it
}

// New returns a client for the registry at base ("http://127.0.0.1:5000"). It is not for
// concurrent use.
func New(base string) *Client {
	return &Client{base: strings.TrimSuffix(base, "/"), http: &http.Client{}, known: map[digest.Digest]string{}}
}

// Image pushes an image under a tag and returns its descriptor, for an index. With no tag it can
// be pulled by digest alone.
func (c *Client) Image(ctx context.Context, repo, tag string, img Image) (ocispec.Descriptor, error) {
	var layers []ocispec.Descriptor
	for _, l := range img.Layers {
		if err := c.layer(ctx, repo, l); err != nil {
			return ocispec.Descriptor{}, err
		}
		layers = append(layers, ocispec.Descriptor{MediaType: layerType(img.Format, l.Compression), Digest: l.Digest, Size: l.Size})
	}
	config, err := json.Marshal(img.Config)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("push: %w", err)
	}
	configDigest := digest.FromBytes(config)
	if err := c.blob(ctx, repo, configDigest, int64(len(config)), bytes.NewReader(config)); err != nil {
		return ocispec.Descriptor{}, err
	}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: configDigest, Size: int64(len(config))},
		Layers:    layers,
	}
	if img.Format == Schema2 {
		manifest.MediaType, manifest.Config.MediaType = dockerManifest, dockerConfig
	}
	desc, err := c.manifest(ctx, repo, tag, manifest.MediaType, manifest)
	desc.Platform = &ocispec.Platform{OS: img.Config.OS, Architecture: img.Config.Architecture}
	return desc, err
}

// Index pushes an index of images that are in the repository already.
func (c *Client) Index(ctx context.Context, repo, tag string, images []ocispec.Descriptor) error {
	_, err := c.manifest(ctx, repo, tag, ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: images,
	})
	return err
}

func layerType(format Format, how layer.Compression) string {
	switch {
	case format == Schema2:
		return dockerLayer
	case how == layer.Zstd:
		return ocispec.MediaTypeImageLayerZstd
	default:
		return ocispec.MediaTypeImageLayerGzip
	}
}

func (c *Client) layer(ctx context.Context, repo string, l layer.Layer) error {
	f, err := os.Open(l.Path)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	defer f.Close()
	return c.blob(ctx, repo, l.Digest, l.Size, f)
}

// blob uploads a blob unless the repository has it; from another repository it is linked.
func (c *Client) blob(ctx context.Context, repo string, dgst digest.Digest, size int64, data io.Reader) error {
	status, _, err := c.do(ctx, http.MethodHead, "/v2/"+repo+"/blobs/"+dgst.String(), "", nil, 0)
	if err != nil {
		return err
	}
	if status == http.StatusOK {
		c.known[dgst] = repo
		return nil
	}
	start := "/v2/" + repo + "/blobs/uploads/"
	if other := c.known[dgst]; other != "" {
		start += "?mount=" + dgst.String() + "&from=" + url.QueryEscape(other)
	}
	status, location, err := c.do(ctx, http.MethodPost, start, "", nil, 0)
	if err != nil {
		return err
	}
	if status == http.StatusCreated { // linked
		return nil
	}
	if status != http.StatusAccepted {
		return fmt.Errorf("push: %s: upload refused with status %d", repo, status)
	}
	sep := "?"
	if strings.Contains(location, "?") {
		sep = "&"
	}
	status, _, err = c.do(ctx, http.MethodPut, location+sep+"digest="+dgst.String(), "application/octet-stream", data, size)
	if err != nil {
		return err
	}
	if status != http.StatusCreated {
		return fmt.Errorf("push: %s: blob %s refused with status %d", repo, dgst, status)
	}
	c.known[dgst] = repo
	return nil
}

func (c *Client) manifest(ctx context.Context, repo, tag, mediaType string, content any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(content)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("push: %w", err)
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if tag == "" {
		tag = desc.Digest.String()
	}
	status, _, err := c.do(ctx, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, mediaType, bytes.NewReader(data), desc.Size)
	if err != nil {
		return desc, err
	}
	if status != http.StatusCreated {
		return desc, fmt.Errorf("push: %s:%s refused with status %d", repo, tag, status)
	}
	return desc, nil
}

// do sends one request and returns the status and the Location header.
func (c *Client) do(ctx context.Context, method, target, contentType string, body io.Reader, size int64) (int, string, error) {
	if strings.HasPrefix(target, "/") {
		target = c.base + target
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return 0, "", fmt.Errorf("push: %w", err)
	}
	if body != nil {
		req.ContentLength = size
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("push: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, "", fmt.Errorf("push: %w", err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), nil
}
