// Package replicatetest is the conformance suite for replicate drivers: what replicate.Driver promises, as
// tests. A driver's author calls Suite with a factory.
package replicatetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/replicate"
)

// Store is an endpoint and what a test can see of it, not through the driver.
type Store struct {
	Endpoint replicate.Endpoint
	// Tag is the digest of a tag, empty if there is none.
	Tag func(t *testing.T, repository, tag string) string
	// Referrers counts the artifacts that refer to a digest.
	Referrers func(t *testing.T, repository, digest string) int
	// Received is how many bytes of blobs arrived so far.
	Received func(t *testing.T) int64
	// Break lets the store break the connection once, after so many more bytes of blobs.
	Break func(t *testing.T, after int64)
}

// Fixture is a driver and two stores: the remote that it is for, and the host's registry.
type Fixture struct {
	Driver replicate.Driver
	// Capabilities are the component's. Cases for others see that the method is errdef.ErrUnsupported.
	Capabilities  []string
	Remote, Local Store
	// Artifacts are at both, with tags, sizes, and at least two in one repository. The first has
	// Referrers referrers. Their layers differ, so that none is at the destination before the copy.
	Artifacts []replicate.Artifact
	Referrers int
	// Large is one more, with more than 10 * Chunk bytes, of which the driver sends Chunk at a time.
	Large replicate.Artifact
	Chunk int64
	// Corrupt, if set, is at both, and something of it is not what its digest says.
	Corrupt *replicate.Artifact
	// Gone is an endpoint that does not answer. Denied has a credential that is not accepted. Wrong is an
	// endpoint of another kind.
	Gone, Denied, Wrong replicate.Endpoint
	// Timeout of one call; 0 means 10 s.
	Timeout time.Duration
}

// Factory makes a fixture for one test; what it makes ends with t.
type Factory func(t *testing.T) Fixture

// Suite runs all cases.
func Suite(t *testing.T, factory Factory) {
	cases := []struct {
		name string
		need string // a capability
		run  func(t *testing.T, s *suite)
	}{
		{"Describe tells a kind and schemes", "", describe},
		{"methods without their capability are ErrUnsupported", "", unsupported},
		{"Check tells good endpoints from bad ones", "", check},
		{"a call whose context has ended says so", "", canceled},
		{"List gives all that match", replicate.CapPull, list},
		{"List ends when nobody wants more", replicate.CapPull, listEnds},
		{"a copy from the remote, and again", replicate.CapPull, func(t *testing.T, s *suite) { copies(t, s, s.Remote, s.Local) }},
		{"a copy to the remote, and again", replicate.CapPush, func(t *testing.T, s *suite) { copies(t, s, s.Local, s.Remote) }},
		{"what Copy refuses", "", refuses},
		{"a tag moves only if it may", "", override},
		{"referrers come along", replicate.CapReferrers, referrers},
		{"a copy that broke leaves no tag, and goes on", "", broken},
		{"what is not what its digest says does not arrive", "", corrupt},
		{"a checkpoint of nobody is no error", "", checkpoint},
		{"a copy ends when progress says so", "", stops},
		{"Delete removes what is meant", replicate.CapDelete, deletes},
		{"Prepare again changes nothing", replicate.CapPrepare, prepare},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{Fixture: factory(t)}
			if s.Timeout == 0 {
				s.Timeout = 10 * time.Second
			}
			if c.need != "" && !s.has(c.need) {
				t.Skipf("the driver does not have the capability %q", c.need)
			}
			c.run(t, s)
		})
	}
}

type suite struct{ Fixture }

func (s *suite) has(capability string) bool { return slices.Contains(s.Capabilities, capability) }

func (s *suite) ctx(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	t.Cleanup(cancel)
	return ctx
}

func want(t *testing.T, call string, err, class error) {
	t.Helper()
	if class == nil && err != nil || class != nil && !errors.Is(err, class) {
		t.Errorf("%s: got %v, want %v", call, err, class)
	}
}

// way is a source and a destination that the driver copies between.
func (s *suite) way(t *testing.T) (from, to Store) {
	switch {
	case s.has(replicate.CapPull):
		return s.Remote, s.Local
	case s.has(replicate.CapPush):
		return s.Local, s.Remote
	}
	t.Skip("the driver copies nothing")
	return from, to
}

// request is a copy of an artifact to another repository.
func request(a replicate.Artifact, from, to Store) replicate.CopyRequest {
	return replicate.CopyRequest{ID: "copy-1", From: from.Endpoint, To: to.Endpoint, Repository: a.Repository, Digest: a.Digest,
		ToRepository: "copies/" + a.Repository, ToTag: a.Tag, Parallel: 1}
}

// record keeps the last progress, and sees that it never falls.
type record struct {
	t    *testing.T
	last replicate.Progress
	n    int
}

