package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const (
	image     = `{"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip"}]}`
	signature = `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json"}]}`
)

// TestHasImageLayer has the tricks by which an image would pass for something else.
func TestHasImageLayer(t *testing.T) {
	for manifest, want := range map[string]bool{
		image:     true,
		signature: false,
		`{}`:      false,
		`{"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip"}],"layers":[]}`: true,
		`{"layers":[{"mediaType":"\u0061pplication/vnd.oci.image.LAYER.v1.tar"}],"Layers":[]}`:       true,
		`{"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json"},"layers":[]}`:         false,
		`{"layers":what`: true,
		// What Docker's puller takes for a layer of an image.
		`{"layers":[{"mediaType":"application/octet-stream","size":1}]}`:     true,
		`{"layers":[{"mediaType":"application/vnd.acme"},{"mediaType":""}]}`: true,
		`{"layers":[{"size":1}]}`:                                      true,
		`{"LAYERS":[{"MediaType":"text/html"}]}`:                       true,
		`{"layers":[{"mediaType":"application/vnd.docker.anything"}]}`: true,
		`{"layers":[{"mediaType":5}]}`:                                 true,
		`{"layers":["x"]}`:                                             true,
		`{"layers":[{"mediaType":"application/vnd.acme","mediaType":"application/json"}]}`:                                            true,
		`{"config":{"mediaType":"application/json"},"layers":[{"annotations":{"mediaType":""},"mediaType":"application/jose+json"}]}`: false,
		`{"a":[{"layers":[{}]}],"layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip"}]}`:                      false,
	} {
		if got := HasImageLayer([]byte(manifest)); got != want {
			t.Errorf("%s: %t", manifest, got)
		}
	}
}

// byMetadata refuses where the project says so.
type byMetadata string

func (b byMetadata) Check(_ context.Context, s Subject) (*Refusal, error) {
	switch s.Metadata[string(b)] {
	case "fail":
		return nil, errors.New("cannot say")
	case "true":
		return &Refusal{Rule: string(b), Why: "it breaks " + string(b), Do: "Ask"}, nil
	}
	return nil, nil
}

func TestTheFirstRuleThatRefusesAnswers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		db := open(registry.Schema(), settings.Schema())
		ctx := t.Context()
		set := func(name, value string) {
			t.Helper()
			if err := db.Tx(ctx, func(tx *store.Tx) error { return settings.SetMetadata(tx, 1, name, value) }); err != nil {
				t.Fatal(err)
			}
		}
		at := func(manifest string) registry.Artifact {
			return registry.Artifact{Project: "p", Repository: "p/a", Digest: digest.FromString(manifest), MediaType: v1.MediaTypeImageManifest}
		}
		err := db.Tx(ctx, func(tx *store.Tx) error {
			for _, q := range []string{
				`INSERT INTO project (name, public, created, quota, repo_quota, repos) VALUES ('p', FALSE, 0, -1, -1, 1)`,
				`INSERT INTO repo (project_id, name, created, updated, manifests) SELECT id, 'p/a', 0, 0, 1 FROM project WHERE name = 'p'`,
			} {
				if _, err := tx.Exec(q); err != nil {
					return err
				}
			}
			for _, m := range []string{image, signature} {
				if _, err := tx.Exec(`INSERT INTO manifest (repo_id, digest, media_type, artifact_type, annotations, size, total, pushed, pushed_by)
					SELECT id, $1, '', '', '{}', 1, 1, 0, '' FROM repo`, at(m).Digest.String()); err != nil {
					return err
				}
				if _, err := tx.Exec(`INSERT INTO manifest_payload (manifest_id, payload) SELECT id, $1 FROM manifest WHERE digest = $2`, []byte(m),
					at(m).Digest.String()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		a := New(db, settings.New(db, nil), byMetadata("one"), byMetadata("two"))
		ask := func(s Subject) string {
			s.Purpose, s.ProjectID, s.Tag = Pull, 1, "v1"
			moment, err := db.Moment(ctx)
			if err != nil {
				t.Fatal(err)
			}
			r, s, err := a.Ask(moment, s)
			if err != nil {
				return "error: " + err.Error()
			}
			if r == nil {
				return ""
			}
			return fmt.Sprint(r.Rule, ": ", r.Text(s))
		}
		if got := ask(Subject{Artifact: at(image)}); got != "" {
			t.Errorf("no rule is on: %s", got)
		}
		set("two", "true")
		if got := ask(Subject{Artifact: at(image)}); got != "two: p/a:v1 cannot be pulled: it breaks two. Ask." {
			t.Error(got)
		}
		set("one", "true")
		if got := ask(Subject{Artifact: at(image)}); !strings.HasPrefix(got, "one: ") {
			t.Error(got)
		}
		if got := ask(Subject{Artifact: at(signature)}); got != "" {
			t.Errorf("a signature: %s", got)
		}
		if got := ask(Subject{Artifact: at(image), Own: true}); got != "" {
			t.Errorf("the hub itself: %s", got)
		}
		index := at(signature)
		index.MediaType = v1.MediaTypeImageIndex
		if got := ask(Subject{Artifact: index}); got == "" {
			t.Error("an index passes")
		}
		set("one", "fail")
		if got := ask(Subject{Artifact: at(signature)}); got != "error: cannot say" {
			t.Error(got)
		}
	})
}

func FuzzHasImageLayer(f *testing.F) {
	f.Add([]byte(image))
	f.Add([]byte(`{"layers":[{"mediaType":"application/json"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m struct {
			Layers []struct{ MediaType string }
		}
		if json.Unmarshal(b, &m) != nil {
			return
		}
		for _, l := range m.Layers {
			if pulled(l.MediaType) && !HasImageLayer(b) {
				t.Fatalf("%s is an image to Docker", b)
			}
		}
	})
}
