package certs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Files are files by their names, slashes between folders, instead of those on this machine's disk: the
// service takes them from its caller and gives them back. Nil is the disk.
type Files map[string][]byte

func (f Files) read(name string) ([]byte, error) {
	if f == nil {
		return os.ReadFile(name)
	}
	b, ok := f[filepath.ToSlash(name)]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return b, nil
}

func (f Files) exists(dir, name string) bool {
	if f == nil {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	_, ok := f[filepath.ToSlash(filepath.Join(dir, name))]
	return ok
}

// read reads a file of the certificate folder.
func (o Options) read(name string) ([]byte, error) { return o.Files.read(filepath.Join(o.Dir, name)) }

func (o Options) exists(name string) bool { return o.Files.exists(o.Dir, name) }
