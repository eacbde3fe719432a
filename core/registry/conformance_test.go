package registry

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// OCI's conformance tests, all of them: no option is off, nothing is left out, and callers sign in. The tool is pinned
// in contrib/tools/conformance.
func TestConformance(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "conformance")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", tool, "github.com/opencontainers/distribution-spec/conformance")
	build.Dir = filepath.Join("..", "..", "contrib", "tools", "conformance")
	build.Env = append(os.Environ(), "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct{ name, database string }{{"sqlite", "sqlite"}, {"postgres", "postgres"}, {"S3", "sqlite"}} {
		t.Run(c.name, func(t *testing.T) {
			var d storagedriver.StorageDriver
			if c.name == "S3" {
				_, d = newBucket(t)
			}
			conform(t, tool, newWorld(t, c.database, d, Options{Sparse: true, Authorizer: conformer()}))
		})
	}
}

// conformer is allowed what the suite needs, and no more.
func conformer() rights {
	var may []string
	for _, repo := range []string{"conformance/repo1", "conformance/repo2"} {
		may = append(may, "pull "+repo, "push "+repo, "delete "+repo)
	}
	return rights{"conformer": may}
}

func conform(t *testing.T, tool string, x *world) {
	x.project(Project{Name: "conformance", Quota: 1 << 30, RepoQuota: 2})
	results := t.TempDir()
	cmd := exec.CommandContext(t.Context(), tool)
	cmd.Dir = results
	cmd.Env = append(os.Environ(), "OCI_REGISTRY="+strings.TrimPrefix(x.url, "http://"), "OCI_TLS=disabled", "OCI_RESULTS_DIR="+results, "OCI_VERSION=dev",
		"OCI_USERNAME=conformer", "OCI_PASSWORD=right", "OCI_DATA_SPARSE=true", "OCI_LOG=error")
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
	if sum.Tests < 1000 || sum.Failures+sum.Errors+sum.Skipped+sum.Disabled > 0 {
		t.Errorf("%s", out)
	}
}
