package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/scantest"
)

// openDriver is the plugin for a scanner at an address.
func openDriver(t *testing.T, url string, change func(c *Config)) *driver {
	t.Helper()
	c := defaults()
	c.URL = url
	if change != nil {
		change(&c)
	}
	d, err := open(c)
	must(t, err)
	return d
}

const large = 20_000 // findings

// scanner is one that speaks the API of Harbor: it finds the same in whatever it is asked to scan.
type scanner struct {
	api      string // "1.0", "1.1": without SBOMs; "1.2"
	findings func(repository string) []map[string]any

	mu       sync.Mutex
	scans    map[string]wireRequest
	accepted []string // content types of scan requests
}

func (s *scanner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.URL.Path == "/api/v1/metadata":
		s.metadata(w)
	case r.Method == http.MethodPost && r.URL.Path == "/api/v1/scan":
		var q wireRequest
		if json.NewDecoder(r.Body).Decode(&q) != nil || q.Registry.Authorization != robot {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		id := strconv.Itoa(len(s.scans) + 1)
		s.scans[id] = q
		s.accepted = append(s.accepted, r.Header.Get("Content-Type"))
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(map[string]string{"id": id})
	default:
		id := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/api/v1/scan/"), "/report")
		q, ok := s.scans[id]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		s.report(w, r, q)
	}
}

func (s *scanner) metadata(w http.ResponseWriter) {
	vulnerability := map[string]any{"consumes_mime_types": []string{manifestType}, "produces_mime_types": []string{typeReport, typeReportOld}}
	capabilities := []map[string]any{vulnerability}
	switch s.api {
	case "1.0":
		vulnerability["produces_mime_types"] = []string{typeReportOld, "application/vnd.scanner.adapter.vuln.report.raw"}
	case "1.2":
		capabilities = append(capabilities, map[string]any{"type": "sbom", "consumes_mime_types": []string{manifestType}, "produces_mime_types": []string{typeSBOM},
			"additional_attributes": map[string]any{"sbom_media_types": []string{mediaSPDX, mediaCycloneDX}}})
	}
	if s.api != "1.0" {
		vulnerability["type"] = "vulnerability"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"scanner": map[string]string{"name": "Test", "version": "1"}, "capabilities": capabilities,
		"properties": map[string]string{updatedKey: "2026-01-02T03:04:05.123456789Z", "env.SCANNER": "x"}})
}

func (s *scanner) report(w http.ResponseWriter, r *http.Request, q wireRequest) {
	list := s.findings(q.Artifact.Repository)
	report := map[string]any{"generated_at": time.Now().UTC().Format(time.RFC3339)}
	switch accept, media := r.Header.Get("Accept"), r.URL.Query().Get("sbom_media_type"); {
	case accept == typeReport && s.api != "1.0", accept == typeReportOld:
		report["vulnerabilities"] = list
	case accept == typeSBOM && media == mediaSPDX:
		report["sbom"] = map[string]any{"spdxVersion": "SPDX-2.3", "packages": list}
	case accept == typeSBOM && media == mediaCycloneDX:
		report["sbom"] = map[string]any{"bomFormat": "CycloneDX", "components": list}
	default:
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	_ = json.NewEncoder(w).Encode(report)
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

func newScanner(t *testing.T, api string) (*scanner, string) {
	s := &scanner{api: api, scans: map[string]wireRequest{}, findings: func(repository string) []map[string]any {
		one := map[string]any{"id": "CVE-2014-6271", "package": "bash", "version": "4.2", "fix_version": "4.3", "severity": "Critical"}
		if repository == "library/app/large" {
			return slices.Repeat([]map[string]any{one}, large)
		}
		return []map[string]any{one}
	}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func TestConformsWithEachVersionOfTheAPI(t *testing.T) {
	for _, api := range []string{"1.0", "1.1", "1.2"} {
		t.Run(api, func(t *testing.T) {
			scantest.Suite(t, func(t *testing.T) scantest.Fixture {
				_, url := newScanner(t, api)
				f := scantest.Fixture{Driver: openDriver(t, url, nil), Capabilities: []string{scan.CapVulnerability}, Artifact: image(t, "bash 4.2"),
					Findings: []scan.Finding{{ID: "CVE-2014-6271", Package: "bash", Version: "4.2"}}, LargeFindings: large, Timeout: time.Minute}
				if api == "1.2" {
					f.Capabilities = capabilities()
				}
				big := f.Artifact
				big.Repository = "library/app/large"
				f.Large = &big
				return f
			})
		})
	}
}

// python starts the scanner of testdata, which is a program in another language, and returns the plugin for it.
func python(t *testing.T, arguments ...string) *driver {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(key, []byte("a key\n"), 0o600))
	cmd := exec.Command("python3", append([]string{"testdata/adapter.py", "a key"}, arguments...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, in.Close())
		must(t, cmd.Wait())
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return openDriver(t, "http://127.0.0.1:"+strings.TrimSpace(port), func(c *Config) { c.Auth, c.CredentialFile = "api-key", key })
}

const shellshock = `[{"id": "CVE-2014-6271", "package": "bash", "fix_version": "4.3-9.1", "severity": "Critical"}]`

func TestConformsWithAScannerInPython(t *testing.T) {
	scantest.Suite(t, func(t *testing.T) scantest.Fixture {
		return scantest.Fixture{Driver: python(t, shellshock), Capabilities: capabilities(), Artifact: image(t, "bash 4.2", "zlib1g 1.2"),
			Findings: []scan.Finding{{ID: "CVE-2014-6271", Package: "bash", Version: "4.2"}}, Timeout: time.Minute}
	})
}

func TestScannerInPythonPullsWithTheCredentialAndItsTextsStayTexts(t *testing.T) {
	var c scan.Collector
	d := python(t, shellshock, "1")
	r, err := d.Scan(t.Context(), image(t, "bash 4.2-1", "zlib1g 1.2"), &c)
	must(t, err)
	if len(c.Found) != 1 || r.Database == "" || r.DatabaseUpdated.IsZero() {
		t.Fatalf("found %+v, report %+v", c.Found, r)
	}
	f := c.Found[0]
	if f.FixedIn != "4.3-9.1" || f.Severity != scan.Critical || f.SeveritySource != "python" || string(f.VendorJSON) != `{"found_by": "python"}` {
		t.Errorf("found %+v", f)
	}
	if f.Description != "<script>alert('CVE-2014-6271')</script>" || !slices.Equal(f.Links, []string{"https://example.com/CVE-2014-6271"}) {
		t.Errorf("description %q, links %q", f.Description, f.Links)
	}
	if len(f.CVSS) != 1 || f.CVSS[0].Score != 9.8 {
		t.Errorf("CVSS %+v", f.CVSS)
	}
}
