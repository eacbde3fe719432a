package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
)

// plainRegistry is distribution as it is, over a storage, as a world that pushes into it.
func plainRegistry(t *testing.T, d storagedriver.StorageDriver) *world {
	t.Helper()
	if err := registerOnce(); err != nil {
		t.Fatal(err)
	}
	c := &configuration.Configuration{Storage: configuration.Storage{given: {"driver": d}, "delete": {"enabled": true},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}}}}
	c.HTTP.Secret, c.HTTP.RelativeURLs = "secret", true
	srv := httptest.NewServer(handlers.NewApp(t.Context(), c))
	t.Cleanup(srv.Close)
	return &world{t: t, url: srv.URL}
}

// old is what the test pushes into the plain registry.
type old struct {
	image, arm, list, signature, child v1.Descriptor
	layer                              []byte
}

func (x *world) old() (o old) {
	x.t.Helper()
	o.layer = random(100_000)
	o.image = x.image("team/app", "v1", x.blob("team/app", random(300)), x.blob("team/app", o.layer))
	o.arm = x.image("team/app", "", x.blob("team/app", random(300)), x.blob("team/app", o.layer))
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": []v1.Descriptor{o.image, o.arm}})
	if err != nil {
		x.t.Fatal(err)
	}
	o.list = v1.Descriptor{Digest: digest.FromBytes(index)}
	x.want(201, "PUT", "/v2/team/app/manifests/multi", index, "Content-Type", v1.MediaTypeImageIndex)
	m := manifestOf(&o.image, x.blob("team/app", random(200)))
	o.signature = v1.Descriptor{Digest: digest.FromBytes(m)}
	x.want(201, "PUT", "/v2/team/app/manifests/"+o.signature.Digest.String(), m, "Content-Type", v1.MediaTypeImageManifest)
	o.child = x.image("busybox", "latest", x.blob("busybox", random(100)), x.blob("busybox", o.layer))
	gone := x.image("team/app", "", x.blob("team/app", random(50)))
	x.want(202, "DELETE", "/v2/team/app/manifests/"+gone.Digest.String(), nil)
	return o
}

// library puts repositories without a project into one.
func library(repo string) string {
	if strings.Contains(repo, "/") {
		return repo
	}
	return "library/" + repo
}

// pulls everything that the plain registry had.
func (x *world) pulls(o old) {
	x.t.Helper()
	for _, ref := range []string{"team/app/manifests/v1", "team/app/manifests/multi", "library/busybox/manifests/latest",
		"team/app/manifests/" + o.arm.Digest.String(), "team/app/manifests/" + o.signature.Digest.String()} {
		x.want(200, "GET", "/v2/"+ref, nil)
	}
	if a := x.want(200, "GET", "/v2/library/busybox/blobs/"+digest.FromBytes(o.layer).String(), nil); string(a.body) != string(o.layer) {
		x.t.Errorf("the layer has %d bytes", len(a.body))
	}
	a := x.want(200, "GET", "/v2/team/app/referrers/"+o.image.Digest.String(), nil)
	if !strings.Contains(string(a.body), o.signature.Digest.String()) {
		x.t.Errorf("referrers: %s", a.body)
	}
	if got := tagsOf(x.t, x.want(200, "GET", "/v2/team/app/tags/list", nil).body); !slices.Equal(got, []string{"multi", "v1"}) {
		x.t.Errorf("tags %v", got)
	}
}

