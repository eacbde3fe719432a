package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

func gzipped(parts ...[]byte) []byte {
	var b bytes.Buffer
	for _, p := range parts { // as pigz and eStargz do: several members
		w := gzip.NewWriter(&b)
		_, _ = w.Write(p)
		_ = w.Close()
	}
	return b.Bytes()
}

func zstded(data []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(data, nil)
}

func TestStreamDecompressesAndHashes(t *testing.T) {
	data := noise("x", 5*chunkSize+17)
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}, zstded(data)...)
	for name, in := range map[string][]byte{
		"plain": data, "gzip": gzipped(data), "gzip members": gzipped(data[:1000], data[1000:]),
		"zstd": zstded(data), "zstd after a skippable frame": skippable,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t.Context(), bytes.NewReader(in))
			defer s.Close()
			if s.empty() {
				t.Error("seen as empty")
			}
			got, err := io.ReadAll(io.LimitReader(s, int64(len(data)/2))) // finish reads the rest
			if err != nil || !bytes.Equal(got, data[:len(data)/2]) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if d, err := s.finish(); err != nil || d != digest.FromBytes(data) || s.size != int64(len(data)) {
				t.Errorf("digest %s of %d bytes, %v", d, s.size, err)
			}
		})
	}
}

func TestStreamKnowsEmptyLayers(t *testing.T) {
	for name, tc := range map[string]struct {
		in   []byte
		want bool
	}{
		"no byte":      {nil, true},
		"two blocks":   {make([]byte, 1024), true},
		"ten kilobyte": {make([]byte, 10240), true},
		"gzip":         {gzipped(make([]byte, 1024)), true},
		"a file":       {files(1, "a"), false},
		"not a tar":    {[]byte("x"), false},
		"broken gzip":  {[]byte{0x1f, 0x8b, 1, 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t.Context(), bytes.NewReader(tc.in))
			defer s.Close()
			if got := s.empty(); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestStreamEndsWhenItIsClosedOrCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	data := make([]byte, 100*chunkSize)
	for range 20 {
		s := newStream(ctx, bytes.NewReader(data))
		_, _ = s.Read(make([]byte, 10))
		closed := make(chan struct{})
		go func() { defer close(closed); s.Close() }()
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Fatal("Close hangs")
		}
	}
	s := newStream(ctx, bytes.NewReader(data))
	defer s.Close()
	cancel()
	if _, err := s.finish(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
