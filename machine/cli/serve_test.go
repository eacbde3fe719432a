package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/machine/operation"
)

// shared is an output that is read while it is written.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.b.Write(p) }
func (s *shared) String() string              { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func TestServeServesUntilItIsInterrupted(t *testing.T) {
	out := &shared{}
	a := &app{in: strings.NewReader(""), out: out, err: out, version: "v9"}
	ctx, cancel := context.WithCancelCause(t.Context())
	code := make(chan int, 1)
	go func() { code <- a.run(ctx, []string{"serve", "--plain-http", "--listen", "127.0.0.1:0"}) }()
	at := regexp.MustCompile(`serving on (http://\S+);`)
	var url string
	for deadline := time.Now().Add(10 * time.Second); url == "" && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if m := at.FindStringSubmatch(out.String()); m != nil {
			url = m[1]
		}
	}
	if url == "" {
		t.Fatalf("it does not serve: %s", out)
	}
	res, err := http.Get(url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(b), `"openapi": "3.0.3"`) {
		t.Errorf("%v %.100s", err, b)
	}
	cancel(operation.ErrInterrupted)
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d: %s", got, out)
	}
	for _, args := range [][]string{{"--plain-http", "--listen", "0.0.0.0:0"}, {"--cert", "x"}, {"--listen", "x"}} {
		if r := run(t, append([]string{"serve"}, args...)...); r.code != exitUsage || !strings.Contains(r.err, "  -> ") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}
