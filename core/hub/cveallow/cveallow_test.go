package cveallow

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/errdef"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAProjectHasItsOwnListOrTheHubs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		db := open(registry.Schema(), Schema())
		now := time.Unix(1_800_000_000, 0)
		lists := New(db, func() time.Time { return now })
		keep := func(l List) error {
			return db.Tx(t.Context(), func(tx *store.Tx) error { return lists.Keep(tx, l) })
		}
		must(t, db.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO project (name, public, quota, repo_quota, used, repos, created) VALUES ('shop', FALSE, -1, -1, 0, 0, 0)`)
			return err
		}))
		const shop = 1
		own := map[string]string{ReuseName: "false"}
		allows := func(metadata map[string]string, names ...string) bool {
			t.Helper()
			set, err := lists.Counting(t.Context(), db, shop, metadata)
			must(t, err)
			return set.Allows(names...)
		}
		if l, err := lists.Of(t.Context(), db, Hub); err != nil || l.ID != 0 || l.Items == nil || len(l.Items) != 0 {
			t.Errorf("a list that nobody set: %+v, %v", l, err)
		}
		must(t, keep(List{Project: Hub, Items: []string{" CVE-2024-0001 "}}))
		must(t, keep(List{Project: shop, Items: []string{"GHSA-aaaa-bbbb-cccc"}, Expires: now.Add(time.Hour)}))
		must(t, keep(List{Project: shop, Items: []string{"GHSA-aaaa-bbbb-cccc", "CVE-2024-0002"}, Expires: now.Add(time.Hour)}))
		for _, c := range []struct {
			metadata map[string]string
			names    []string
			want     bool
		}{
			{nil, []string{"cve-2024-0001"}, true},
			{nil, []string{"CVE-2024-0002"}, false},
			{own, []string{"CVE-2024-0001"}, false},
			{own, []string{"CVE-2024-9999", "CVE-2024-0002"}, true},
			{own, nil, false},
		} {
			if got := allows(c.metadata, c.names...); got != c.want {
				t.Errorf("%v of %v: %v", c.names, c.metadata, got)
			}
		}
		l, err := lists.Of(t.Context(), db, shop)
		must(t, err)
		if !slices.Equal(l.Items, []string{"GHSA-aaaa-bbbb-cccc", "CVE-2024-0002"}) || !l.Expires.Equal(now.Add(time.Hour)) || l.Project != shop {
			t.Errorf("%+v", l)
		}
		now = now.Add(time.Hour)
		if allows(own, "CVE-2024-0002") {
			t.Error("a list that has expired counts")
		}
		must(t, keep(List{Project: shop, Items: []string{"CVE-2024-0002"}}))
		if !allows(own, "CVE-2024-0002") {
			t.Error("a list that never expires does not count")
		}
		must(t, db.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM project WHERE id = $1`, shop)
			return err
		}))
		if l, err := lists.Of(t.Context(), db, shop); err != nil || l.ID != 0 {
			t.Errorf("the project is gone: %+v, %v", l, err)
		}
	})
}

func TestAListThatCannotBeIsRefused(t *testing.T) {
	many := make([]string, MaxItems+1)
	for i := range many {
		many[i] = fmt.Sprint("CVE-2024-", i)
	}
	for name, items := range map[string][]string{"many": many, "empty": {" "}, "twice": {"CVE-1", "cve-1"}, "no ID": {"CVE 1"}, "control": {"CVE\n1"}} {
		if _, err := (List{Items: items}).tidy(); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if l, err := (List{Items: many[:MaxItems]}).tidy(); err != nil || len(l.Items) != MaxItems {
		t.Errorf("%d items: %v", len(l.Items), err)
	}
}
