package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// bundle writes the site. The names of its files have a hash of what is in them, so that browsers may keep them for ever.
func bundle(ui, out string) error {
	ui, err := filepath.Abs(ui)
	if err != nil {
		return err
	}
	res := api.Build(api.BuildOptions{
		AbsWorkingDir: ui, EntryPoints: []string{"src/main.tsx", "icon.svg"}, Outdir: "site", Outbase: ".", Bundle: true, Splitting: true,
		EntryNames: "assets/[name]-[hash]", ChunkNames: "assets/[name]-[hash]", AssetNames: "assets/[name]-[hash]",
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, LegalComments: api.LegalCommentsNone,
		Format: api.FormatESModule, Target: api.ES2022, JSX: api.JSXAutomatic, JSXImportSource: "preact",
		Loader: map[string]api.Loader{".svg": api.LoaderCopy}, Metafile: true, LogLevel: api.LogLevelWarning,
	})
	if len(res.Errors) > 0 {
		return errors.New("esbuild failed; what is wrong is above")
	}
	files := map[string][]byte{}
	names := map[string]string{}
	for _, f := range res.OutputFiles {
		name, err := filepath.Rel(filepath.Join(ui, "site"), f.Path)
		if err != nil {
			return err
		}
		files[name] = f.Contents
		entry, _, _ := strings.Cut(filepath.Base(name), "-")
		names[entry+filepath.Ext(name)] = name
	}
	page, err := os.ReadFile(filepath.Join(ui, "index.html"))
	if err != nil {
		return err
	}
	files["index.html"] = []byte(strings.NewReplacer("{{icon}}", names["icon.svg"], "{{style}}", names["main.css"], "{{script}}", names["main.js"]).
		Replace(string(page)))
	if files["LICENSES.txt"], err = licences(ui, res.Metafile); err != nil {
		return err
	}
	return write(out, files)
}

func write(out string, files map[string][]byte) error {
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(out, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

const rule = "\n--------------------------------------------------------------------------------\n\n"

// licences are those of the packages whose code is in the bundle, and of the icons.
func licences(ui, metafile string) ([]byte, error) {
	var meta struct {
		Inputs map[string]struct{} `json:"inputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for input := range meta.Inputs {
		rest, ok := strings.CutPrefix(input, "node_modules/")
		if !ok {
			continue
		}
		parts := strings.Split(rest, "/")
		name := parts[0]
		if strings.HasPrefix(name, "@") {
			name += "/" + parts[1]
		}
		used[name] = true
	}
	var b bytes.Buffer
	b.WriteString("The portal's own code is under the licence of vic-hub. It comes with parts of others:\n")
	for _, name := range slices.Sorted(maps.Keys(used)) {
		dir := filepath.Join(ui, "node_modules", name)
		text, err := os.ReadFile(filepath.Join(dir, "LICENSE"))
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", name, err)
		}
		var about struct{ Version, License string }
		manifest, err := os.ReadFile(filepath.Join(dir, "package.json"))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(manifest, &about); err != nil {
			return nil, fmt.Errorf("package %s: %w", name, err)
		}
		fmt.Fprintf(&b, "%s%s %s, %s\n\n%s", rule, name, about.Version, about.License, text)
	}
	icons, err := os.ReadFile(filepath.Join(ui, "src", "parts", "icons-LICENSE.txt"))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "%sLucide, some of its icons\n\n%s", rule, icons)
	return b.Bytes(), nil
}
