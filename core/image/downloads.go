package image

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// resumeTries is how often a download that was cut is taken up again before the pull fails: with
// the doubling pauses from resumePause on, a registry may be away for half a minute.
const (
	resumeTries = 6
	resumePause = 500 * time.Millisecond
)

// downloads limits how many blobs are downloaded at a time, makes every broken connection one that
// containerd's fetcher resumes by Range, and waits for a server that went away in the middle.
type downloads struct {
	next  http.RoundTripper
	slots chan struct{}
	idle  time.Duration // without a byte for so long a connection counts as broken
}

var _ http.RoundTripper = (*downloads)(nil)

// RoundTrip passes everything but the download of a blob on as it is.
func (d *downloads) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || !isBlob(r) {
		return d.next.RoundTrip(r)
	}
	select {
	case d.slots <- struct{}{}:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	resp, err := d.request(r)
	if err != nil {
		<-d.slots
		return nil, err
	}
	resp.Body = d.watch(r.Context(), resp.Body)
	return resp, nil
}

// request retries if the download has begun (it asks for a Range): then the server was there.
func (d *downloads) request(r *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(r)
	if r.Header.Get("Range") == "" {
		return resp, err
	}
	pause := resumePause
	for try := 1; err != nil && try < resumeTries; try++ {
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		pause *= 2
		resp, err = d.next.RoundTrip(r)
	}
	return resp, err
}

// isBlob knows a blob's address and where a registry redirects from it.
func isBlob(r *http.Request) bool {
	for r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
	}
	return strings.Contains(r.URL.Path, "/blobs/sha")
}

// body is a download. It frees its slot when closed and breaks off when nothing comes.
type body struct {
	io.ReadCloser
	ctx   context.Context
	idle  time.Duration
	timer *time.Timer
	free  func()
}

func (d *downloads) watch(ctx context.Context, rc io.ReadCloser) *body {
	b := &body{ReadCloser: rc, ctx: ctx, idle: d.idle, free: sync.OnceFunc(func() { <-d.slots })}
	b.timer = time.AfterFunc(d.idle, func() { rc.Close() })
	b.timer.Stop() // it runs while somebody waits in Read
	return b
}

// Read calls every failure an unexpected end: that is what the fetcher resumes after.
func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.idle)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() == nil {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *body) Close() error {
	b.timer.Stop()
	defer b.free()
	return b.ReadCloser.Close()
}
