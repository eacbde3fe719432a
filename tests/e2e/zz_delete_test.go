package e2e

import (
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// TestZDelete comes last, by the name of its file: it takes away the VCH that all the others use.
func TestZDelete(t *testing.T) {
	undisturbed(t, turnLast)
	docker(t, "create", "--name", "left", "busybox")
	args := []string{"delete", "--target", harness.VCenterHost, "--user", harness.User, "--password", harness.Password,
		"--thumbprint", theLab.Thumbprint, "--name", harness.VCH, "--force"}
	if out, err := harness.Command(theLab.Bin("vic-machine"), args...); err != nil {
		t.Fatal(err, out)
	}
	after, err := theLab.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	if after != theLab.Before {
		t.Fatalf("delete left something behind:\n%s", difference(theLab.Before, after))
	}
	if out, _ := harness.Command(theLab.Bin("vic-machine"), args...); !strings.Contains(out, harness.VCH) {
		t.Fatalf("a second delete says:\n%s", out)
	}
}
