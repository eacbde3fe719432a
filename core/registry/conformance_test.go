package registry

import (
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"

	"github.com/openvic/vic/core/registry/registrytest"
)

// OCI's conformance tests, all of them, on each database and on each kind of storage. Callers sign in by password here;
// with tokens they are run in core/hub/dockerauth.
func TestConformance(t *testing.T) {
	tool := registrytest.Tool(t, "../..")
	for _, c := range []struct{ name, database string }{{"sqlite", "sqlite"}, {"postgres", "postgres"}, {"S3", "sqlite"}} {
		t.Run(c.name, func(t *testing.T) {
			var d storagedriver.StorageDriver
			if c.name == "S3" {
				_, d = newBucket(t)
			}
			x := newWorld(t, c.database, d, Options{Sparse: true, Authorizer: conformer()})
			x.project(Project{Name: "conformance", Quota: 1 << 30, RepoQuota: 2})
			registrytest.Conform(t, tool, x.url, "conformer", "right")
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
