package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/replicate"
)

// copyJob is one call of Copy.
type copyJob struct {
	d                *driver
	req              replicate.CopyRequest
	from, to         *client
	fromRepo, toRepo string
	speed            *rate.Limiter // of bytes; nil: none
	tell             func(replicate.Progress) error

	mu        sync.Mutex // guards what follows, and calls of tell
	p         replicate.Progress
	uploads   checkpoint
	told      error                         // what tell returned; it ends the copy
	sources   map[digest.Digest]*sync.Mutex // one upload of a blob at a time: several manifests may need it
	manifests int
}

// Copy implements replicate.Driver.
func (d *driver) Copy(ctx context.Context, req replicate.CopyRequest, progress func(replicate.Progress) error) (replicate.Result, error) {
	err := errors.Join(check(req.Repository, "", req.Digest), check(req.ToRepository, req.ToTag, ""))
	if err != nil {
		return replicate.Result{}, err
	}
	if progress == nil {
		progress = func(replicate.Progress) error { return nil }
	}
	j := &copyJob{d: d, req: req, tell: progress, sources: map[digest.Digest]*sync.Mutex{}}
	if j.from, err = d.open(req.From); err != nil {
		return replicate.Result{}, fmt.Errorf("source: %w", err)
	}
	defer j.from.close()
	if j.to, err = d.open(req.To); err != nil {
		return replicate.Result{}, fmt.Errorf("destination: %w", err)
	}
	defer j.to.close()
	j.fromRepo, j.toRepo = j.from.name(req.Repository), j.to.name(req.ToRepository)
	if req.BytesPerSecond > 0 {
		j.speed = rate.NewLimiter(rate.Limit(max(req.BytesPerSecond, slowest)), piece)
	}
	j.uploads = readCheckpoint(req.Checkpoint, j.place())
	referrers, err := j.run(ctx)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil && j.told != nil {
		err = j.told
	}
	return replicate.Result{Bytes: j.p.Bytes, Skipped: j.p.Skipped, Referrers: referrers}, err
}

// place is what a checkpoint is for.
func (j *copyJob) place() string { return j.to.base.String() + "/" + j.toRepo }

// run copies: what the artifact names, the artifact, what refers to it, and the tag.
func (j *copyJob) run(ctx context.Context) (referrers int, err error) {
	root, err := j.from.manifest(ctx, j.fromRepo, j.req.Digest)
	if err != nil {
		return 0, fmt.Errorf("source: %w", err)
	}
	is, err := j.mayTag(ctx, root)
	if err != nil {
		return 0, fmt.Errorf("destination: %w", err)
	}
	have := is == root.digest
	if !have {
		if have, err = j.has(ctx, root.digest); err != nil {
			return 0, err
		}
	}
	if err := j.content(ctx, root, have, 0); err != nil {
		return 0, err
	}
	var refs []referrer
	if j.req.Referrers {
		if refs, err = j.findReferrers(ctx, root, 0); err != nil {
			return 0, err
		}
	}
	if !have && (len(refs) > 0 || j.req.ToTag == "") {
		if err := j.putManifest(ctx, root, ""); err != nil {
			return 0, err
		}
	}
	for _, r := range refs {
		if err := j.referrer(ctx, r); err != nil {
			return 0, err
		}
		if r.root {
			referrers++
		}
	}
	if j.req.ToTag != "" && is != root.digest {
		if _, err := j.mayTag(ctx, root); err != nil { // it may be another one's meanwhile
			return 0, fmt.Errorf("destination: %w", err)
		}
		if err := j.putManifest(ctx, root, j.req.ToTag); err != nil {
			return 0, err
		}
	}
	return referrers, nil
}

// mayTag tells what the tag means at the destination; errdef.ErrExists if it may not be moved.
func (j *copyJob) mayTag(ctx context.Context, root *document) (digest.Digest, error) {
	if j.req.ToTag == "" {
		res, err := j.to.head(ctx, j.toRepo, root.digest.String(), pushes(j.toRepo))
		return res.Digest, err
	}
	is, err := j.to.head(ctx, j.toRepo, j.req.ToTag, pushes(j.toRepo))
	if err == nil && is.Digest != "" && is.Digest != root.digest && !j.req.Override {
		err = fmt.Errorf("tag %s of %s means %s there, and may not be moved: %w", j.req.ToTag, j.toRepo, is.Digest, errdef.ErrExists)
	}
	return is.Digest, err
}

// has says whether the destination has a manifest.
func (j *copyJob) has(ctx context.Context, d digest.Digest) (bool, error) {
	x, err := j.to.head(ctx, j.toRepo, d.String(), pushes(j.toRepo))
	if err != nil {
		return false, fmt.Errorf("destination: %w", err)
	}
	return x.Digest != "", nil
}

