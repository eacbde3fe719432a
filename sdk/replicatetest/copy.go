package replicatetest

import (
	"fmt"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/replicate"
)

func copies(t *testing.T, s *suite, from, to Store) {
	for _, a := range s.Artifacts {
		req := request(a, from, to)
		before := to.Received(t)
		first := s.copy(t, req)
		if got := to.Tag(t, req.ToRepository, req.ToTag); got != a.Digest {
			t.Errorf("%s:%s means %q, want %q", req.ToRepository, req.ToTag, got, a.Digest)
		}
		if n := to.Received(t) - before; first.Bytes+first.Skipped < a.Size || first.Bytes < n {
			t.Errorf("the result is %+v; %d bytes arrived, and the artifact has %d", first, n, a.Size)
		}
		before = to.Received(t)
		second := s.copy(t, req)
		if second.Bytes != 0 || to.Received(t) != before {
			t.Errorf("the second copy sent %d bytes, and %d arrived", second.Bytes, to.Received(t)-before)
		}
	}
	untagged := request(s.Artifacts[0], from, to)
	untagged.ToRepository, untagged.ToTag = "copies/untagged", ""
	s.copy(t, untagged)
}

func refuses(t *testing.T, s *suite) {
	from, to := s.way(t)
	const none = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for name, c := range map[string]struct {
		change func(r *replicate.CopyRequest)
		class  error
	}{
		"an artifact that is not there":   {func(r *replicate.CopyRequest) { r.Digest = none }, errdef.ErrNotFound},
		"a repository that is not there":  {func(r *replicate.CopyRequest) { r.Repository = "no/such/repository" }, errdef.ErrNotFound},
		"another credential at the start": {func(r *replicate.CopyRequest) { r.From.Secret += "x" }, errdef.ErrDenied},
		"another credential at the end":   {func(r *replicate.CopyRequest) { r.To.Secret += "x" }, errdef.ErrDenied},
	} {
		req := request(s.Artifacts[0], from, to)
		c.change(&req)
		_, err := s.Driver.Copy(s.ctx(t), req, nil)
		want(t, "Copy: "+name, err, c.class)
		if got := to.Tag(t, req.ToRepository, req.ToTag); got != "" {
			t.Errorf("%s: the tag means %q", name, got)
		}
	}
}

func override(t *testing.T, s *suite) {
	from, to := s.way(t)
	first := request(s.Artifacts[0], from, to)
	second := request(s.Artifacts[1], from, to)
	second.ToRepository, second.ToTag = first.ToRepository, first.ToTag
	s.copy(t, first)
	_, err := s.Driver.Copy(s.ctx(t), second, nil)
	want(t, "Copy to a tag that means another digest", err, errdef.ErrExists)
	if got := to.Tag(t, first.ToRepository, first.ToTag); got != first.Digest {
		t.Errorf("the tag means %q, want %q", got, first.Digest)
	}
	second.Override = true
	s.copy(t, second)
	if got := to.Tag(t, first.ToRepository, first.ToTag); got != second.Digest {
		t.Errorf("the tag means %q, want %q", got, second.Digest)
	}
}

func referrers(t *testing.T, s *suite) {
	from, to := s.way(t)
	req := request(s.Artifacts[0], from, to)
	s.copy(t, req)
	if n := to.Referrers(t, req.ToRepository, req.Digest); n != 0 {
		t.Errorf("%d referrers that nobody wants", n)
	}
	req.Referrers = true
	for range 2 {
		res := s.copy(t, req)
		if n := to.Referrers(t, req.ToRepository, req.Digest); n != s.Referrers || res.Referrers != n {
			t.Errorf("%d referrers, the result has %d, want %d", n, res.Referrers, s.Referrers)
		}
	}
}

