package image

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/distribution/reference"
	imagetypes "github.com/docker/docker/api/types/image"
	registrytypes "github.com/docker/docker/api/types/registry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
)

func open(t *testing.T, root string, f *fakeLayers, change ...func(*Options)) *Service {
	t.Helper()
	o := Options{Root: root, Layers: f, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, c := range change {
		c(&o)
	}
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func tryPull(ctx context.Context, s *Service, name string) (string, error) {
	var out lockedBuffer
	err := pullTo(ctx, s, name, &out)
	return out.String(), err
}

// pullTo pulls with its progress told to out.
func pullTo(ctx context.Context, s *Service, name string, out io.Writer) error {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return err
	}
	return s.Backend().PullImage(ctx, reference.TagNameOnly(ref), nil, nil, &registrytypes.AuthConfig{}, out)
}

func pull(t *testing.T, s *Service, name string) string {
	t.Helper()
	out, err := tryPull(t.Context(), s, name)
	if err != nil {
		t.Fatalf("pull %s: %v\n%s", name, err, out)
	}
	return out
}

func list(t *testing.T, s *Service) []*imagetypes.Summary {
	t.Helper()
	all, err := s.Backend().Images(t.Context(), imagetypes.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func remove(t *testing.T, s *Service, name string, force bool) {
	t.Helper()
	if _, err := s.Backend().ImageDelete(t.Context(), name, imagetypes.RemoveOptions{Force: force, PruneChildren: true}); err != nil {
		t.Fatalf("rmi %s: %v", name, err)
	}
	if err := s.CollectGarbage(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPullWritesEachLayerOnceAndShowsWhatDockerShows(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	img := r.push("app", "1", false, gz(files(10, "a"), files(20, "b"), files(30, "c")), func(i *ocispec.Image) {
		i.Config.Env = []string{"A=1"}
		i.Config.ExposedPorts = map[string]struct{}{"80/tcp": {}}
	})
	name := r.host() + "/app:1"

	out := pull(t, s, name)
	for _, want := range []string{"Pulling from app", "Pulling fs layer", "Pull complete",
		"Digest: " + img.manifest.Digest.String(), "Status: Downloaded newer image for " + name} {
		if !strings.Contains(out, want) {
			t.Errorf("progress lacks %q:\n%s", want, out)
		}
	}
	f.want(t, img.chains...)
	if f.writeCount() != 3 {
		t.Errorf("%d writes, want 3", f.writeCount())
	}
	got, err := s.Resolve(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != img.manifest.Digest.String() || got.Layer != img.chains[2] || got.Size != 60 || got.Ref != name {
		t.Errorf("resolved %+v, want %s, layers %v", got, img.manifest.Digest, img.chains)
	}
	if !slices.Equal(got.Config.Cmd, []string{"run", "app"}) || !slices.Equal(got.Config.Env, []string{"A=1"}) || len(got.Config.ExposedPorts) != 1 {
		t.Errorf("config %+v", got.Config)
	}
	if short, err := s.Resolve(t.Context(), img.manifest.Digest.Encoded()[:12]); err != nil || short.ID != got.ID {
		t.Errorf("by short ID: %+v, %v", short, err)
	}

	out = pull(t, s, name)
	if !strings.Contains(out, "Status: Image is up to date for "+name) || strings.Contains(out, "fs layer\",\"progress") {
		t.Errorf("second pull:\n%s", out)
	}
	if f.writeCount() != 3 {
		t.Errorf("second pull wrote a layer")
	}
	if all := list(t, s); len(all) != 1 || all[0].Size < 60 || all[0].RepoTags[0] != name {
		b, _ := json.Marshal(all)
		t.Errorf("images: %s", b)
	}
}

func TestImageFormats(t *testing.T) {
	a, b := files(100, "x/a"), files(200, "x/b")
	for name, tc := range map[string]struct {
		oci    bool
		layers []layer
	}{
		"schema 2, gzip":     {false, gz(a, b)},
		"schema 2, plain":    {false, []layer{{a, ""}, {b, ""}}},
		"OCI, gzip":          {true, gz(a, b)},
		"OCI, zstd":          {true, []layer{{a, "zstd"}, {b, "zstd"}}},
		"OCI, mixed":         {true, []layer{{a, "zstd"}, {b, "gzip"}}},
		"OCI, plain":         {true, []layer{{a, ""}, {b, ""}}},
		"the same tar twice": {true, gz(a, b, a)},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := newTestRegistry(t), newFakeLayers()
			s := open(t, t.TempDir(), f)
			img := r.push("app", "latest", tc.oci, tc.layers)
			pull(t, s, r.host()+"/app")
			f.want(t, img.chains...)
			pull(t, s, r.host()+"/app@"+img.manifest.Digest.String())
			if len(list(t, s)) != 1 || f.writeCount() != len(tc.layers) {
				t.Errorf("%d images, %d writes", len(list(t, s)), f.writeCount())
			}
		})
	}
}

func TestIndexGivesTheImageOfThisPlatform(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	mine := r.push("app", "", true, gz(files(10, "amd64")))
	other := r.push("app", "", true, gz(files(10, "arm64")), func(i *ocispec.Image) { i.Architecture = "arm64" })
	attest := r.push("app", "", true, gz(files(10, "attest")), func(i *ocispec.Image) { i.OS, i.Architecture = "unknown", "unknown" })
	attest.manifest.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	index := r.putManifest("app", "multi", ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{other.manifest, mine.manifest, attest.manifest},
	})
	pull(t, s, r.host()+"/app:multi")
	f.want(t, mine.chains...)
	got, err := s.Resolve(t.Context(), r.host()+"/app:multi")
	if err != nil || got.ID != index.Digest.String() || got.Layer != mine.chains[0] {
		t.Errorf("resolved %+v, %v", got, err)
	}
}

func TestEmptyLayersMakeNoDisk(t *testing.T) {
	empty := make([]byte, 1024)
	a, b := files(10, "a"), files(10, "b")
	stack := gz(empty, a, empty, empty, b, empty)
	ids := chains(stack)
	r, f, root := newTestRegistry(t), newFakeLayers(), t.TempDir()
	s := open(t, root, f)
	r.push("app", "1", true, stack)
	pull(t, s, r.host()+"/app:1")
	f.want(t, ids[1], ids[4])
	if f.layers[ids[1]].Parent != "" || f.layers[ids[4]].Parent != ids[1] {
		t.Errorf("parents: %q and %q", f.layers[ids[1]].Parent, f.layers[ids[4]].Parent)
	}
	got, err := s.Resolve(t.Context(), r.host()+"/app:1")
	if err != nil || got.Layer != ids[4] || got.Size != 20 {
		t.Errorf("resolved %+v, %v", got, err)
	}
	r.push("nothing", "1", true, gz(empty))
	pull(t, s, r.host()+"/nothing:1")
	if got, err := s.Resolve(t.Context(), r.host()+"/nothing:1"); err != nil || got.Layer != "" {
		t.Errorf("image without files: %+v, %v", got, err)
	}
	remove(t, s, r.host()+"/nothing:1", false)
	remove(t, s, r.host()+"/app:1", false)
	f.want(t)
}

func TestConcurrentPullsShareWrites(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	stack := gz(files(300<<10, "a"), files(300<<10, "b"), files(300<<10, "c"))
	img := r.push("app", "1", true, stack)
	r.push("other", "1", true, append(slices.Clone(stack), gz(files(10, "d"))...))
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for n := range errs {
		wg.Go(func() {
			name := "/app:1"
			if n%2 == 1 {
				name = "/other:1"
			}
			_, errs[n] = tryPull(t.Context(), s, r.host()+name)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if f.writeCount() != 4 {
		t.Errorf("%d writes, want 4: %v", f.writeCount(), f.writes)
	}
	for _, b := range img.blobs {
		if got := r.requests(b); len(got) != 1 {
			t.Errorf("blob %s was downloaded %d times", b, len(got))
		}
	}
	remove(t, s, r.host()+"/other:1", false)
	f.want(t, img.chains...)
	remove(t, s, r.host()+"/app:1", false)
	f.want(t)
}

func TestSharedBaseIsWrittenOnce(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	base := gz(files(10, "base1"), files(10, "base2"))
	one := r.push("one", "1", true, append(slices.Clone(base), gz(files(10, "one"))...))
	two := r.push("two", "1", true, append(slices.Clone(base), gz(files(10, "two"))...))
	pull(t, s, r.host()+"/one:1")
	pull(t, s, r.host()+"/two:1")
	if f.writeCount() != 4 {
		t.Errorf("%d writes, want 4", f.writeCount())
	}
	remove(t, s, r.host()+"/one:1", false)
	f.want(t, two.chains...)
	if slices.Contains(f.ids(), one.chains[2]) {
		t.Error("the layer of the removed image is still there")
	}
}

// The same layers under another compression are written once, but their blobs are fetched: without
// them the image could not be listed or pushed.
func TestOtherCompressionFetchesBlobsAndWritesNothing(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	a, b := files(10, "a"), files(10, "b")
	r.push("gz", "1", true, gz(a, b))
	z := r.push("zstd", "1", true, []layer{{a, "zstd"}, {b, "zstd"}})
	pull(t, s, r.host()+"/gz:1")
	pull(t, s, r.host()+"/zstd:1")
	if f.writeCount() != 2 || len(r.requests(z.blobs[0])) != 1 {
		t.Errorf("%d writes, blob asked for %d times", f.writeCount(), len(r.requests(z.blobs[0])))
	}
	for _, i := range list(t, s) {
		if i.Size < 20 || len(i.RepoTags) != 1 || i.Created == 0 && i.Containers == -1 {
			t.Errorf("image %v is not whole: %+v", i.RepoTags, i)
		}
	}
	remove(t, s, r.host()+"/gz:1", false)
	f.want(t, z.chains...)
	remove(t, s, r.host()+"/zstd:1", false)
	f.want(t)
}

func TestLostStateDiskRewritesNoLayer(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	first := open(t, t.TempDir(), f)
	img := r.push("app", "1", true, gz(files(10, "a"), files(10, "b")))
	pull(t, first, r.host()+"/app:1")
	if err := first.Hold(t.Context(), "c1", img.chains[1]); err != nil {
		t.Fatal(err)
	}

	s := open(t, t.TempDir(), f)
	if err := s.Hold(t.Context(), "c1", img.chains[1]); err != nil { // the engine says so at its start
		t.Fatal(err)
	}
	pull(t, s, r.host()+"/app:1")
	if f.writeCount() != 2 {
		t.Errorf("%d writes, want the 2 of the first store", f.writeCount())
	}
	got, err := s.Resolve(t.Context(), r.host()+"/app:1")
	if err != nil || got.Layer != img.chains[1] || got.Size != 20 {
		t.Errorf("resolved %+v, %v", got, err)
	}
	remove(t, s, r.host()+"/app:1", true)
	f.want(t, img.chains...)
	if err := s.Release(t.Context(), "c1"); err != nil {
		t.Fatal(err)
	}
	if err := s.CollectGarbage(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want(t)
}

func TestLayersLostInStorageAreWrittenAgain(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	img := r.push("app", "1", true, gz(files(10, "a"), files(10, "b"), files(10, "c")))
	name := r.host() + "/app:1"
	pull(t, s, name)
	f.lose(img.chains[1])
	f.lose(img.chains[2])
	if err := s.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Close() // the blobs are on the state disk
	got, err := s.Resolve(t.Context(), name)
	if err != nil || got.Layer != img.chains[2] {
		t.Fatalf("resolved %+v, %v", got, err)
	}
	f.want(t, img.chains...)
	if err := s.CollectGarbage(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want(t, img.chains...)
	if err := s.Reconcile(t.Context()); err != nil || f.writeCount() != 5 {
		t.Errorf("%d writes %v, %v; layers %v", f.writeCount(), f.writes, err, img.chains)
	}
}

func TestUnknownImage(t *testing.T) {
	s := open(t, t.TempDir(), newFakeLayers())
	_, err := s.Resolve(t.Context(), "nosuch")
	if !errors.Is(err, errdef.ErrNotFound) || err.Error() != "No such image: nosuch:latest" {
		t.Errorf("got %v", err)
	}
	if _, err = s.Resolve(t.Context(), "UPPER"); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// Without the compiler flag Docker's packages are compiled as Go 1.16, and lists repeat one image.
func TestListShowsEveryImage(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	for _, n := range []string{"a", "b", "c", "d"} {
		r.push(n, "latest", false, gz(files(10, n)))
		pull(t, s, r.host()+"/"+n)
	}
	seen := map[string]bool{}
	for _, i := range list(t, s) {
		seen[i.ID] = true
	}
	if len(seen) != 4 || s.Count(t.Context()) != 4 {
		info, _ := debug.ReadBuildInfo()
		t.Errorf("%d different images of 4; is GOFLAGS set? %v", len(seen), info.Settings)
	}
	if n, err := s.DiskUsage(t.Context()); err != nil || n < 40 {
		t.Errorf("disk usage %d, %v", n, err)
	}
}

func TestSaveAndLoad(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	img := r.push("app", "1", true, gz(files(10, "a"), make([]byte, 1024), files(10, "b")))
	name := r.host() + "/app:1"
	pull(t, s, name)
	var tar lockedBuffer
	if err := s.Backend().ExportImage(t.Context(), []string{name}, nil, &tar); err != nil {
		t.Fatal(err)
	}
	f2 := newFakeLayers()
	s2 := open(t, t.TempDir(), f2)
	var out lockedBuffer
	if err := s2.Backend().LoadImage(t.Context(), io.NopCloser(strings.NewReader(tar.String())), nil, &out, false); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	got, err := s2.Resolve(t.Context(), name)
	if err != nil || got.Layer != img.chains[2] {
		t.Errorf("resolved %+v, %v", got, err)
	}
	f2.want(t, img.chains[0], img.chains[2])
	if _, err := digest.Parse(got.ID); err != nil {
		t.Error(err)
	}
}
