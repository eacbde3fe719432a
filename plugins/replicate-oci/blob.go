package main

import (
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
)

// blob copies one, unless the destination has it, or has it in another repository to mount from.
func (j *copyJob) blob(ctx context.Context, b v1.Descriptor) error {
	j.mu.Lock()
	one, ok := j.sources[b.Digest]
	if !ok {
		one = &sync.Mutex{}
		j.sources[b.Digest] = one
	}
	up, begun := j.uploads.Uploads[b.Digest]
	j.mu.Unlock()
	one.Lock()
	defer one.Unlock()
	there, err := j.there(ctx, b)
	if err != nil {
		return fmt.Errorf("destination: %s: %w", desc(b), err)
	}
	if there {
		j.d.remember(j.to, b.Digest, j.toRepo)
		return j.ended(b, b.Size)
	}
	if !begun {
		if up.Location, err = j.begin(ctx, b); err != nil {
			return fmt.Errorf("destination: %s: %w", desc(b), err)
		}
		if up.Location == "" { // it was mounted
			j.d.remember(j.to, b.Digest, j.toRepo)
			return j.ended(b, b.Size)
		}
	}
	t := &transfer{j: j, b: b, upload: up, fresh: !begun}
	if err := t.run(ctx); err != nil {
		return fmt.Errorf("%s: %w", desc(b), err)
	}
	j.d.remember(j.to, b.Digest, j.toRepo)
	return j.ended(b, 0)
}

// ended forgets the upload of a blob.
func (j *copyJob) ended(b v1.Descriptor, skipped int64) error {
	j.mu.Lock()
	delete(j.uploads.Uploads, b.Digest)
	j.mu.Unlock()
	return j.skipped(skipped)
}

func (j *copyJob) there(ctx context.Context, b v1.Descriptor) (bool, error) {
	res, err := j.to.do(ctx, ask{method: http.MethodHead, url: j.to.path(j.toRepo, "blobs", b.Digest.String()), scope: pushes(j.toRepo),
		fine: []int{http.StatusNotFound}})
	if err != nil {
		return false, err
	}
	drain(res)
	return res.StatusCode != http.StatusNotFound, nil
}

// begin begins an upload and returns its location; "" if the registry has mounted the blob from another repository.
func (j *copyJob) begin(ctx context.Context, b v1.Descriptor) (string, error) {
	at := j.to.path(j.toRepo, "blobs", "uploads") + "/"
	q := url.Values{"mount": {b.Digest.String()}}
	scope := pushes(j.toRepo)
	if from := j.d.recall(j.to, b.Digest); from != "" && from != j.toRepo {
		q.Set("from", from)
		scope += " " + pulls(from)
	}
	empty := func() []byte { return nil }
	res, err := j.to.do(ctx, ask{method: http.MethodPost, url: at + "?" + q.Encode(), scope: scope, body: empty}) //nolint:bodyclose // drain does, below
	if s := status(err); s >= http.StatusBadRequest && s < http.StatusInternalServerError && s != http.StatusTooManyRequests || errors.Is(err, errdef.ErrDenied) {
		// Without a mount.
		res, err = j.to.do(ctx, ask{method: http.MethodPost, url: at, scope: pushes(j.toRepo), body: empty}) //nolint:bodyclose // drain does, below
	}
	if status(err) == http.StatusNotFound {
		return "", fmt.Errorf("there is no room for repository %s: its project must be made first: %s: %w", j.toRepo, err.Error(), errdef.ErrDenied)
	}
	if err != nil {
		return "", err
	}
	drain(res)
	if res.StatusCode == http.StatusCreated {
		return "", nil
	}
	if l := location(res, at); l != "" {
		return l, nil
	}
	return "", fmt.Errorf("registry %s names no location of an upload: %w", j.to.base.Host, errdef.ErrUnavailable)
}

