package replicate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/openvic/vic/sdk/errdef"
)

// FakeChunk is how many bytes the fake sends at once.
const FakeChunk = 1 << 20

// fakeJob is one call of Copy.
type fakeJob struct {
	f        *Fake
	ctx      context.Context
	req      CopyRequest
	from, to *FakeRegistry
	tell     func(Progress) error
	p        Progress
	mark     fakeCheckpoint
}

// Copy copies blobs in chunks, manifests, referrers, and then the tag.
func (f *Fake) Copy(ctx context.Context, req CopyRequest, progress func(Progress) error) (Result, error) {
	j, err := f.job(ctx, req, progress)
	if err != nil {
		return Result{}, err
	}
	referrers, err := j.manifest(req.Digest)
	if err != nil {
		return Result{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if req.ToTag != "" {
		j.to.repo(req.ToRepository).tags[req.ToTag] = req.Digest
	}
	return Result{Bytes: j.p.Bytes, Skipped: j.p.Skipped, Referrers: referrers}, nil
}

// job sees that the copy may begin.
func (f *Fake) job(ctx context.Context, req CopyRequest, progress func(Progress) error) (*fakeJob, error) {
	err := f.enter(ctx, "Copy", "")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(f.Capabilities, CapPull) && !slices.Contains(f.Capabilities, CapPush) {
		return nil, unsupported("copy")
	}
	from, err := f.open(req.From)
	if err != nil {
		return nil, err
	}
	to, err := f.open(req.To)
	if err != nil {
		return nil, err
	}
	if _, ok := from.repo(req.Repository).manifests[req.Digest]; !ok {
		return nil, fmt.Errorf("%s@%s: %w", req.Repository, req.Digest, errdef.ErrNotFound)
	}
	if is := to.repo(req.ToRepository).tags[req.ToTag]; is != "" && is != req.Digest && !req.Override {
		return nil, fmt.Errorf("tag %s: means %s: %w", req.ToTag, is, errdef.ErrExists)
	}
	j := &fakeJob{f: f, ctx: ctx, req: req, from: from, to: to, tell: progress}
	if j.tell == nil {
		j.tell = func(Progress) error { return nil }
	}
	if json.Unmarshal([]byte(req.Checkpoint), &j.mark) != nil {
		j.mark = fakeCheckpoint{}
	}
	return j, nil
}

// manifest copies one with its blobs and, after it, what refers to it; it counts those.
func (j *fakeJob) manifest(digest string) (int, error) {
	j.f.mu.Lock()
	source := j.from.repo(j.req.Repository)
	m, referrers := source.manifests[digest], source.referrers(digest)
	j.f.mu.Unlock()
	if m.Corrupt {
		return 0, fmt.Errorf("%s: a blob is not what its digest says: %w", digest, errdef.ErrInvalid)
	}
	for _, blob := range slices.Sorted(maps.Keys(m.Blobs)) {
		if err := j.blob(blob, m.Blobs[blob]); err != nil {
			return 0, err
		}
	}
	j.f.mu.Lock()
	j.to.repo(j.req.ToRepository).manifests[digest] = m
	j.f.mu.Unlock()
	if !j.req.Referrers || !slices.Contains(j.f.Capabilities, CapReferrers) {
		return 0, nil
	}
	for _, r := range referrers {
		if _, err := j.manifest(r.Digest); err != nil {
			return 0, err
		}
	}
	return len(referrers), nil
}

// blob sends one from where the checkpoint says, if the registry still has what came before.
func (j *fakeJob) blob(digest string, size int64) error {
	j.f.mu.Lock()
	repo := j.to.repo(j.req.ToRepository)
	upload := j.req.ToRepository + "@" + digest
	_, there := repo.blobs[digest]
	offset := int64(0)
	if j.mark.Blob == digest && j.mark.Offset <= j.to.uploads[upload] && slices.Contains(j.f.Capabilities, CapResume) {
		offset = j.mark.Offset
	}
	j.f.mu.Unlock()
	if there {
		j.p.Skipped += size
		return j.tell(j.p)
	}
	for offset < size {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		n := min(FakeChunk, size-offset)
		if err := j.chunk(upload, offset, n); err != nil {
			return err
		}
		offset += n
		j.p.Bytes += n
		j.p.Checkpoint = fakeCheckpoint{Blob: digest, Offset: offset}.text()
		if err := j.tell(j.p); err != nil {
			return err
		}
	}
	j.f.mu.Lock()
	defer j.f.mu.Unlock()
	delete(j.to.uploads, upload)
	repo.blobs[digest] = size
	return nil
}

// chunk sends bytes, unless a test has asked for the connection to break.
func (j *fakeJob) chunk(upload string, offset, n int64) error {
	j.f.mu.Lock()
	defer j.f.mu.Unlock()
	j.to.received += n
	if j.to.breaks > 0 {
		if j.to.breaks -= n; j.to.breaks <= 0 {
			j.to.breaks = 0
			return &Later{After: MaxLater, Err: fmt.Errorf("the connection broke: %w", errdef.ErrUnavailable)}
		}
	}
	j.to.uploads[upload] = offset + n
	return nil
}