// content copies what a manifest names: other manifests, and blobs. have says that the destination has it all.
func (j *copyJob) content(ctx context.Context, m *document, have bool, depth int) error {
	j.mu.Lock()
	j.manifests++
	j.p.Total += m.size()
	many := j.manifests > maxManifests || depth > maxDepth
	j.mu.Unlock()
	if many {
		return fmt.Errorf("%s names more manifests than can be copied: %w", j.req.Digest, errdef.ErrInvalid)
	}
	if have {
		return j.skipped(m.size())
	}
	for _, x := range m.Manifests {
		if err := j.whole(ctx, x.Digest.String(), depth+1); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(j.req.Parallel)
	for _, b := range m.blobs() {
		g.Go(func() error { return j.blob(gctx, b) })
	}
	return g.Wait()
}

// whole copies a manifest that has no tag, with what it names.
func (j *copyJob) whole(ctx context.Context, ref string, depth int) error {
	m, err := j.from.manifest(ctx, j.fromRepo, ref)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	have, err := j.has(ctx, m.digest)
	if err != nil {
		return err
	}
	if err := j.content(ctx, m, have, depth); err != nil || have {
		return err
	}
	return j.putManifest(ctx, m, "")
}

// referrer is a manifest that refers to another one.
type referrer struct {
	digest digest.Digest
	tag    string // that it is found by; "": by its subject
	root   bool   // it refers to the artifact itself
}

// findReferrers lists what refers to a manifest, to the manifests in it, and to those that refer to it, as deep as they go, in
// the order in which they are copied.
func (j *copyJob) findReferrers(ctx context.Context, m *document, depth int) (all []referrer, err error) {
	seen := map[digest.Digest]bool{m.digest: true}
	var walk func(d digest.Digest, depth int) error
	walk = func(d digest.Digest, depth int) error {
		list, err := j.from.referrers(ctx, j.fromRepo, d)
		if err != nil {
			return fmt.Errorf("source: %w", err)
		}
		for _, x := range list {
			if seen[x.Digest] {
				continue
			}
			if seen[x.Digest] = true; len(seen) > maxDescriptors || depth > maxDepth {
				return errTooMany
			}
			all = append(all, referrer{digest: x.Digest, root: d == m.digest})
			if err := walk(x.Digest, depth+1); err != nil {
				return err
			}
		}
		for _, end := range endings {
			tag := scheme(d) + end
			is, err := j.from.head(ctx, j.fromRepo, tag, pulls(j.fromRepo))
			if err != nil {
				return fmt.Errorf("source: %w", err)
			}
			if is.Digest != "" {
				all = append(all, referrer{digest: is.Digest, tag: tag, root: d == m.digest})
			}
		}
		return nil
	}
	if err := walk(m.digest, depth); err != nil {
		return nil, err
	}
	for _, x := range m.Manifests {
		if seen[x.Digest] {
			continue
		}
		seen[x.Digest] = true
		if err := walk(x.Digest, depth+1); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// referrer copies one. A tag of the scheme that means something else at the destination is moved only if tags may be.
func (j *copyJob) referrer(ctx context.Context, r referrer) error {
	if r.tag == "" {
		return j.whole(ctx, r.digest.String(), 1)
	}
	is, err := j.to.head(ctx, j.toRepo, r.tag, pushes(j.toRepo))
	if err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	if is.Digest == r.digest || is.Digest != "" && !j.req.Override {
		return nil
	}
	m, err := j.from.manifest(ctx, j.fromRepo, r.digest.String())
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	have, err := j.has(ctx, m.digest)
	if err != nil {
		return err
	}
	if err := j.content(ctx, m, have, 1); err != nil {
		return err
	}
	return j.putManifest(ctx, m, r.tag)
}

// putManifest sends a manifest, by its digest if tag is "". What refers to another one is listed there.
func (j *copyJob) putManifest(ctx context.Context, m *document, tag string) error {
	h, err := j.put(ctx, m, tag)
	if err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	if m.Subject != nil && h.Get("OCI-Subject") == "" {
		if err := j.listReferrer(ctx, m); err != nil {
			return fmt.Errorf("destination: %w", err)
		}
	}
	return j.sent(int64(len(m.payload)))
}

func (j *copyJob) put(ctx context.Context, m *document, tag string) (http.Header, error) {
	ref := tag
	if ref == "" {
		ref = m.digest.String()
	}
	header := http.Header{"Content-Type": {m.MediaType}}
	if len(j.req.Via) > 0 {
		header.Set(replicate.HeaderVia, strings.Join(j.req.Via, ","))
	}
	res, err := j.to.do(ctx, ask{method: http.MethodPut, url: j.to.path(j.toRepo, "manifests", ref), header: header, scope: pushes(j.toRepo),
		body: func() []byte { return m.payload }})
	if err != nil {
		if errors.Is(err, errdef.ErrNotFound) {
			err = fmt.Errorf("there is no room for repository %s, or what the manifest names is gone again: %w: %w", j.toRepo, errdef.ErrUnavailable, err)
			return nil, &statusError{http.StatusNotFound, errors.New(err.Error())}
		}
		return nil, err
	}
	drain(res)
	return res.Header, nil
}

// sent and skipped count bytes and tell of them.
func (j *copyJob) sent(n int64) error    { return j.count(n, 0) }
func (j *copyJob) skipped(n int64) error { return j.count(0, n) }

func (j *copyJob) count(sent, skipped int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.p.Bytes += sent
	j.p.Skipped += skipped
	return j.report()
}

// report tells the host how far it is. The caller holds mu.
func (j *copyJob) report() error {
	if j.told != nil {
		return j.told
	}
	p := j.p
	p.Total = max(p.Total, p.Bytes+p.Skipped)
	p.Checkpoint = j.uploads.text()
	j.told = j.tell(p)
	return j.told
}

const (
	piece   = 64 << 10 // bytes that are sent at once when there is a limit
	slowest = 1 << 10  // bytes per second
)

// paced sends no faster than the host wants.
type paced struct {
	io.Reader
	ctx context.Context
	l   *rate.Limiter
}

// Read implements io.Reader.
func (p paced) Read(b []byte) (int, error) {
	if p.l == nil {
		return p.Reader.Read(b)
	}
	n, err := p.Reader.Read(b[:min(len(b), piece)])
	if n > 0 {
		if werr := p.l.WaitN(p.ctx, n); werr != nil {
			return n, werr
		}
	}
	return n, err
}

// desc says which blob it is about, in errors.
func desc(b v1.Descriptor) string { return fmt.Sprintf("blob %s (%d bytes)", b.Digest, b.Size) }