// location is what an answer names, or was.
func location(res *http.Response, was string) string {
	l := res.Header.Get("Location")
	if l == "" || len(l) > maxLocation {
		return ""
	}
	if strings.HasPrefix(l, "/") || strings.Contains(l, "://") {
		return l
	}
	base, err := url.Parse(was)
	if err != nil {
		return ""
	}
	u, err := base.Parse(l)
	if err != nil {
		return ""
	}
	return u.String()
}

// remember and recall keep which repository had a blob last. Whoever mounts by it needs a credential that may pull there.
func (d *driver) remember(c *client, b digest.Digest, repo string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.hints) >= maxHints {
		clear(d.hints)
	}
	d.hints[hint{c.base.Host, c.endpoint.Username, b}] = repo
}

func (d *driver) recall(c *client, b digest.Digest) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hints[hint{c.base.Host, c.endpoint.Username, b}]
}

// transfer is the upload of one blob.
type transfer struct {
	j      *copyJob
	b      v1.Descriptor
	upload upload
	fresh  bool // nothing was sent before

	hash   hash.Hash
	hashed int64 // bytes that hash has seen
	body   io.ReadCloser
}

// stall is how long nothing may come or go.
const stall = 2 * time.Minute

var errStall = fmt.Errorf("nothing came or went for %s: %w", stall, errdef.ErrUnavailable)

// run sends the blob. What the destination does not go on with begins anew, once.
func (t *transfer) run(ctx context.Context) error {
	for try := 0; ; try++ {
		err := t.attempt(ctx)
		s := status(err)
		anew := s == http.StatusNotFound || s == http.StatusRequestedRangeNotSatisfiable || s == http.StatusBadRequest && !t.fresh
		if err == nil || !anew || try > 0 || errors.As(err, new(*sourceError)) {
			return unwrapSource(err)
		}
		t.cancel(ctx)
		if t.upload, t.fresh = (upload{}), true; true {
			if t.upload.Location, err = t.j.begin(ctx, t.b); err != nil {
				return err
			}
		}
		if t.upload.Location == "" {
			return nil // it came by another way
		}
	}
}

func (t *transfer) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(stall, func() { cancel(errStall) })
	defer timer.Stop()
	offset := int64(0)
	if !t.fresh {
		var err error
		if offset, err = t.where(ctx); err != nil {
			return err
		}
	}
	if err := t.source(ctx, offset, timer); err != nil {
		return err
	}
	defer func() { _ = t.body.Close() }()
	if offset == 0 && t.b.Size <= t.j.d.chunk {
		return t.finish(ctx, t.b.Size, timer)
	}
	if err := t.keep(offset); err != nil {
		return err
	}
	for offset < t.b.Size {
		n := min(t.j.d.chunk, t.b.Size-offset)
		if err := t.patch(ctx, offset, n, timer); err != nil {
			return err
		}
		offset += n
		if err := t.keep(offset); err != nil {
			return err
		}
	}
	return t.finish(ctx, 0, timer)
}

