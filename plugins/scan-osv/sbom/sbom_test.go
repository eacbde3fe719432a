package sbom

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

var (
	subject = Subject{Name: "library/app", Digest: "sha256:" + strings.Repeat("1", 64), Created: time.Unix(1_800_000_000, 0), Tool: "vic-scan-osv 1"}
	content = inventory.Image{Distro: inventory.Distro{ID: "debian", Version: "12", Name: "Debian \"12\""}, Packages: []inventory.Package{
		{Kind: "deb", Name: "libssl3", Version: "3.0.11-1+b1", Source: "openssl", SourceVersion: "3.0.11-1", Arch: "amd64",
			Path: "var/lib/dpkg/status", Layer: "sha256:a"},
		{Kind: "npm", Name: "@scope/a", Version: "1.0.0", Path: "app/package.json", Layer: "sha256:b"},
	}}
)

func TestListIsReadAsItWasWritten(t *testing.T) {
	for format, write := range map[scan.Want]func(Subject, inventory.Image) ([]byte, error){scan.SPDX: SPDX, scan.CycloneDX: CycloneDX} {
		text, err := write(subject, content)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(format, bytes.NewReader(text))
		if err != nil || !reflect.DeepEqual(got, content) {
			t.Errorf("%s: %+v, %v", format, got, err)
		}
		if empty, err := write(subject, inventory.Image{}); err != nil {
			t.Error(err)
		} else if got, err := Read(format, bytes.NewReader(empty)); err != nil || len(got.Packages) != 0 {
			t.Errorf("%s of an image without packages: %+v, %v", format, got, err)
		}
	}
}

// Other programs read the lists by the formats' own libraries.
func TestOthersReadTheLists(t *testing.T) {
	text, err := SPDX(subject, content)
	if err != nil {
		t.Fatal(err)
	}
	var doc v2_3.Document
	if err := json.Unmarshal(text, &doc); err != nil || len(doc.Packages) != 3 || len(doc.Relationships) != 3 ||
		doc.Packages[2].PackageExternalReferences[0].Locator != "pkg:npm/%40scope/a@1.0.0" {
		t.Errorf("SPDX: %+v, %v", doc, err)
	}
	if text, err = CycloneDX(subject, content); err != nil {
		t.Fatal(err)
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(text), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil || bom.SpecVersion != cyclonedx.SpecVersion1_6 {
		t.Fatalf("CycloneDX: %+v, %v", bom, err)
	}
	const purl = "pkg:deb/debian/libssl3@3.0.11-1%2Bb1?arch=amd64&distro=debian-12&upstream=openssl%403.0.11-1"
	if c := *bom.Components; len(c) != 3 || c[0].Type != cyclonedx.ComponentTypeOS || c[1].PackageURL != purl {
		t.Errorf("components %+v", c)
	}
}

func TestListsThatAreRefused(t *testing.T) {
	spdx := func(note string) string {
		text, _ := json.Marshal(note)
		return `{"spdxVersion": "SPDX-2.3", "packages": [{"annotations": [{"comment": ` + string(text) + `}]}]}`
	}
	for name, text := range map[string]string{
		"of another scanner":   `{"spdxVersion": "SPDX-2.3", "packages": [{"name": "a", "versionInfo": "1"}]}`,
		"of another format":    `{"bomFormat": "CycloneDX"}`,
		"a note that is none":  spdx(`vic:{"package": 1}`),
		"a kind of nobody":     spdx(`vic:{"package": {"k": "x", "n": "a", "v": "1"}}`),
		"a package of no name": spdx(`vic:{"package": {"k": "deb", "v": "1"}}`),
		"a version of a book":  spdx(`vic:{"package": {"k": "deb", "n": "a", "v": "` + strings.Repeat("1", 1000) + `"}}`),
		"a line break":         spdx(`vic:{"package": {"k": "deb", "n": "a\nb", "v": "1"}}`),
		"a distribution":       spdx(`vic:{"distro": {"id": "` + strings.Repeat("a", 1000) + `"}}`),
	} {
		if _, err := Read(scan.SPDX, strings.NewReader(text)); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, write := range []func(Subject, inventory.Image) ([]byte, error){SPDX, CycloneDX} {
		text, err := write(subject, content)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, format := range []scan.Want{scan.SPDX, scan.CycloneDX} {
			if _, err := Read(format, bytes.NewReader(text)); err != nil && !errors.Is(err, errdef.ErrInvalid) {
				t.Errorf("%v is of another class", err)
			}
		}
	})
}
