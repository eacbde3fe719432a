package registry

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// Fifty who push at once get exactly what the quota has room for, and what they do not get costs nothing.
func TestQuotaIsExactUnderConcurrentPushes(t *testing.T) {
	each(t, func(x *world) {
		const size, room = 1000, 23
		x.project(Project{Name: "small", Quota: size*room + size/2, RepoQuota: -1})
		var in, out atomic.Int64
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				content := random(size)
				path := fmt.Sprintf("/v2/small/r%d/blobs/uploads/?digest=%s", i%7, digest.FromBytes(content))
				switch a := x.call("POST", path, content); {
				case a.code == http.StatusCreated:
					in.Add(1)
				case a.code == http.StatusForbidden && slices.Equal(a.errors(), []string{"DENIED"}) && strings.Contains(string(a.body), "exceed"):
					out.Add(1)
				default:
					t.Errorf("%d %s", a.code, a.body)
				}
			})
		}
		wg.Wait()
		p, err := x.g.FindProject(t.Context(), x.store, "small")
		if err != nil || in.Load() != room || out.Load() != 50-room || p.Used != size*room {
			t.Errorf("%d in, %d out, %+v, %v", in.Load(), out.Load(), p, err)
		}
		x.clock.forward(3 * time.Hour)
		x.collect()
		if p, err = x.g.FindProject(t.Context(), x.store, "small"); err != nil || p.Used != 0 {
			t.Errorf("after all of it was collected: %+v, %v", p, err)
		}
	})
}

func TestQuotaOfRepositoriesIsExact(t *testing.T) {
	each(t, func(x *world) {
		x.project(Project{Name: "few", Quota: -1, RepoQuota: 5})
		var in atomic.Int64
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				content := random(10)
				a := x.call("POST", fmt.Sprintf("/v2/few/r%d/blobs/uploads/?digest=%s", i, digest.FromBytes(content)), content)
				if a.code == http.StatusCreated {
					in.Add(1)
				} else if a.code != http.StatusForbidden {
					t.Errorf("%d %s", a.code, a.body)
				}
			})
		}
		wg.Wait()
		if p, err := x.g.FindProject(t.Context(), x.store, "few"); err != nil || in.Load() != 5 || p.Repos != 5 {
			t.Errorf("%d in, %+v, %v", in.Load(), p, err)
		}
		x.sound()
	})
}

// A project pays for content once, however many of its repositories have it, and each project for itself.
func TestContentIsPaidForOncePerProject(t *testing.T) {
	each(t, func(x *world) {
		x.project(Project{Name: "q", Quota: -1, RepoQuota: -1})
		content := random(1000)
		for _, repo := range []string{"p/a", "p/b", "p/b", "q/a"} {
			x.blob(repo, content)
		}
		for _, name := range []string{"p", "q"} {
			if p, err := x.g.FindProject(t.Context(), x.store, name); err != nil || p.Used != 1000 {
				t.Errorf("%+v %v", p, err)
			}
		}
		if h := x.sound(); h.Blobs != 1 {
			t.Errorf("%+v", h)
		}
	})
}

// A blob that is larger than the whole quota is refused while it comes, and leaves nothing in the storage.
func TestBlobLargerThanTheQuota(t *testing.T) {
	each(t, func(x *world) {
		x.project(Project{Name: "small", Quota: 1 << 20, RepoQuota: -1})
		a := x.want(202, "POST", "/v2/small/a/blobs/uploads/", nil)
		a = x.want(403, "PATCH", a.header.Get("Location"), random(2<<20))
		if !slices.Equal(a.errors(), []string{"DENIED"}) {
			t.Errorf("%s", a.body)
		}
		x.clock.forward(time.Second)
		x.collect()
		if h := x.sound(); h.Objects != 0 {
			t.Errorf("%+v", h)
		}
	})
}

func TestProjects(t *testing.T) {
	each(t, func(x *world) {
		for _, name := range []string{"", "A", "a b", "-a", "a-", "a--b", "a/b", strings.Repeat("a", 64)} {
			err := x.store.Tx(t.Context(), func(tx *store.Tx) error { _, err := x.g.CreateProject(tx, Project{Name: name}); return err })
			if err == nil || !strings.Contains(err.Error(), "lower-case") {
				t.Errorf("%q: %v", name, err)
			}
		}
		p := x.project(Project{Name: "library", Public: true, Quota: 10, RepoQuota: -1})
		p.Public, p.Quota = false, -1
		if err := x.store.Tx(t.Context(), func(tx *store.Tx) error { return x.g.UpdateProject(tx, p) }); err != nil {
			t.Fatal(err)
		}
		if got, err := x.g.FindProject(t.Context(), x.store, "library"); err != nil || got.Public || got.Quota != -1 || got.ID != p.ID {
			t.Errorf("%+v %v", got, err)
		}
		list, more, err := x.g.ListProjects(t.Context(), "", 1)
		if err != nil || !more || list[0].Name != "library" {
			t.Errorf("%+v %v %v", list, more, err)
		}
	})
}
