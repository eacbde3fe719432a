package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
)

// collect runs the collector and the check.
func (x *world) collect() Collected {
	x.t.Helper()
	c, err := x.g.Collect(x.t.Context(), CollectOptions{Batch: 3})
	if err != nil {
		x.t.Fatal(err)
	}
	x.sound()
	return c
}

// dry runs the collector dry.
func (x *world) dry() Collected {
	x.t.Helper()
	c, err := x.g.Collect(x.t.Context(), CollectOptions{Batch: 3, DryRun: true})
	if err != nil {
		x.t.Fatal(err)
	}
	return c
}

// sound fails the test unless rows, objects and hashes fit.
func (x *world) sound() Health {
	x.t.Helper()
	h, err := x.g.Fsck(x.t.Context(), FsckOptions{Hash: true})
	if err != nil {
		x.t.Fatal(err)
	}
	for _, f := range h.First {
		x.t.Errorf("%s: %s", f.Kind, f.What)
	}
	return h
}

func (x *world) delete(repo string, d digest.Digest) {
	x.t.Helper()
	x.want(202, "DELETE", "/v2/"+repo+"/manifests/"+d.String(), nil)
}

// What only a deleted image needed goes when its graces are over, and not before; what another needs stays.
func TestCollectorRemovesWhatNothingNeeds(t *testing.T) {
	each(t, func(x *world) {
		shared, own := random(5000), random(7000)
		config := x.blob("p/a", random(100))
		both := x.blob("p/a", shared)
		kept := x.image("p/a", "kept", config, both)
		gone := x.image("p/a", "gone", config, both, x.blob("p/a", own))
		x.blob("p/b", own[:3000]) // pushed, and never named by a manifest
		x.delete("p/a", gone.Digest)
		if c := x.collect(); c.Unlinked+c.Objects > 0 {
			t.Errorf("within the grace: %+v", c)
		}
		x.clock.forward(x.g.o.Grace + time.Second)
		would := x.dry()
		if would.Unlinked != 2 || would.Objects != 2 || would.Bytes != 10000 {
			t.Errorf("dry run: %+v", would)
		}
		first := x.collect()
		if first.Unlinked != 2 || first.Objects != 0 {
			t.Errorf("first run: %+v", first)
		}
		x.clock.forward(x.g.o.TrashGrace + time.Second)
		// The first run empties p/b. It removes it too if that took less than the clock's millisecond, else the second does.
		if c := x.collect(); c.Objects != would.Objects || c.Bytes != would.Bytes || first.Repositories+c.Repositories != 1 {
			t.Errorf("first run: %+v, second run: %+v", first, c)
		}
		if h := x.sound(); h.Blobs != 2 || h.Objects != 2 {
			t.Errorf("left: %+v", h)
		}
		x.want(200, "GET", "/v2/p/a/manifests/"+kept.Digest.String(), nil)
		x.want(200, "GET", "/v2/p/a/blobs/"+digest.FromBytes(shared).String(), nil)
		x.want(404, "GET", "/v2/p/a/blobs/"+digest.FromBytes(own).String(), nil)
		p, err := x.g.FindProject(t.Context(), x.store, "p")
		if err != nil || p.Used != 5100+kept.Size || p.Repos != 1 {
			t.Errorf("%+v %v", p, err)
		}
	})
}

// A blob that is in the trash already and is pushed again gets an object of its own, and is not lost with the old one.
func TestBlobThatComesBack(t *testing.T) {
	each(t, func(x *world) {
		content := random(4000)
		m := x.image("p/a", "v1", x.blob("p/a", content))
		x.delete("p/a", m.Digest)
		x.clock.forward(2 * time.Hour)
		x.collect()
		x.image("p/a", "v2", x.blob("p/a", content))
		x.clock.forward(2 * time.Hour)
		if c := x.collect(); c.Objects != 1 {
			t.Errorf("%+v", c)
		}
		x.want(200, "GET", "/v2/p/a/blobs/"+digest.FromBytes(content).String(), nil)
	})
}

// One who finds a blob with HEAD does not send it again: it stays for the manifest that will name it.
func TestHeadPromisesABlob(t *testing.T) {
	each(t, func(x *world) {
		b := x.blob("p/a", random(500))
		x.clock.forward(59 * time.Minute)
		x.want(200, "HEAD", "/v2/p/a/blobs/"+b.Digest.String(), nil)
		x.clock.forward(30 * time.Minute)
		x.collect()
		x.image("p/a", "v1", b)
	})
}

func TestBlobThatAManifestNeedsIsNotDeleted(t *testing.T) {
	each(t, func(x *world) {
		b := x.blob("p/a", random(500))
		m := x.image("p/a", "v1", b)
		path := "/v2/p/a/blobs/" + b.Digest.String()
		if a := x.want(405, "DELETE", path, nil); !strings.Contains(string(a.body), m.Digest.String()) {
			t.Errorf("%s", a.body)
		}
		x.want(200, "GET", path, nil)
		x.delete("p/a", m.Digest)
		x.want(202, "DELETE", path, nil)
		x.want(404, "GET", path, nil)
		x.want(404, "DELETE", path, nil)
		x.sound()
	})
}

