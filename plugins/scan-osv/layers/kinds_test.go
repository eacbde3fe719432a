package layers

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"database/sql"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/osv-scalibr/log"

	"github.com/openvic/vic/plugins/scan-osv/imagetest"
	"github.com/openvic/vic/plugins/scan-osv/inventory"
)

func TestMain(m *testing.M) {
	log.SetLogger(silent{})
	if len(os.Args) == 3 && os.Args[1] == ReadRPMArgument {
		if err := ReadRPM(os.Args[2], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Error(...any)          {}
func (silent) Warnf(string, ...any)  {}
func (silent) Warn(...any)           {}
func (silent) Infof(string, ...any)  {}
func (silent) Info(...any)           {}
func (silent) Debugf(string, ...any) {}
func (silent) Debug(...any)          {}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var limits = Limits{Bytes: 1 << 30, Entries: 1000, File: 512 << 20, Packages: 10_000}

func extractors(t testing.TB) *Extractors {
	t.Helper()
	x, err := NewExtractors(t.TempDir())
	must(t, err)
	return x
}

func read(t testing.TB, files ...imagetest.File) *Layer {
	t.Helper()
	l, err := Read(t.Context(), bytes.NewReader(imagetest.Tar(t, files...)), extractors(t), limits)
	must(t, err)
	return l
}

func jar(t *testing.T, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, text := range files {
		f, err := w.Create(name)
		must(t, err)
		_, err = f.Write([]byte(text))
		must(t, err)
	}
	must(t, w.Close())
	return out.String()
}

// rust is the least of a program that cargo auditable built.
func rust(t *testing.T, list string) string {
	t.Helper()
	var info bytes.Buffer
	z := zlib.NewWriter(&info)
	_, err := z.Write([]byte(list))
	must(t, err)
	must(t, z.Close())
	names := "\x00.dep-v0\x00.shstrtab\x00"
	const head = 64
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: head, Shentsize: 64, Shnum: 3, Shstrndx: 2,
		Shoff: uint64(head + info.Len() + len(names))}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var out bytes.Buffer
	must(t, binary.Write(&out, binary.LittleEndian, h))
	out.Write(info.Bytes())
	out.WriteString(names)
	must(t, binary.Write(&out, binary.LittleEndian, []elf.Section64{{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: head, Size: uint64(info.Len())},
		{Name: 9, Type: uint32(elf.SHT_STRTAB), Off: uint64(head + info.Len()), Size: uint64(len(names))}}))
	return out.String()
}

// rpm is a database of RPM with one package.
func rpmDatabase(t *testing.T, tags map[int32]string) string {
	t.Helper()
	var index, store bytes.Buffer
	var order []int32
	for tag := range tags {
		order = append(order, tag)
	}
	slices.Sort(order)
	for _, tag := range order {
		must(t, binary.Write(&index, binary.BigEndian, []int32{tag, 6, int32(store.Len()), 1})) // 6: a text
		store.WriteString(tags[tag] + "\x00")
	}
	var blob bytes.Buffer
	must(t, binary.Write(&blob, binary.BigEndian, []int32{int32(len(tags)), int32(store.Len())}))
	blob.Write(index.Bytes())
	blob.Write(store.Bytes())
	return rpmFile(t, blob.Bytes())
}

func rpmFile(t *testing.T, blob []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	db, err := sql.Open("sqlite", name)
	must(t, err)
	_, err = db.Exec(`CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)`)
	must(t, err)
	_, err = db.Exec(`INSERT INTO Packages (blob) VALUES (?)`, blob)
	must(t, err)
	must(t, db.Close())
	data, err := os.ReadFile(name)
	must(t, err)
	return string(data)
}

func TestReadsPackagesOfEachKind(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	program, err := os.ReadFile(self)
	must(t, err)
	rpmTags := map[int32]string{1000: "openssl-libs", 1001: "3.0.7", 1002: "24.el9", 1022: "x86_64", 1044: "openssl-3.0.7-24.el9.src.rpm"}
	for name, c := range map[string]struct {
		file imagetest.File
		want inventory.Package
	}{
		"dpkg": {imagetest.File{Name: "./var/lib/dpkg/status", Text: "Package: libssl3\n" +
			"Status: install ok installed\nArchitecture: amd64\nSource: openssl (3.0.11-1)\nVersion: 3.0.11-1+b1\n\n"},
			inventory.Package{Kind: "deb", Name: "libssl3", Version: "3.0.11-1+b1", Source: "openssl", SourceVersion: "3.0.11-1", Arch: "amd64"}},
		"distroless": {imagetest.File{Name: "var/lib/dpkg/status.d/base", Text: "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"},
			inventory.Package{Kind: "deb", Name: "base-files", Version: "12.4", Arch: "amd64"}},
		"apk": {imagetest.File{Name: "lib/apk/db/installed", Text: "P:libcrypto3\nV:3.1.4-r0\nA:x86_64\no:openssl\n\n"},
			inventory.Package{Kind: "apk", Name: "libcrypto3", Version: "3.1.4-r0", Source: "openssl", Arch: "x86_64"}},
		"rpm": {imagetest.File{Name: "var/lib/rpm/rpmdb.sqlite", Text: rpmDatabase(t, rpmTags)},
			inventory.Package{Kind: "rpm", Name: "openssl-libs", Version: "3.0.7-24.el9", Source: "openssl", SourceVersion: "3.0.7-24.el9", Arch: "x86_64"}},
		"npm": {imagetest.File{Name: "app/node_modules/left-pad/package.json", Text: `{"name": "left-pad", "version": "1.3.0"}`},
			inventory.Package{Kind: "npm", Name: "left-pad", Version: "1.3.0"}},
		"PyPI": {imagetest.File{Name: "usr/lib/python3/dist-packages/Flask-3.0.0.dist-info/METADATA", Text: "Metadata-Version: 2.1\nName: Flask\nVersion: 3.0.0\n\n"},
			inventory.Package{Kind: "pypi", Name: "Flask", Version: "3.0.0"}},
		"Java": {imagetest.File{Name: "app/log4j-core.jar", Text: jar(t, map[string]string{
			"META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties": "groupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.14.1\n"})},
			inventory.Package{Kind: "maven", Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1"}},
		"Rust": {imagetest.File{Name: "usr/bin/tool", Mode: 0o755, Text: rust(t, `{"packages": [{"name": "serde_json", "version": "1.0.57", "source": "crates.io", "kind": "runtime"}]}`)},
			inventory.Package{Kind: "cargo", Name: "serde_json", Version: "1.0.57"}},
		"Go": {imagetest.File{Name: "usr/bin/app", Mode: 0o755, Text: string(program)},
			inventory.Package{Kind: "golang", Name: "stdlib", Version: strings.TrimPrefix(runtime.Version(), "go")}},
	} {
		t.Run(name, func(t *testing.T) {
			l := read(t, c.file)
			path := strings.TrimPrefix(c.file.Name, "./")
			c.want.Path = path
			if !slices.Contains(l.Files[path], c.want) {
				t.Errorf("%+v is not among %+v; warnings %q", c.want, l.Files, l.Warnings)
			}
		})
	}
}

func TestHardLinkIsTheFileToo(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	program, err := os.ReadFile(self)
	must(t, err)
	l := read(t, imagetest.File{Name: "app", Mode: 0o755, Text: string(program)}, imagetest.File{Name: "link", Link: "app"})
	for _, path := range []string{"app", "link"} {
		if !slices.ContainsFunc(l.Files[path], func(p inventory.Package) bool { return p.Name == "stdlib" && p.Path == path }) {
			t.Errorf("%s has no stdlib", path)
		}
	}
}

func TestCraftedDatabaseOfRPMIsAWarning(t *testing.T) {
	negative := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 1<<31), 4)
	endless := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 1<<30), 4)
	for name, text := range map[string]string{
		"no database":                strings.Repeat("x", 5000),
		"a negative length":          rpmFile(t, negative),
		"16 GiB of index":            rpmFile(t, endless),
		"a Berkeley DB that is none": strings.Repeat("\x00", 12) + "\x61\x15\x06\x00" + strings.Repeat("\xff", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			l := read(t, imagetest.File{Name: "var/lib/rpm/Packages", Text: text},
				imagetest.File{Name: "node_modules/a/package.json", Text: `{"name": "a", "version": "1"}`})
			if len(l.Warnings) != 1 || len(l.Files) != 1 {
				t.Errorf("warnings %q, files %v", l.Warnings, l.Files)
			}
		})
	}
}
