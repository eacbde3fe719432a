package layers

import (
	"path"
	"slices"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
)

// Merge says what is in an image of these layers, the lowest first; ids are their diff IDs. Each package has the layer
// that brought it: the first since which a file has told of it without a break. A nil layer is one that was not looked at.
func Merge(list []*Layer, ids []string) inventory.Image {
	files := map[string][]inventory.Package{}
	releases := map[string]inventory.Distro{}
	for i, l := range list {
		if l == nil {
			continue
		}
		before := map[string][]inventory.Package{}
		for p, packages := range files {
			if l.covers(p) {
				before[p] = packages
				delete(files, p)
			}
		}
		for p := range releases {
			if l.covers(p) {
				delete(releases, p)
			}
		}
		for p, packages := range l.Files {
			files[p] = since(packages, before[p], ids[i])
		}
		for p, d := range l.Releases {
			releases[p] = d
		}
	}
	var image inventory.Image
	for _, p := range []string{"usr/lib/os-release", "etc/os-release"} {
		if d, ok := releases[p]; ok {
			image.Distro = d
		}
	}
	for _, packages := range files {
		image.Packages = append(image.Packages, packages...)
	}
	slices.SortFunc(image.Packages, inventory.Compare)
	return image
}

// covers says whether the layer takes away what a lower one has at a path.
func (l *Layer) covers(p string) bool {
	if l.Names.has(p) {
		return true
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if l.Names.has(dir) || l.Opaque.has(dir) {
			return true
		}
	}
	return l.Opaque.has("")
}

// since gives packages the layer that brought them.
func since(packages, before []inventory.Package, id string) []inventory.Package {
	type key struct{ kind, name, version, arch string }
	known := make(map[key]string, len(before))
	for _, p := range before {
		known[key{p.Kind, p.Name, p.Version, p.Arch}] = p.Layer
	}
	out := slices.Clone(packages)
	for i, p := range out {
		out[i].Layer = id
		if layer, ok := known[key{p.Kind, p.Name, p.Version, p.Arch}]; ok {
			out[i].Layer = layer
		}
	}
	return out
}
