package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	registrytypes "github.com/docker/docker/api/types/registry"
	dockerimage "github.com/docker/docker/image"
)

func diffOf(data []byte) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error { _, err := w.Write(data); return err }
}

func emptyTar(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func tag(t *testing.T, s *Service, id, name string) reference.Named {
	t.Helper()
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backend().TagImage(t.Context(), dockerimage.ID(id), ref); err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestCommitAddsALayer(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	base := r.push("app", "1", false, gz(files(10, "a"), files(20, "b")))
	pull(t, s, r.host()+"/app:1")
	parent := base.manifest.Digest.String()
	writes := f.writeCount()
	id, err := s.Commit(t.Context(), CommitRequest{Parent: parent, Author: "me", Comment: "why", CreatedBy: "sh -c x",
		Config: &container.Config{Cmd: []string{"new"}, Env: []string{"B=2"}}, Diff: diffOf(files(7, "c"))})
	if err != nil {
		t.Fatal(err)
	}
	if f.writeCount() != writes+1 {
		t.Errorf("%d layers were written", f.writeCount()-writes)
	}
	tag(t, s, id, "mine:1")
	got, err := s.Resolve(t.Context(), "mine:1")
	if err != nil || got.ID != id || got.Size != 37 || !slices.Equal(got.Config.Cmd, []string{"new"}) || got.Layer == base.chains[1] {
		t.Errorf("resolved %+v, %v", got, err)
	}
	history, err := s.Backend().ImageHistory(t.Context(), "mine:1", nil)
	if err != nil || len(history) == 0 || history[0].Comment != "why" || history[0].CreatedBy != "sh -c x" {
		t.Errorf("history %+v, %v", history, err)
	}
	// What it was made of may go; the new image stays whole.
	remove(t, s, r.host()+"/app:1", false)
	if again, err := s.Resolve(t.Context(), "mine:1"); err != nil || again.Layer != got.Layer {
		t.Errorf("after the parent's removal: %+v, %v", again, err)
	}
}

func TestCommitOfNothingKeepsTheLayers(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	base := r.push("app", "1", true, gz(files(10, "a")))
	pull(t, s, r.host()+"/app:1")
	req := CommitRequest{Parent: base.manifest.Digest.String(), Config: &container.Config{Cmd: []string{"x"}}, Diff: diffOf(emptyTar(t))}
	id, err := s.Commit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Resolve(t.Context(), id)
	if err != nil || got.Layer != base.chains[0] || f.writeCount() != 1 {
		t.Errorf("%+v, %v, %d writes", got, err, f.writeCount())
	}
}

func TestCommitThatFailsLeavesNothing(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	base := r.push("app", "1", true, gz(files(10, "a")))
	pull(t, s, r.host()+"/app:1")
	broken := errors.New("the container has stopped")
	req := CommitRequest{Parent: base.manifest.Digest.String(), Diff: func(_ context.Context, w io.Writer) error {
		_, _ = w.Write(files(5, "b")[:600])
		return broken
	}}
	if _, err := s.Commit(t.Context(), req); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := s.CollectGarbage(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want(t, base.chains...)
	if all := list(t, s); len(all) != 1 {
		t.Errorf("%d images", len(all))
	}
	if _, err := s.Commit(t.Context(), CommitRequest{Parent: "sha256:" + strings.Repeat("0", 64), Diff: diffOf(nil)}); err == nil ||
		!strings.Contains(err.Error(), "is not there any more") {
		t.Errorf("without its parent: %v", err)
	}
}

func TestPushSendsOnlyWhatIsMissing(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	base := r.push("app", "1", true, gz(files(10, "a"), files(20, "b")))
	pull(t, s, r.host()+"/app:1")
	id, err := s.Commit(t.Context(), CommitRequest{Parent: base.manifest.Digest.String(), Config: &container.Config{}, Diff: diffOf(files(7, "c"))})
	if err != nil {
		t.Fatal(err)
	}
	ref := tag(t, s, id, r.host()+"/app:2")
	var uploads atomic.Int32
	r.setBend(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if q.Method == http.MethodPut && strings.Contains(q.URL.Path, "/uploads/") {
			uploads.Add(1)
		}
		next.ServeHTTP(w, q)
	})
	if err := s.Backend().PushImage(t.Context(), ref, nil, nil, &registrytypes.AuthConfig{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if n := uploads.Load(); n != 2 { // the new layer and the configuration
		t.Errorf("%d blobs were sent, want 2", n)
	}
	other := open(t, t.TempDir(), newFakeLayers())
	pull(t, other, r.host()+"/app:2")
	if got, err := other.Resolve(t.Context(), r.host()+"/app:2"); err != nil || got.ID != id || got.Size != 37 {
		t.Errorf("on another host: %+v, %v", got, err)
	}
}
