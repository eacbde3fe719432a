package computetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// pair connects and dials a new VM.
func (s *suite) pair(t *testing.T) (id string, host, guest io.ReadWriteCloser) {
	t.Helper()
	if s.Dial == nil {
		t.Skip("the fixture has no guest")
	}
	vm := s.started(t)
	guest = s.Dial(t, vm.ID)
	t.Cleanup(func() { guest.Close() })
	host, err := s.Driver.Connect(s.ctx(t), vm.ID)
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	t.Cleanup(func() { host.Close() })
	return vm.ID, host, guest
}

// carry writes at one end and reads the same at the other.
func (s *suite) carry(t *testing.T, from io.Writer, to io.Reader, data []byte) {
	t.Helper()
	werr := make(chan error, 1)
	go func() {
		_, err := from.Write(data)
		werr <- err
	}()
	got := make([]byte, len(data))
	if _, err := io.ReadFull(to, got); err != nil {
		t.Fatalf("read: %v", err)
	}
	if err := <-werr; err != nil {
		t.Fatalf("write: %v", err)
	}
	if !bytes.Equal(got, data) {
		t.Fatal("the bytes are not the same")
	}
}

func connect(t *testing.T, s *suite) {
	_, host, guest := s.pair(t)
	s.carry(t, host, guest, []byte("from the host"))
	s.carry(t, guest, host, []byte("from the guest"))
	go func() {
		_, _ = guest.Write([]byte("last words"))
		guest.Close()
	}()
	rest, err := io.ReadAll(host)
	if string(rest) != "last words" || err != nil {
		t.Errorf("after the guest closed: %q, %v", rest, err)
	}
}

func connectWaits(t *testing.T, s *suite) {
	if s.Dial == nil {
		t.Skip("the fixture has no guest")
	}
	vm := s.started(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Driver.Connect(ctx, vm.ID)
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errdef.ErrCanceled) {
		t.Errorf("Connect without a guest: %v", err)
	}
	type result struct {
		conn io.ReadWriteCloser
		err  error
	}
	done := make(chan result, 1)
	go func() {
		c, err := s.Driver.Connect(s.ctx(t), vm.ID)
		done <- result{c, err}
	}()
	time.Sleep(20 * time.Millisecond)
	guest := s.Dial(t, vm.ID)
	defer guest.Close()
	r := <-done
	if r.err != nil {
		t.Fatalf("Connect: %v", r.err)
	}
	defer r.conn.Close()
	s.carry(t, r.conn, guest, []byte("hello"))
}

func connectReplaces(t *testing.T, s *suite) {
	id, first, _ := s.pair(t)
	guest := s.Dial(t, id)
	defer guest.Close()
	second, err := s.Driver.Connect(s.ctx(t), id)
	if err != nil {
		t.Fatalf("second Connect: %v", err)
	}
	defer second.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, first)
		ended <- err
	}()
	select {
	case <-ended:
	case <-time.After(s.Timeout):
		t.Error("the first stream is still open")
	}
	s.carry(t, second, guest, []byte("second"))
}

func connectBulk(t *testing.T, s *suite) {
	_, host, guest := s.pair(t)
	data := make([]byte, 1<<20+7)
	_, _ = rand.Read(data)
	s.carry(t, guest, host, data)
	s.carry(t, host, guest, data)
}
