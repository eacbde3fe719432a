// Package inventory is what is in an image: its packages and its distribution, with the names that OSV has for
// them.
package inventory

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/package-url/packageurl-go"
)

// The kinds of packages: types of package URLs.
const (
	Deb   = "deb"
	APK   = "apk"
	RPM   = "rpm"
	Go    = "golang"
	NPM   = "npm"
	PyPI  = "pypi"
	Maven = "maven"
	Cargo = "cargo"
)

// StandardLibrary is the name that OSV has for Go's.
const StandardLibrary = "stdlib"

// Image is what is in an image.
type Image struct {
	Distro   Distro
	Packages []Package
}

// Distro is the distribution: a file os-release.
type Distro struct {
	ID       string `json:"id,omitempty"`      // "debian"
	Version  string `json:"version,omitempty"` // "12"
	Codename string `json:"codename,omitempty"`
	Name     string `json:"name,omitempty"` // "Debian GNU/Linux 12 (bookworm)"
}

// Package is a package in an image.
type Package struct {
	Kind          string `json:"k"`
	Name          string `json:"n"` // of Maven: GROUP:ARTIFACT
	Version       string `json:"v"`
	Source        string `json:"s,omitempty"` // the package that it was built from, if that has another name
	SourceVersion string `json:"sv,omitempty"`
	Arch          string `json:"a,omitempty"`
	Path          string `json:"p,omitempty"` // of the file that tells of it
	Layer         string `json:"l,omitempty"` // diff ID of the layer that brought it
}

// Compare orders packages.
func Compare(a, b Package) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version),
		strings.Compare(a.Arch, b.Arch), strings.Compare(a.Path, b.Path))
}

// Lookup is what to ask the database for.
type Lookup struct {
	// Ecosystem is OSV's, simplified as Ecosystem does; empty: OSV has none for it.
	Ecosystem, Name, Version string
}

// Lookup says under which names OSV has the package.
func (p Package) Lookup(d Distro) Lookup {
	switch p.Kind {
	case Deb, APK:
		return Lookup{d.ecosystem(p.Kind), cmp.Or(p.Source, p.Name), cmp.Or(p.SourceVersion, p.Version)}
	case RPM:
		e := d.ecosystem(RPM)
		if base, _, _ := strings.Cut(e, ":"); slices.Contains([]string{"SUSE", "openSUSE", "Mageia", "openEuler"}, base) {
			return Lookup{e, cmp.Or(p.Source, p.Name), cmp.Or(p.SourceVersion, p.Version)}
		}
		return Lookup{e, p.Name, p.Version}
	case PyPI:
		return Lookup{"PyPI", normalPyPI(p.Name), p.Version}
	case Go:
		return Lookup{"Go", p.Name, p.Version}
	case NPM:
		return Lookup{"npm", p.Name, p.Version}
	case Maven:
		return Lookup{"Maven", p.Name, p.Version}
	case Cargo:
		return Lookup{"crates.io", p.Name, p.Version}
	}
	return Lookup{Name: p.Name, Version: p.Version}
}

// ecosystem is OSV's for packages of the distribution; empty if it has none.
func (d Distro) ecosystem(kind string) string {
	major, _, _ := strings.Cut(d.Version, ".")
	with := func(name, version string) string {
		if version == "" {
			return name
		}
		return name + ":" + version
	}
	switch d.ID {
	case "debian":
		return with("Debian", major)
	case "ubuntu":
		return with("Ubuntu", d.Version)
	case "alpine":
		parts := strings.SplitN(d.Version, ".", 3)
		if len(parts) < 2 {
			return "Alpine"
		}
		return "Alpine:v" + parts[0] + "." + parts[1]
	case "wolfi":
		return "Wolfi"
	case "chainguard":
		return "Chainguard"
	case "rhel":
		return with("Red Hat", "enterprise_linux:"+major)
	case "rocky":
		return with("Rocky Linux", major)
	case "almalinux":
		return with("AlmaLinux", major)
	case "mageia":
		return with("Mageia", major)
	case "openEuler":
		return with("openEuler", openEuler(d))
	case "sles":
		return with("SUSE", d.Version)
	case "opensuse-leap":
		return with("openSUSE", "Leap "+d.Version)
	case "opensuse-tumbleweed":
		return "openSUSE:Tumbleweed"
	}
	if d.ID == "" && kind == APK {
		return "Alpine"
	}
	return ""
}

var lts = regexp.MustCompile(`\((LTS(?:[- ]SP\d+)?)\)`)

