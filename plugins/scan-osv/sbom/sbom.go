// Package sbom writes lists of what is in an image, in SPDX and CycloneDX, and reads those that it wrote.
package sbom

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
)

// Subject is the image that a list is of.
type Subject struct {
	Name    string // "project/app"
	Digest  string // "sha256:..."
	Created time.Time
	Tool    string // "vic-scan-osv 1.0"
}

// Note begins the comment of an annotation in SPDX, and the names of properties in CycloneDX, that hold what the formats
// have no field for.
const Note = "vic:"

// note is that, of one package.
type note struct {
	Package *inventory.Package `json:"package,omitempty"`
	Distro  *inventory.Distro  `json:"distro,omitempty"`
}

// SPDX writes SPDX 2.3 JSON.
func SPDX(s Subject, image inventory.Image) ([]byte, error) {
	created := s.Created.UTC().Format(time.RFC3339)
	annotation := func(n note) []v2_3.Annotation {
		text, _ := json.Marshal(n) // texts alone: it cannot fail
		return []v2_3.Annotation{{Annotator: common.Annotator{Annotator: s.Tool, AnnotatorType: "Tool"}, AnnotationDate: created,
			AnnotationType: "OTHER", AnnotationComment: Note + string(text)}}
	}
	base := func(id, name, version string) *v2_3.Package {
		return &v2_3.Package{PackageName: name, PackageVersion: version, PackageSPDXIdentifier: common.ElementID(id), PackageDownloadLocation: "NOASSERTION",
			PackageLicenseConcluded: "NOASSERTION", PackageLicenseDeclared: "NOASSERTION", PackageCopyrightText: "NOASSERTION"}
	}
	root := base("Image", s.Name, s.Digest)
	root.PrimaryPackagePurpose, root.Annotations = "CONTAINER", annotation(note{Distro: &image.Distro})
	doc := v2_3.Document{SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: s.Name + "@" + s.Digest,
		DocumentNamespace: "https://spdx.org/spdxdocs/vic-scan-osv/" + s.Digest + "/" + strconv.FormatInt(s.Created.UnixNano(), 36),
		CreationInfo:      &v2_3.CreationInfo{Created: created, Creators: []common.Creator{{Creator: s.Tool, CreatorType: "Tool"}}},
		Packages:          []*v2_3.Package{root}, Relationships: []*v2_3.Relationship{relation("DOCUMENT", "Image", "DESCRIBES")}}
	for i, p := range image.Packages {
		id := fmt.Sprintf("Package-%d", i+1)
		one := base(id, p.Name, p.Version)
		one.Annotations = annotation(note{Package: &p})
		one.PackageExternalReferences = []*v2_3.PackageExternalReference{{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL,
			Locator: p.PURL(image.Distro)}}
		doc.Packages = append(doc.Packages, one)
		doc.Relationships = append(doc.Relationships, relation("Image", id, "CONTAINS"))
	}
	return json.Marshal(doc)
}

func relation(from, to, kind string) *v2_3.Relationship {
	return &v2_3.Relationship{RefA: common.MakeDocElementID("", from), RefB: common.MakeDocElementID("", to), Relationship: kind}
}

// CycloneDX writes CycloneDX 1.6 JSON.
func CycloneDX(s Subject, image inventory.Image) ([]byte, error) {
	property := func(n note) *[]cyclonedx.Property {
		text, _ := json.Marshal(n) // as above
		return &[]cyclonedx.Property{{Name: Note + "package", Value: string(text)}}
	}
	components := make([]cyclonedx.Component, 0, len(image.Packages)+1)
	if d := image.Distro; d.ID != "" {
		components = append(components, cyclonedx.Component{BOMRef: "distribution", Type: cyclonedx.ComponentTypeOS,
			Name: d.ID, Version: d.Version, Description: d.Name})
	}
	for i, p := range image.Packages {
		components = append(components, cyclonedx.Component{BOMRef: "package-" + strconv.Itoa(i+1), Type: cyclonedx.ComponentTypeLibrary,
			Name: p.Name, Version: p.Version, PackageURL: p.PURL(image.Distro), Properties: property(note{Package: &p})})
	}
	subject := &cyclonedx.Component{BOMRef: "image", Type: cyclonedx.ComponentTypeContainer, Name: s.Name, Version: s.Digest,
		Properties: property(note{Distro: &image.Distro})}
	tools := &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeApplication, Name: s.Tool}}}
	return json.Marshal(cyclonedx.BOM{JSONSchema: "http://cyclonedx.org/schema/bom-1.6.schema.json", BOMFormat: cyclonedx.BOMFormat,
		SpecVersion: cyclonedx.SpecVersion1_6, Version: 1, Components: &components,
		Metadata: &cyclonedx.Metadata{Timestamp: s.Created.UTC().Format(time.RFC3339), Tools: tools, Component: subject}})
}
