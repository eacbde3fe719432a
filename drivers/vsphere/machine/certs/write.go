package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// file is one that is to be written.
type file struct {
	name string
	data []byte
	mode uint32
}

// NewFiles are the names of the files that Write writes.
func (s *Set) NewFiles() []string {
	var names []string
	for _, f := range s.newFiles {
		names = append(names, f.name)
	}
	return names
}

// Dir is the folder of the certificates.
func (s *Set) Dir() string { return s.dir }

// Write writes what was made. The function that it returns, also with an error, takes it all back.
func (s *Set) Write() (undo func(), err error) {
	u := &undoer{}
	if len(s.newFiles) == 0 {
		return u.run, nil
	}
	if s.files != nil {
		for _, f := range s.newFiles {
			u.keep(s.files, filepath.ToSlash(filepath.Join(s.dir, f.name)), f.data)
		}
		return u.run, nil
	}
	if err := u.mkdir(s.dir); err != nil {
		return u.run, err
	}
	for _, f := range s.newFiles {
		if err := u.write(filepath.Join(s.dir, f.name), f.data, fs.FileMode(f.mode)); err != nil {
			return u.run, err
		}
	}
	return u.run, nil
}

// Writable says why Write could not make its files, before it is asked to: it puts an empty file into the
// folder, or into the one in which it would be made, and removes it.
func (s *Set) Writable() error {
	if len(s.newFiles) == 0 || s.files != nil {
		return nil
	}
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return err
	}
	for {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".vic-machine-")
	if err != nil {
		return fmt.Errorf("the certificates cannot be written to %s: %w", s.dir, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// undoer remembers how to take back what it did, last first.
type undoer struct{ steps []func() }

func (u *undoer) run() {
	for i := len(u.steps) - 1; i >= 0; i-- {
		u.steps[i]()
	}
	u.steps = nil
}

// keep puts a file into files; undone, what was there is back.
func (u *undoer) keep(files Files, name string, data []byte) {
	old, there := files[name]
	u.steps = append(u.steps, func() {
		if files[name] = old; !there {
			delete(files, name)
		}
	})
	files[name] = data
}

// mkdir makes a folder; undone, it goes if it is empty.
func (u *undoer) mkdir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := u.mkdir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("certificate folder: %w", err)
	}
	u.steps = append(u.steps, func() { _ = os.Remove(dir) })
	return nil
}

// write replaces a file; undone, the old one is back.
func (u *undoer) write(path string, data []byte, mode fs.FileMode) error {
	old, err := os.ReadFile(path)
	switch {
	case err == nil:
		u.steps = append(u.steps, func() { _ = os.WriteFile(path, old, mode) })
	case errors.Is(err, os.ErrNotExist):
		u.steps = append(u.steps, func() { _ = os.Remove(path) })
	default:
		return err
	}
	_ = os.Remove(path) // so that the mode is the new one
	if err := os.WriteFile(path, data, mode); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return nil
}
