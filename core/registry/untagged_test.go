package registry

import (
	"encoding/json"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// A run that removes manifests without a tag where no rule does leaves what is young, what an index names and what has a
// tag; a dry run tells the same.
func TestARunThatRemovesUntaggedManifests(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			x := newWorld(t, kind, nil, Options{Policy: &rules{keep: -1}})
			child := x.image("p/a", "", x.blob("p/a", random(100)))
			index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{child}}
			index.SchemaVersion = 2
			body, err := json.Marshal(index)
			if err != nil {
				t.Fatal(err)
			}
			x.want(201, "PUT", "/v2/p/a/manifests/multi", body, "Content-Type", v1.MediaTypeImageIndex)
			tagged := x.image("p/a", "v1", x.blob("p/a", random(100)))
			old := x.image("p/b", "", x.blob("p/b", random(100)))
			lost := x.image("p/b", "v1", x.blob("p/b", random(100)))
			run := func(want int, o CollectOptions) {
				t.Helper()
				for _, dry := range []bool{true, false} {
					o.DryRun, o.Batch = dry, 2
					if c, err := x.g.Collect(t.Context(), o); err != nil || c.Manifests != want {
						t.Errorf("dry run %t: %+v, %v; want %d manifests", dry, c, err, want)
					}
				}
			}
			run(0, CollectOptions{Untagged: true})
			x.clock.forward(2 * time.Hour)
			x.want(202, "DELETE", "/v2/p/b/manifests/v1", nil)
			young := x.image("p/b", "", x.blob("p/b", random(100)))
			run(0, CollectOptions{})
			run(2, CollectOptions{Untagged: true})
			for _, d := range []v1.Descriptor{old, lost} {
				x.want(404, "GET", "/v2/p/b/manifests/"+d.Digest.String(), nil)
			}
			x.want(200, "GET", "/v2/p/b/manifests/"+young.Digest.String(), nil)
			for _, d := range []v1.Descriptor{child, tagged} {
				x.want(200, "GET", "/v2/p/a/manifests/"+d.Digest.String(), nil)
			}
			x.sound()
		})
	}
}
