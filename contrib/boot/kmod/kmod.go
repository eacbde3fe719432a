// Package kmod finds kernel modules in an unpacked kernel package, puts them into the order in
// which they must be loaded, and writes the modules.dep that the package itself lacks (Debian
// makes it with depmod at installation).
package kmod

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrUnknown is returned for a module that the kernel neither holds nor offers.
var ErrUnknown = errors.New("kmod: no such module")

// Module is a loadable module.
type Module struct {
	Name    string   // with underscores
	Path    string   // below the kernel's module directory: "kernel/fs/overlayfs/overlay.ko"
	Depends []string // names of the modules that it needs at once
	Aliases []string // what the kernel may ask for instead of the name
}

// Index is what one kernel offers.
type Index struct {
	dir     string            // lib/modules/<version> of the unpacked package
	paths   map[string]string // name to path
	builtin map[string]bool
}

// Open reads the index of a module directory (lib/modules/<version>).
func Open(dir string) (*Index, error) {
	idx := &Index{dir: dir, paths: map[string]string{}, builtin: map[string]bool{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".ko") {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		idx.paths[moduleName(path)] = rel
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kmod: %w", err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("kmod: %w", err)
	}
	for _, path := range strings.Fields(string(list)) {
		idx.builtin[moduleName(path)] = true
	}
	return idx, nil
}

// Version is the kernel's release, as uname -r prints it.
func (x *Index) Version() string { return filepath.Base(x.dir) }

// File is the path of a module's file on this machine.
func (x *Index) File(m Module) string { return filepath.Join(x.dir, m.Path) }

// Resolve returns the named modules and all that they need, each after its dependencies and
// otherwise in the order given. Modules that are built into the kernel are left out.
func (x *Index) Resolve(names ...string) ([]Module, error) {
	var out []Module
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = strings.ReplaceAll(name, "-", "_")
		if seen[name] || x.builtin[name] {
			return nil
		}
		seen[name] = true
		m, err := x.module(name)
		if err != nil {
			return err
		}
		for _, dep := range m.Depends {
			if err := add(dep); err != nil {
				return fmt.Errorf("%s needs: %w", name, err)
			}
		}
		out = append(out, m)
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (x *Index) module(name string) (Module, error) {
	path, ok := x.paths[name]
	if !ok {
		return Module{}, fmt.Errorf("%w: %s in %s", ErrUnknown, name, x.dir)
	}
	info, err := modinfo(filepath.Join(x.dir, path))
	if err != nil {
		return Module{}, err
	}
	m := Module{Name: name, Path: path, Aliases: info["alias"]}
	for _, deps := range info["depends"] {
		for dep := range strings.SplitSeq(deps, ",") {
			if dep != "" {
				m.Depends = append(m.Depends, dep)
			}
		}
	}
	return m, nil
}

// modinfo reads the key=value strings of a module's .modinfo section.
func modinfo(path string) (map[string][]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("kmod: %s: %w", path, err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("kmod: %s has no .modinfo", path)
	}
	data, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("kmod: %s: %w", path, err)
	}
	info := map[string][]string{}
	for field := range bytes.SplitSeq(data, []byte{0}) {
		if key, value, ok := strings.Cut(string(field), "="); ok {
			info[key] = append(info[key], value)
		}
	}
	return info, nil
}

// Dep returns the modules.dep of a set of modules that Resolve returned.
func Dep(modules []Module) []byte {
	byName := map[string]Module{}
	for _, m := range modules {
		byName[m.Name] = m
	}
	var out strings.Builder
	for _, m := range modules {
		fmt.Fprintf(&out, "%s:", m.Path)
		// modprobe loads from the right to the left: the nearest dependency first.
		for _, dep := range closure(byName, m) {
			fmt.Fprintf(&out, " %s", byName[dep].Path)
		}
		out.WriteString("\n")
	}
	return []byte(out.String())
}

func closure(byName map[string]Module, m Module) []string {
	var order []string // dependencies before their users
	var visit func(Module)
	visit = func(m Module) {
		for _, dep := range m.Depends {
			d, ok := byName[dep]
			if !ok || slices.Contains(order, dep) { // not there: built in
				continue
			}
			visit(d)
			order = append(order, dep)
		}
	}
	visit(m)
	slices.Reverse(order)
	return order
}

// Alias returns the modules.alias of a set of modules, for the kernel's own requests.
func Alias(modules []Module) []byte {
	var out strings.Builder
	for _, m := range modules {
		for _, alias := range m.Aliases {
			fmt.Fprintf(&out, "alias %s %s\n", alias, m.Name)
		}
	}
	return []byte(out.String())
}

func moduleName(path string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".ko"), "-", "_")
}
