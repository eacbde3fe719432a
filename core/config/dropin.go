package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/openvic/vic/sdk/serve/strict"
)

// dropIn is what a file of vicd.d may say: what the author of an appliance decides. The rest of
// vicd.toml are the options of the administrator, which vic-machine writes.
type dropIn struct {
	Roles Roles `toml:"roles"`
}

// DropInDir is the directory of the drop-ins of a vicd.toml: vicd.d beside it.
func DropInDir(path string) string { return strings.TrimSuffix(path, ".toml") + ".d" }

// DropIns lists the drop-ins of a directory in the order in which they count, the last one most. A
// directory that is not there has none.
func DropIns(dir string) ([]string, error) {
	files, err := tomlFiles(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return files, err
}

// Apply puts drop-ins over the roles: a role that one names is replaced.
func (r *Roles) Apply(files []string) error {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("drop-in: %w", err)
		}
		d := dropIn{maps.Clone(*r)} // the decoder writes into the map
		if err := strict.Decode(file, string(text), &d); err != nil {
			return fmt.Errorf("%w (a drop-in has the table roles alone, the rest is vicd.toml's)", err)
		}
		if err := d.Roles.validate(); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		*r = d.Roles
	}
	return nil
}

// tomlFiles lists *.toml of a directory in the order of their names, without hidden files.
func tomlFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	var files []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".toml" && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}
