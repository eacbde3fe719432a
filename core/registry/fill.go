package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
)

const (
	maxFills  = 32            // downloads of a process at a time
	fillChunk = 128 << 10     // bytes
	feedDepth = 32            // chunks that may wait for the first client
	fillLife  = 6 * time.Hour // of one download
)

// fills are the downloads under way, by repository and digest: each once, however many clients wait for it.
type fills struct {
	mu    sync.Mutex // guards under
	under map[string]*fill
}

// fill is one download. feed has its content for the client that it began for, as long as that one keeps up; it is closed
// at the end, or when the client is too slow, who then reads the rest from the storage. done is closed when the content
// is in the storage, or err says why not.
type fill struct {
	feed chan []byte
	done chan struct{}
	err  error
}

// join returns the download of a key, and whether it has begun with this call, by start.
func (f *fills) join(key string, start func(*fill)) (*fill, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x, ok := f.under[key]; ok {
		return x, false, nil
	}
	if len(f.under) >= maxFills {
		return nil, false, errcode.ErrorCodeUnavailable.WithMessage("the cache fetches as much as it can at a time; try again")
	}
	if f.under == nil {
		f.under = map[string]*fill{}
	}
	x := &fill{feed: make(chan []byte, feedDepth), done: make(chan struct{})}
	f.under[key] = x
	go func() {
		start(x)
		f.mu.Lock()
		delete(f.under, key)
		f.mu.Unlock()
		close(x.done)
	}()
	return x, true, nil
}

// fetchBlob answers for a blob that a proxy cache does not have yet.
func (g *Registry) fetchBlob(w http.ResponseWriter, r *http.Request, q *request, d digest.Digest) error {
	up, err := g.upstream(r.Context(), q.name)
	if err != nil {
		return err
	}
	if up == nil {
		return distribution.ErrBlobUnknown
	}
	size, err := g.named(r.Context(), q.name, d)
	if err != nil {
		return err
	}
	h := w.Header()
	if r.Method == http.MethodHead {
		blobHeader(h, d)
		h.Set("Content-Length", strconv.FormatInt(size, 10))
		cached(w, "fwd=miss")
		w.WriteHeader(http.StatusOK)
		return nil
	}
	f, first, err := g.fills.join(q.name+"@"+d.String(), func(f *fill) {
		ctx, cancel := context.WithTimeout(g.ctx, fillLife)
		defer cancel()
		f.err = g.fill(ctx, q.name, up, d, size, f.feed)
		if f.err != nil {
			g.log.WarnContext(ctx, "proxy cache cannot fetch", "repository", q.name, "digest", d, "err", f.err)
		}
	})
	if err != nil {
		return err
	}
	var sent int64
	if first && r.Header.Get("Range") == "" {
		if sent, err = feed(w, d, size, f.feed); err != nil {
			return nil // the client has gone; the download goes on
		}
	}
	select {
	case <-f.done:
	case <-r.Context().Done():
		return nil
	}
	switch {
	case f.err != nil && sent > 0:
		panic(http.ErrAbortHandler) // the client must not take what it has for the whole
	case f.err != nil:
		return unfetched(f.err, errcode.ErrorCodeBlobUnknown)
	case sent == 0:
		cached(w, "fwd=miss; stored; collapsed")
		return g.serveBlob(w, r, q.name, d)
	}
	if err := g.sendRest(w, r, q.name, d, sent); err != nil {
		g.log.WarnContext(r.Context(), "a client does not get the rest of a blob", "repository", q.name, "digest", d, "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func blobHeader(h http.Header, d digest.Digest) {
	h.Set("Docker-Content-Digest", d.String())
	h.Set("ETag", `"`+d.String()+`"`)
	h.Set("Content-Type", octets)
	h.Set("Cache-Control", "max-age=31536000, immutable")
}

// feed sends a client what comes, and tells how much that was.
func feed(w http.ResponseWriter, d digest.Digest, size int64, chunks <-chan []byte) (sent int64, err error) {
	for b := range chunks {
		if sent == 0 {
			blobHeader(w.Header(), d)
			cached(w, "fwd=miss; stored")
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		}
		n, err := w.Write(b)
		sent += int64(n)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// sendRest sends a client what it was too slow for.
func (g *Registry) sendRest(w http.ResponseWriter, r *http.Request, repo string, d digest.Digest, from int64) error {
	c, err := g.find(r.Context(), repo, d)
	if err != nil || from == c.size {
		return err
	}
	body, err := g.open(r.Context(), c)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := body.Seek(from, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(w, body)
	return err
}

// fill fetches a blob into the storage. Chunks go to out while somebody takes them, the last one only when the content is
// known to be right. fill closes out.
func (g *Registry) fill(ctx context.Context, repo string, up Upstream, d digest.Digest, size int64, out chan<- []byte) error {
	closed := false
	end := func() {
		if !closed {
			closed = true
			close(out)
		}
	}
	defer end()
	give := func(b []byte) {
		if b == nil || closed {
			return
		}
		select {
		case out <- b:
		default:
			end()
		}
	}
	if err := g.mayChange(ctx, repo, false); err != nil {
		return err
	}
	if _, err := g.find(ctx, repo, d); err == nil {
		return nil // another download ended between the look and this one's start
	}
	body, err := up.Blob(ctx, d)
	if err != nil {
		return err
	}
	defer body.Close()
	q := &request{route: route{kind: blobContent, name: repo}, caller: fetcher{}}
	u, err := g.newUpload(ctx, q, true, d)
	if err != nil {
		return err
	}
	last, err := copyChunks(u, io.LimitReader(body, size), give) // what comes behind that is nobody's
	if err == nil && u.size != size {
		err = codeUpstream.WithMessage(fmt.Sprintf("the upstream's blob is not of %d bytes, which its manifest says", size))
	}
	if err == nil {
		_, err = u.Commit(ctx, v1.Descriptor{Digest: d})
	}
	if errors.As(err, &distribution.ErrBlobInvalidDigest{}) {
		err = codeUpstream.WithMessage("the upstream sends other content than it was asked for")
	}
	if err != nil {
		if cerr := u.Cancel(ctx); cerr != nil {
			g.log.WarnContext(ctx, "an upload cannot be given up; the collector will", "err", cerr)
		}
		return err
	}
	give(last)
	return u.Close()
}

// copyChunks writes an upload, gives each chunk away when the next one has come, and returns the last one.
func copyChunks(u *writer, from io.Reader, give func([]byte)) (last []byte, err error) {
	for {
		b := make([]byte, fillChunk)
		n, err := io.ReadFull(from, b)
		if n > 0 {
			if _, werr := u.Write(b[:n]); werr != nil {
				return nil, werr
			}
			give(last)
			last = b[:n]
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errdef.ErrUnavailable):
			return last, nil
		case err != nil:
			return nil, err
		}
	}
}
