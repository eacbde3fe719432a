package registry

import (
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
)

// held is an upload of content that its request holds.
func (x *world) held(repo string, content []byte) *writer {
	x.t.Helper()
	d := digest.FromBytes(content)
	q := &request{route: route{name: repo}, caller: &caller{name: "root"}}
	u, err := x.g.newUpload(x.t.Context(), q, true, d)
	if err == nil {
		_, err = u.Write(content)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return u
}

// A push goes by what it was told when it began. Whatever changes until it ends, it ends as if it had been told at the end.
func TestWhatChangesUnderAPushOfABlob(t *testing.T) {
	for name, c := range map[string]struct {
		change func(x *world, u *writer, content []byte)
		taken  bool // by somebody else, so that the push fails
		used   int64
	}{
		"nothing":                           {used: 1000, change: func(*world, *writer, []byte) {}},
		"somebody else brings the content":  {used: 1000, change: func(x *world, _ *writer, content []byte) { x.blob("p/b", content) }},
		"somebody brings it to another one": {used: 1000, change: func(x *world, _ *writer, content []byte) { x.blob("other/b", content) }},
		"the repository goes": {used: 1000, change: func(x *world, _ *writer, _ []byte) {
			x.exec(`DELETE FROM repo_blob`)
			x.exec(`DELETE FROM project_blob`)
			x.exec(`DELETE FROM blob`)
			x.exec(`DELETE FROM repo`)
			x.exec(`UPDATE project SET used = 0, repos = 0`)
		}},
		"the quota is used up": {taken: true, change: func(x *world, _ *writer, _ []byte) { x.exec(`UPDATE project SET quota = 900`) }},
		"the upload goes":      {taken: true, change: func(x *world, u *writer, _ []byte) { x.exec(`DELETE FROM upload WHERE id = $1`, u.id) }},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(x *world) {
				x.project(Project{Name: "other", Quota: -1, RepoQuota: -1})
				x.blob("p/a", nil) // the repository
				content := random(1000)
				u := x.held("p/a", content)
				if !u.fresh() {
					t.Fatal("the push does not know that its content is new")
				}
				c.change(x, u, content)
				_, err := u.Commit(t.Context(), v1.Descriptor{Digest: digest.FromBytes(content)})
				if (err != nil) != c.taken {
					t.Errorf("%v", err)
				}
				if err := u.Cancel(t.Context()); err != nil && !c.taken {
					t.Error(err)
				}
				p, err := x.g.FindProject(t.Context(), x.store, "p")
				if err != nil || p.Used != c.used {
					t.Errorf("%d bytes are used, %v, want %d", p.Used, err, c.used)
				}
				x.sound()
			})
		})
	}
}

// The same for a manifest, which is new when its push begins.
func TestWhatChangesUnderAPushOfAManifest(t *testing.T) {
	for name, c := range map[string]struct {
		change string
		code   int
	}{
		"nothing":                {`UPDATE repo SET updated = updated`, http.StatusCreated},
		"the tag is taken":       {`INSERT INTO tag (repo_id, name, manifest_id, pushed) SELECT repo_id, 'v2', id, 1 FROM manifest`, http.StatusCreated},
		"a blob goes":            {`DELETE FROM repo_blob WHERE digest <> (SELECT MIN(digest) FROM repo_blob)`, http.StatusBadRequest},
		"the quota is used up":   {`UPDATE project SET quota = used`, http.StatusForbidden},
		"the same one was there": {``, http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(x *world) {
				config, layer := x.blob("p/a", random(100)), x.blob("p/a", random(100))
				x.image("p/a", "v1", config)
				body := manifestOf(nil, config, layer)
				if c.change == "" {
					x.want(http.StatusCreated, "PUT", "/v2/p/a/manifests/v0", body, "Content-Type", v1.MediaTypeImageManifest)
				}
				fresh, err := readDocument(v1.MediaTypeImageManifest, body)
				if err != nil {
					t.Fatal(err)
				}
				m := &pushed{doc: fresh, payload: body, tags: []string{"v2"}, by: "root", Artifact: Artifact{Project: "p", Repository: "p/a", Digest: digest.FromBytes(body),
					MediaType: fresh.MediaType, ArtifactType: fresh.ArtifactType, Size: int64(len(body)), Total: fresh.total(int64(len(body)))}}
				p, _, err := x.g.foresee(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				if c.change != "" {
					x.exec(c.change)
				}
				err = x.store.Tx(t.Context(), func(tx *store.Tx) error { return x.g.writeFresh(tx, p, m) })
				if nothing := name == "nothing"; nothing != (err == nil) || !nothing && !store.IsConstraint(err) {
					t.Errorf("%v", err)
				}
				x.want(c.code, "PUT", "/v2/p/a/manifests/v2", body, "Content-Type", v1.MediaTypeImageManifest)
				var manifests, counted int
				err = x.store.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM manifest), (SELECT manifests FROM repo)`).Scan(&manifests, &counted)
				if err != nil || manifests != counted {
					t.Errorf("%d manifests, %d counted, %v", manifests, counted, err)
				}
			})
		})
	}
}

// What requests of one client cost on PostgreSQL, in messages that it waits for or that go on meanwhile. With several clients at
// once they share the looks at the stamp and the flushes.
func TestRoundTripsOfRequests(t *testing.T) {
	x := newWorld(t, "postgres", nil, Options{})
	x.image("p/a", "v0", x.blob("p/a", random(10))) // the connection learns the statements
	content := random(100)
	blob := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromBytes(content), Size: int64(len(content))}
	for _, c := range []struct {
		name string
		most int64
		do   func()
	}{
		{"HEAD of a blob that is not there", 1, func() { x.want(404, "HEAD", "/v2/p/a/blobs/"+blob.Digest.String(), nil) }},
		{"a blob by POST, PATCH and PUT", 10, func() { x.blob("p/a", content) }},
		{"a manifest", 4, func() { x.image("p/a", "v1", blob) }},
		{"a manifest by its tag", 2, func() { x.want(200, "GET", "/v2/p/a/manifests/v1", nil) }},
		{"... again", 1, func() { x.want(200, "GET", "/v2/p/a/manifests/v1", nil) }},
		{"a blob", 1, func() { x.want(200, "GET", "/v2/p/a/blobs/"+blob.Digest.String(), nil) }},
		{"a list of tags", 2, func() { x.want(200, "GET", "/v2/p/a/tags/list", nil) }},
		{"... again, while nothing changes", 1, func() { x.want(200, "GET", "/v2/p/a/tags/list", nil) }},
	} {
		before := x.store.RoundTrips()
		c.do()
		if n := x.store.RoundTrips() - before; n > c.most {
			t.Errorf("%s: %d messages, want at most %d", c.name, n, c.most)
		} else {
			t.Logf("%s: %d messages", c.name, n)
		}
	}
}
