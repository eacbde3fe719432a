package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// TestDriverConformsOnTheLab runs the conformance suites of the SDK against the vSphere driver, with
// the lab's vCenter and its real disks and guests.
func TestDriverConformsOnTheLab(t *testing.T) {
	apart(t)
	cmd := exec.Command("go", "test", "-count=1", "-v", "-timeout", "5m", "-run", "TestConformanceOnTheLab",
		"github.com/openvic/vic/drivers/vsphere/compute", "github.com/openvic/vic/drivers/vsphere/storage")
	cmd.Env = append(os.Environ(), "VIC_LAB_URL=https://"+harness.VCenterHost+"/sdk",
		"VIC_LAB_USER="+harness.User, "VIC_LAB_PASSWORD="+harness.Password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	passed, skipped := strings.Count(string(out), "--- PASS"), strings.Count(string(out), "--- SKIP")
	progress("conformance on the lab: %d cases passed, %d skipped", passed, skipped)
	if passed < 20 {
		t.Fatalf("only %d cases ran:\n%s", passed, out)
	}
}
