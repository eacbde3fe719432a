package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// heldTags is a Policy that holds the tags of one name, and lets one repository's artifacts not be pulled.
type heldTags struct {
	laissezFaire
	tag, closed string
}

func (h *heldTags) Immutable(_ context.Context, _ *store.Tx, _ Artifact, tag string) (bool, error) {
	return tag == h.tag, nil
}

func (h *heldTags) MayPull(_ context.Context, _ Caller, a Artifact, _ string) error {
	if a.Repository == h.closed {
		return Violation("not scanned")
	}
	return nil
}

// index pushes an index of manifests.
func (x *world) index(repo, ref string, manifests ...v1.Descriptor) v1.Descriptor {
	x.t.Helper()
	i := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: manifests}
	i.SchemaVersion = 2
	b, err := json.Marshal(i)
	if err != nil {
		x.t.Fatal(err)
	}
	x.want(201, "PUT", "/v2/"+repo+"/manifests/"+ref, b, "Content-Type", v1.MediaTypeImageIndex)
	return v1.Descriptor{MediaType: v1.MediaTypeImageIndex, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// about pushes a manifest whose subject is another one, by a tag or, for "", its digest.
func (x *world) about(repo, ref string, subject *v1.Descriptor) v1.Descriptor {
	x.t.Helper()
	b := manifestOf(subject, x.blob(repo, random(20)))
	d := digest.FromBytes(b)
	if ref == "" {
		ref = d.String()
	}
	x.want(201, "PUT", "/v2/"+repo+"/manifests/"+ref, b, "Content-Type", v1.MediaTypeImageManifest)
	return v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d, Size: int64(len(b))}
}

func request0(t *testing.T) *http.Request {
	return httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
}

func (x *world) stored(repo, ref string) Stored {
	x.t.Helper()
	r, err := x.g.Repository(x.t.Context(), repo)
	if err != nil {
		x.t.Fatal(err)
	}
	m, err := x.g.Manifest(x.t.Context(), r, ref)
	if err != nil {
		x.t.Fatal(err)
	}
	return m
}

func TestAManifestGetsOneMoreTag(t *testing.T) {
	each(t, func(x *world) {
		m := x.image("p/a", "v1", x.blob("p/a", random(20)))
		x.events.take()
		root := &caller{name: "root"}
		if err := x.g.Tag(request0(x.t), root, "p/a", m.Digest, "v2"); err != nil {
			x.t.Fatal(err)
		}
		if got := x.events.take(); !slices.Equal(got, []string{"root push p/a [v2]"}) {
			x.t.Errorf("%q", got)
		}
		if got := tagsOf(x.t, x.want(200, "GET", "/v2/p/a/tags/list", nil).body); !slices.Equal(got, []string{"v1", "v2"}) {
			x.t.Errorf("%q", got)
		}
		if err := x.g.Tag(request0(x.t), root, "p/a", m.Digest, "v1"); !errors.Is(err, errdef.ErrExists) {
			x.t.Errorf("a tag that is there: %v", err)
		}
		for _, c := range []struct {
			repo, tag string
			d         digest.Digest
			want      int
		}{{"p/a", "-", m.Digest, 400}, {"p/b", "v1", m.Digest, 404}, {"p/a", "v3", digest.FromString("x"), 404}, {"q/a", "v1", m.Digest, 404}} {
			if code, _, _ := Status(x.g.Tag(request0(x.t), root, c.repo, c.d, c.tag)); code != c.want {
				x.t.Errorf("%+v: %d", c, code)
			}
		}
	})
}