// rules is a Policy of fields.
type rules struct {
	laissezFaire
	pull      error
	immutable string
	keep      time.Duration
}

func (r *rules) MayPull(context.Context, Caller, Artifact, string) error { return r.pull }
func (r *rules) Immutable(_ context.Context, _ *store.Tx, _ Artifact, tag string) (bool, error) {
	return tag == r.immutable, nil
}
func (r *rules) Untagged(context.Context, string) (time.Duration, error) { return r.keep, nil }

// Manifests without a tag go when the project says so, but not the ones that an index names.
func TestUntaggedManifests(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			r := &rules{keep: -1}
			x := newWorld(t, kind, nil, Options{Policy: r})
			child := x.image("p/a", "", x.blob("p/a", random(100)))
			index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{child}}
			index.SchemaVersion = 2
			body, err := json.Marshal(index)
			if err != nil {
				t.Fatal(err)
			}
			x.want(201, "PUT", "/v2/p/a/manifests/multi", body, "Content-Type", v1.MediaTypeImageIndex)
			old := x.image("p/a", "v1", x.blob("p/a", random(100)))
			x.image("p/a", "v1", x.blob("p/a", random(100)))
			x.collect()
			x.want(200, "GET", "/v2/p/a/manifests/"+old.Digest.String(), nil)

			r.keep = 24 * time.Hour
			p, err := x.g.FindProject(t.Context(), x.store, "p")
			if err != nil {
				t.Fatal(err)
			}
			err = x.store.Tx(t.Context(), func(tx *store.Tx) error {
				_, err := x.g.ReviewUntagged(tx, p.ID)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			x.clock.forward(23 * time.Hour)
			if c := x.collect(); c.Manifests != 0 {
				t.Errorf("an hour too early: %+v", c)
			}
			x.clock.forward(2 * time.Hour)
			if would := x.dry(); would.Manifests != 1 || would.Unlinked != 1 || would.Bytes != 100 {
				t.Errorf("dry run: %+v", would)
			}
			x.events.take()
			if c := x.collect(); c.Manifests != 1 {
				t.Errorf("%+v", c)
			}
			if got := fmt.Sprint(x.events.take()); got != "[gc delete p/a []]" {
				t.Errorf("events %s", got)
			}
			x.want(404, "GET", "/v2/p/a/manifests/"+old.Digest.String(), nil)
			x.want(200, "GET", "/v2/p/a/manifests/"+child.Digest.String(), nil)
		})
	}
}

// What hangs on a manifest goes with it: referrers, and referrers of those, cosign's tags and OCI's fallback index. What
// somebody tagged stays.
func TestReferrersGoWithTheirSubject(t *testing.T) {
	each(t, func(x *world) {
		b := x.blob("p/a", random(100))
		m := x.image("p/a", "v1", b)
		attach := func(subject v1.Descriptor, ref string) v1.Descriptor {
			body := manifestOf(&subject, b)
			d := digest.FromBytes(body)
			if ref == "" {
				ref = d.String()
			}
			a := x.want(201, "PUT", "/v2/p/a/manifests/"+ref, body, "Content-Type", v1.MediaTypeImageManifest)
			if a.header.Get("OCI-Subject") != subject.Digest.String() {
				t.Errorf("%v", a.header)
			}
			return v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d, Size: int64(len(body))}
		}
		sbom := attach(m, "")
		signature := attach(sbom, "")
		named := attach(m, "my-sbom")
		cosign := x.image("p/a", companionTag(m.Digest)+".sig", b)
		other := x.image("p/a", companionTag(m.Digest)+"x", b)
		fallback := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{sbom}}
		fallback.SchemaVersion = 2
		body, err := json.Marshal(fallback)
		if err != nil {
			t.Fatal(err)
		}
		x.want(201, "PUT", "/v2/p/a/manifests/"+companionTag(m.Digest), body, "Content-Type", v1.MediaTypeImageIndex)
		x.clock.forward(2 * time.Hour)
		if c := x.collect(); c.Manifests != 0 {
			t.Errorf("with the subject there: %+v", c)
		}
		x.delete("p/a", m.Digest)
		x.clock.forward(2 * time.Hour)
		would, did := x.dry(), 0
		for range 4 { // one for each step of the chain
			did += x.collect().Manifests
			x.clock.forward(2 * time.Hour)
		}
		if would.Manifests != 4 || did != 4 {
			t.Errorf("%d would go and %d went, not 4", would.Manifests, did)
		}
		for d, want := range map[digest.Digest]int{sbom.Digest: 404, signature.Digest: 404, cosign.Digest: 404, digest.FromBytes(body): 404,
			named.Digest: 200, other.Digest: 200} {
			if a := x.call("GET", "/v2/p/a/manifests/"+d.String(), nil); a.code != want {
				t.Errorf("%s: %d, want %d", d, a.code, want)
			}
		}
		if a := x.want(200, "GET", "/v2/p/a/tags/list", nil); string(a.body) != fmt.Sprintf(`{"name":"p/a","tags":["my-sbom","%sx"]}`, companionTag(m.Digest)) {
			t.Errorf("%s", a.body)
		}
	})
}

