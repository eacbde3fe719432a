package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/replicate"
)

// A registry that begins an answer and never ends it holds a task up for a while, and not for as long as a task may take.
func TestAnAnswerThatDoesNotEnd(t *testing.T) {
	memory := newMemory()
	stuck := func(what string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead || !strings.Contains(r.URL.Path, what) {
				memory.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
	}
	good := newPlace(t, memory, basic)
	m, _ := image("a/b", "1", nil, []*place{good}, 1000)
	d := newDriver(1<<20, 0)
	d.patience = time.Second
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	bad := newPlace(t, stuck("/tags/list"), basic)
	err := d.List(ctx, replicate.ListRequest{Remote: bad.endpoint(name), Repositories: []string{"a/b"}}, func([]replicate.Artifact) error { return nil })
	if !errors.Is(err, errdef.ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("List: %v", err)
	}
	bad = newPlace(t, stuck("/manifests/"), basic)
	to := newPlace(t, newMemory(), basic)
	_, err = d.Copy(ctx, replicate.CopyRequest{ID: "1", From: bad.endpoint(name), To: to.endpoint(name), Repository: "a/b", ToRepository: "a/b", ToTag: "1",
		Digest: m.Digest.String(), Parallel: 1}, nil)
	if !errors.Is(err, errdef.ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("Copy: %v", err)
	}
}
