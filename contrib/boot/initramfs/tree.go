// Package initramfs assembles a file tree in memory and writes it as the newc cpio archive that
// the kernel unpacks at boot. The same tree always gives the same bytes.
package initramfs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// The file types of st_mode.
const (
	typeDir  = 0o040000
	typeChar = 0o020000
	typeFile = 0o100000
	typeLink = 0o120000
)

type entry struct {
	mode         uint32
	data         []byte // of a file or link
	major, minor uint32 // of a device
}

// Tree is a set of files, by absolute path. The zero value is not usable; call New.
type Tree struct {
	entries map[string]entry
}

// New returns a tree that holds the root directory alone.
func New() *Tree {
	return &Tree{entries: map[string]entry{}}
}

func (t *Tree) put(name string, e entry) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := t.entries[dir]; !ok {
			t.entries[dir] = entry{mode: typeDir | 0o755}
		}
	}
	t.entries[name] = e
}

// Has says whether a path is in the tree.
func (t *Tree) Has(name string) bool {
	_, ok := t.entries[strings.TrimPrefix(path.Clean("/"+name), "/")]
	return ok
}

// Read returns content and permissions of a file; ok is false if the path is none.
func (t *Tree) Read(name string) (data []byte, perm fs.FileMode, ok bool) {
	e := t.entries[strings.TrimPrefix(path.Clean("/"+name), "/")]
	return e.data, fs.FileMode(e.mode).Perm(), e.mode&^0o7777 == typeFile
}

// Dir adds a directory.
func (t *Tree) Dir(name string, perm fs.FileMode) { t.put(name, entry{mode: typeDir | unixPerm(perm)}) }

// Bytes adds a file with the given content.
func (t *Tree) Bytes(name string, perm fs.FileMode, data []byte) {
	t.put(name, entry{mode: typeFile | unixPerm(perm), data: data})
}

// File adds a file with the content of a file of the host.
func (t *Tree) File(name string, perm fs.FileMode, source string) error {
	data, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("initramfs: %s: %w", name, err)
	}
	t.Bytes(name, perm, data)
	return nil
}

// Link adds a symbolic link.
func (t *Tree) Link(name, target string) {
	t.put(name, entry{mode: typeLink | 0o777, data: []byte(target)})
}

// Char adds a character device.
func (t *Tree) Char(name string, perm fs.FileMode, major, minor uint32) {
	t.put(name, entry{mode: typeChar | unixPerm(perm), major: major, minor: minor})
}

func (t *Tree) names() []string {
	names := make([]string, 0, len(t.entries))
	for name := range t.entries {
		names = append(names, name)
	}
	slices.Sort(names) // a directory sorts before what it holds
	return names
}

func unixPerm(perm fs.FileMode) uint32 {
	mode := uint32(perm.Perm())
	if perm&fs.ModeSticky != 0 {
		mode |= 0o1000
	}
	return mode
}
