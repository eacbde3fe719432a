// Package layer makes the layers of an image: tar archives that depend on their content alone, so
// that the same tree gives the same digest wherever it is built.
package layer

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// Compression of a layer.
type Compression int

// The compressions that images use.
const (
	Gzip Compression = iota
	Zstd
)

// Layer is a finished layer in a file.
type Layer struct {
	Path        string
	Compression Compression
	Digest      digest.Digest // of the compressed bytes
	DiffID      digest.Digest // of the tar archive
	Size        int64
	Comment     string // what made it, for `docker history`
}

// clamp is the time that newer files get: what a build writes now would differ each time.
var clamp = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Create writes a layer to a new file in dir; fill writes the archive's entries.
func Create(dir, comment string, how Compression, fill func(*tar.Writer) error) (_ Layer, err error) {
	file, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return Layer{}, fmt.Errorf("layer: %w", err)
	}
	defer func() {
		if closeErr := file.Close(); closeErr != nil || err != nil {
			err = errors.Join(err, closeErr, os.Remove(file.Name()))
		}
	}()
	packed := &summer{w: file, sum: sha256.New()}
	comp, err := compressor(packed, how)
	if err != nil {
		return Layer{}, fmt.Errorf("layer: %w", err)
	}
	plain := &summer{w: comp, sum: sha256.New()}
	tw := tar.NewWriter(plain)
	if err := fill(tw); err != nil {
		return Layer{}, fmt.Errorf("layer: %s: %w", comment, err)
	}
	if err := errors.Join(tw.Close(), comp.Close()); err != nil {
		return Layer{}, fmt.Errorf("layer: %s: %w", comment, err)
	}
	return Layer{Path: file.Name(), Compression: how, Digest: packed.digest(), DiffID: plain.digest(), Size: packed.n, Comment: comment}, nil
}

func compressor(w io.Writer, how Compression) (io.WriteCloser, error) {
	if how == Zstd {
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return gzip.NewWriterLevel(w, gzip.DefaultCompression)
}

// summer counts and hashes what passes through it.
type summer struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (s *summer) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.sum.Write(p[:n])
	s.n += int64(n)
	return n, err
}

func (s *summer) digest() digest.Digest {
	return digest.Digest("sha256:" + hex.EncodeToString(s.sum.Sum(nil)))
}
