package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/openvic/vic/sdk/serve/strict"
)

// Plugin is one file of plugins.dir; conf/plugins.d/vsphere.toml explains every key.
type Plugin struct {
	Name   string `toml:"name"`
	Path   string `toml:"path"`
	SHA256 string `toml:"sha256"`
	Config string `toml:"config"`

	// File is where this was read.
	File string `toml:"-"`
	// Err is why this plugin must not be started. The others start all the same.
	Err error `toml:"-"`
}

// LoadPlugins reads all *.toml of a directory, in the order of their names. A file with a mistake
// gives a Plugin with Err; the error is for a directory that cannot be read.
func LoadPlugins(dir string) ([]Plugin, error) {
	all, err := tomlFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("plugins.dir: %w", err)
	}
	var plugins []Plugin
	files := map[string]string{}
	for _, file := range all {
		p := loadPlugin(file)
		if first, ok := files[p.Name]; ok {
			p.Err = errors.Join(p.Err, fmt.Errorf("%s: %w", p.File, invalid("name", "%q is taken by %s", p.Name, first)))
			base := filepath.Base(file)
			p.Name = strings.TrimSuffix(base, ".toml") + " (" + base + ")"
		}
		files[p.Name] = p.File
		plugins = append(plugins, p)
	}
	return plugins, nil
}

func loadPlugin(file string) Plugin {
	p := Plugin{}
	text, err := os.ReadFile(file)
	if err == nil {
		err = strict.Decode(file, string(text), &p)
	}
	if err == nil {
		if verr := p.validate(); verr != nil {
			err = fmt.Errorf("%s: %w", file, verr)
		}
	}
	if p.Name == "" {
		p.Name = strings.TrimSuffix(filepath.Base(file), ".toml")
	}
	p.File, p.Err = file, err
	p.SHA256 = strings.ToLower(p.SHA256)
	return p
}

func (p Plugin) validate() error {
	var errs []error
	errs = append(errs, required("name", p.Name, "the name that the table roles refers to"))
	if !filepath.IsAbs(p.Path) {
		errs = append(errs, invalid("path", "%q is not absolute", p.Path))
	}
	if b, err := hex.DecodeString(p.SHA256); err != nil || len(b) != 32 {
		errs = append(errs, invalid("sha256", "%q is not the 64 hexadecimal digits that \"sha256sum %s\" prints", p.SHA256, p.Path))
	}
	if p.Config != "" && !filepath.IsAbs(p.Config) {
		errs = append(errs, invalid("config", "%q is not absolute", p.Config))
	}
	return errors.Join(errs...)
}
