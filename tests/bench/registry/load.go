package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const repo = "/v2/bench/images"

// load is clients of one server.
type load struct {
	base    *url.URL
	client  *http.Client
	clients int
	scale   float64
	config  v1.Descriptor
	blobs   map[int][]v1.Descriptor // by size, what was pushed
	tags    []string
	serial  atomic.Int64
	header  string // of Authorization, "" for distribution
}

func newLoad(base string, clients int, scale float64) *load {
	u, err := url.Parse(base)
	if err != nil {
		panic(err) // we made it
	}
	return &load{base: u, clients: clients, scale: scale, blobs: map[int][]v1.Descriptor{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}}
}

// step is one line of the table.
type step struct {
	name string
	run  func(ctx context.Context, l *load) (figure, error)
}

var steps = []step{
	{"push blobs of 1 KB", pushBlobs(1<<10, 400)},
	{"pull blobs of 1 KB", pullBlobs(1<<10, 1500)},
	{"push blobs of 1 MB", pushBlobs(1<<20, 60)},
	{"pull blobs of 1 MB", pullBlobs(1<<20, 300)},
	{"push blobs of 10 MB", pushBlobs(10<<20, 16)},
	{"pull blobs of 10 MB", pullBlobs(10<<20, 60)},
	{"push manifests with a tag", pushManifests(300)},
	{"pull manifests by tag", pullManifests(2000)},
	{"list 100 tags", listTags(300)},
}

func pushBlobs(size, n int) func(context.Context, *load) (figure, error) {
	return func(ctx context.Context, l *load) (figure, error) {
		done := make([]v1.Descriptor, l.count(n))
		f, err := l.run(len(done), func(i int) (err error) {
			content := make([]byte, size)
			_, _ = rand.Read(content[:1<<10]) // unique
			done[i], err = l.push(ctx, content)
			return err
		})
		l.blobs[size] = append(l.blobs[size], done...)
		return f, err
	}
}

func pullBlobs(size, n int) func(context.Context, *load) (figure, error) {
	return func(ctx context.Context, l *load) (figure, error) {
		list := l.blobs[size]
		return l.run(l.count(n), func(i int) error {
			_, err := l.call(ctx, "GET", repo+"/blobs/"+list[i%len(list)].Digest.String(), "", nil, http.StatusOK)
			return err
		})
	}
}

func pushManifests(n int) func(context.Context, *load) (figure, error) {
	return func(ctx context.Context, l *load) (figure, error) {
		if l.config.Digest == "" {
			var err error
			if l.config, err = l.push(ctx, []byte("{}")); err != nil {
				return figure{}, err
			}
			l.config.MediaType = v1.MediaTypeImageConfig
		}
		layers := l.blobs[1<<10]
		tags := make([]string, l.count(n))
		f, err := l.run(len(tags), func(i int) error {
			m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: l.config, Layers: []v1.Descriptor{layers[i%len(layers)], layers[(i+1)%len(layers)]},
				Annotations: map[string]string{"n": fmt.Sprint(l.clients, l.serial.Add(1))}}
			m.SchemaVersion = 2
			body, err := json.Marshal(m)
			if err != nil {
				return err
			}
			tags[i] = fmt.Sprintf("t%d-%d", l.clients, l.serial.Add(1))
			_, err = l.call(ctx, "PUT", repo+"/manifests/"+tags[i], v1.MediaTypeImageManifest, body, http.StatusCreated)
			return err
		})
		l.tags = append(l.tags, tags...)
		return f, err
	}
}

func pullManifests(n int) func(context.Context, *load) (figure, error) {
	return func(ctx context.Context, l *load) (figure, error) {
		return l.run(l.count(n), func(i int) error {
			_, err := l.call(ctx, "GET", repo+"/manifests/"+l.tags[i%len(l.tags)], "", nil, http.StatusOK)
			return err
		})
	}
}

func listTags(n int) func(context.Context, *load) (figure, error) {
	return func(ctx context.Context, l *load) (figure, error) {
		return l.run(l.count(n), func(int) error {
			_, err := l.call(ctx, "GET", repo+"/tags/list?n=100", "", nil, http.StatusOK)
			return err
		})
	}
}

func (l *load) count(n int) int { return max(l.clients, int(float64(n)*l.scale)) }

// errEnough ends a run before all is done.
var errEnough = errors.New("enough")

// run does n requests, as many at a time as there are clients.
func (l *load) run(n int, f func(i int) error) (figure, error) {
	var next, done atomic.Int64
	var failed atomic.Pointer[error]
	times := make([]time.Duration, min(n, 1<<20))
	var wg sync.WaitGroup
	began := time.Now()
	for range l.clients {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				t := time.Now()
				if err := f(i); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				done.Add(1)
				if i < len(times) {
					times[i] = time.Since(t)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil && !errors.Is(*err, errEnough) {
		return figure{}, *err
	}
	times = slices.DeleteFunc(times, func(d time.Duration) bool { return d == 0 })
	return figure{rate: float64(done.Load()) / time.Since(began).Seconds(), median: median(times), n: done.Load()}, nil
}

// push pushes a blob as docker does: HEAD, POST, PATCH, PUT.
func (l *load) push(ctx context.Context, content []byte) (v1.Descriptor, error) {
	d := digest.FromBytes(content)
	if _, err := l.call(ctx, "HEAD", repo+"/blobs/"+d.String(), "", nil, http.StatusNotFound, http.StatusOK); err != nil {
		return v1.Descriptor{}, err
	}
	h, err := l.call(ctx, "POST", repo+"/blobs/uploads/", "", nil, http.StatusAccepted)
	if err == nil {
		h, err = l.call(ctx, "PATCH", h.Get("Location"), "application/octet-stream", content, http.StatusAccepted)
	}
	if err == nil {
		_, err = l.call(ctx, "PUT", h.Get("Location")+"&digest="+d.String(), "", nil, http.StatusCreated)
	}
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: d, Size: int64(len(content))}, err
}

// call makes a request and reads the answer to its end.
func (l *load) call(ctx context.Context, method, path, contentType string, body []byte, want ...int) (http.Header, error) {
	at, err := l.base.Parse(path)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if l.header != "" {
		req.Header.Set("Authorization", l.header)
	}
	req.Header.Set("Accept", v1.MediaTypeImageManifest)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := l.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	for _, code := range want {
		if code == res.StatusCode {
			_, err := io.Copy(io.Discard, res.Body)
			return res.Header, err
		}
	}
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
	return nil, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, b)
}
