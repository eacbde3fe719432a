package sbom

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// maxPackages is how many packages a list may have.
const maxPackages = 1_000_000

// document is what Read looks at, of both formats. The rest of a list is skipped.
type document struct {
	SPDXVersion string `json:"spdxVersion"`
	Packages    []struct {
		Annotations []struct {
			Comment string `json:"comment"`
		} `json:"annotations"`
	} `json:"packages"`
	BOMFormat string `json:"bomFormat"`
	Metadata  struct {
		Component component `json:"component"`
	} `json:"metadata"`
	Components []component `json:"components"`
}

type component struct {
	Properties []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"properties"`
}

// Read reads a list that SPDX or CycloneDX wrote. ErrInvalid: it is none. Other errors are r's.
func Read(format scan.Want, r io.Reader) (inventory.Image, error) {
	var doc document
	if err := decode(r, &doc); err != nil {
		return inventory.Image{}, err
	}
	if format == scan.SPDX && doc.SPDXVersion == "" || format == scan.CycloneDX && doc.BOMFormat == "" {
		return inventory.Image{}, fmt.Errorf("SBOM: is not in the format %s: %w", format, errdef.ErrInvalid)
	}
	var image inventory.Image
	for _, text := range doc.notes() {
		var n note
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			return image, fmt.Errorf("SBOM: a note of this scanner cannot be read: %v: %w", err, errdef.ErrInvalid) //nolint:errorlint // one class
		}
		if n.Distro != nil {
			image.Distro = *n.Distro
		}
		if n.Package == nil {
			continue
		}
		if err := check(*n.Package); err != nil {
			return image, err
		}
		if image.Packages = append(image.Packages, *n.Package); len(image.Packages) > maxPackages {
			return image, fmt.Errorf("SBOM: there are more than %d packages: %w", maxPackages, errdef.ErrExhausted)
		}
	}
	for _, s := range []string{image.Distro.ID, image.Distro.Version, image.Distro.Codename, image.Distro.Name} {
		if len(s) > scan.MaxName || strings.ContainsFunc(s, unicode.IsControl) {
			return image, fmt.Errorf("SBOM: the distribution %.100q is none: %w", s, errdef.ErrInvalid)
		}
	}
	if len(image.Packages) == 0 && !doc.ours() {
		return image, fmt.Errorf("SBOM: this scanner did not make it: %w", errdef.ErrInvalid)
	}
	return image, nil
}

// decode reads one JSON value and tells a broken text from a reader that fails.
func decode(r io.Reader, into any) error {
	w := &watched{from: r}
	err := json.NewDecoder(w).Decode(into)
	switch {
	case w.err != nil:
		return w.err
	case err != nil:
		return fmt.Errorf("SBOM: %v: %w", err, errdef.ErrInvalid) //nolint:errorlint // one class
	}
	return nil
}

type watched struct {
	from io.Reader
	err  error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// notes are what SPDX and CycloneDX have no field for.
func (d document) notes() []string {
	var all []string
	for _, p := range d.Packages {
		for _, a := range p.Annotations {
			if text, ok := strings.CutPrefix(a.Comment, Note); ok {
				all = append(all, text)
			}
		}
	}
	for _, c := range append([]component{d.Metadata.Component}, d.Components...) {
		for _, p := range c.Properties {
			if p.Name == Note+"package" {
				all = append(all, p.Value)
			}
		}
	}
	return all
}

func (d document) ours() bool { return len(d.notes()) > 0 }

func check(p inventory.Package) error {
	kinds := []string{inventory.Deb, inventory.APK, inventory.RPM, inventory.Go, inventory.NPM, inventory.PyPI, inventory.Maven, inventory.Cargo}
	bad := !slices.Contains(kinds, p.Kind) || p.Name == "" || len(p.Path) > scan.MaxPath || len(p.Layer) > scan.MaxID
	for _, s := range []string{p.Name, p.Version, p.Source, p.SourceVersion, p.Arch} {
		bad = bad || len(s) > scan.MaxName
	}
	if bad || strings.ContainsFunc(p.Name+p.Version+p.Source+p.SourceVersion+p.Arch, unicode.IsControl) {
		return fmt.Errorf("SBOM: the package %.100q is none: %w", p.Name, errdef.ErrInvalid)
	}
	return nil
}
