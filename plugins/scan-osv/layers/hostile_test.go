package layers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/plugins/scan-osv/imagetest"
	"github.com/openvic/vic/sdk/errdef"
)

// unpack unpacks a blob that claims to be what it is.
func unpack(t *testing.T, blob []byte, diffID digest.Digest, l Limits) (*Layer, error) {
	t.Helper()
	d := ocispec.Descriptor{Digest: digest.FromBytes(blob), Size: int64(len(blob))}
	return Unpack(t.Context(), bytes.NewReader(blob), d, diffID, extractors(t), l)
}

func TestUnpacksEachCompression(t *testing.T) {
	archive := imagetest.Tar(t, debs("bash 5"))
	z, err := zstd.NewWriter(nil)
	must(t, err)
	for name, blob := range map[string][]byte{"gzip": imagetest.Gzip(t, archive), "zstd": z.EncodeAll(archive, nil), "none": archive} {
		l, err := unpack(t, blob, digest.FromBytes(archive), limits)
		if err != nil || len(l.Files) != 1 || l.Size != int64(len(archive)) {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

func TestLayersThatAreRefused(t *testing.T) {
	archive := imagetest.Tar(t, debs("bash 5"))
	id := digest.FromBytes(archive)
	zeros := make([]byte, 64<<20)
	small := limits
	small.Bytes = 1 << 20
	few := limits
	few.Entries = 2
	none := limits
	none.Packages = 1
	for name, c := range map[string]struct {
		blob   []byte
		diffID digest.Digest
		limits Limits
		class  error
	}{
		"another diff ID":         {imagetest.Gzip(t, archive), digest.FromString("x"), limits, errdef.ErrInvalid},
		"no diff ID":              {imagetest.Gzip(t, archive), "md5:x", limits, errdef.ErrInvalid},
		"no archive":              {[]byte(strings.Repeat("x", 2000)), id, limits, errdef.ErrInvalid},
		"half a gzip":             {imagetest.Gzip(t, archive)[:80], id, limits, errdef.ErrInvalid},
		"nothing":                 {nil, id, limits, errdef.ErrInvalid},
		"a bomb in a file":        {imagetest.Gzip(t, imagetest.Tar(t, imagetest.File{Name: "zeros", Text: string(zeros)})), id, small, errdef.ErrExhausted},
		"a bomb behind the end":   {imagetest.Gzip(t, append(bytes.Clone(archive), zeros...)), id, small, errdef.ErrExhausted},
		"a list without an end":   {imagetest.Gzip(t, imagetest.Tar(t, npm("a", "a", "1"), npm("b", "b", "1"), npm("c", "c", "1"))), id, few, errdef.ErrExhausted},
		"packages without an end": {imagetest.Gzip(t, imagetest.Tar(t, debs("a 1", "b 1"))), id, none, errdef.ErrExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := unpack(t, c.blob, c.diffID, c.limits); !errors.Is(err, c.class) {
				t.Errorf("Unpack: %v, not %v", err, c.class)
			}
		})
	}
}

func TestBlobThatIsNotItsDigestIsRefused(t *testing.T) {
	archive := imagetest.Tar(t, debs("bash 5"))
	blob := imagetest.Gzip(t, archive)
	for name, d := range map[string]ocispec.Descriptor{
		"another digest": {Digest: digest.FromString("x"), Size: int64(len(blob))},
		"another size":   {Digest: digest.FromBytes(blob), Size: int64(len(blob)) - 1},
	} {
		_, err := Unpack(t.Context(), bytes.NewReader(blob), d, digest.FromBytes(archive), extractors(t), limits)
		if !errors.Is(err, errdef.ErrInvalid) && !errors.Is(err, errdef.ErrExhausted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrorOfTheRegistryStaysWhatItIs(t *testing.T) {
	gone := fmt.Errorf("the registry breaks off: %w", errdef.ErrUnavailable)
	archive := imagetest.Tar(t, debs("bash 5"))
	blob := imagetest.Gzip(t, archive)
	d := ocispec.Descriptor{Digest: digest.FromBytes(blob), Size: int64(len(blob))}
	from := io.MultiReader(bytes.NewReader(blob[:50]), failing{gone})
	if _, err := Unpack(t.Context(), from, d, digest.FromBytes(archive), extractors(t), limits); !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("Unpack: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestFilesThatCannotBeReadAreWarnings(t *testing.T) {
	small := limits
	small.File = 100
	archive := imagetest.Tar(t, npm("a", "a", "1"),
		imagetest.File{Name: "big/package.json", Text: `{"name": "b", "version": "1", "x": "` + strings.Repeat("x", 200) + `"}`},
		imagetest.File{Name: "bin/short", Mode: 0o755, Text: "\x7fE"}, imagetest.File{Name: "bin/elf", Mode: 0o755, Text: "\x7fELF\xff\xff\xff"})
	l, err := Read(t.Context(), bytes.NewReader(archive), extractors(t), small)
	if err != nil || len(l.Files) != 1 || len(l.Warnings) != 1 {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestNothingIsLeftOnDisk(t *testing.T) {
	x := extractors(t)
	big := imagetest.File{Name: "big", Mode: 0o755, Text: "\x7fELF" + strings.Repeat("\x00", inMemory+1)}
	_, err := Read(t.Context(), bytes.NewReader(imagetest.Tar(t, big, imagetest.File{Name: "var/lib/rpm/Packages", Text: "x"})), x, limits)
	must(t, err)
	left, err := filepath.Glob(filepath.Join(x.dir, "*"))
	must(t, err)
	if len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestLayerIsKeptAsItIs(t *testing.T) {
	l := read(t, debs("bash 5"), imagetest.File{Name: "etc/os-release", Text: "ID=debian\n"},
		imagetest.File{Name: "a/.wh..wh..opq"}, imagetest.File{Name: ".wh.b"})
	text, err := json.Marshal(l)
	must(t, err)
	got := &Layer{}
	must(t, json.Unmarshal(text, got))
	if !reflect.DeepEqual(got, l) {
		t.Errorf("kept %+v, was %+v", got, l)
	}
}

func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	c, err := OpenCache(filepath.Join(t.TempDir(), "layers.db"), 1)
	must(t, err)
	defer c.Close()
	looked := 0
	get := func(blob, id string) {
		_, err := c.Get(t.Context(), digest.Digest(blob), digest.Digest(id), func() (*Layer, error) {
			looked++
			return read(t, debs("bash 5")), nil
		})
		must(t, err)
	}
	get("blob", "id")
	get("blob", "id")
	if looked != 1 {
		t.Errorf("looked %d times at one layer", looked)
	}
	get("other", "id") // nobody has seen that this blob is that layer
	if looked != 2 {
		t.Errorf("a blob passed for a layer that it was not seen to be")
	}
	get("second", "second")
	must(t, c.evict(t.Context()))
	looked = 0
	get("blob", "id")
	get("second", "second")
	if looked != 1 {
		t.Errorf("looked %d times; one of two should have stayed", looked)
	}
}

func TestOneLooksAtALayerAndTheOthersWait(t *testing.T) {
	c, err := OpenCache(filepath.Join(t.TempDir(), "layers.db"), 10)
	must(t, err)
	defer c.Close()
	begun, end := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := c.Get(context.Background(), "blob", "id", func() (*Layer, error) {
			close(begun)
			<-end
			return &Layer{}, nil
		})
		first <- err
	}()
	<-begun
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ended, "blob", "id", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("who does not want to wait: %v", err)
	}
	close(end)
	must(t, <-first)
	if _, err := c.Get(t.Context(), "blob", "id", func() (*Layer, error) { return nil, os.ErrInvalid }); err != nil {
		t.Errorf("looked again: %v", err)
	}
}
