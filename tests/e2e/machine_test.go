package e2e

import (
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

func TestCreateThatCannotWork(t *testing.T) {
	before, err := theLab.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		vch  string
		opts []string
		want string
	}{
		{"name taken", harness.VCH, []string{"--bridge-network", "bridge2"}, harness.VCH},
		{"bridge taken", "other", nil, "bridge"},
		{"wrong password", "other", []string{"--password", "wrong", "--bridge-network", "bridge2"}, "password"},
		{"missing port group", "other", []string{"--bridge-network", "nosuch"}, "nosuch"},
		{"not a distributed port group", "other", []string{"--bridge-network", "VM Network"}, "distributed"},
		{"full datastore", "other", []string{"--bridge-network", "bridge2", "--image-store", "tiny"}, "tiny"},
		{"missing compute resource", "other", []string{"--bridge-network", "bridge2", "--compute-resource", "nosuch"}, "nosuch"},
		{"wrong thumbprint", "other", []string{"--bridge-network", "bridge2", "--thumbprint", "00:11"}, "thumbprint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := append([]string{"--cert-path", t.TempDir()}, c.opts...)
			out, err := theLab.Create(c.vch, opts...)
			if err == nil || !strings.Contains(out, c.want) {
				t.Fatalf("err %v, want %q in:\n%s", err, c.want, out)
			}
			after, err := theLab.Inventory()
			if err != nil {
				t.Fatal(err)
			}
			if before != after {
				t.Fatalf("something was left behind or taken away:\n%s", difference(before, after))
			}
		})
	}
}

func TestLsAndInspect(t *testing.T) {
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
