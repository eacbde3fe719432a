// Package layers finds packages in the layers of images. A layer is looked at once, as a stream and by itself; what
// is in an image follows from what its layers have, add and remove (Merge), so that images share the work on their
// layers.
//
// Nothing of a layer is written to disk but what a reader of packages needs as a file, under a name of its own.
package layers

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/sdk/errdef"
)

// Limits bound what a layer may cost.
type Limits struct {
	Bytes    int64 // that it unpacks to
	Entries  int   // of its archive
	File     int64 // that is read for packages; larger ones are left out, with a warning
	Packages int
}

// Layer is what a layer means for the packages of an image. It is kept as JSON.
type Layer struct {
	// Files are those that tell of packages, by path.
	Files map[string][]inventory.Package `json:"files,omitempty"`
	// Releases are the files os-release, by path.
	Releases map[string]inventory.Distro `json:"releases,omitempty"`
	// Names are the hashes of all that is no directory, and of what the layer removes: each takes the place of
	// what a lower layer has there, and below. Sorted.
	Names Hashes `json:"names,omitempty"`
	// Opaque are the hashes of directories of which nothing is left from lower layers. Sorted.
	Opaque Hashes `json:"opaque,omitempty"`
	// Size is what the layer unpacks to, in bytes.
	Size int64 `json:"size"`
	// Warnings are for people: what could not be read.
	Warnings []string `json:"warnings,omitempty"`
}

// Hashes are hashes of paths.
type Hashes []uint64

// MarshalText writes them as hex, which is a third of what numbers take.
func (h Hashes) MarshalText() ([]byte, error) {
	data := make([]byte, 0, 8*len(h))
	for _, n := range h {
		data = binary.BigEndian.AppendUint64(data, n)
	}
	return hex.AppendEncode(nil, data), nil
}

// UnmarshalText reads them.
func (h *Hashes) UnmarshalText(text []byte) error {
	data, err := hex.AppendDecode(nil, text)
	if err != nil || len(data)%8 != 0 {
		return errors.New("hashes: are no hex of 8 bytes each")
	}
	for ; len(data) > 0; data = data[8:] {
		*h = append(*h, binary.BigEndian.Uint64(data))
	}
	return nil
}

func (h Hashes) has(path string) bool {
	_, ok := slices.BinarySearch(h, hash(path))
	return ok
}

// hash is a part of a hash for which nobody finds a second path.
func hash(path string) uint64 {
	sum := sha256.Sum256([]byte(path))
	return binary.BigEndian.Uint64(sum[:])
}

const (
	whiteout       = ".wh."
	opaque         = ".wh..wh..opq"
	maxPath        = 4096
	maxOSRelease   = 64 << 10
	maxWarnings    = 20
	apkDatabase    = "lib/apk/db/installed"
	maxLinkTargets = 100_000
)

// clean makes a path of a name in an archive; empty: it is none.
func clean(name string) string {
	if len(name) > maxPath || strings.ContainsRune(name, 0) {
		return ""
	}
	p := strings.TrimPrefix(path.Clean("/"+name), "/")
	if p == "usr/lib/apk/db/installed" || p == "var/lib/apk/db/installed" {
		return apkDatabase // one file, whose directory may be a link
	}
	return p
}

// reader looks at one layer.
type reader struct {
	limits  Limits
	extract *Extractors
	out     *Layer
	found   int
}

// Read looks at the archive of a layer; r is it, uncompressed. It does not read further than the archive's end.
// ErrInvalid: it is no archive. ErrExhausted: a limit. Errors of r that have a class are returned.
func Read(ctx context.Context, r io.Reader, x *Extractors, limits Limits) (*Layer, error) {
	l := &reader{limits: limits, extract: x, out: &Layer{Files: map[string][]inventory.Package{}, Releases: map[string]inventory.Distro{}}}
	from := &source{from: r, left: limits.Bytes}
	tr := tar.NewReader(from)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF { //nolint:errorlint // tar returns it as it is
			break
		}
		if err == nil && n >= limits.Entries {
			err = fmt.Errorf("the layer has more than %d entries: %w", limits.Entries, errdef.ErrExhausted)
		}
		if err == nil {
			err = l.entry(ctx, h, tr)
		}
		if err != nil {
			return nil, from.explain(err)
		}
	}
	for _, h := range []*Hashes{&l.out.Names, &l.out.Opaque} {
		slices.Sort(*h)
		*h = slices.Compact(*h)
	}
	return l.out, nil
}

