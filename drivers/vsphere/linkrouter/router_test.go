package linkrouter

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

func start(t *testing.T) (*Router, string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	r := NewRouter(func(id string) bool { return id != "stranger" }, log)
	ctx, cancel := context.WithCancel(t.Context())
	l, err := Listen(ctx, "127.0.0.1:0", log)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: %v", err)
		}
	})
	return r, l.Addr().String()
}

// tether dials as a tether does and then says who.
func tether(t *testing.T, addr, preface, who string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, preface+who); err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, r io.Reader, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(b)
}

func wantClosed(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection is open: %v", err)
	}
}

func TestConnectionWaitsForConnectAndLosesNothing(t *testing.T) {
	r, addr := start(t)
	c := tether(t, addr, guest.PrefacePrefix+"a\n", "hello")
	s, err := r.Connect(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, 5); got != "hello" {
		t.Errorf("got %q", got)
	}
	if _, err := io.WriteString(s, "back"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c, 4); got != "back" {
		t.Errorf("got %q", got)
	}
	_ = s.Close()
	wantClosed(t, c)
}

func TestConnectWaitsForTheTether(t *testing.T) {
	r, addr := start(t)
	got := make(chan io.ReadWriteCloser, 1)
	go func() {
		s, err := r.Connect(t.Context(), "a")
		if err == nil {
			got <- s
		}
	}()
	tether(t, addr, guest.PrefacePrefix+"b\n", "no")
	tether(t, addr, guest.PrefacePrefix+"a\n", "yes")
	if s := <-got; read(t, s, 3) != "yes" {
		t.Error("got another container's bytes")
	}
}

func TestNewestConnectionWins(t *testing.T) {
	r, addr := start(t)
	first := tether(t, addr, guest.PrefacePrefix+"a\n", "1")
	s1, err := r.Connect(t.Context(), "a")
	if err != nil || read(t, s1, 1) != "1" {
		t.Fatal(err)
	}
	tether(t, addr, guest.PrefacePrefix+"a\n", "2")
	wantClosed(t, first)
	s2, err := r.Connect(t.Context(), "a")
	if err != nil || read(t, s2, 1) != "2" {
		t.Fatal(err)
	}
	_ = s1.Close() // late; must not touch the second
	if _, err := io.WriteString(s2, "x"); err != nil {
		t.Errorf("the second stream broke: %v", err)
	}
}

func TestSecondConnectReplacesTheFirst(t *testing.T) {
	r, addr := start(t)
	c := tether(t, addr, guest.PrefacePrefix+"a\n", "")
	if _, err := r.Connect(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() { _, err := r.Connect(t.Context(), "a"); waiting <- err }()
	wantClosed(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	third := make(chan error, 1)
	go func() { _, err := r.Connect(ctx, "a"); third <- err }()
	if err := <-waiting; !errors.Is(err, errdef.ErrConflict) {
		t.Errorf("the waiting Connect: %v", err)
	}
	cancel()
	if err := <-third; !errors.Is(err, context.Canceled) {
		t.Errorf("the canceled Connect: %v", err)
	}
}

func TestStrangersAndNoiseAreRefused(t *testing.T) {
	for _, tc := range []struct{ name, preface string }{
		{"unknown container", guest.PrefacePrefix + "stranger\n"},
		{"another protocol", "GET / HTTP/1.1\n"},
		{"no end", strings.Repeat("x", 2*prefaceLimit)},
		{"empty id", guest.PrefacePrefix + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, addr := start(t)
			wantClosed(t, tether(t, addr, tc.preface, ""))
			if len(r.ports) != 0 {
				t.Error("something is kept")
			}
		})
	}
}

func TestDropClosesAndForgets(t *testing.T) {
	r, addr := start(t)
	c := tether(t, addr, guest.PrefacePrefix+"a\n", "")
	if _, err := r.Connect(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	r.Drop("a", false)
	wantClosed(t, c)
}

func TestConnectEndsWithTheVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRouter(func(string) bool { return true }, slog.New(slog.DiscardHandler))
		done := make(chan error, 1)
		go func() { _, err := r.Connect(t.Context(), "a"); done <- err }()
		synctest.Wait() // it waits for the tether
		r.Drop("a", false)
		synctest.Wait()
		if len(done) > 0 {
			t.Fatal("it did not wait for the VM to be started again: ", <-done)
		}
		r.Drop("a", true)
		if err := <-done; !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("Connect of a VM that is gone: %v", err)
		}
	})
}
