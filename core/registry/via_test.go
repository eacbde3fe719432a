package registry

import (
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/replicate"
)

// pushes keeps the last push.
type pushes struct{ last Event }

func (p *pushes) Changing(_ *store.Tx, e Event) error {
	p.last = e
	return nil
}

func (p *pushes) Happened(context.Context, Event) {}

func TestAPushTellsWhereItComesFromAndWhetherItChangesAnything(t *testing.T) {
	p := &pushes{}
	x := newWorld(t, "sqlite", nil, Options{Observer: p})
	const kind = "application/vnd.oci.image.index.v1+json"
	index := func(n string) []byte {
		return []byte(`{"schemaVersion":2,"mediaType":"` + kind + `","manifests":[],"annotations":{"n":"` + n + `"}}`)
	}
	put := func(code int, ref, n string, via ...string) {
		t.Helper()
		header := []string{"Content-Type", kind}
		if len(via) > 0 {
			header = append(header, replicate.HeaderVia, strings.Join(via, ", "))
		}
		x.want(code, "PUT", "/v2/p/a/manifests/"+ref, index(n), header...)
	}
	put(201, "1", "a", "one", "two")
	if strings.Join(p.last.Via, " ") != "one two" || p.last.Unchanged {
		t.Errorf("%+v", p.last)
	}
	put(201, "1", "a")
	if p.last.Via != nil || !p.last.Unchanged {
		t.Errorf("the same again: %+v", p.last)
	}
	put(201, "2", "a")
	if p.last.Unchanged {
		t.Errorf("another tag: %+v", p.last)
	}
	put(201, "1", "b")
	if p.last.Unchanged {
		t.Errorf("the tag moves: %+v", p.last)
	}
	// What went out from here and comes back moves no tag, and makes none.
	put(403, "1", "a", "other", x.g.ID())
	put(403, "3", "a", x.g.ID())
	put(201, "1", "b", x.g.ID())
	put(201, digest.FromBytes(index("c")).String(), "c", x.g.ID())
	if got := x.stored("p/a", "1").Digest; got != digest.FromBytes(index("b")) {
		t.Errorf("the tag means %s", got)
	}
	put(400, "1", "a", strings.Repeat("x", replicate.MaxID+1))
	put(400, "1", "a", strings.Split(strings.Repeat("x ", replicate.MaxVia+1), " ")...)
	again, err := New(t.Context(), x.store, x.driver, x.g.o)
	if err != nil || again.ID() != x.g.ID() || x.g.ID() == "" {
		t.Errorf("another process: %q, %q, %v", again.ID(), x.g.ID(), err)
	}
}

// A process that dies while it takes content has written more than it has said; who asks goes on behind that.
func TestAnUploadGoesOnBehindWhatADeadProcessWrote(t *testing.T) {
	each(t, func(x *world) {
		content := random(3 * bufferSize)
		a := x.want(202, "POST", "/v2/p/a/blobs/uploads/", nil)
		a = x.want(202, "PATCH", a.header.Get("Location"), content[:1000], "Content-Range", "0-999")
		u, err := x.g.findUpload(t.Context(), &request{route: route{name: "p/a"}, caller: &caller{name: "root"}}, a.header.Get("Docker-Upload-UUID"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Write(content[1000:bufferSize]); err != nil {
			t.Fatal(err)
		}
		if err := u.file.Close(); err != nil { // as the kernel does for the dead
			t.Fatal(err)
		}
		x.g.busy.give(u.id)
		x.clock.forward(claimLife + 1)
		a = x.want(204, "GET", a.header.Get("Location"), nil)
		if got := a.header.Get("Range"); got != "0-262143" {
			t.Fatalf("it has %s", got)
		}
		a = x.want(202, "PATCH", a.header.Get("Location"), content[bufferSize:], "Content-Range", "262144-786431")
		x.want(201, "PUT", a.header.Get("Location")+"&digest="+digest.FromBytes(content).String(), nil)
		x.sound()
	})
}