// where asks the destination how much it has.
func (t *transfer) where(ctx context.Context) (int64, error) {
	res, err := t.j.to.do(ctx, ask{method: http.MethodGet, url: t.upload.Location, scope: pushes(t.j.toRepo)})
	if err != nil {
		return 0, err
	}
	drain(res)
	if l := location(res, t.upload.Location); l != "" {
		t.upload.Location = l
	}
	_, last, _ := strings.Cut(strings.TrimPrefix(res.Header.Get("Range"), "bytes="), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	switch {
	case err != nil || n <= 0: // "0-0" is nothing with most registries
		return 0, nil
	case n >= t.b.Size:
		return 0, &statusError{http.StatusRequestedRangeNotSatisfiable, fmt.Errorf("the destination has more than the blob: %w", errdef.ErrUnavailable)}
	}
	return n + 1, nil
}

// source opens the blob at the source where the digest's state is, and reads up to what the destination has.
func (t *transfer) source(ctx context.Context, offset int64, timer *time.Timer) error {
	t.hash, t.hashed = t.b.Digest.Algorithm().Hash(), 0
	if t.upload.Offset > 0 && t.upload.Offset <= offset && t.b.Digest.Algorithm() == digest.SHA256 {
		h := sha256.New()
		if h.(encoding.BinaryUnmarshaler).UnmarshalBinary(t.upload.Hash) == nil {
			t.hash, t.hashed = h, t.upload.Offset
		}
	}
	a := ask{method: http.MethodGet, url: t.j.from.path(t.j.fromRepo, "blobs", t.b.Digest.String()), scope: pulls(t.j.fromRepo), long: true}
	if t.hashed > 0 {
		a.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-", t.hashed)}}
		a.fine = []int{http.StatusRequestedRangeNotSatisfiable}
	}
	res, err := t.j.from.do(ctx, a)
	if err != nil {
		return &sourceError{fmt.Errorf("source: %w", err)}
	}
	if t.hashed > 0 && (res.StatusCode != http.StatusPartialContent || !strings.HasPrefix(res.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", t.hashed))) {
		if res.StatusCode == http.StatusRequestedRangeNotSatisfiable && t.hashed == t.b.Size {
			_ = res.Body.Close()
			res.Body = http.NoBody
		} else if res.StatusCode != http.StatusOK {
			_ = res.Body.Close()
			return &sourceError{fmt.Errorf("source: registry %s gives no part of a blob: %w", t.j.from.base.Host, errdef.ErrUnavailable)}
		} else {
			t.hash, t.hashed = t.b.Digest.Algorithm().Hash(), 0
		}
	}
	t.body = res.Body
	for t.hashed < offset {
		n, err := io.CopyN(t.hash, t.body, min(offset-t.hashed, 1<<20))
		t.hashed += n
		timer.Reset(stall)
		if err != nil {
			_ = t.body.Close()
			return t.broke(ctx, err)
		}
	}
	return nil
}

// broke is the error of a source that ends early.
func (t *transfer) broke(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, errdef.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &sourceError{err}
	}
	return &sourceError{fmt.Errorf("source: registry %s broke off after %d bytes: %w: %w", t.j.from.base.Host, t.hashed, err, errdef.ErrUnavailable)}
}

// sourceError is an error of the source while the destination is asked for something.
type sourceError struct{ err error }

// Error implements error.
func (e *sourceError) Error() string { return e.err.Error() }

// Unwrap is the error.
func (e *sourceError) Unwrap() error { return e.err }

func unwrapSource(err error) error {
	var s *sourceError
	if errors.As(err, &s) {
		return s.err
	}
	if err != nil && errors.Is(err, errdef.ErrNotFound) { // of an upload: the artifact is not gone
		return fmt.Errorf("%s: %w", err.Error(), errdef.ErrUnavailable)
	}
	return err
}

// sending is the body of a request: the next bytes of the source, which are hashed and counted on the way.
type sending struct {
	t     *transfer
	ctx   context.Context
	left  int64
	timer *time.Timer
	sent  int64 // written before the request ends, read after it
	mu    sync.Mutex
}

// Read implements io.Reader.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := paced{s.t.body, s.ctx, s.t.j.speed}.Read(p[:min(int64(len(p)), s.left)])
	s.timer.Reset(stall)
	s.t.hash.Write(p[:n])
	s.t.hashed += int64(n)
	s.left -= int64(n)
	s.sent += int64(n)
	switch {
	case s.left == 0, err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, s.t.broke(s.ctx, err)
}

// stop ends the reading, and tells how much was read.
func (s *sending) stop() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = 0
	return s.sent
}

