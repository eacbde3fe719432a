package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/contrib/images/layer"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestTheArchiveIsWhole reads it by both of its entrances, OCI's and Docker's, and compares all digests.
func TestTheArchiveIsWhole(t *testing.T) {
	write := func() ([]byte, layer.Layer) {
		l, err := layer.Create(t.TempDir(), "test", layer.Gzip, func(tw *tar.Writer) error {
			return layer.WriteFiles(tw, []layer.File{{Name: "hello", Mode: 0o644, Data: []byte("hello")}})
		})
		must(t, err)
		config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
			RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{l.DiffID}}}
		var buf bytes.Buffer
		must(t, Write(&buf, Image{Name: "thing", Tag: "1", Config: config, Layers: []layer.Layer{l}}))
		return buf.Bytes(), l
	}
	first, l := write()
	if second, _ := write(); !bytes.Equal(first, second) {
		t.Error("the same image gave two archives")
	}
	files := map[string][]byte{}
	for tr := tar.NewReader(bytes.NewReader(first)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		files[h.Name], err = io.ReadAll(tr)
		must(t, err)
	}
	blob := func(d digest.Digest) []byte {
		t.Helper()
		data := files["blobs/sha256/"+d.Encoded()]
		if digest.FromBytes(data) != d {
			t.Fatalf("%s is not there, or another", d)
		}
		return data
	}
	var index ocispec.Index
	must(t, json.Unmarshal(files["index.json"], &index))
	var manifest ocispec.Manifest
	must(t, json.Unmarshal(blob(index.Manifests[0].Digest), &manifest))
	if manifest.Layers[0].Digest != l.Digest || int64(len(blob(l.Digest))) != manifest.Layers[0].Size {
		t.Errorf("%+v", manifest)
	}
	var config ocispec.Image
	must(t, json.Unmarshal(blob(manifest.Config.Digest), &config))
	if config.RootFS.DiffIDs[0] != l.DiffID {
		t.Errorf("%+v", config)
	}
	var dockers []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	must(t, json.Unmarshal(files["manifest.json"], &dockers))
	if d := dockers[0]; d.RepoTags[0] != "thing:1" || files[d.Config] == nil || files[d.Layers[0]] == nil {
		t.Errorf("%+v", dockers)
	}
	if len(files) != 6 { // layout, index, manifest.json, manifest, config, layer
		t.Errorf("%d files", len(files))
	}
}