func TestACopyTakesAlongWhatBelongsToIt(t *testing.T) {
	each(t, func(x *world) {
		policy := &heldTags{}
		x.g.policy = policy
		x.project(Project{Name: "q", Quota: -1, RepoQuota: -1})
		one, two := x.image("p/a", "", x.blob("p/a", random(20)), x.blob("p/a", random(30))), x.image("p/a", "", x.blob("p/a", random(20)))
		root := x.index("p/a", "v1", one, two)
		x.image("p/a", "other", x.blob("p/a", random(20)))
		signature := x.about("p/a", "", &root)
		sbom := x.about("p/a", "", &one)
		ofSBOM := x.about("p/a", "", &sbom)
		both := x.about("p/a", companionTag(root.Digest)+".sig", &root)
		old := x.image("p/a", companionTag(root.Digest)+".att", x.blob("p/a", random(20)))
		by := &caller{name: "root"}
		if d, err := x.g.Copy(request0(x.t), by, "p/a", "v1", "q/b"); err != nil || d != root.Digest {
			x.t.Fatal(d, err)
		}
		for _, d := range []digest.Digest{root.Digest, one.Digest, two.Digest, signature.Digest, sbom.Digest, ofSBOM.Digest, both.Digest, old.Digest} {
			x.want(200, "GET", "/v2/q/b/manifests/"+d.String(), nil)
		}
		want := []string{companionTag(root.Digest) + ".att", companionTag(root.Digest) + ".sig", "v1"}
		if got := tagsOf(x.t, x.want(200, "GET", "/v2/q/b/tags/list", nil).body); !slices.Equal(got, want) {
			x.t.Errorf("%q, want %q", got, want)
		}
		var q, p Project
		var err error
		if q, err = x.g.FindProject(x.t.Context(), x.store, "q"); err != nil {
			x.t.Fatal(err)
		}
		if p, err = x.g.FindProject(x.t.Context(), x.store, "p"); err != nil {
			x.t.Fatal(err)
		}
		if q.Used == 0 || q.Used >= p.Used {
			x.t.Errorf("the copy is billed %d bytes, its source %d", q.Used, p.Used)
		}
		// Again changes nothing, and by digest it brings no tag of its own.
		if _, err := x.g.Copy(request0(x.t), by, "p/a", root.Digest.String(), "q/b"); err != nil {
			x.t.Error(err)
		}
		if _, err := x.g.Copy(request0(x.t), by, "p/a", one.Digest.String(), "q/c"); err != nil {
			x.t.Error(err)
		}
		if got := tagsOf(x.t, x.want(200, "GET", "/v2/q/c/tags/list", nil).body); len(got) != 0 {
			x.t.Errorf("%q", got)
		}
		if fsck, err := x.g.Fsck(x.t.Context(), FsckOptions{}); err != nil || fsck.Faults > 0 {
			x.t.Errorf("%+v %v", fsck, err)
		}
		// A tag that is held does not move, and nothing of the copy stays.
		policy.tag = "v1"
		x.image("q/d", "v1", x.blob("q/d", random(20)))
		if code, _, _ := Status(copied(x, "p/a", "v1", "q/d")); code != 412 {
			x.t.Errorf("a copy over an immutable tag: %d", code)
		}
		x.want(404, "GET", "/v2/q/d/manifests/"+root.Digest.String(), nil)
		policy.closed = "p/a"
		if code, _, _ := Status(copied(x, "p/a", "other", "q/e")); code != 412 {
			x.t.Errorf("a copy of what may not be pulled: %d", code)
		}
		for ref, want := range map[string]int{"nothing": 404, digest.FromString("x").String(): 404, "-": 400, "sha256:x": 400} {
			if code, _, _ := Status(copied(x, "p/a", ref, "q/e")); code != want {
				x.t.Errorf("%s: %d, want %d", ref, code, want)
			}
		}
		if code, _, _ := Status(copied(x, "p/nothing", "v1", "q/e")); code != 404 {
			x.t.Errorf("from nowhere: %d", code)
		}
		if err := copied(x, "p/a", "v1", "p/a"); !errors.Is(err, errdef.ErrInvalid) {
			x.t.Errorf("to itself: %v", err)
		}
	})
}

func copied(x *world, from, ref, to string) error {
	_, err := x.g.Copy(request0(x.t), &caller{name: "root"}, from, ref, to)
	return err
}