// source counts, and remembers what went wrong below the archive.
type source struct {
	from io.Reader
	left int64
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if s.left -= int64(n); s.left < 0 {
		err = fmt.Errorf("the layer unpacks to more than the plugin takes: %w", errdef.ErrExhausted)
	}
	if err != nil && err != io.EOF { //nolint:errorlint // as above
		s.err = err
	}
	return n, err
}

// explain tells what is wrong with the archive from what is wrong with its source: that has a class.
func (s *source) explain(err error) error {
	if s.err != nil {
		err = s.err
	}
	for _, class := range []error{errdef.ErrExhausted, errdef.ErrUnavailable, errdef.ErrInvalid, errdef.ErrNotFound, errdef.ErrDenied,
		context.Canceled, context.DeadlineExceeded, errLocal} {
		if errors.Is(err, class) {
			return err
		}
	}
	return fmt.Errorf("the layer is no archive that one can read: %v: %w", err, errdef.ErrInvalid) //nolint:errorlint // one class
}

func (l *reader) entry(ctx context.Context, h *tar.Header, tr io.Reader) error {
	p := clean(h.Name)
	if p == "" {
		return nil
	}
	dir, base := path.Split(p)
	switch {
	case base == opaque:
		l.out.Opaque = append(l.out.Opaque, hash(strings.TrimSuffix(dir, "/")))
		return nil
	case strings.HasPrefix(base, whiteout):
		l.out.Names = append(l.out.Names, hash(dir+strings.TrimPrefix(base, whiteout)))
		return nil
	case h.Typeflag == tar.TypeDir, h.Typeflag == tar.TypeXGlobalHeader:
		return nil
	}
	l.out.Names = append(l.out.Names, hash(p))
	delete(l.out.Files, p) // an archive may have a path twice: the last one counts
	delete(l.out.Releases, p)
	switch h.Typeflag {
	case tar.TypeReg:
		return l.file(ctx, p, h, tr)
	case tar.TypeLink:
		if list, ok := l.out.Files[clean(h.Linkname)]; ok && len(l.out.Files) < maxLinkTargets {
			return l.add(p, list)
		}
	}
	return nil
}

func (l *reader) add(p string, list []inventory.Package) error {
	if l.found += len(list); l.found > l.limits.Packages {
		return fmt.Errorf("the layer has more than %d packages: %w", l.limits.Packages, errdef.ErrExhausted)
	}
	if len(list) > 0 {
		own := slices.Clone(list)
		for i := range own {
			own[i].Path = p
		}
		l.out.Files[p] = own
	}
	return nil
}

func (l *reader) warn(format string, args ...any) {
	if len(l.out.Warnings) < maxWarnings {
		l.out.Warnings = append(l.out.Warnings, fmt.Sprintf(format, args...))
	}
}

func (l *reader) file(ctx context.Context, p string, h *tar.Header, tr io.Reader) error {
	if p == "etc/os-release" || p == "usr/lib/os-release" {
		data, err := io.ReadAll(io.LimitReader(tr, maxOSRelease))
		if err != nil {
			return err
		}
		l.out.Releases[p] = release(bytes.NewReader(data))
		return nil
	}
	want := l.extract.wanted(p, h.FileInfo())
	if len(want) == 0 {
		return nil
	}
	if h.Size > l.limits.File {
		l.warn("%.300q has %d bytes, more than the scanner looks into", p, h.Size)
		return nil
	}
	list, err := l.extract.run(ctx, want, p, h, tr)
	if fault := (*unreadable)(nil); errors.As(err, &fault) {
		l.warn("%.300q: %s", p, fault.text)
	} else if err != nil {
		return err
	}
	return l.add(p, list)
}