// openEuler is the version with its qualifier: "24.03-LTS-SP1".
func openEuler(d Distro) string {
	if m := lts.FindStringSubmatch(d.Name); m != nil {
		return d.Version + "-" + strings.ReplaceAll(m[1], " ", "-")
	}
	return d.Version
}

var (
	servicePack = regexp.MustCompile(`(\d+)(?: SP(\d+))?$`)
	separators  = regexp.MustCompile(`[-_.]+`)
)

// Ecosystem simplifies OSV's name of an ecosystem to the one that Lookup has: OSV tells streams of one
// release of Red Hat, SUSE and Ubuntu apart, and images do not.
func Ecosystem(osv string) string {
	base, rest, _ := strings.Cut(osv, ":")
	switch base {
	case "Red Hat":
		rest, _, _ = strings.Cut(rest, "::")
	case "Ubuntu":
		rest = strings.TrimSuffix(rest, ":LTS")
	case "SUSE":
		if m := servicePack.FindStringSubmatch(rest); m != nil {
			rest = m[1]
			if m[2] != "" {
				rest += "." + m[2]
			}
		}
	}
	if rest == "" {
		return base
	}
	return base + ":" + rest
}

func normalPyPI(name string) string { return strings.ToLower(separators.ReplaceAllString(name, "-")) }

// Name simplifies a package's name in OSV's records to the one that Lookup has.
func Name(ecosystem, name string) string {
	if ecosystem == "PyPI" {
		return normalPyPI(name)
	}
	return name
}

// PURL is the package's URL; with the package it was built from in the qualifier upstream.
func (p Package) PURL(d Distro) string {
	u := packageurl.PackageURL{Type: p.Kind, Name: p.Name, Version: p.Version}
	add := func(key, value string) {
		if value != "" {
			u.Qualifiers = append(u.Qualifiers, packageurl.Qualifier{Key: key, Value: value})
		}
	}
	switch p.Kind {
	case Deb, APK, RPM:
		u.Namespace = d.ID
		add("arch", p.Arch)
		if d.ID != "" {
			add("distro", strings.TrimSuffix(d.ID+"-"+d.Version, "-"))
		}
		if epoch, rest, ok := strings.Cut(p.Version, ":"); ok && p.Kind == RPM {
			if _, err := strconv.Atoi(epoch); err == nil {
				add("epoch", epoch)
				u.Version = rest
			}
		}
		add("upstream", p.upstream())
	case Maven:
		if group, name, ok := strings.Cut(p.Name, ":"); ok {
			u.Namespace, u.Name = group, name
		}
	case Go, NPM:
		if i := strings.LastIndexByte(p.Name, '/'); i > 0 {
			u.Namespace, u.Name = p.Name[:i], p.Name[i+1:]
		}
	case PyPI:
		u.Name = normalPyPI(p.Name)
	}
	return u.ToString()
}

func (p Package) upstream() string {
	if p.Source == "" || p.SourceVersion == "" {
		return p.Source
	}
	return p.Source + "@" + p.SourceVersion
}

// Base is the URL, without version and qualifiers, of what OSV calls a package of that name; empty if there is none.
func Base(ecosystem, name string) string {
	base, _, _ := strings.Cut(ecosystem, ":")
	kinds := map[string]struct{ kind, namespace string }{
		"Debian": {Deb, "debian"}, "Ubuntu": {Deb, "ubuntu"}, "Alpine": {APK, "alpine"}, "Wolfi": {APK, "wolfi"}, "Chainguard": {APK, "chainguard"},
		"Red Hat": {RPM, "rhel"}, "Rocky Linux": {RPM, "rocky"}, "AlmaLinux": {RPM, "almalinux"}, "Mageia": {RPM, "mageia"},
		"openEuler": {RPM, "openEuler"}, "SUSE": {RPM, "sles"}, "openSUSE": {RPM, "opensuse-leap"},
		"PyPI": {PyPI, ""}, "Go": {Go, ""}, "npm": {NPM, ""}, "Maven": {Maven, ""}, "crates.io": {Cargo, ""},
	}
	k, ok := kinds[base]
	if ecosystem == "openSUSE:Tumbleweed" {
		k.namespace = "opensuse-tumbleweed"
	}
	if !ok {
		return ""
	}
	url, _, _ := strings.Cut(Package{Kind: k.kind, Name: name}.PURL(Distro{ID: k.namespace}), "?")
	return url
}
