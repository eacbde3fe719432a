package image

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distribution/reference"
	registrytypes "github.com/docker/docker/api/types/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// cutWriter breaks the connection after so many bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if len(p) > c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func isBlobGet(q *http.Request, d digest.Digest) bool {
	return q.Method == http.MethodGet && strings.HasSuffix(q.URL.Path, "/blobs/"+d.String())
}

func TestCutConnectionIsResumed(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	img := r.push("app", "1", true, gz(files(3<<20, "big")))
	var cut atomic.Bool
	r.setBend(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if isBlobGet(q, img.blobs[0]) && cut.CompareAndSwap(false, true) {
			w = &cutWriter{w, 1 << 20}
		}
		next.ServeHTTP(w, q)
	})
	pull(t, s, r.host()+"/app:1")
	got := r.requests(img.blobs[0])
	if len(got) != 2 || got[0] != "" || !strings.HasPrefix(got[1], "bytes=") || got[1] == "bytes=0-" {
		t.Errorf("requests %q", got)
	}
	f.want(t, img.chains...)
}

func TestServerThatComesBackIsWaitedFor(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	img := r.push("app", "1", true, gz(files(3<<20, "big")))
	var n atomic.Int32
	r.setBend(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if isBlobGet(q, img.blobs[0]) {
			switch n.Add(1) {
			case 1:
				w = &cutWriter{w, 1 << 20}
			case 2, 3: // as if nobody listened
				panic(http.ErrAbortHandler)
			}
		}
		next.ServeHTTP(w, q)
	})
	pull(t, s, r.host()+"/app:1")
	f.want(t, img.chains...)
}

// A pull that was canceled leaves no layer; the next one, even by a new process, takes the download
// up where it ended.
func TestDownloadIsResumedAfterRestart(t *testing.T) {
	r, f, root := newTestRegistry(t), newFakeLayers(), t.TempDir()
	s := open(t, root, f)
	img := r.push("app", "1", true, gz(files(10, "small"), files(4<<20, "big")))
	r.setBend(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if isBlobGet(q, img.blobs[1]) {
			w = &pausedWriter{ResponseWriter: w, left: 2 << 20, pause: func() {
				<-q.Context().Done()
				panic(http.ErrAbortHandler)
			}}
		}
		next.ServeHTTP(w, q)
	})
	ctx, cancel := context.WithCancel(t.Context())
	var out lockedBuffer
	waited := make(chan error, 1)
	go func() {
		defer cancel()
		waited <- out.await(ctx, someMB) // are on the disk
	}()
	if err := pullTo(ctx, s, r.host()+"/app:1", &out); err == nil {
		t.Fatal("the pull was canceled and succeeded")
	}
	if err := <-waited; err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if err := s.CollectGarbage(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.setBend(nil)
	pull(t, open(t, root, f), r.host()+"/app:1")
	got := r.requests(img.blobs[1])
	if len(got) != 2 || !strings.HasPrefix(got[1], "bytes=") || got[1] == "bytes=0-" {
		t.Errorf("requests %q", got)
	}
	if small := r.requests(img.blobs[0]); len(small) != 1 {
		t.Errorf("the finished blob was downloaded again: %q", small)
	}
	f.want(t, img.chains...)
}

// someMB is a pull's progress that tells of a megabyte or more of a layer.
const someMB = `"status":"Downloading","progressDetail":\{"current":[1-9][0-9]{6}`

// pausedWriter sends some bytes and calls pause before it sends the others.
type pausedWriter struct {
	http.ResponseWriter
	left  int
	pause func()
}

func (s *pausedWriter) Write(p []byte) (int, error) {
	if s.pause == nil || len(p) <= s.left {
		s.left -= len(p)
		return s.ResponseWriter.Write(p)
	}
	n, err := s.ResponseWriter.Write(p[:s.left])
	if err != nil {
		return n, err
	}
	_ = http.NewResponseController(s.ResponseWriter).Flush()
	s.pause()
	s.pause = nil
	m, err := s.ResponseWriter.Write(p[n:])
	return n + m, err
}

// What one layer asks of the storage driver, each a call to another process.
func TestCallsOfOneLayer(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	one, two := gz(files(10, "a"))[0], gz(files(20, "b"))[0]
	for _, x := range []struct {
		tag    string
		layers []layer
		want   []string
	}{
		{"new", []layer{one}, []string{"StatLayer", "WriteLayer", "CommitLayer"}},
		{"known", []layer{one}, nil},
		{"above", []layer{one, two}, []string{"StatLayer", "WriteLayer", "CommitLayer"}},
	} {
		r.push("app", x.tag, true, x.layers)
		f.calls = nil
		pull(t, s, r.host()+"/app:"+x.tag)
		if !slices.Equal(f.calls, x.want) {
			t.Errorf("%s: %v, want %v", x.tag, f.calls, x.want)
		}
	}
}

