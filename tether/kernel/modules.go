package kernel

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Modules loads kernel modules from a root directory ("/" but for tests).
type Modules struct {
	Root string
	// Load hands a file to the kernel.
	Load func(path, params string) error
}

// NewModules loads modules into the running kernel.
func NewModules() *Modules { return &Modules{Root: "/", Load: loadModule} }

// ListFile names the modules that are loaded at each boot, in this order, one a line: a path, or a
// file name below /lib/modules; parameters may follow.
const ListFile = "modules.list"

// loadModule loads a module without its signature. The modules come from the same image as the
// tether and are trusted as it is; to verify eleven signatures takes an emulated CPU three times as
// long as all the rest between the kernel and the container's process. A kernel that insists gets
// the file as it is.
func loadModule(path, params string) error {
	b, err := readModule(path)
	if err != nil {
		return err
	}
	err = unix.InitModule(unsigned(b), params)
	if errors.Is(err, unix.EKEYREJECTED) || errors.Is(err, unix.EPERM) {
		err = unix.InitModule(b, params)
	}
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// readModule reads a module's file, which may be compressed.
func readModule(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".gz") {
		return b, err
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return io.ReadAll(r)
}

// What the kernel's scripts/sign-file appends: the signature, 12 bytes of which the last 4 are the
// signature's size, and this mark.
const (
	signatureMark = "~Module signature appended~\n"
	signatureInfo = 12
)

// unsigned returns a module without the signature at its end.
func unsigned(b []byte) []byte {
	rest, ok := bytes.CutSuffix(b, []byte(signatureMark))
	if !ok || len(rest) < signatureInfo {
		return b
	}
	size := int(binary.BigEndian.Uint32(rest[len(rest)-4:]))
	if end := len(rest) - signatureInfo - size; size > 0 && end > 0 {
		return rest[:end]
	}
	return b
}

// defaultParams are parameters that modules get unless the list gives some. A SCSI scan of all
// targets of an adapter costs 0.2 s; the tether knows which targets it wants and asks for those.
func defaultParams(name string) string {
	if name == "scsi_mod" {
		return "scan=manual"
	}
	return ""
}

// LoadList loads what ListFile names; no file is an empty list. It goes on after a module that does
// not load and returns all errors: what is missing shows where it is needed.
func (m *Modules) LoadList(done func(name string)) error {
	b, err := os.ReadFile(filepath.Join(m.Root, ListFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list of modules: %w", err)
	}
	var errs []error
	for line := range strings.Lines(string(b)) {
		path, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		if path == "" || path[0] == '#' {
			continue
		}
		name := moduleName(path)
		if params == "" {
			params = defaultParams(name)
		}
		if err := m.Load(m.locate(path), params); err != nil {
			errs = append(errs, fmt.Errorf("load module %s: %w", path, err))
		}
		done(name)
	}
	return errors.Join(errs...)
}

// locate finds a module's file: an absolute path is taken as it is; a relative one is below the
// kernel's module directory, or, a bare file name, directly in /lib/modules.
func (m *Modules) locate(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Join(m.Root, path)
	}
	for _, dir := range []string{m.dir(), filepath.Join(m.Root, "lib/modules")} {
		if p := filepath.Join(dir, path); exists(p) {
			return p
		}
	}
	return filepath.Join(m.Root, path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (m *Modules) dir() string { return filepath.Join(m.Root, "lib/modules", Release()) }

// LoadNames loads modules by name with what they depend on, as modules.dep says. A name that the
// kernel has built in, or that is loaded already, is no error.
func (m *Modules) LoadNames(names []string) error {
	if len(names) == 0 {
		return nil
	}
	f, err := os.Open(filepath.Join(m.dir(), "modules.dep"))
	if err != nil {
		return fmt.Errorf("load modules: %w", err)
	}
	defer f.Close()
	deps, err := parseDeps(f)
	if err != nil {
		return fmt.Errorf("load modules: %w", err)
	}
	var errs []error
	for _, n := range names {
		errs = append(errs, m.loadName(moduleName(n), deps))
	}
	return errors.Join(errs...)
}

func (m *Modules) loadName(name string, deps map[string][]string) error {
	if exists(filepath.Join(m.Root, "sys/module", name)) {
		return nil
	}
	files, ok := deps[name]
	if !ok {
		return fmt.Errorf("load module %s: not in modules.dep", name)
	}
	// modules.dep names the nearest dependency first; loading goes the other way.
	for i := len(files) - 1; i >= 0; i-- {
		dep := moduleName(files[i])
		if exists(filepath.Join(m.Root, "sys/module", dep)) {
			continue
		}
		if err := m.Load(filepath.Join(m.dir(), files[i]), defaultParams(dep)); err != nil {
			return fmt.Errorf("load module %s: %w", dep, err)
		}
	}
	return nil
}

// parseDeps reads modules.dep: for each module its file and then those that it needs.
func parseDeps(r io.Reader) (map[string][]string, error) {
	deps := map[string][]string{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		path, rest, ok := strings.Cut(s.Text(), ":")
		if ok {
			deps[moduleName(path)] = append([]string{path}, strings.Fields(rest)...)
		}
	}
	return deps, s.Err()
}

// moduleName is the kernel's name of a module file: "a/vmw-x.ko.xz" is vmw_x.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return strings.ReplaceAll(name, "-", "_")
}
