package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// mistake is a way to be wrong: what is given, what vic-machine answers with, and what its message names.
type mistake struct {
	name string
	args []string
	code int
	want string
}

func mistakes(t *testing.T) []mistake {
	t.Helper()
	access := theLab.Access()
	port := bridge(t, "wrong")
	create := func(more ...string) []string { return createArgs(t, "wrong", port, more...) }
	named := func(verb, name string, more ...string) []string {
		return append(append(append(strings.Fields(verb), access...), "--name", name), more...)
	}
	text := filepath.Join(t.TempDir(), "text.iso")
	if err := os.WriteFile(text, []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	otherHost := strings.Repeat("00:", 19) + "00"
	return []mistake{
		{"an option that is not there", create("--bogus"), 2, "bogus"},
		{"no target", []string{"ls", "--user", "u", "--password", "p"}, 2, "--target"},
		{"no password, and no terminal to ask on", []string{"ls", "--target", harness.VCenterHost, "--user", "u"}, 2, "--password"},
		{"two ways of TLS", create("--no-tls", "--no-tlsverify"), 2, "exclude"},
		{"a static address without its gateway", create("--public-network-ip", "192.168.127.9/24"), 2, "--public-network-gateway"},
		{"an operations user without password", create("--ops-password", ""), 2, "--ops-password"},
		{"a thumbprint that is none", create("--thumbprint", "00:11"), 2, "thumbprint"},
		{"the thumbprint of another server", create("--thumbprint", otherHost), 3, "thumbprint"},
		{"nobody listens at the target", create("--target", "127.0.0.1:1"), 3, "127.0.0.1:1"},
		{"wrong password", create("--password", "wrong"), 3, "password"},
		{"wrong password of the operations user", create("--ops-password", "wrong"), 3, "--ops-password"},
		{"no such datacenter", create("--target", harness.VCenterHost+"/nosuch"), 3, "nosuch"},
		{"no such compute resource", create("--compute-resource", "nosuch"), 3, "nosuch"},
		{"no such datastore", create("--image-store", "nosuch"), 3, "nosuch"},
		{"a full datastore", create("--image-store", "tiny"), 3, "tiny"},
		{"a volume store on no datastore", create("--volume-store", "nosuch/v:third"), 3, "nosuch"},
		{"no such bridge network", create("--bridge-network", "nosuch"), 3, "nosuch"},
		{"a bridge that is not distributed", create("--bridge-network", "VM Network"), 3, "distributed"},
		{"the bridge of another VCH", create("--bridge-network", "bridge"), 3, "bridge of the VCH " + harness.VCH},
		{"no such public network", create("--public-network", "nosuch"), 3, "nosuch"},
		{"a name that is taken", create("--name", harness.VCH), 3, "a VCH " + harness.VCH},
		{"a name that VMs cannot have", create("--name", "a b"), 3, "a b"},
		{"a bridge range without room", create("--bridge-network-range", "172.16.0.0/30"), 3, "/30"},
		{"an image that is none", create("--appliance-iso", text), 3, "text.iso"},
		{"a limit below what the endpoint needs", create("--memory", "100"), 3, "--memory"},
		{"too little time", create("--timeout", "4s"), 6, "--timeout"},
		{"configure of a VCH that is not there", named("configure", "nosuch", "--memory", "4096"), 4, harness.VCH},
		{"inspect of a VCH that is not there", named("inspect", "nosuch"), 4, harness.VCH},
		{"delete while containers run", named("delete", harness.VCH), 5, "--force"},
		{"an upgrade without image", named("upgrade", harness.VCH, "--appliance-iso", text), 3, "text.iso"},
	}
}

// TestWaysToBeWrong is the table of what administrators do wrong: each has its exit code and one message
// that says what to do, and leaves vSphere as it was.
func TestWaysToBeWrong(t *testing.T) {
	beside(t)
	container(t, "busybox", "sleep", "36000")
	made := func() string { return named(t, "wrong") + named(t, "nosuch") }
	var table strings.Builder
	for _, m := range mistakes(t) {
		t.Run(m.name, func(t *testing.T) {
			out, err := exec.Command(theLab.Bin("vic-machine"), m.args...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != m.code {
				t.Errorf("%v, want exit code %d:\n%s", err, m.code, out)
			}
			said, remedy, others := message(string(out))
			if others > 0 || remedy == "" || !strings.Contains(said+" "+remedy, m.want) {
				t.Errorf("want one message with %q and a remedy, got %d more than %q -> %q:\n%s", m.want, others, said, remedy, out)
			}
			if strings.Contains(string(out), harness.Password) || strings.Contains(string(out), harness.OpsPassword) {
				t.Error("a password is shown")
			}
			if left := made(); left != "" {
				t.Errorf("something was left behind:\n%s", left)
			}
			if t.Failed() {
				return
			}
			fmt.Fprintf(&table, "| %s | %d | %s | %s |\n", m.name, m.code, said, remedy)
		})
	}
	progress("ways to be wrong:\n| what | exit | message | remedy |\n| --- | --- | --- | --- |\n%s", table.String())
}

// message finds the error that vic-machine reports, what it advises, and how many other errors it reports:
// the checks that failed, or else the line with the program's name.
func message(out string) (said, remedy string, others int) {
	lines := strings.Split(out, "\n")
	find := func(prefix string) {
		for i, l := range lines {
			if !strings.HasPrefix(l, prefix) {
				continue
			}
			if said != "" {
				others++
				continue
			}
			said = strings.Join(strings.Fields(strings.TrimPrefix(l, prefix)), " ")
			for _, next := range lines[i+1:] {
				if _, r, ok := strings.Cut(next, "-> "); ok {
					remedy = strings.TrimSpace(r)
					break
				}
			}
		}
	}
	if find("  error "); said == "" {
		find("vic-machine: ")
	}
	return said, remedy, others
}