func TestWrongContentIsRefusedAndNothingIsLeft(t *testing.T) {
	good := gz(files(10, "a"), files(5000, "b"))
	t.Run("blob differs from its digest", func(t *testing.T) {
		r, f := newTestRegistry(t), newFakeLayers()
		s := open(t, t.TempDir(), f)
		img := r.push("app", "1", true, good)
		r.setBend(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
			if isBlobGet(q, img.blobs[1]) {
				_, _ = w.Write(make([]byte, len(good[1].blob(t))))
				return
			}
			next.ServeHTTP(w, q)
		})
		mustFail(t, s, r.host()+"/app:1", "digest")
		f.want(t)
		r.setBend(nil)
		pull(t, s, r.host()+"/app:1")
		f.want(t, img.chains...)
	})
	t.Run("layer differs from the configuration", func(t *testing.T) {
		r, f := newTestRegistry(t), newFakeLayers()
		s := open(t, t.TempDir(), f)
		r.push("app", "1", true, good, func(i *ocispec.Image) { i.RootFS.DiffIDs[1] = digest.FromString("other") })
		mustFail(t, s, r.host()+"/app:1", "not what the image's configuration says")
		f.want(t)
	})
	t.Run("layer is not a tar", func(t *testing.T) {
		r, f := newTestRegistry(t), newFakeLayers()
		s := open(t, t.TempDir(), f)
		r.push("app", "1", true, gz(files(10, "a"), noise("x", 4096)))
		mustFail(t, s, r.host()+"/app:1", "write layer")
		f.want(t)
	})
	t.Run("compressed data is cut off", func(t *testing.T) {
		r, f := newTestRegistry(t), newFakeLayers()
		s := open(t, t.TempDir(), f)
		whole := gz(files(50000, "a"))[0]
		cut := whole.blob(t)
		cut = cut[:len(cut)/2]
		r.push("app", "1", true, []layer{{cut, ""}}, func(i *ocispec.Image) { i.RootFS.DiffIDs[0] = whole.diffID() })
		mustFail(t, s, r.host()+"/app:1", "unexpected EOF")
		f.want(t)
	})
	t.Run("storage fails", func(t *testing.T) {
		r, f := newTestRegistry(t), newFakeLayers()
		s := open(t, t.TempDir(), f)
		img := r.push("app", "1", true, good)
		f.onWrite = func(id string, _ io.Reader) error {
			if id == img.chains[1] {
				return fmt.Errorf("datastore1 is full")
			}
			return nil
		}
		mustFail(t, s, r.host()+"/app:1", "datastore1 is full")
		f.want(t)
		f.onWrite = nil
		pull(t, s, r.host()+"/app:1")
		f.want(t, img.chains...)
	})
}

func mustFail(t *testing.T, s *Service, name, want string) {
	t.Helper()
	out, err := tryPull(t.Context(), s, name)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want an error with %q\n%s", err, want, out)
	}
	if err := s.CollectGarbage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := list(t, s); len(all) != 0 {
		t.Errorf("%d images after a failed pull", len(all))
	}
}

// The first layer is written while later ones are still being downloaded, never more than Downloads
// at a time.
func TestDownloadsRunAheadOfWritesWithinLimit(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f, func(o *Options) { o.Downloads = 3 })
	var tars [][]byte
	for i := range 9 {
		tars = append(tars, files(100<<10, fmt.Sprint(i)))
	}
	img := r.push("app", "1", true, gz(tars...))
	writing, two := make(chan struct{}), make(chan struct{}) // two: layers are downloaded at a time
	var begun atomic.Int32
	f.onWrite = func(id string, _ io.Reader) error {
		if id == img.chains[0] {
			close(writing)
		}
		return nil
	}
	r.setBend(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		i := slices.IndexFunc(img.blobs, func(b digest.Digest) bool { return isBlobGet(q, b) })
		if i >= 0 && begun.Add(1) == 2 {
			close(two)
		}
		what, event := "no two layers were downloaded at a time", two
		if i == 8 {
			what, event = "no layer was written while the last one was downloaded", writing
		}
		if i >= 0 {
			select {
			case <-event:
			case <-time.After(20 * time.Second):
				t.Error(what)
			}
		}
		next.ServeHTTP(w, q)
	})
	pull(t, s, r.host()+"/app:1")
	if r.peak > 3 || r.peak < 2 {
		t.Errorf("%d downloads at a time, want 2 or 3", r.peak)
	}
	f.want(t, img.chains...)
}

func TestMemoryStaysBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("pulls 200 MB")
	}
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	img := bigImage(t, r, 200<<20)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		top := uint64(0)
		for {
			select {
			case <-done:
				peak <- top
				return
			case <-time.After(20 * time.Millisecond):
				runtime.ReadMemStats(&now)
				top = max(top, now.HeapAlloc)
			}
		}
	}()
	start := time.Now()
	pull(t, s, r.host()+"/big:1")
	took := time.Since(start)
	close(done)
	grown := (int64(<-peak) - int64(before.HeapAlloc)) >> 20
	t.Logf("200 MB in %v, %.0f MB/s, heap grew by %d MB", took, 200/took.Seconds(), grown)
	if grown > 64 {
		t.Errorf("heap grew by %d MB", grown)
	}
	f.want(t, img.chains...)
}

// bigImage pushes an image of one layer and forgets its bytes.
func bigImage(t *testing.T, r *testRegistry, size int) pushed {
	t.Helper()
	block := noise("block", 1<<20)
	data := make([]byte, 0, size)
	for len(data) < size {
		data = append(data, block...)
	}
	return r.push("big", "1", true, gz(tarOf("big", data)))
}

func TestMirrorIsAskedForDockerHub(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f, func(o *Options) { o.Registries.Mirrors = []string{r.URL} })
	img := r.push("library/busybox", "latest", false, gz(files(10, "sh")))
	out := pull(t, s, "busybox")
	if !strings.Contains(out, "Pulling from library/busybox") || !strings.Contains(out, "newer image for busybox:latest") {
		t.Errorf("progress:\n%s", out)
	}
	if got, err := s.Resolve(t.Context(), "busybox"); err != nil || got.Layer != img.chains[0] {
		t.Errorf("resolved %+v, %v", got, err)
	}
}

func TestLogin(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	r.push("app", "1", true, gz(files(10, "a")))
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:secret"))
	r.setBend(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if q.Header.Get("Authorization") != want {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, q)
	})
	s := open(t, t.TempDir(), f)
	mustFail(t, s, r.host()+"/app:1", "no basic auth credentials")
	auth := &registrytypes.AuthConfig{Username: "ann", Password: "secret", ServerAddress: r.host()}
	if status, _, err := s.Backend().AuthenticateToRegistry(t.Context(), auth); err != nil || status != "Login Succeeded" {
		t.Errorf("login: %q, %v", status, err)
	}
	wrong := &registrytypes.AuthConfig{Username: "ann", Password: "wrong", ServerAddress: r.host()}
	if _, _, err := s.Backend().AuthenticateToRegistry(t.Context(), wrong); err == nil {
		t.Error("login with a wrong password succeeded")
	}
	ref, _ := reference.ParseNormalizedNamed(r.host() + "/app:1")
	if err := s.Backend().PullImage(t.Context(), ref, nil, nil, auth, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestUnreachableRegistryIsNamed(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	mustFail(t, s, r.host()+"/nosuch:1", "not found")
	r.Close()
	mustFail(t, s, r.host()+"/app:1", "registry "+r.host()+": dial tcp "+r.host()+": connect: connection refused (it does not answer: check")
}

func TestStateDirectoryIsNotKeptBySuccessfulPulls(t *testing.T) {
	r, f, root := newTestRegistry(t), newFakeLayers(), t.TempDir()
	s := open(t, root, f)
	r.push("app", "1", true, gz(files(1<<20, "a")))
	pull(t, s, r.host()+"/app:1")
	remove(t, s, r.host()+"/app:1", false)
	var left []string
	_ = filepath.WalkDir(filepath.Join(root, "content"), func(p string, d os.DirEntry, _ error) error {
		if d != nil && d.Type().IsRegular() {
			left = append(left, p)
		}
		return nil
	})
	if len(left) != 0 {
		t.Errorf("files left after rmi: %v", left)
	}
}

func TestStartIsQuick(t *testing.T) {
	best := time.Duration(math.MaxInt64)
	for range 5 {
		root, start := t.TempDir(), time.Now()
		open(t, root, newFakeLayers())
		best = min(best, time.Since(start))
	}
	t.Logf("New took %v", best)
	if best > 2*time.Second {
		t.Errorf("New took %v", best)
	}
}

// What docker pull shows while it works: bars for each layer, then that it is being unpacked.
func TestProgressShowsDownloadAndExtraction(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	s := open(t, t.TempDir(), f)
	img := r.push("app", "1", true, gz(files(3<<20, "a")))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var progress lockedBuffer
	f.onWrite = func(string, io.Reader) error { return progress.await(ctx, `"status":"Extracting"`) }
	r.setBend(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if isBlobGet(q, img.blobs[0]) {
			w = &pausedWriter{ResponseWriter: w, left: 2 << 20, pause: func() { _ = progress.await(ctx, someMB) }}
		}
		next.ServeHTTP(w, q)
	})
	if err := pullTo(ctx, s, r.host()+"/app:1", &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	out := progress.String()
	for _, want := range []string{`"status":"Downloading"`, `"total":`, `"status":"Download complete"`,
		`"status":"Extracting"`, `"status":"Pull complete"`} {
		if !strings.Contains(out, want) {
			t.Errorf("progress lacks %s:\n%s", want, out)
		}
	}
}
