package hub

import (
	"log/slog"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// A pull is kept with its manifest and its tag; a push that the quota refused is none.
func TestThePullOfAnArtifactIsRemembered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		db := open(schemas()...)
		log := slog.New(slog.DiscardHandler)
		e := newEvents(audit.New(db, log, nil), db, log)
		d := digest.FromString("x")
		err := db.Tx(t.Context(), func(tx *store.Tx) error {
			for _, q := range []string{
				`INSERT INTO project (name, public, created, quota, repo_quota, repos) VALUES ('p', FALSE, 0, -1, -1, 1)`,
				`INSERT INTO repo (project_id, name, created, updated, manifests) SELECT id, 'p/a', 0, 0, 1 FROM project WHERE name = 'p'`,
				`INSERT INTO manifest (repo_id, digest, media_type, artifact_type, annotations, size, total, pushed, pushed_by)
					SELECT id, '` + d.String() + `', '', '', '{}', 1, 1, 0, '' FROM repo WHERE name = 'p/a'`,
				`INSERT INTO tag (repo_id, name, manifest_id, pushed) SELECT repo_id, 'v1', id, 0 FROM manifest`,
			} {
				if _, err := tx.Exec(q); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		at := time.UnixMilli(1_800_000_000_000)
		x := registry.Event{Kind: registry.EventPull, Time: at, Artifact: registry.Artifact{Project: "p", Repository: "p/a", Digest: d}, Tags: []string{"v1"}}
		refused := x
		refused.Kind, refused.Time = registry.EventQuota, at.Add(time.Hour)
		before := x
		before.Time = at.Add(-time.Minute)
		for _, each := range []registry.Event{before, x, refused} {
			e.write(t.Context(), each, time.After(0))
		}
		e.mark(t.Context())
		var manifest, tag int64
		err = db.QueryRow(t.Context(), `SELECT m.pulled, t.pulled FROM manifest m JOIN tag t ON t.manifest_id = m.id`).Scan(&manifest, &tag)
		if err != nil || manifest != at.UnixMilli() || tag != at.UnixMilli() {
			t.Errorf("%d %d %v, want %d", manifest, tag, err, at.UnixMilli())
		}
	})
}
