package layers

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
)

const zstdWindow = 128 << 20 // bytes; what zstd --long=27 needs

// Unpack looks at a blob as it comes. It demands that it is the content of its digest, and its archive that of the diff
// ID: else a blob could pass for a layer that is known. Errors as Read's; ErrInvalid also if a digest is another one.
func Unpack(ctx context.Context, blob io.Reader, d ocispec.Descriptor, diffID digest.Digest, x *Extractors, limits Limits) (*Layer, error) {
	if err := diffID.Validate(); err != nil {
		return nil, fmt.Errorf("diff ID %q: %v: %w", diffID, err, errdef.ErrInvalid) //nolint:errorlint // one class
	}
	whole := d.Digest.Verifier()
	counted := &source{from: blob, left: d.Size}
	compressed := bufio.NewReaderSize(io.TeeReader(counted, whole), 256<<10)
	archive, closed, err := decompress(compressed)
	if err != nil {
		return nil, counted.explain(err)
	}
	defer closed()
	unpacked := diffID.Verifier()
	outer := &source{from: io.TeeReader(archive, unpacked), left: limits.Bytes}
	layer, err := Read(ctx, outer, x, limits)
	if err == nil { // what comes after the archive's end counts for the digests
		_, err = io.Copy(io.Discard, outer)
		if err == nil {
			_, err = io.Copy(io.Discard, compressed)
		}
	}
	switch {
	case counted.err != nil:
		return nil, counted.explain(err)
	case err != nil:
		return nil, outer.explain(err)
	case !whole.Verified():
		return nil, fmt.Errorf("layer %s: the blob is not the content of its digest: %w", d.Digest, errdef.ErrInvalid)
	case !unpacked.Verified():
		return nil, fmt.Errorf("layer %s: its archive is not the content of the diff ID %s: %w", d.Digest, diffID, errdef.ErrInvalid)
	}
	layer.Size = limits.Bytes - outer.left
	return layer, nil
}

// decompress looks at the first bytes, as runtimes do, whatever the media type says.
func decompress(r *bufio.Reader) (io.Reader, func(), error) {
	head, err := r.Peek(4)
	if err != nil && err != io.EOF { //nolint:errorlint // bufio returns it as it is
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { _ = z.Close() }, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(2*zstdWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// Encrypted says whether a media type is that of an encrypted layer.
func Encrypted(mediaType string) bool { return strings.Contains(mediaType, "+encrypted") }
