package scan_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/internal/wiretest"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/scantest"
)

const (
	digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	// A report of 100,000 is in stream_test.go.
	manyPackages = 10_000
	huge         = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

func fixture(t *testing.T, dial func(*testing.T, scan.Driver) scan.Driver) scantest.Fixture {
	f, empty := scan.NewFake(), scan.NewFake()
	a := scan.FakeArtifact{Repository: "library/app", Digest: digest, Authorization: "Basic cm9ib3Q6c2VjcmV0",
		Packages: []scan.FakePackage{{Name: "openssl", Version: "3.0.1"}, {Name: "bash", Version: "4.2"}, {Name: "zlib", Version: "1.2"}}}
	f.Add(a)
	empty.Add(a)
	a.Digest = huge
	a.Packages = make([]scan.FakePackage, manyPackages)
	for i := range a.Packages {
		a.Packages[i] = scan.FakePackage{Name: "bash", Version: "4.2"}
	}
	f.Add(a)
	load := func(ecosystem string, data []byte) {
		hash := sha256.Sum256(data)
		req := scan.ImportRequest{Format: scan.FormatOSV, Ecosystem: ecosystem, SHA256: hex.EncodeToString(hash[:]), Data: bytes.NewReader(data)}
		if _, err := f.Import(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	load("Debian:12", scan.FakeData("CVE-2014-6271", "Debian:12", "bash", scan.Critical, "4.1", "4.2"))
	load("npm", scan.FakeData("CVE-2020-1", "npm", "left-pad", scan.Low, "1"))
	req := scan.ScanRequest{Registry: scan.Registry{URL: "https://hub.example.org", Authorization: a.Authorization},
		Repository: "library/app", Digest: digest, MediaType: scan.FakeMediaType}
	large := req
	large.Digest = huge
	data := scan.FakeData("CVE-2022-0778", "Debian:13", "openssl", scan.High, "3.0.1")
	return scantest.Fixture{
		Driver: dial(t, f), Empty: dial(t, empty), Capabilities: f.Capabilities, Artifact: req,
		Findings: []scan.Finding{{ID: "CVE-2014-6271", Package: "bash", Version: "4.2"}},
		Large:    &large, LargeFindings: manyPackages,
		Format: scan.FormatOSV, Ecosystem: "Debian:13", Data: data, Changed: []string{"pkg:generic/openssl"},
		New:    scan.Finding{ID: "CVE-2022-0778", Package: "openssl", Version: "3.0.1"},
		Mirror: func(*testing.T) { f.Mirror("Debian:13", data) },
	}
}

func overTLS(t *testing.T, d scan.Driver) scan.Driver {
	return scan.NewClient(wiretest.TLS(t, func(r grpc.ServiceRegistrar) {
		scan.Register(r, func() (scan.Driver, error) { return d, nil })
	}))
}

func TestFakeConforms(t *testing.T) {
	scantest.Suite(t, func(t *testing.T) scantest.Fixture {
		return fixture(t, func(_ *testing.T, d scan.Driver) scan.Driver { return d })
	})
}

func TestFakeConformsOverTheWire(t *testing.T) {
	scantest.Suite(t, func(t *testing.T) scantest.Fixture { return fixture(t, overTLS) })
}

func TestFakeWithoutCapabilitiesConforms(t *testing.T) {
	for _, only := range []string{scan.CapVulnerability, scan.CapSPDX} {
		t.Run(only, func(t *testing.T) {
			scantest.Suite(t, func(t *testing.T) scantest.Fixture {
				return fixture(t, func(t *testing.T, d scan.Driver) scan.Driver {
					f := d.(*scan.Fake)
					f.Capabilities = []string{only}
					return overTLS(t, f)
				})
			})
		})
	}
}

func ExampleFinding_Clip() {
	f := scan.Finding{ID: "CVE-2014-6271", Package: "bash", Links: []string{"https://example.org/1", "javascript:alert(1)"}}
	fmt.Println(f.Clip().Links)
	// Output: [https://example.org/1]
}