func (r *record) progress(p replicate.Progress) error {
	if p.Bytes < r.last.Bytes || p.Skipped < r.last.Skipped {
		r.t.Errorf("progress %d bytes, %d skipped after %d, %d", p.Bytes, p.Skipped, r.last.Bytes, r.last.Skipped)
	}
	if p.Checkpoint == "" {
		p.Checkpoint = r.last.Checkpoint
	}
	r.last = p
	r.n++
	return nil
}

func (s *suite) copy(t *testing.T, req replicate.CopyRequest) replicate.Result {
	t.Helper()
	r := &record{t: t}
	res, err := s.Driver.Copy(s.ctx(t), req, r.progress)
	if err != nil {
		t.Fatalf("Copy: %v", err)
	}
	return res
}

func describe(t *testing.T, s *suite) {
	d, err := s.Driver.Describe(s.ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if d.Kind == "" || d.Title == "" || len(d.Schemes) == 0 {
		t.Errorf("description %+v lacks something", d)
	}
	for _, c := range s.Capabilities {
		if !slices.Contains(replicate.Capabilities(), c) {
			t.Errorf("the capability %q is none", c)
		}
	}
}

func unsupported(t *testing.T, s *suite) {
	const repository = "library/app"
	for capability, call := range map[string]func(ctx context.Context) error{
		replicate.CapPull: func(ctx context.Context) error {
			return s.Driver.List(ctx, replicate.ListRequest{Remote: s.Remote.Endpoint}, func([]replicate.Artifact) error { return nil })
		},
		replicate.CapDelete: func(ctx context.Context) error {
			return s.Driver.Delete(ctx, replicate.DeleteRequest{Remote: s.Remote.Endpoint, Repository: repository, Tag: "none"})
		},
		replicate.CapPrepare: func(ctx context.Context) error {
			return s.Driver.Prepare(ctx, replicate.PrepareRequest{Remote: s.Remote.Endpoint, Repository: repository})
		},
	} {
		if !s.has(capability) {
			want(t, capability, call(s.ctx(t)), errdef.ErrUnsupported)
		}
	}
}

func check(t *testing.T, s *suite) {
	status, err := s.Driver.Check(s.ctx(t), replicate.CheckRequest{Remote: s.Remote.Endpoint})
	if err != nil || !status.MayPull && s.has(replicate.CapPull) || !status.MayPush && s.has(replicate.CapPush) {
		t.Errorf("Check: %+v, %v", status, err)
	}
	for _, c := range []struct {
		name     string
		endpoint replicate.Endpoint
		class    error
	}{
		{"an endpoint that does not answer", s.Gone, errdef.ErrUnavailable},
		{"a credential that is wrong", s.Denied, errdef.ErrDenied},
		{"an endpoint of another kind", s.Wrong, errdef.ErrInvalid},
	} {
		if c.endpoint.URL == "" {
			continue // the kind has none
		}
		_, err := s.Driver.Check(s.ctx(t), replicate.CheckRequest{Remote: c.endpoint})
		want(t, "Check of "+c.name, err, c.class)
	}
}

func canceled(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(s.ctx(t))
	cancel()
	_, err := s.Driver.Check(ctx, replicate.CheckRequest{Remote: s.Remote.Endpoint})
	want(t, "Check", err, context.Canceled)
}

func (s *suite) list(t *testing.T, req replicate.ListRequest) []replicate.Artifact {
	t.Helper()
	req.Remote = s.Remote.Endpoint
	var all []replicate.Artifact
	err := s.Driver.List(s.ctx(t), req, func(p []replicate.Artifact) error {
		all = append(all, p...)
		return nil
	})
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return all
}

func list(t *testing.T, s *suite) {
	first := s.Artifacts[0]
	for _, req := range []replicate.ListRequest{
		{}, {Repositories: []string{"**"}}, {Repositories: []string{first.Repository}}, {Tags: []string{first.Tag}},
		{Repositories: []string{first.Repository}, Tags: []string{first.Tag[:1] + "*"}}, {Since: time.Unix(1, 0)},
	} {
		got := s.list(t, req)
		wanted := s.Artifacts[:1]
		if reflect.DeepEqual(req, replicate.ListRequest{}) {
			wanted = s.Artifacts
		}
		for _, w := range wanted {
			i := slices.IndexFunc(got, func(a replicate.Artifact) bool { return a.Repository == w.Repository && a.Tag == w.Tag })
			if i < 0 || got[i].Digest != w.Digest {
				t.Errorf("List %q %q lacks %s:%s", req.Repositories, req.Tags, w.Repository, w.Tag)
			}
		}
	}
}

func listEnds(t *testing.T, s *suite) {
	reason := fmt.Errorf("the disk is full: %w", errdef.ErrExhausted)
	err := s.Driver.List(s.ctx(t), replicate.ListRequest{Remote: s.Remote.Endpoint}, func([]replicate.Artifact) error { return reason })
	want(t, "List", err, reason)
}