func broken(t *testing.T, s *suite) {
	from, to := s.way(t)
	if to.Break == nil {
		t.Skip("the fixture breaks no connection")
	}
	req := request(s.Large, from, to)
	to.Break(t, s.Large.Size/2)
	r := &record{t: t}
	_, err := s.Driver.Copy(s.ctx(t), req, r.progress)
	want(t, "Copy over a connection that breaks", err, errdef.ErrUnavailable)
	if after, ok := replicate.After(err); ok && (after <= 0 || after > replicate.MaxLater) {
		t.Errorf("the host shall try again after %v", after)
	}
	if got := to.Tag(t, req.ToRepository, req.ToTag); got != "" {
		t.Fatalf("half a copy has the tag, for %q", got)
	}
	req.Checkpoint = r.last.Checkpoint
	s.copy(t, req)
	if got := to.Tag(t, req.ToRepository, req.ToTag); got != s.Large.Digest {
		t.Errorf("the tag means %q, want %q", got, s.Large.Digest)
	}
	if sent := to.Received(t); s.has(replicate.CapResume) && sent > s.Large.Size+2*s.Chunk {
		t.Errorf("%d bytes were sent for %d", sent, s.Large.Size)
	}
}

func corrupt(t *testing.T, s *suite) {
	if s.Corrupt == nil {
		t.Skip("the fixture has no corrupt artifact")
	}
	from, to := s.way(t)
	req := request(*s.Corrupt, from, to)
	_, err := s.Driver.Copy(s.ctx(t), req, nil)
	want(t, "Copy", err, errdef.ErrInvalid)
	if got := to.Tag(t, req.ToRepository, req.ToTag); got != "" {
		t.Errorf("the tag means %q", got)
	}
}

func checkpoint(t *testing.T, s *suite) {
	from, to := s.way(t)
	req := request(s.Artifacts[0], from, to)
	req.Checkpoint = "\x00 this is nobody's checkpoint"
	s.copy(t, req)
	if got := to.Tag(t, req.ToRepository, req.ToTag); got != req.Digest {
		t.Errorf("the tag means %q, want %q", got, req.Digest)
	}
}

func stops(t *testing.T, s *suite) {
	from, to := s.way(t)
	reason := fmt.Errorf("an administrator stops it: %w", errdef.ErrConflict)
	req := request(s.Large, from, to)
	_, err := s.Driver.Copy(s.ctx(t), req, func(replicate.Progress) error { return reason })
	want(t, "Copy", err, reason)
}

func deletes(t *testing.T, s *suite) {
	if !s.has(replicate.CapPush) {
		t.Skip("the driver cannot put there what it deletes")
	}
	a, other := s.Artifacts[0], s.Artifacts[1]
	req := request(a, s.Local, s.Remote)
	req.ToRepository = "copies/deleted"
	s.copy(t, req)
	tag := func() string { return s.Remote.Tag(t, req.ToRepository, req.ToTag) }
	del := replicate.DeleteRequest{Remote: s.Remote.Endpoint, Repository: req.ToRepository, Tag: req.ToTag, Digest: other.Digest}
	want(t, "Delete of a tag that means another digest", s.Driver.Delete(s.ctx(t), del), errdef.ErrConflict)
	if tag() != a.Digest {
		t.Fatal("the tag is gone")
	}
	del.Digest = a.Digest
	want(t, "Delete of a tag", s.Driver.Delete(s.ctx(t), del), nil)
	if tag() != "" {
		t.Error("the tag is still there")
	}
	want(t, "Delete again", s.Driver.Delete(s.ctx(t), del), nil)
	s.copy(t, req)
	del.Tag = ""
	want(t, "Delete of a manifest", s.Driver.Delete(s.ctx(t), del), nil)
	if tag() != "" {
		t.Error("the manifest is gone, and its tag is there")
	}
	want(t, "Delete again", s.Driver.Delete(s.ctx(t), del), nil)
	del.Repository, del.Tag = "no/such/repository", "none"
	want(t, "Delete in a repository that is not there", s.Driver.Delete(s.ctx(t), del), nil)
}

func prepare(t *testing.T, s *suite) {
	req := replicate.PrepareRequest{Remote: s.Remote.Endpoint, Repository: "prepared/app"}
	for range 2 {
		want(t, "Prepare", s.Driver.Prepare(s.ctx(t), req), nil)
	}
	req.Remote = s.Denied
	if req.Remote.URL != "" {
		want(t, "Prepare with a credential that is wrong", s.Driver.Prepare(s.ctx(t), req), errdef.ErrDenied)
	}
}
