package scan

import (
	"reflect"
	"testing"
	"time"

	scanv1 "github.com/openvic/vic/sdk/proto/scan/v1"
)

// crosses sees that values come back as they were sent.
func crosses[V, W any](t *testing.T, to func(V) W, from func(W) V, values ...V) {
	t.Helper()
	for _, v := range values {
		if got := from(to(v)); !reflect.DeepEqual(got, v) {
			t.Errorf("got %+v, want %+v", got, v)
		}
	}
}

var (
	then = time.Unix(9, 5).UTC()
	bash = Finding{
		ID: "CVE-2014-6271", Aliases: []string{"GHSA-1"}, Package: "bash", Version: "4.2", FixedIn: "4.3", Severity: Critical,
		SeveritySource: "debian", Description: "Shellshock.\n", Links: []string{"https://example.org"},
		CVSS: []CVSS{{Version: "3.1", Vector: "AV:N", Score: 9.8}}, CWEs: []string{"CWE-78"}, PURL: "pkg:deb/debian/bash@4.2",
		Layer: "sha256:1", Path: "usr/bin/bash", Published: then, VendorJSON: []byte(`{"a":1}`),
	}
)

func TestAllCrossesTheWireUnchanged(t *testing.T) {
	crosses(t, wantToWire, wantFromWire, "", Vulnerability, SPDX, CycloneDX)
	crosses(t, descriptionToWire, descriptionFromWire, Description{},
		Description{Name: "n", Vendor: "v", Version: "1", Supports: []Support{{Want: SPDX, MediaTypes: []string{"m"}}}})
	crosses(t, databaseToWire, databaseFromWire, Database{},
		Database{Version: "7", Updated: then, Problem: "p", Ecosystems: []Ecosystem{{Name: "npm", Records: 5, Updated: then}}})
	crosses(t, scanToWire, scanFromWire, ScanRequest{}, ScanRequest{
		ID: "i", Registry: Registry{URL: "https://r", CA: []byte("pem"), Authorization: "Basic x"}, Repository: "a/b",
		Digest: "sha256:1", Tag: "latest", MediaType: "m", Wants: []Want{Vulnerability, CycloneDX},
	})
	crosses(t, importToWire, importFromWire, ImportRequest{}, ImportRequest{Format: "f", Ecosystem: "e", SHA256: "s"})
	crosses(t, changesToWire, changesFromWire, Changes{}, Changes{Version: "7", All: true, Packages: []string{"pkg:npm/a"}})
	crosses(t, progressToWire, progressFromWire, Progress{}, Progress{Step: "pull", Percent: 100})
	crosses(t, findingToWire, findingFromWire, Finding{}, bash)
	crosses(t, reportToWire, reportFromWire, Report{},
		Report{Generated: then, Database: "7", DatabaseUpdated: then.Add(1), Warnings: []string{"w"}})
}

func TestSeveritiesAreNamedAlikeOnBothSides(t *testing.T) {
	for s := Unknown; s <= Critical; s++ {
		name := scanv1.Severity(s).String()
		if want := map[Severity]string{Unknown: "SEVERITY_UNKNOWN", Negligible: "SEVERITY_NEGLIGIBLE", Low: "SEVERITY_LOW",
			Medium: "SEVERITY_MEDIUM", High: "SEVERITY_HIGH", Critical: "SEVERITY_CRITICAL"}[s]; name != want {
			t.Errorf("%v is %s on the wire, want %s", s, name, want)
		}
	}
	if Severity(0).String() != "None" || Critical.String() != "Critical" || Severity(99).String() != "None" {
		t.Error("a severity has another name")
	}
}