// An upload that nobody goes on with goes after a day, with what there is of it in the storage.
func TestForgottenUploads(t *testing.T) {
	each(t, func(x *world) {
		begun := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
		half := x.want(202, "PATCH", begun.header.Get("Location"), random(1000))
		x.clock.forward(23 * time.Hour)
		x.collect()
		x.want(204, "GET", half.header.Get("Location"), nil)
		x.clock.forward(2 * time.Hour)
		if would := x.dry(); would.Uploads != 1 || would.Bytes != 1000 {
			t.Errorf("dry run: %+v", would)
		}
		if c := x.collect(); c.Uploads != 1 || c.Objects != 1 || c.Bytes != 1000 {
			t.Errorf("%+v", c)
		}
		x.want(404, "GET", half.header.Get("Location"), nil)
		if h := x.sound(); h.Objects != 0 {
			t.Errorf("%+v", h)
		}
	})
}

// stubborn is a storage that does not delete.
type stubborn struct {
	storagedriver.StorageDriver
	err error
}

func (s *stubborn) Delete(ctx context.Context, path string) error {
	if s.err != nil {
		return s.err
	}
	return s.StorageDriver.Delete(ctx, path)
}

// An object that the storage does not remove holds up nothing, is told, and is tried again.
func TestStorageThatDoesNotDelete(t *testing.T) {
	files, err := Filesystem(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &stubborn{StorageDriver: files, err: errors.New("the bucket is locked")}
	x := newWorld(t, "sqlite", s, Options{})
	x.blob("p/a", random(100))
	x.clock.forward(2 * time.Hour)
	x.collect()
	x.clock.forward(2 * time.Hour)
	c, err := x.g.Collect(t.Context(), CollectOptions{})
	if err == nil || !strings.Contains(err.Error(), "locked") || c.Failed != 1 || c.Objects != 0 {
		t.Errorf("%+v %v", c, err)
	}
	s.err = nil
	x.clock.forward(retryTrash + time.Second)
	if c := x.collect(); c.Objects != 1 {
		t.Errorf("%+v", c)
	}
}

// A run stops between two batches, and another goes on where it was.
func TestCollectorStopsAndGoesOn(t *testing.T) {
	each(t, func(x *world) {
		for range 10 {
			x.blob("p/a", random(100))
		}
		x.clock.forward(2 * time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		c, err := x.g.Collect(ctx, CollectOptions{Batch: 4, Progress: func(Collected) { cancel() }})
		if !errors.Is(err, context.Canceled) || c.Reviewed != 4 {
			t.Errorf("%+v %v", c, err)
		}
		if c := x.collect(); c.Unlinked != 10-4 && c.Unlinked != 10-3 { // one of the first four may be the repository's row
			t.Errorf("%+v", c)
		}
	})
}

// Fsck finds what is wrong: each of these is one fault.
func TestFsckFindsFaults(t *testing.T) {
	for name, spoil := range map[string]func(x *world, b v1.Descriptor, location string) error{
		"object missing": func(x *world, _ v1.Descriptor, l string) error { return x.driver.Delete(x.t.Context(), l) },
		"object changed": func(x *world, b v1.Descriptor, l string) error {
			return x.driver.PutContent(x.t.Context(), l, random(int(b.Size)))
		},
		"object cut off": func(x *world, _ v1.Descriptor, l string) error {
			return x.driver.PutContent(x.t.Context(), l, []byte("x"))
		},
		"object unknown": func(x *world, _ v1.Descriptor, _ string) error {
			return x.driver.PutContent(x.t.Context(), root+"aa/unknown", []byte("x"))
		},
		"sum wrong": func(x *world, _ v1.Descriptor, _ string) error {
			return x.store.Tx(x.t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(`UPDATE project SET used = used + 1`); return err })
		},
		"need unmet": func(x *world, b v1.Descriptor, _ string) error {
			return x.store.Tx(x.t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`UPDATE manifest_ref SET digest = $1`, digest.FromString("other").String())
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newWorld(t, "sqlite", nil, Options{})
			b := x.blob("p/a", random(300))
			x.image("p/a", "v1", b)
			x.sound()
			var location string
			if err := x.store.QueryRow(t.Context(), `SELECT location FROM blob`).Scan(&location); err != nil {
				t.Fatal(err)
			}
			if err := spoil(x, b, location); err != nil {
				t.Fatal(err)
			}
			h, err := x.g.Fsck(t.Context(), FsckOptions{Hash: true})
			if err != nil || h.Faults != 1 {
				t.Errorf("%+v %v", h, err)
			}
		})
	}
}
