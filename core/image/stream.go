package image

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

const (
	chunkSize  = 256 << 10
	chunkCount = 8 // so a stream holds 2 MiB, besides the decompressor's window
	// maxWindow bounds what a zstd frame may make us allocate; zstd --ultra --long needs this much.
	maxWindow = 128 << 20
	// tarEnd is how many zero bytes end a tar archive; a layer that starts with them is empty.
	tarEnd = 1024
)

// stream is a layer's tar on its way into storage. Decompressing, hashing and reading run side by
// side, a bounded number of chunks apart.
type stream struct {
	cancel context.CancelFunc
	free   chan []byte
	out    chan chunk
	done   chan struct{}

	cur  chunk // being read
	full []byte
	err  error // what ended the stream: io.EOF, or why it is broken
	sum  hash.Hash
	size int64
}

type chunk struct {
	data []byte
	err  error // after data; the stream ends
}

// newStream starts to read a compressed or plain tar. Close must be called, before r is closed.
func newStream(ctx context.Context, r io.Reader) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{
		cancel: cancel, free: make(chan []byte, chunkCount), out: make(chan chunk, chunkCount),
		done: make(chan struct{}), sum: sha256.New(),
	}
	for range chunkCount {
		s.free <- make([]byte, chunkSize)
	}
	raw := make(chan chunk, chunkCount)
	go s.fill(ctx, r, raw)
	go s.digest(raw)
	return s
}

// fill decompresses into free chunks.
func (s *stream) fill(ctx context.Context, r io.Reader, raw chan<- chunk) {
	defer close(s.done)
	defer close(raw)
	tar, err := decompress(r)
	if err != nil {
		raw <- chunk{err: err}
		return
	}
	defer tar.Close()
	for {
		var buf []byte
		select {
		case buf = <-s.free:
		case <-ctx.Done():
			raw <- chunk{err: ctx.Err()}
			return
		}
		n, err := readFull(tar, buf)
		raw <- chunk{buf[:n], err}
		if err != nil {
			return
		}
	}
}

// digest hashes each chunk and passes it on. No send blocks: out holds as many as there are, and
// one more is only sent without data.
func (s *stream) digest(raw <-chan chunk) {
	defer close(s.out)
	for c := range raw {
		s.sum.Write(c.data)
		s.size += int64(len(c.data))
		s.out <- c
	}
}

// Read gives the uncompressed tar.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.cur.data) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.next()
	}
	n := copy(p, s.cur.data)
	s.cur.data = s.cur.data[n:]
	return n, nil
}

func (s *stream) next() {
	if s.full != nil {
		s.free <- s.full[:chunkSize]
		s.full = nil
	}
	c, ok := <-s.out
	if !ok {
		c.err = io.ErrClosedPipe
	}
	if cap(c.data) > 0 {
		s.full = c.data[:cap(c.data)]
	}
	s.cur, s.err = c, c.err
}

// empty says whether the tar has no entry at all. It must be called before the first Read.
func (s *stream) empty() bool {
	if s.cur.data == nil && s.err == nil {
		s.next()
	}
	head := s.cur.data[:min(tarEnd, len(s.cur.data))]
	if len(head) == 0 {
		return errors.Is(s.err, io.EOF)
	}
	return len(bytes.Trim(head, "\x00")) == 0
}

// finish reads what is left and returns the digest of the whole tar.
func (s *stream) finish() (digest.Digest, error) {
	for s.err == nil {
		s.next()
	}
	if !errors.Is(s.err, io.EOF) {
		return "", s.err
	}
	return digest.NewDigest(digest.SHA256, s.sum), nil
}

// broken is why the tar could not be read, nil if it could so far.
func (s *stream) broken() error {
	if s.err == nil || errors.Is(s.err, io.EOF) {
		return nil
	}
	return s.err
}

// Close ends the reading and waits until r is no longer touched.
func (s *stream) Close() error {
	s.cancel()
	for range s.out {
	}
	<-s.done
	return nil
}

func readFull(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// decompress goes by the first bytes, not by the media type: Docker's plain layer type may hold
// either, and the content is verified by digest in any case.
func decompress(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, chunkSize)
	head, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return z, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), isSkippable(head):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(br), nil
}

// isSkippable knows the frames that a zstd file may begin with (zstd:chunked, seekable zstd).
func isSkippable(head []byte) bool {
	return len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18})
}
