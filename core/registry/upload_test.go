package registry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
)

func TestChunkedUploadGoesOnWhereItWas(t *testing.T) {
	each(t, func(x *world) {
		content := random(300_000)
		a := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
		for at := 0; at < len(content); at += 100_000 {
			chunk := content[at : at+100_000]
			at := fmt.Sprintf("%d-%d", at, at+len(chunk)-1)
			a = x.want(202, "PATCH", a.header.Get("Location"), chunk, "Content-Range", at)
			if got := a.header.Get("Range"); !strings.HasSuffix(got, strings.SplitN(at, "-", 2)[1]) {
				t.Errorf("range %s after %s", got, at)
			}
		}
		for _, c := range []struct{ header, code string }{{"5-9", "RANGE_INVALID"}, {"300000-", "RANGE_INVALID"}, {"rubbish", "RANGE_INVALID"}} {
			if b := x.want(416, "PATCH", a.header.Get("Location"), []byte("12345"), "Content-Range", c.header); !slices.Equal(b.errors(), []string{c.code}) {
				t.Errorf("%s: %s", c.header, b.body)
			}
		}
		a = x.want(204, "GET", a.header.Get("Location"), nil)
		x.want(400, "PUT", a.header.Get("Location")+"&digest=rubbish", nil)
		x.want(201, "PUT", a.header.Get("Location")+"&digest="+digest.FromBytes(content).String(), nil)
		x.want(404, "GET", a.header.Get("Location"), nil)
		if got := x.want(200, "GET", "/v2/p/a/blobs/"+digest.FromBytes(content).String(), nil); !bytes.Equal(got.body, content) {
			t.Error("other content came back")
		}
		x.sound()
	})
}

func TestDigests(t *testing.T) {
	each(t, func(x *world) {
		content := random(5000)
		for _, d := range []digest.Digest{digest.SHA256.FromBytes(content), digest.SHA384.FromBytes(content), digest.SHA512.FromBytes(content),
			digest.SHA512.FromBytes(nil), digest.SHA256.FromBytes(nil)} {
			body := content
			if d == d.Algorithm().FromBytes(nil) {
				body = nil
			}
			x.want(201, "POST", "/v2/p/a/blobs/uploads/?digest="+d.String(), body)
			if a := x.want(200, "GET", "/v2/p/a/blobs/"+d.String(), nil); d.Algorithm().FromBytes(a.body) != d {
				t.Errorf("%s: other content came back", d)
			}
			a := x.want(400, "POST", "/v2/p/a/blobs/uploads/?digest="+d.String(), []byte("other"))
			if !slices.Equal(a.errors(), []string{"DIGEST_INVALID"}) {
				t.Errorf("%s: %s", d, a.body)
			}
		}
		x.clock.forward(time.Second)
		x.collect()
		if h := x.sound(); h.Blobs != 5 || h.Objects != 3 { // empty ones have no object, and the refused ones are gone
			t.Errorf("%+v", h)
		}
	})
}

// Two requests cannot write one upload at a time: the second is refused, and the content is what the first one sent.
func TestTwoWritersOfOneUpload(t *testing.T) {
	each(t, func(x *world) {
		a := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
		location := x.url + a.header.Get("Location")
		content := random(2 * bufferSize)
		r, w := io.Pipe()
		first := make(chan *http.Response, 1)
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), "PATCH", location, r)
			req.SetBasicAuth("root", "")
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Error(err)
			}
			first <- res
		}()
		if _, err := w.Write(content[:bufferSize+1]); err != nil { // more than the buffer: the first holds the upload when this returns...
			t.Fatal(err)
		}
		waitFor(t, func() bool { // ...or a moment later
			x.g.busy.mu.Lock()
			defer x.g.busy.mu.Unlock()
			return len(x.g.busy.ids) == 1
		})
		x.want(416, "PATCH", a.header.Get("Location"), random(1000))
		x.want(416, "PUT", a.header.Get("Location")+"&digest="+digest.FromString("x").String(), []byte("x"))
		if _, err := w.Write(content[bufferSize+1:]); err != nil {
			t.Fatal(err)
		}
		w.Close()
		res := <-first
		if res == nil || res.StatusCode != 202 {
			t.Fatalf("%v", res)
		}
		res.Body.Close()
		x.want(201, "PUT", res.Header.Get("Location")+"&digest="+digest.FromBytes(content).String(), nil)
		x.sound()
	})
}

