// Package registrytest runs OCI's conformance tests against a registry, for the tests of the registry itself and of what
// stands before it.
package registrytest

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Tool builds the conformance tests, which are pinned in contrib/tools/conformance, for the time of a test. top is the
// way from the test's package to the top of the checkout.
func Tool(t *testing.T, top string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "conformance")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "github.com/opencontainers/distribution-spec/conformance")
	build.Dir = filepath.Join(top, "contrib", "tools", "conformance")
	build.Env = append(os.Environ(), "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// Conform runs all of them against a registry at an http URL, as a user who may pull, push and delete in the repositories
// "conformance/repo1" and "conformance/repo2". No option is off, and no test may fail or be left out; the registry must
// take manifests that name what is not there (registry.Options.Sparse).
func Conform(t *testing.T, tool, url, user, password string) {
	t.Helper()
	results := t.TempDir()
	cmd := exec.CommandContext(t.Context(), tool)
	cmd.Dir = results
	cmd.Env = append(os.Environ(), "OCI_REGISTRY="+strings.TrimPrefix(url, "http://"), "OCI_TLS=disabled", "OCI_RESULTS_DIR="+results, "OCI_VERSION=dev",
		"OCI_USERNAME="+user, "OCI_PASSWORD="+password, "OCI_DATA_SPARSE=true", "OCI_LOG=error")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(results, "junit.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var sum struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Disabled int `xml:"disabled,attr"`
	}
	if err := xml.Unmarshal(b, &sum); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d tests, %d failed, %d skipped, %d disabled", sum.Tests, sum.Failures+sum.Errors, sum.Skipped, sum.Disabled)
	const least = 1000
	if sum.Tests < least || sum.Failures+sum.Errors+sum.Skipped+sum.Disabled > 0 {
		t.Errorf("%s", out)
	}
}