// stream sends bytes of the source in the body of a request.
func (t *transfer) stream(ctx context.Context, a ask, n int64, timer *time.Timer) (*http.Response, error) {
	body := &sending{t: t, ctx: ctx, left: n, timer: timer}
	a.scope, a.size, a.stream = pushes(t.j.toRepo), n, body
	if n == 0 {
		a.stream, a.body = nil, func() []byte { return nil }
	}
	res, err := t.j.to.do(ctx, a)
	if told := t.j.sent(body.stop()); told != nil && err == nil {
		drain(res)
		err = told
	}
	if err == nil {
		drain(res)
		return res, nil
	}
	var source *sourceError
	if !errors.As(err, &source) {
		err = fmt.Errorf("destination: %w", err)
	}
	return nil, err
}

func (t *transfer) patch(ctx context.Context, offset, n int64, timer *time.Timer) error {
	//nolint:bodyclose // stream has read the answer
	res, err := t.stream(ctx, ask{method: http.MethodPatch, url: t.upload.Location, header: http.Header{"Content-Type": {"application/octet-stream"},
		"Content-Range": {fmt.Sprintf("%d-%d", offset, offset+n-1)}}}, n, timer)
	if err != nil {
		return err
	}
	if l := location(res, t.upload.Location); l != "" {
		t.upload.Location = l
	}
	return nil
}

// keep tells the host what to go on from.
func (t *transfer) keep(offset int64) error {
	t.upload.Offset, t.upload.Hash = 0, nil
	if m, ok := t.hash.(encoding.BinaryMarshaler); ok && t.b.Digest.Algorithm() == digest.SHA256 && t.hashed == offset {
		if state, err := m.MarshalBinary(); err == nil {
			t.upload.Offset, t.upload.Hash = offset, state
		}
	}
	t.j.mu.Lock()
	defer t.j.mu.Unlock()
	t.j.uploads.Uploads[t.b.Digest] = t.upload
	return t.j.report()
}

// finish ends the upload, with the last bytes if there are some. Content that is not what its digest says does not get there.
func (t *transfer) finish(ctx context.Context, n int64, timer *time.Timer) error {
	if n == 0 {
		if err := t.verify(ctx); err != nil {
			return err
		}
	}
	u, err := url.Parse(t.upload.Location)
	if err != nil {
		return fmt.Errorf("destination: a location that cannot be: %w", errdef.ErrUnavailable)
	}
	q := u.Query()
	q.Set("digest", t.b.Digest.String())
	u.RawQuery = q.Encode()
	//nolint:bodyclose // stream has read the answer
	_, err = t.stream(ctx, ask{method: http.MethodPut, url: u.String(), header: http.Header{"Content-Type": {"application/octet-stream"}}}, n, timer)
	if n > 0 && t.hashed == t.b.Size { // whatever the destination says of it
		if verr := t.verify(ctx); verr != nil {
			return verr
		}
	}
	return err
}

// verify compares the digest of all that was read, and sees that nothing follows.
func (t *transfer) verify(ctx context.Context) error {
	more, err := t.body.Read(make([]byte, 1))
	for more == 0 && err == nil {
		more, err = t.body.Read(make([]byte, 1))
	}
	if more == 0 && !errors.Is(err, io.EOF) {
		return t.broke(ctx, err)
	}
	if got := digest.NewDigest(t.b.Digest.Algorithm(), t.hash); more > 0 || got != t.b.Digest {
		t.cancel(ctx)
		return &sourceError{fmt.Errorf("source: registry %s: the content is not what its digest says: %w", t.j.from.base.Host, errdef.ErrInvalid)}
	}
	return nil
}

// cancel gives an upload up. A registry that does not forget it now does so with time.
func (t *transfer) cancel(ctx context.Context) {
	if t.upload.Location == "" {
		return
	}
	if res, err := t.j.to.do(ctx, ask{method: http.MethodDelete, url: t.upload.Location, scope: pushes(t.j.toRepo)}); err == nil {
		drain(res)
	}
	t.j.mu.Lock()
	defer t.j.mu.Unlock()
	delete(t.j.uploads.Uploads, t.b.Digest)
}
