// Package archive writes an image into one file: an OCI image layout in a tar archive, which docker load, podman load
// and skopeo read. The same image gives the same bytes.
package archive

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/contrib/images/layer"
)

// Image is a finished image of one platform.
type Image struct {
	Name, Tag string // "vic-hub", "1.2.3"
	Config    ocispec.Image
	Layers    []layer.Layer // compressed with gzip, lowest first
}

// epoch is the time of each entry.
var epoch = time.Unix(0, 0).UTC()

// blob is one file below blobs: in memory, or of a layer.
type blob struct {
	ocispec.Descriptor
	data []byte
	file string
}

// Write writes the archive.
func Write(w io.Writer, img Image) error {
	config, err := memory(ocispec.MediaTypeImageConfig, img.Config)
	if err != nil {
		return err
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config.Descriptor}
	blobs := []blob{config}
	for _, l := range img.Layers {
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: l.Digest, Size: l.Size}
		manifest.Layers = append(manifest.Layers, d)
		blobs = append(blobs, blob{Descriptor: d, file: l.Path})
	}
	top, err := memory(ocispec.MediaTypeImageManifest, manifest)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	if err := index(tw, img, top.Descriptor); err != nil {
		return err
	}
	if err := dockers(tw, img, manifest); err != nil {
		return err
	}
	blobs = append(blobs, top)
	slices.SortFunc(blobs, func(a, b blob) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	for _, b := range slices.CompactFunc(blobs, func(a, b blob) bool { return a.Digest == b.Digest }) {
		if err := b.write(tw); err != nil {
			return err
		}
	}
	return tw.Close()
}

func memory(mediaType string, v any) (blob, error) {
	data, err := json.Marshal(v)
	return blob{Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, data: data}, err
}

// index is what an OCI image layout begins with.
func index(tw *tar.Writer, img Image, manifest ocispec.Descriptor) error {
	manifest.Platform = &ocispec.Platform{OS: img.Config.OS, Architecture: img.Config.Architecture}
	manifest.Annotations = map[string]string{
		ocispec.AnnotationRefName:  img.Tag,
		"io.containerd.image.name": "docker.io/library/" + img.Name + ":" + img.Tag, // what containerd and docker load name it
	}
	if err := jsonFile(tw, ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}); err != nil {
		return err
	}
	return jsonFile(tw, ocispec.ImageIndexFile, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{manifest}})
}

// dockers is what a docker load looks for that knows no image layouts.
func dockers(tw *tar.Writer, img Image, m ocispec.Manifest) error {
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	e := entry{Config: pathOf(m.Config.Digest), RepoTags: []string{img.Name + ":" + img.Tag}}
	for _, l := range m.Layers {
		e.Layers = append(e.Layers, pathOf(l.Digest))
	}
	return jsonFile(tw, "manifest.json", []entry{e})
}

func pathOf(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func jsonFile(tw *tar.Writer, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return entry(tw, name, int64(len(data)), strings.NewReader(string(data)))
}

func (b blob) write(tw *tar.Writer) error {
	if b.file == "" {
		return entry(tw, pathOf(b.Digest), b.Size, strings.NewReader(string(b.data)))
	}
	f, err := os.Open(b.file)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer f.Close()
	return entry(tw, pathOf(b.Digest), b.Size, f)
}

func entry(tw *tar.Writer, name string, size int64, data io.Reader) error {
	err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size, ModTime: epoch})
	if err == nil {
		_, err = io.Copy(tw, data)
	}
	if err != nil {
		return fmt.Errorf("archive: %s: %w", name, err)
	}
	return nil
}
