package media

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openvic/vic/contrib/boot/initramfs"
	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/kinds"
)

const (
	ownPlugin = "vsphere"
	pluginDir = "/etc/vic/plugins.d"
	dropInDir = "/etc/vic/vicd.d"
)

// generated are the files and folders that vic-machine writes into the running appliance: what an
// image has there would be lost.
var generated = []string{"/etc/vic/vicd.toml", "/etc/vic/vsphere.toml", "/etc/vic/tls"}

// addPlugins lays the files of a folder over the appliance's root, and refuses what vicd would refuse
// in the VM: that is the last moment at which the plugins' author looks.
func addPlugins(tree *initramfs.Tree, dir string) error {
	plugins, err := config.LoadPlugins(filepath.Join(dir, pluginDir))
	if err != nil {
		return fmt.Errorf("media: %s holds no plugins: %w", dir, err)
	}
	if len(plugins) == 0 {
		return fmt.Errorf("media: %s holds no plugins: there is no *.toml in its folder %s", dir, strings.TrimPrefix(pluginDir, "/"))
	}
	if err := overlay(tree, dir); err != nil {
		return err
	}
	names := []string{ownPlugin}
	var errs []error
	for _, p := range plugins {
		if err := checkPlugin(tree, p); err != nil {
			errs = append(errs, fmt.Errorf("media: %w", err))
		}
		names = append(names, p.Name)
	}
	return errors.Join(append(errs, checkDropIns(filepath.Join(dir, dropInDir), names))...)
}

// overlay adds the folder's files to those that are there; it replaces none.
func overlay(tree *initramfs.Tree, dir string) error {
	return filepath.WalkDir(dir, func(source string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("media: %w", err)
		}
		rel, err := filepath.Rel(dir, source)
		if err != nil {
			return fmt.Errorf("media: %w", err)
		}
		name := filepath.Join("/", rel)
		if slices.Contains(generated, name) {
			return fmt.Errorf("media: %s: vic-machine writes %s when the appliance boots", source, name)
		}
		if !d.IsDir() && tree.Has(name) {
			return fmt.Errorf("media: %s: the appliance has a file %s of its own", source, name)
		}
		return addEntry(tree, name, source, d)
	})
}

func addEntry(tree *initramfs.Tree, name, source string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	switch {
	case info.IsDir():
		if name != "/" && !tree.Has(name) {
			tree.Dir(name, 0o755)
		}
		return nil
	case info.Mode().IsRegular():
		return tree.File(name, info.Mode().Perm(), source)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(source)
		if err != nil {
			return fmt.Errorf("media: %w", err)
		}
		tree.Link(name, target)
		return nil
	default:
		return fmt.Errorf("media: %s is neither a file, a folder nor a symbolic link", source)
	}
}

// checkPlugin sees that vicd can start a plugin.
func checkPlugin(tree *initramfs.Tree, p config.Plugin) error {
	if p.Err != nil {
		return p.Err
	}
	if p.Name == ownPlugin {
		return fmt.Errorf("%s: name %q is that of the appliance's own plugin: give another", p.File, p.Name)
	}
	program, perm, ok := tree.Read(p.Path)
	if !ok {
		return fmt.Errorf("%s: path %s is not among the appliance's files", p.File, p.Path)
	}
	if perm&0o100 == 0 {
		return fmt.Errorf("%s: %s is not executable: chmod 755", p.File, p.Path)
	}
	if sum := sha256.Sum256(program); p.SHA256 != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%s: sha256 is %s, but that of %s is %s", p.File, p.SHA256, p.Path, hex.EncodeToString(sum[:]))
	}
	if p.Config != "" && !tree.Has(p.Config) && !slices.Contains(generated, p.Config) {
		return fmt.Errorf("%s: config %s is not among the appliance's files", p.File, p.Config)
	}
	if err := runs(tree, program); err != nil {
		return fmt.Errorf("%s: %s %w", p.File, p.Path, err)
	}
	return nil
}

// runs looks for what a program needs; what is not ELF is a script, of which nothing is known.
func runs(tree *initramfs.Tree, program []byte) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return nil
	}
	if f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("is built for %s, the appliance is x86-64", f.Machine)
	}
	libs, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	for _, lib := range libs {
		if !tree.Has("/lib/" + lib) {
			return fmt.Errorf("needs the library %s, which the appliance does not have: build it with CGO_ENABLED=0", lib)
		}
	}
	return nil
}

// checkDropIns sees that only plugins that are there are used.
func checkDropIns(dir string, names []string) error {
	files, err := config.DropIns(dir)
	roles := config.Roles{}
	if err == nil {
		err = roles.Apply(files)
	}
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	for _, role := range kinds.Roles() {
		for _, name := range roles[role] {
			if !slices.Contains(names, name) {
				return fmt.Errorf("media: %s: roles.%s: there is no plugin %q; there is %s", dir, role, name, strings.Join(names, ", "))
			}
		}
	}
	return nil
}
