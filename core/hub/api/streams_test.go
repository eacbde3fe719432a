package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/hub/vchs/vchtest"
)

// A container that prints nothing but ends of lines costs the hub what it prints, not the square of it.
func TestEmptyLinesOfALogAreCheap(t *testing.T) {
	w := &logWriter{w: httptest.NewRecorder(), contains: "nothing"}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rest, err := w.split(1, bytes.Repeat([]byte{'\n'}, maxLogLine), io.EOF)
	runtime.ReadMemStats(&after)
	if len(rest) != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", rest, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
		t.Errorf("%d bytes of memory for %d empty lines", n, maxLogLine)
	}
}

// A VCH that begins an answer and never ends it keeps nothing of the hub busy once who asked has gone.
func TestAnAnswerWithoutEndEndsWithWhoAsked(t *testing.T) {
	r, host := newLiveRig(t), vchtest.Serve(t)
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(1), Name: "web", State: "running"})
	_, path := r.vch(host, "one", "private")
	for _, what := range []string{"pause", "commit"} {
		began, ended := make(chan struct{}), make(chan struct{})
		host.Docker.First(func(w http.ResponseWriter, q *http.Request) bool {
			if !strings.HasSuffix(q.URL.Path, what) {
				return false
			}
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			close(began)
			<-q.Context().Done()
			close(ended)
			return true
		})
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+Prefix+"/projects/private"+path+"/containers/web/"+what, nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.SetBasicAuth("developer", password)
			if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		}()
		<-began
		leave()
		<-left
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatalf("%s: the hub still reads", what)
		}
	}
}
