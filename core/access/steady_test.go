package access_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/access"
)

// dial sends a request and reads nothing.
func dial(t *testing.T, srv *httptest.Server, request string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhoStopsReadingIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	srv := httptest.NewServer(access.Steady(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		big := make([]byte, 1<<20)
		for {
			if _, err := w.Write(big); err != nil {
				ended <- err
				return
			}
		}
	}), 50*time.Millisecond))
	defer srv.Close()
	dial(t, srv, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// A connection that is used again after a pause longer than the patience answers, also with no body.
func TestAPauseBetweenRequestsIsNoStall(t *testing.T) {
	const patience = 20 * time.Millisecond
	srv := httptest.NewServer(access.SteadyBody(access.Steady(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		<-time.After(3 * patience) // a handler that works
		if r.Context().Err() != nil {
			t.Error("the request was given up")
		}
		if len(b) > 0 {
			_, _ = w.Write(b)
		} else {
			w.WriteHeader(http.StatusNoContent)
		}
	}), patience), patience))
	defer srv.Close()
	c := dial(t, srv, "")
	in := bufio.NewReader(c)
	for _, body := range []string{"hello", "", "again"} {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || string(got) != body {
			t.Errorf("%q %v, want %q", got, err, body)
		}
		<-time.After(3 * patience)
	}
}

func TestWhoStopsSendingIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	srv := httptest.NewServer(access.SteadyBody(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	}), 50*time.Millisecond))
	defer srv.Close()
	dial(t, srv, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"+strings.Repeat("x", 10))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
