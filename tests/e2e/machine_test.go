package e2e

import (
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

func TestLsAndInspect(t *testing.T) {
	beside(t)
	access := []string{"--target", harness.VCenterHost, "--user", harness.User, "--password", harness.Password, "--thumbprint", theLab.Thumbprint}
	out, err := harness.Command(theLab.Bin("vic-machine"), append([]string{"ls"}, access...)...)
	if err != nil || !strings.Contains(out, harness.VCH) {
		t.Fatalf("ls: %v\n%s", err, out)
	}
	out, err = harness.Command(theLab.Bin("vic-machine"), append(append([]string{"inspect"}, access...), "--name", harness.VCH)...)
	if err != nil || !strings.Contains(out, "2376") {
		t.Fatalf("inspect: %v\n%s", err, out)
	}
}

// difference lists the lines that only one of the texts has.
func difference(a, b string) string {
	count := map[string]int{}
	for _, l := range strings.Split(a, "\n") {
		count[l]--
	}
	for _, l := range strings.Split(b, "\n") {
		count[l]++
	}
	var out []string
	for l, n := range count {
		if n < 0 {
			out = append(out, "- "+l)
		}
		if n > 0 {
			out = append(out, "+ "+l)
		}
	}
	return strings.Join(out, "\n")
}
