package image

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/filters"
	imagetypes "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/errdefs"
)

func TestHeldLayersSurviveTheirImage(t *testing.T) {
	r, f, root := newTestRegistry(t), newFakeLayers(), t.TempDir()
	s := open(t, root, f)
	img := r.push("app", "1", true, gz(files(10, "a"), files(10, "b"), files(10, "c")))
	pull(t, s, r.host()+"/app:1")
	for range 2 { // again is no error
		if err := s.Hold(t.Context(), "c1", img.chains[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Hold(t.Context(), "scratch", ""); err != nil {
		t.Fatal(err)
	}
	remove(t, s, r.host()+"/app:1", false)
	f.want(t, img.chains[:2]...)

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, root, f)
	held, err := s.Holds(t.Context())
	if err != nil || len(held) != 2 || held["c1"] != img.chains[1] || held["scratch"] != "" {
		t.Errorf("holds %v, %v", held, err)
	}
	for range 2 {
		if err := s.Release(t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CollectGarbage(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want(t)
}

func TestLayerThatStorageKeepsIsTriedAgain(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	img := r.push("app", "1", true, gz(files(10, "a"), files(10, "b")))
	pull(t, s, r.host()+"/app:1")
	f.pin(img.chains[1], true)
	remove(t, s, r.host()+"/app:1", false)
	f.want(t, img.chains...)

	pull(t, s, r.host()+"/app:1") // it comes back into use
	if f.writeCount() != 2 {
		t.Errorf("%d writes, want 2", f.writeCount())
	}
	remove(t, s, r.host()+"/app:1", false)
	f.want(t, img.chains...)
	f.pin(img.chains[1], false)
	if err := s.CollectGarbage(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want(t)
}

func TestImageInUseIsNotRemoved(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	var used []ContainerUse
	s := open(t, t.TempDir(), f, func(o *Options) { o.UsedBy = func() []ContainerUse { return used } })
	img := r.push("app", "1", true, gz(files(10, "a")))
	name := r.host() + "/app:1"
	pull(t, s, name)
	id := img.manifest.Digest.String()
	for _, tc := range []struct {
		ref     string
		force   bool
		running bool
		want    string
	}{
		{name, false, true, "conflict: unable to delete " + name + " (must be forced) - container 0123456789ab is using its referenced image"},
		{name, false, false, "conflict: unable to delete " + name + " (must be forced)"},
		{id, false, false, "(must be forced) - image is being used by stopped container 0123456789ab"},
		{id, true, true, "(cannot be forced) - image is being used by running container 0123456789ab"},
	} {
		used = []ContainerUse{{ID: strings.Repeat("0123456789abcdef", 4), Name: "/web", ImageID: id, Ref: name, Running: tc.running}}
		_, err := s.Backend().ImageDelete(t.Context(), tc.ref, imagetypes.RemoveOptions{Force: tc.force, PruneChildren: true})
		if err == nil || !errdefs.IsConflict(err) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("rmi %s (force %v, running %v): got %v, want %q", tc.ref, tc.force, tc.running, err, tc.want)
		}
	}
	all := func() filters.Args { return filters.NewArgs(filters.Arg("dangling", "false")) }
	if _, err := s.Backend().ImagesPrune(t.Context(), all()); err != nil {
		t.Fatal(err)
	}
	f.want(t, img.chains...)
	used = nil
	if _, err := s.Backend().ImagesPrune(t.Context(), all()); err != nil {
		t.Fatal(err)
	}
	if err := s.CollectGarbage(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want(t)
}

func TestSearchSaysWhatToDo(t *testing.T) {
	s := open(t, t.TempDir(), newFakeLayers())
	_, err := s.Backend().Search(t.Context(), filters.NewArgs(), "x", 1, nil, nil)
	if !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "not supported") {
		t.Errorf("got %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{},
		{Root: t.TempDir(), Layers: newFakeLayers(), Registries: Registries{Mirrors: []string{"ftp://x"}}},
		{Root: t.TempDir(), Layers: newFakeLayers(), Registries: Registries{Insecure: []string{"http://"}}},
	} {
		if s, err := New(t.Context(), o); err == nil {
			_ = s.Close()
			t.Errorf("%+v was accepted", o)
		}
	}
}