func TestTheTimeOfTheLastPull(t *testing.T) {
	each(t, func(x *world) {
		m := x.image("p/a", "v1", x.blob("p/a", random(20)))
		x.image("p/a", "v2", x.blob("p/a", random(20)))
		if s := x.stored("p/a", "v1"); !s.Pulled.IsZero() || !s.Tags[0].Pulled.IsZero() {
			x.t.Errorf("%+v", s)
		}
		at := time.UnixMilli(1_800_000_000_000)
		pull := func(at time.Time, tags ...string) {
			err := x.store.Tx(x.t.Context(), func(tx *store.Tx) error {
				return MarkPulled(tx, Event{Time: at, Artifact: Artifact{Repository: "p/a", Digest: m.Digest}, Tags: tags})
			})
			if err != nil {
				x.t.Fatal(err)
			}
		}
		pull(at, "v1")
		pull(at.Add(time.Hour))
		pull(at.Add(-time.Hour), "v1")
		if s := x.stored("p/a", "v1"); !s.Pulled.Equal(at.Add(time.Hour)) || !s.Tags[0].Pulled.Equal(at) {
			x.t.Errorf("%+v", s)
		}
		if s := x.stored("p/a", "v2"); !s.Pulled.IsZero() {
			x.t.Errorf("%+v", s)
		}
	})
}

func TestARuleRemovesOnlyWhatItSaw(t *testing.T) {
	each(t, func(x *world) {
		policy := &heldTags{tag: "keep"}
		x.g.policy = policy
		one := x.image("p/a", "v1", x.blob("p/a", random(20)))
		root := x.index("p/a", "all", one)
		x.about("p/a", "", &root)
		x.image("p/a", companionTag(root.Digest)+".sig", x.blob("p/a", random(20)))
		x.image("p/a", "keep", x.blob("p/a", random(20)))
		x.image("p/a", "", x.blob("p/a", random(20)))
		r, err := x.g.Repository(x.t.Context(), "p/a")
		if err != nil {
			x.t.Fatal(err)
		}
		var seen []string
		err = x.g.EachCandidate(x.t.Context(), r, func(c Candidate) error {
			name := "untagged"
			if len(c.Tags) > 0 {
				name = c.Tags[0].Name
			}
			if c.Named {
				name += " named"
			}
			seen = append(seen, name)
			return nil
		})
		if err != nil || !slices.Equal(seen, []string{"v1 named", "all", "keep", "untagged"}) {
			x.t.Errorf("%q %v", seen, err)
		}
		x.events.take()
		expire := func(s Stored) error { return x.g.Expire(x.t.Context(), "retention", s) }
		for ref, why := range map[string]string{"v1": "names it", "keep": "immutable"} {
			if err := expire(x.stored("p/a", ref)); !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), why) {
				x.t.Errorf("%s: %v", ref, err)
			}
		}
		// What changed since it was seen stays.
		before := x.stored("p/a", "all")
		if err := x.g.Tag(request0(x.t), &caller{name: "root"}, "p/a", root.Digest, "more"); err != nil {
			x.t.Fatal(err)
		}
		if err := expire(before); !errors.Is(err, errdef.ErrConflict) {
			x.t.Errorf("tagged since: %v", err)
		}
		before = x.stored("p/a", "all")
		err = x.store.Tx(x.t.Context(), func(tx *store.Tx) error {
			return MarkPulled(tx, Event{Time: x.clock.now(), Artifact: Artifact{Repository: "p/a", Digest: root.Digest}})
		})
		if err != nil {
			x.t.Fatal(err)
		}
		if err := expire(before); !errors.Is(err, errdef.ErrConflict) {
			x.t.Errorf("pulled since: %v", err)
		}
		x.events.take()
		before = x.stored("p/a", "all")
		if err := expire(before); err != nil {
			x.t.Fatal(err)
		}
		if got := x.events.take(); !slices.Equal(got, []string{"retention delete p/a [all more]"}) {
			x.t.Errorf("%q", got)
		}
		x.want(404, "GET", "/v2/p/a/manifests/all", nil)
		if err := expire(before); !errors.Is(err, errdef.ErrNotFound) {
			x.t.Errorf("twice: %v", err)
		}
		if err := expire(x.stored("p/a", "v1")); err != nil { // no index names it any more
			x.t.Error(err)
		}
	})
}