// TestAPlainRegistryIsTakenOver has distribution write a storage, and takes it over in place, by links, and by copies into
// a bucket.
func TestAPlainRegistryIsTakenOver(t *testing.T) {
	for _, how := range []string{"in place", "in place on S3", "linked", "copied to S3"} {
		for _, kind := range []string{"sqlite", "postgres"} {
			t.Run(how+" "+kind, func(t *testing.T) {
				dir := t.TempDir()
				plainFiles, err := Filesystem(filepath.Join(dir, "plain"))
				if err != nil {
					t.Fatal(err)
				}
				from, own := plainFiles, plainFiles
				o := AdoptOptions{Name: library, By: "adopt"}
				switch how {
				case "in place on S3":
					_, from = newBucket(t)
					own = from
				case "linked":
					if own, err = Filesystem(filepath.Join(dir, "hub")); err != nil {
						t.Fatal(err)
					}
					o.From, o.Link = plainFiles, LinkFiles(filepath.Join(dir, "plain"), filepath.Join(dir, "hub"))
				case "copied to S3":
					_, own = newBucket(t)
					o.From = plainFiles
				}
				was := plainRegistry(t, from).old()
				x := newWorld(t, kind, own, Options{})
				x.project(Project{Name: "team", Quota: -1, RepoQuota: -1})
				x.project(Project{Name: "library", Quota: -1, RepoQuota: -1})
				dry := o
				dry.DryRun = true
				would, err := x.g.Adopt(t.Context(), dry)
				if err != nil {
					t.Fatal(err)
				}
				if would.Repositories != 2 || would.Manifests != 5 || would.Tags != 3 || would.Skipped != 0 {
					t.Errorf("the dry run: %+v", would)
				}
				x.want(404, "GET", "/v2/team/app/tags/list", nil)
				did, err := x.g.Adopt(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				want := Adopted{Repositories: 2, Manifests: 5, Tags: 3, Blobs: 5, Bytes: 100_000 + 300 + 300 + 200 + 100}
				got := map[string]*int{"in place": &want.InPlace, "in place on S3": &want.InPlace, "linked": &want.Linked, "copied to S3": &want.Copied}[how]
				*got = 5
				if !reflect.DeepEqual(did, want) {
					t.Errorf("%+v, want %+v", did, want)
				}
				x.pulls(was)
				again, err := x.g.Adopt(t.Context(), o)
				if err != nil || again.Blobs != 0 || again.Manifests != 0 || again.Tags != 0 || again.Skipped != 0 {
					t.Errorf("once more: %+v %v", again, err)
				}
				x.want(202, "DELETE", "/v2/library/busybox/manifests/"+was.child.Digest.String(), nil)
				x.clock.forward(3 * 60 * 60 * 1e9)
				x.collect()
				h, err := x.g.Fsck(t.Context(), FsckOptions{Hash: true})
				if err != nil || h.Faults > 0 || h.Blobs != 4 {
					t.Errorf("%+v %v", h, err)
				}
			})
		}
	}
}

func TestWhatCannotBeTakenOverIsTold(t *testing.T) {
	dir := t.TempDir()
	files, err := Filesystem(dir)
	if err != nil {
		t.Fatal(err)
	}
	plain := plainRegistry(t, files)
	was := plain.old()
	x := newWorld(t, "sqlite", files, Options{})
	if _, err := x.g.Adopt(t.Context(), AdoptOptions{Name: library, From: x.driver, DryRun: true}); err != nil {
		t.Error(err)
	}
	empty, err := Filesystem(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.g.Adopt(context.Background(), AdoptOptions{Name: library, From: empty}); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("a storage of no registry: %v", err)
	}
	x.project(Project{Name: "team", Quota: -1, RepoQuota: -1})
	// The layer of all images is damaged, and so is a manifest.
	if err := os.Truncate(filepath.Join(dir, plainBlob(digest.FromBytes(was.layer))), 7); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, plainBlob(was.signature.Digest)), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	did, err := x.g.Adopt(t.Context(), AdoptOptions{Name: func(repo string) string { return map[string]string{"team/app": "team/app"}[repo] }, By: "adopt",
		Tags: func(string) (map[string]digest.Digest, error) {
			return map[string]digest.Digest{"lost": digest.FromString("x"), "-bad": was.image.Digest}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, f := range did.First {
		kinds = append(kinds, f.Kind)
	}
	slices.Sort(kinds)
	want := []string{"manifest that cannot be taken over", "manifest that the registry refuses", "manifest without its content", "manifest without its content",
		"tag of a manifest that is not there", "tag that cannot be"}
	if !slices.Equal(kinds, want) || did.Manifests != 0 {
		t.Errorf("%+v", did)
	}
	if h, err := x.g.Fsck(t.Context(), FsckOptions{}); err != nil || h.Faults > 0 {
		t.Errorf("%+v %v", h, err)
	}
}
