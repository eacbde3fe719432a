package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/openvic/vic/sdk/errdef"
)

// entry is one user or group in the file.
type entry struct {
	Group    bool     `json:"group,omitempty"`
	Name     string   `json:"name,omitempty"` // as it was given; empty: name@domain
	FullName string   `json:"full_name,omitempty"`
	Email    string   `json:"email,omitempty"`
	Disabled bool     `json:"disabled,omitempty"`
	Hash     string   `json:"password_hash,omitempty"`
	Stamp    string   `json:"stamp,omitempty"`  // of the password: sessions of an older one end
	Groups   []string `json:"groups,omitempty"` // names, direct ones
}

// content is the whole file.
type content struct {
	Version int               `json:"version"`
	Entries map[string]*entry `json:"entries"` // by name, lower case
}

const fileVersion = 1

// maxEntries bounds the file, which is written whole with each change.
const maxEntries = 10_000

// read reads the file; one that is not there is empty.
func read(path string) (content, error) {
	c := content{Version: fileVersion, Entries: map[string]*entry{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w; restore it from a backup: %w", path, err, errdef.ErrInvalid)
	}
	if c.Version != fileVersion {
		return c, fmt.Errorf("%s has version %d, and this plugin knows %d: %w", path, c.Version, fileVersion, errdef.ErrInvalid)
	}
	for name, e := range c.Entries {
		if e == nil {
			return c, fmt.Errorf("%s: the entry %q is empty: %w", path, name, errdef.ErrInvalid)
		}
	}
	return c, nil
}

// write replaces the file in one step, and returns when it outlives a crash.
func write(path string, c content) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return replace(path, append(text, '\n'))
}

func replace(path string, text []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
