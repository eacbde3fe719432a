package access

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// slow sends the begin of a body of 100 bytes and nothing more, and returns what comes back until the server hangs up.
func slow(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	got, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("the server still waits for the body: %v", err)
	}
	return string(got)
}

func TestWhoSendsABodySlowlyIsNotWaitedFor(t *testing.T) {
	var failed error
	slow(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		failed = Within(w, 50*time.Millisecond, func() error {
			_, err := io.ReadAll(r.Body)
			return err
		})
	}))
	if failed == nil {
		t.Error("a body that is not there was read")
	}
}

func TestABodyThatNobodyReadsIsNotWaitedFor(t *testing.T) {
	got := slow(t, Hurry(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), 50*time.Millisecond))
	if len(got) < 12 || got[9:12] != "401" {
		t.Errorf("%q", got)
	}
}

// deadlines is a ResponseWriter that keeps the last deadline.
type deadlines struct {
	http.ResponseWriter
	last time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.last = t
	return nil
}

func TestTheTimeForABodyDoesNotEndTheRequest(t *testing.T) {
	d := &deadlines{}
	if err := Within(d, time.Hour, func() error {
		if d.last.Before(time.Now()) {
			t.Error("there is no deadline for the body")
		}
		return nil
	}); err != nil || !d.last.IsZero() {
		t.Errorf("%v, and the deadline is %s afterwards", err, d.last)
	}
}
