package storage

import (
	"slices"
	"testing"
)

func TestBlobsOutliveTheDriver(t *testing.T) {
	r := newRig(t)
	b := r.Blobs("networks")
	list := func(want ...string) {
		t.Helper()
		got, err := r.Blobs("networks").List(t.Context(), ".json")
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	list()
	for _, name := range []string{"a.json", "b.json", "c.txt"} {
		if err := b.Put(t.Context(), name, []byte("1"+name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Put(t.Context(), "a.json", []byte("2")); err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	list("a.json", "b.json")
	if data, err := r.Blobs("networks").Get(t.Context(), "a.json"); err != nil || string(data) != "2" {
		t.Errorf("%q, %v", data, err)
	}
	for range 2 {
		if err := r.Blobs("networks").Remove(t.Context(), "a.json"); err != nil {
			t.Error(err)
		}
	}
	list("b.json")
}
