package layers

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing/fstest"

	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/language/golang/gobinary"
	"github.com/google/osv-scalibr/extractor/filesystem/language/java/archive"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/packagejson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/wheelegg"
	"github.com/google/osv-scalibr/extractor/filesystem/language/rust/cargoauditable"
	"github.com/google/osv-scalibr/extractor/filesystem/os/apk"
	"github.com/google/osv-scalibr/extractor/filesystem/os/dpkg"
	"github.com/google/osv-scalibr/extractor/filesystem/os/rpm"
	scalibrfs "github.com/google/osv-scalibr/fs"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/sdk/errdef"
)

// Version changes with what Read finds: layers that were kept under another one are looked at again.
const Version = 1

// errLocal is the class of what fails on this side: a file that cannot be written.
var errLocal = fmt.Errorf("the scanner's own disk: %w", errdef.ErrUnavailable)

// unreadable says that a file cannot be read for packages. The scan goes on.
type unreadable struct{ text string }

func (u *unreadable) Error() string { return u.text }

// Extractors read files for packages. They may be used by several goroutines.
type Extractors struct {
	dir      string // for files
	self     string // this program, which reads databases of RPM in a process of its own
	programs []filesystem.Extractor
	files    []filesystem.Extractor
	database filesystem.Extractor // of RPM
}

// NewExtractors makes them; dir is a folder for what has to be a file, each for a moment.
func NewExtractors(dir string) (*Extractors, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	x := &Extractors{dir: dir, self: self}
	var errs []error
	one := func(make func(*cpb.PluginConfig) (filesystem.Extractor, error), config *cpb.PluginConfig) filesystem.Extractor {
		e, err := make(config)
		errs = append(errs, err)
		return e
	}
	none := &cpb.PluginConfig{}
	java := &cpb.PluginConfig{PluginSpecific: []*cpb.PluginSpecificConfig{{Config: &cpb.PluginSpecificConfig_JavaArchive{JavaArchive: &cpb.JavaArchiveConfig{
		MaxZipDepth: 8, MaxOpenedBytes: 1 << 30, HashJars: new(bool)}}}}}
	x.programs = []filesystem.Extractor{one(gobinary.New, none), one(cargoauditable.New, none)}
	x.files = []filesystem.Extractor{one(dpkg.New, none), one(apk.New, none), one(packagejson.New, none), one(wheelegg.New, none), one(archive.New, java)}
	x.database = one(rpm.New, none)
	return x, errors.Join(errs...)
}

// file is a file of a layer, as extractors ask for it.
type file struct {
	path string
	info fs.FileInfo
}

func (f file) Path() string               { return f.path }
func (f file) Stat() (fs.FileInfo, error) { return f.info, nil }

// wanted are those that may read the file.
func (x *Extractors) wanted(p string, info fs.FileInfo) []filesystem.Extractor {
	f := file{p, info}
	var want []filesystem.Extractor
	for _, e := range x.files {
		if e.FileRequired(f) {
			want = append(want, e)
		}
	}
	if x.database.FileRequired(f) {
		return []filesystem.Extractor{x.database}
	}
	if len(want) == 0 && x.programs[0].FileRequired(f) {
		want = x.programs
	}
	return want
}

// program says whether a file with such a beginning may be a program: ELF, PE, Mach-O.
func program(head []byte) bool {
	for _, magic := range []string{"\x7fELF", "MZ", "\xcf\xfa\xed\xfe", "\xce\xfa\xed\xfe", "\xca\xfe\xba\xbe", "\xfe\xed\xfa\xcf", "\xfe\xed\xfa\xce"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

const inMemory = 32 << 20 // larger files are put on disk for the time

// run reads a file with each extractor.
func (x *Extractors) run(ctx context.Context, want []filesystem.Extractor, p string, h *tar.Header, r io.Reader) ([]inventory.Package, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(want) == len(x.programs) && want[0] == x.programs[0] {
		head := make([]byte, 4)
		n, err := io.ReadFull(r, head)
		if !program(head[:n]) {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && int64(n) == h.Size {
				err = nil
			}
			return nil, err
		}
		r = io.MultiReader(bytes.NewReader(head[:n]), r)
	}
	if want[0] == x.database {
		return x.readRPM(ctx, p, h, r)
	}
	if h.Size <= inMemory {
		data := make([]byte, h.Size)
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, err
		}
		return each(ctx, want, filesystem.ScanInput{FS: nothing(), Path: p, Info: h.FileInfo()}, func() (io.Reader, error) { return bytes.NewReader(data), nil })
	}
	return x.onDisk(ctx, want, p, h, r)
}

// onDisk is run for a large file: it lies in a file without a name meanwhile.
func (x *Extractors) onDisk(ctx context.Context, want []filesystem.Extractor, p string, h *tar.Header, r io.Reader) ([]inventory.Package, error) {
	f, err := os.CreateTemp(x.dir, "file-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLocal, err)
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("%w: %w", errLocal, err)
	}
	if err := spool(f, r); err != nil {
		return nil, err
	}
	return each(ctx, want, filesystem.ScanInput{FS: nothing(), Path: p, Info: h.FileInfo()}, func() (io.Reader, error) {
		_, err := f.Seek(0, io.SeekStart)
		return f, err
	})
}

// spool tells a disk that is full from an archive that breaks off.
func spool(f *os.File, r io.Reader) error {
	_, err := io.Copy(f, r)
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	return err
}

// anyRelease is what extractors see of the distribution, which follows from other layers.
const anyRelease = "ID=any\nVERSION_ID=0\n"

func nothing() scalibrfs.FS {
	return fstest.MapFS{"etc/os-release": &fstest.MapFile{Data: []byte(anyRelease)}}
}

// each runs the extractors. What one of them cannot read is an unreadable, with what the others found.
func each(ctx context.Context, want []filesystem.Extractor, input filesystem.ScanInput, open func() (io.Reader, error)) ([]inventory.Package, error) {
	var all []inventory.Package
	var fault error
	for _, e := range want {
		r, err := open()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errLocal, err)
		}
		in := input
		in.Reader = r
		list, err := extract(ctx, e, &in)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			fault = &unreadable{text: fmt.Sprintf("cannot be read for packages: %.300v", err)}
		}
		all = append(all, list...)
	}
	return all, fault
}

// extract keeps a panic of a parser, which a crafted file may bring about, to that file.
func extract(ctx context.Context, e filesystem.Extractor, in *filesystem.ScanInput) (list []inventory.Package, err error) {
	defer func() {
		if p := recover(); p != nil {
			list, err = nil, fmt.Errorf("the reader of %s gives up: %v", e.Name(), p)
		}
	}()
	inv, err := e.Extract(ctx, in)
	for _, p := range inv.Packages {
		if one, ok := convert(p); ok {
			list = append(list, one)
		}
	}
	return list, err
}

// release reads a file os-release.
func release(r io.Reader) inventory.Distro {
	var d inventory.Distro
	fields := map[string]*string{"ID": &d.ID, "VERSION_ID": &d.Version, "VERSION_CODENAME": &d.Codename, "PRETTY_NAME": &d.Name}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if field := fields[key]; field != nil {
			*field = line(strings.Trim(value, `"'`))
		}
	}
	return d
}