// Two processes on one database keep each other from an upload by its row.
func TestTwoProcessesAndOneUpload(t *testing.T) {
	x := newWorld(t, "postgres", nil, Options{})
	other, err := New(t.Context(), x.store, x.driver, x.g.o)
	if err != nil {
		t.Fatal(err)
	}
	a := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
	q := &request{route: route{name: "p/a"}, caller: &caller{name: "root"}}
	id := a.header.Get("Docker-Upload-UUID")
	mine, err := x.g.findUpload(t.Context(), q, id)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.findUpload(t.Context(), q, id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Write([]byte("mine")); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Write([]byte("theirs")); err == nil || !strings.Contains(err.Error(), "another request") {
		t.Errorf("%v", err)
	}
	if err := mine.Close(); err != nil {
		t.Fatal(err)
	}
	// What they know of the upload is old now.
	if _, err := theirs.Write([]byte("theirs")); err == nil {
		t.Error("an upload that went on was written over")
	}
	// A process that dies lets go after a while.
	if mine, err = x.g.findUpload(t.Context(), q, id); err == nil {
		_, err = mine.Write([]byte("!"))
	}
	if err != nil {
		t.Fatal(err)
	}
	x.clock.forward(claimLife + time.Second)
	if theirs, err = other.findUpload(t.Context(), q, id); err != nil {
		t.Fatal(err)
	}
	if err := theirs.hold(); err != nil {
		t.Errorf("%v", err)
	}
	if err := mine.Close(); err == nil {
		t.Error("the one that was thought dead wrote its size over the other's")
	}
}

// An upload that somebody takes up again after a long time is not collected under their hands.
func TestOldUploadThatGoesOn(t *testing.T) {
	each(t, func(x *world) {
		a := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
		x.clock.forward(25 * time.Hour)
		u, err := x.g.findUpload(t.Context(), &request{route: route{name: "p/a"}, caller: &caller{name: "root"}}, a.header.Get("Docker-Upload-UUID"))
		if err != nil {
			t.Fatal(err)
		}
		content := random(1000)
		if _, err := u.Write(content); err != nil {
			t.Fatal(err)
		}
		x.collect()
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := u.Commit(t.Context(), v1.Descriptor{Digest: digest.FromBytes(content)}); err != nil {
			t.Fatal(err)
		}
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		x.want(200, "GET", "/v2/p/a/blobs/"+digest.FromBytes(content).String(), nil)
	})
}

// The registry was killed in the middle of a chunk: the storage has more or less than the row says. The client is told
// that the upload is gone, and begins another.
func TestUploadThatTheStorageLost(t *testing.T) {
	each(t, func(x *world) {
		for name, spoil := range map[string]func(location string) error{
			"gone":   func(l string) error { return x.driver.Delete(t.Context(), l) },
			"longer": func(l string) error { return x.driver.PutContent(t.Context(), l, random(2000)) },
		} {
			a := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
			a = x.want(202, "PATCH", a.header.Get("Location"), random(1000))
			var location string
			if err := x.store.QueryRow(t.Context(), `SELECT location FROM upload`).Scan(&location); err != nil {
				t.Fatal(err)
			}
			if err := spoil(location); err != nil {
				t.Fatal(err)
			}
			b := x.want(404, "PATCH", a.header.Get("Location"), random(10))
			if !slices.Equal(b.errors(), []string{"BLOB_UPLOAD_UNKNOWN"}) {
				t.Errorf("%s: %s", name, b.body)
			}
			x.want(404, "GET", a.header.Get("Location"), nil)
		}
		x.clock.forward(time.Second)
		x.collect()
		if h := x.sound(); h.Objects != 0 {
			t.Errorf("%+v", h)
		}
	})
}

func TestCancelledUpload(t *testing.T) {
	each(t, func(x *world) {
		a := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
		a = x.want(202, "PATCH", a.header.Get("Location"), random(1000))
		x.want(204, "DELETE", a.header.Get("Location"), nil)
		x.want(404, "DELETE", a.header.Get("Location"), nil)
		x.clock.forward(time.Second)
		x.collect()
		if h := x.sound(); h.Objects != 0 {
			t.Errorf("%+v", h)
		}
	})
}

// An upload belongs to the repository that it began in, and its URL to nobody who changes it.
func TestUploadOfAnotherRepository(t *testing.T) {
	x := newWorld(t, "sqlite", nil, Options{})
	a := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
	location := a.header.Get("Location")
	for _, path := range []string{strings.Replace(location, "/p/a/", "/p/b/", 1), strings.Split(location, "?")[0] + "?_state=rubbish"} {
		x.want(404, "PATCH", path, random(10))
	}
	x.want(404, "GET", strings.Replace(location, "/p/a/", "/p/b/", 1), nil)
}

func TestListsArePaged(t *testing.T) {
	each(t, func(x *world) {
		b := x.blob("p/a", random(10))
		var want []string
		for i := range 25 {
			tag := fmt.Sprintf("%c%02d", "aAzZ_"[i%5], i)
			x.image("p/a", tag, b)
			want = append(want, tag)
		}
		slices.Sort(want)
		var got []string
		path := "/v2/p/a/tags/list?n=10"
		for pages := 0; path != "" && pages < 5; pages++ {
			a := x.want(200, "GET", path, nil)
			got = append(got, tagsOf(t, a.body)...)
			path = strings.TrimSuffix(strings.TrimPrefix(a.header.Get("Link"), "<"), `>; rel="next"`)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if a := x.want(200, "GET", "/v2/p/a/tags/list?n=0", nil); len(tagsOf(t, a.body)) != 0 {
			t.Errorf("%s", a.body)
		}
		// More than is given at once is not refused.
		if a := x.want(200, "GET", "/v2/p/a/tags/list?n=1000000", nil); len(tagsOf(t, a.body)) != 25 {
			t.Errorf("%s", a.body)
		}
	})
}

// Referrers of one manifest are paged too, also when their annotations are what makes the answer large.
func TestReferrersArePaged(t *testing.T) {
	each(t, func(x *world) {
		b := x.blob("p/a", random(10))
		subject := x.image("p/a", "v1", b)
		const n = maxReferrers + 10
		err := x.store.Tx(t.Context(), func(tx *store.Tx) error {
			for i := range n {
				m := &pushed{doc: &document{Annotations: map[string]string{"x": strings.Repeat("x", 30<<10)}}, payload: []byte("{}"),
					Artifact: Artifact{Project: "p", Repository: "p/a",
						Digest: digest.FromString(fmt.Sprint(i)), MediaType: "m", ArtifactType: "t" + fmt.Sprint(i%2), Subject: subject.Digest, Size: 2}}
				if _, err := x.g.keepManifest(tx, m); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]int{"": n, "?artifactType=t1": n / 2, "?artifactType=none": 0} {
			got := 0
			path := "/v2/p/a/referrers/" + subject.Digest.String() + query
			for path != "" {
				a := x.want(200, "GET", path, nil)
				if len(a.body) > maxManifest+64<<10 {
					t.Errorf("an answer of %d bytes", len(a.body))
				}
				got += strings.Count(string(a.body), `"digest"`)
				path = strings.TrimSuffix(strings.TrimPrefix(a.header.Get("Link"), "<"), `>; rel="next"`)
			}
			if got != want {
				t.Errorf("%q: %d, want %d", query, got, want)
			}
		}
	})
}
