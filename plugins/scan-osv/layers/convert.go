package layers

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/google/osv-scalibr/extractor"
	javameta "github.com/google/osv-scalibr/extractor/filesystem/language/java/archive/metadata"
	apkmeta "github.com/google/osv-scalibr/extractor/filesystem/os/apk/metadata"
	dpkgmeta "github.com/google/osv-scalibr/extractor/filesystem/os/dpkg/metadata"
	rpmmeta "github.com/google/osv-scalibr/extractor/filesystem/os/rpm/metadata"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/sdk/scan"
)

// convert makes ours of an extractor's package; false: it is none that one can look for.
func convert(p *extractor.Package) (inventory.Package, bool) {
	out := inventory.Package{Kind: p.PURLType, Name: line(p.Name), Version: line(p.Version)}
	switch m := p.Metadata.(type) {
	case *dpkgmeta.Metadata:
		out.Source, out.SourceVersion, out.Arch = line(m.SourceName), line(m.SourceVersion), line(m.Architecture)
	case *apkmeta.Metadata:
		out.Source, out.Arch = line(m.OriginName), line(m.Architecture)
	case *rpmmeta.Metadata:
		if m.Epoch > 0 {
			out.Version = strconv.Itoa(m.Epoch) + ":" + out.Version
		}
		out.Arch = line(m.Architecture)
		out.Source, out.SourceVersion = sourceRPM(line(m.SourceRPM))
	case *javameta.Metadata:
		out.Name = line(m.GroupID + ":" + m.ArtifactID)
	}
	if out.Source == out.Name {
		out.Source = ""
	}
	if out.Kind == inventory.Go && out.Name == "go" {
		out.Name = inventory.StandardLibrary
	}
	switch out.Kind {
	case inventory.Deb, inventory.APK, inventory.RPM, inventory.Go, inventory.NPM, inventory.PyPI, inventory.Maven, inventory.Cargo:
	default:
		return out, false
	}
	// The main module of a Go program that was not built by its version is of none: "(devel)".
	return out, out.Name != "" && out.Version != "" && out.Version != "(devel)" && out.Name != ":"
}

// sourceRPM takes the name of a source package apart: "openssl-3.0.7-24.el9.src.rpm".
func sourceRPM(file string) (name, version string) {
	rest, ok := strings.CutSuffix(file, ".src.rpm")
	if !ok {
		return "", ""
	}
	parts := strings.Split(rest, "-")
	if len(parts) < 3 {
		return "", ""
	}
	n := len(parts) - 2
	return strings.Join(parts[:n], "-"), parts[n] + "-" + parts[n+1]
}

// line makes s keep the bounds of names.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > scan.MaxName {
		s = strings.ToValidUTF8(s[:scan.MaxName], "")
	}
	return s
}
