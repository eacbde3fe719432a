package handover

import (
	"context"
	"errors"
	"io"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/openvic/vic/sdk/errdef"
)

func pair(t *testing.T) (*Receiver, *Sender) {
	t.Helper()
	r, f, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	s, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	<-r.greeted
	return r, s
}

// offered binds an offer and returns the sink that the plugin would get.
func offered(t *testing.T, r *Receiver, s *Sender) (*Offer, *Sink) {
	t.Helper()
	o := NewOffer()
	ctx := Bind(t.Context(), []grpc.CallOption{o}, r)
	if md, _ := metadata.FromOutgoingContext(ctx); len(md.Get(key)) != 1 || !o.Made() {
		t.Fatalf("metadata %v", md)
	}
	return o, &Sink{s, o.number}
}

func TestASocketThatWasGivenIsTheHosts(t *testing.T) {
	r, s := pair(t)
	o, sink := offered(t, r, s)
	defer o.Close()
	ours, guest, err := SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	if err := ours.Handover(sink); err != nil {
		t.Fatal(err)
	}
	host, err := o.Take(t.Context(), Given())
	if err != nil || host == nil {
		t.Fatal(host, err)
	}
	defer host.Close()
	go guest.Write([]byte("hello"))
	got := make([]byte, 5)
	if _, err := io.ReadFull(host, got); err != nil || string(got) != "hello" {
		t.Fatalf("%q %v", got, err)
	}
	// What the driver closes ends for the host and for the guest.
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := host.Read(got); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("host: %d %v", n, err)
	}
	if n, err := guest.Read(got); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("guest: %d %v", n, err)
	}
	if err := ours.Handover(sink); !errors.Is(err, errdef.ErrUnsupported) {
		t.Errorf("a second time: %v", err)
	}
}

func TestADescriptorThatNobodyWaitsForIsClosed(t *testing.T) {
	r, s := pair(t)
	o, sink := offered(t, r, s)
	o.Close()
	w, err := sink.GiveReader()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	// More than a pipe holds: it waits for a reader until there can be none.
	if _, err := w.Write(make([]byte, 16<<20)); !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("the host still holds the pipe: %v", err)
	}
}

func TestTheEndOfThePluginEndsTheWait(t *testing.T) {
	r, s := pair(t)
	o, _ := offered(t, r, s)
	defer o.Close()
	_ = s.conn.Close()
	if f, err := o.Take(t.Context(), Given()); f != nil || !errors.Is(err, errdef.ErrPluginDown) {
		t.Errorf("%v %v", f, err)
	}
	late := NewOffer()
	Bind(context.Background(), []grpc.CallOption{late}, r)
	if late.Made() {
		t.Error("an offer was made to a plugin that is gone")
	}
}

func TestAHostWithoutHandoverGetsBytes(t *testing.T) {
	o := NewOffer()
	defer o.Close()
	if ctx := Bind(t.Context(), []grpc.CallOption{o}, nil); ctx != t.Context() || o.Made() {
		t.Error("an offer without a receiver")
	}
	if f, err := o.Take(t.Context(), nil); f != nil || err != nil {
		t.Errorf("%v %v", f, err)
	}
}
