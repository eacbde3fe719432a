package link_test

import (
	"context"
	"testing"

	"github.com/openvic/vic/core/engine/enginetest"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/core/link/linktest"
	"github.com/openvic/vic/sdk/guest"
)

// BenchmarkOutput is bulk output over TLS and gRPC, both ends in this process.
func BenchmarkOutput(b *testing.B) {
	a, err := link.NewAuthority(enginetest.NewCA(b))
	if err != nil {
		b.Fatal(err)
	}
	ident, err := a.Issue(id)
	if err != nil {
		b.Fatal(err)
	}
	out := linktest.NewOutput()
	tether, err := linktest.Boot(guest.Config{ID: id, Identity: ident, Process: guest.Process{Args: []string{"true"}}}, "1", out, func(guest.Exit) {})
	if err != nil {
		b.Fatal(err)
	}
	defer tether.Halt()
	const size = 32 << 20
	for range size / (128 << 10) {
		out.Write(1, make([]byte, 128<<10))
	}
	l, err := link.NewDialer(pipes{tether}, a).Dial(context.Background(), id)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.SetBytes(size)
	for b.Loop() {
		if err := l.Output(context.Background(), link.OutputRequest{}, func(link.Chunk) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
